"""Follow-up: the case beside an earlier one of the scene, lesion by lesion."""

from __future__ import annotations

import math
from typing import Any

import qt

from HideSeekLib.case import dates, views
from HideSeekLib.case.case import Case
from HideSeekLib.i18n import _
from HideSeekLib.panel import tables
from HideSeekLib.panel.fading import FLICKER_MS
from HideSeekLib.run.board import Board
from HideSeekLib.wire.changes import Change, FollowUp
from HideSeekLib.worker.request import Failure

HEADERS = ("Level", "Became", "Type", "Before", "Now", "Change (95 %)")


class FollowUpSection:
    """Compares two cases of the scene, shows what became of each lesion, and both CTs in turn."""

    def __init__(self, ui: Any, board: Board) -> None:
        self.board = board
        self.ui = ui
        self._asked = 0
        self._told: FollowUp | None = None
        self._earlier_shown = False
        self._timer = qt.QTimer()
        self._timer.setInterval(FLICKER_MS)
        self._timer.connect("timeout()", lambda: board.guarded(self._flick))
        ui.followUpTable.setColumnCount(len(HEADERS))
        ui.followUpTable.setHorizontalHeaderLabels([_(name) for name in HEADERS])
        tables.stretch_columns(ui.followUpTable, 1)
        ui.compareButton.connect("clicked()", lambda: board.guarded(self.compare))
        ui.earlierFlickerButton.connect("toggled(bool)", self._set_flicker)
        ui.followUpTable.connect("itemSelectionChanged()", lambda: board.guarded(self._selected))
        ui.followUpCollapsible.connect("contentsCollapsed(bool)", lambda shut: self.refresh())
        board.case_changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the cases to compare with, and the comparison that is kept with this case."""
        self.ui.earlierFlickerButton.checked = False
        case = self.board.live_case()
        others = dates.other_cases(case) if case is not None else []
        before = dates.earlier_of(case) if case is not None else None
        combo = self.ui.earlierCombo
        chosen = tables.combo_key(combo) or (before.node.GetID() if before is not None else "")
        tables.fill_combo(combo, [(one.name, one.node.GetID()) for one in others], chosen)
        self.ui.compareButton.enabled = bool(others)
        self._told = None
        if case is not None:
            self.board.guarded(lambda: self._show(dates.follow_up_of(case)))
        else:
            self._show(None)

    def compare(self) -> None:
        """Ask the backend about the chosen earlier case and this one."""
        case, earlier = self.board.live_case(), self._chosen()
        if case is None or earlier is None:
            return
        params = {
            "earlier": dates.date_message(earlier),
            "current": dates.date_message(case),
            "same_protocol": bool(self.ui.sameProtocolCheck.checked),
        }
        self._asked += 1
        asked = self._asked
        self.ui.compareButton.enabled = False
        self.board.say(_("Comparing with {name} …").format(name=earlier.name))

        def answered(result: dict[str, Any]) -> None:
            if asked == self._asked:
                self.board.guarded(
                    lambda: dates.keep_follow_up(case, earlier, result.get("follow_up"))
                )
                self.board.say(_("Compared with {name}.").format(name=earlier.name))
                self.refresh()

        def failed(failure: Failure) -> None:
            if asked == self._asked:
                self.board.say("⚠ " + str(failure))
                self.ui.compareButton.enabled = True

        self.board.ask("follow_up", params, answered, failed)

    def forget(self) -> None:
        """Drop what is on its way, for a closing scene or module."""
        self._asked += 1
        self.ui.earlierFlickerButton.checked = False

    def _chosen(self) -> Case | None:
        case, key = self.board.live_case(), tables.combo_key(self.ui.earlierCombo)
        if case is None:
            return None
        return next((one for one in dates.other_cases(case) if one.node.GetID() == key), None)

    def _show(self, told: FollowUp | None) -> None:
        self._told = told
        table = self.ui.followUpTable
        changes = told.changes if told is not None else ()
        table.setRowCount(len(changes))
        for row, change in enumerate(changes):
            for column, text in enumerate(row_text(change)):
                right = column > 2
                table.setItem(row, column, tables.cell(text, right=right, tip=change.reason))
        tables.fit_columns(table, 1)
        lines = []
        if told is not None:
            lines = ["⚠ " + _("Cannot be compared: {why}").format(why=w) for w in told.reasons]
            lines += ["⚠ " + warning for warning in told.warnings]
            if not changes:
                lines.append(_("No lesion at either date."))
            lines += [told.limits] if told.limits else []
            lines += _scans(told)
        tables.show_text(self.ui.followUpLabel, "\n".join(lines))
        self.ui.earlierFlickerButton.enabled = told is not None and bool(told.pairs)

    def _selected(self) -> None:
        case, change = self.board.live_case(), self._change()
        if case is None or change is None:
            return
        if change.after:
            views.show_candidate(case, f"{change.vertebra}:{change.after[0]}")
            return
        earlier = dates.earlier_of(case)
        pair = self._pair(change)
        if earlier is None or pair is None or not change.before:
            return
        key = f"{change.vertebra_before}:{change.before[0]}"
        place = earlier.review.candidate(key).centroid_ras
        views.jump_to(views.in_world(case, pair.matrix[:3, :3] @ place + pair.matrix[:3, 3]))

    def _change(self) -> Change | None:
        rows = tables.selected_rows(self.ui.followUpTable)
        return self._told.changes[rows[0]] if self._told is not None and rows else None

    def _pair(self, change: Change | None) -> Any:
        pairs = self._told.pairs if self._told is not None else ()
        level = change.vertebra if change is not None else None
        return next((p for p in pairs if level in (None, p.level)), None)

    def _set_flicker(self, on: bool) -> None:
        if on:
            self._timer.start()
            return
        self._timer.stop()
        if self._earlier_shown:
            self._earlier_shown = False
            self.board.guarded(lambda: views.clear_fade(self.board.live_case()))

    def _flick(self) -> None:
        case, pair = self.board.live_case(), self._pair(self._change())
        if case is None or pair is None:
            self.ui.earlierFlickerButton.checked = False
            return
        if self._earlier_shown:
            views.clear_fade(case)
        else:
            views.lay_over(case, dates.earlier_ct(case, pair), 1.0)
        self._earlier_shown = not self._earlier_shown


def _scans(told: FollowUp) -> list[str]:
    """How the two CTs were made; nothing where neither file says."""
    if not str(told.scan_before) and not str(told.scan):
        return []
    line = _("Earlier CT: {before}. This CT: {now} (by their DICOM headers).")
    untold = _("not told")
    return [line.format(before=str(told.scan_before) or untold, now=str(told.scan) or untold)]


def row_text(change: Change) -> tuple[str, ...]:
    """One change as the table shows it."""
    level = change.vertebra
    if change.vertebra_before not in ("", level):
        level += f" ({change.vertebra_before})"
    # As a ratio: what may grow by 100 % may shrink by 50 %.
    most = change.limit_percent
    least = -100 * most / (100 + most)
    told = change.fate != "not comparable" and math.isfinite(change.change_percent)
    return (
        level,
        _(change.fate),
        _(change.polarity),
        f"{change.volume_before_mm3 / 1000:.2f} mL" if change.before else "–",
        f"{change.volume_mm3 / 1000:.2f} mL" if change.after else "–",
        f"{change.change_percent:+.0f} % ({least:.0f} … {most:+.0f})" if told else "",
    )
