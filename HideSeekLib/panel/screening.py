"""The table of vertebrae: P(malignant), what to look for, which ones to analyse."""

from __future__ import annotations

from typing import Any

import qt

from HideSeekLib.anatomy import vertebrae
from HideSeekLib.case import views
from HideSeekLib.i18n import _
from HideSeekLib.panel import qt_tools, tables
from HideSeekLib.panel.parameters import Polarity
from HideSeekLib.run import words
from HideSeekLib.run.board import Board
from HideSeekLib.run.jobs import Job, JobState

LATER_MS = 60


class ScreeningSection:
    """Fills and reads the table of vertebrae and starts screening and analysis."""

    def __init__(self, ui: Any, board: Board) -> None:
        self.board = board
        self.ui = ui
        self._levels: tuple[str, ...] = ()
        self._ticked: set[str] = set()
        self._combos: dict[str, Any] = {}
        tables.stretch_columns(ui.screenTable, 3)
        ui.screenButton.connect("clicked()", self.screen)
        ui.analyseButton.connect("clicked()", self.analyse)
        ui.selectFlaggedButton.connect("clicked()", self.tick_flagged)
        ui.selectAllButton.connect("clicked()", lambda: self._tick(set(self._levels)))
        ui.selectNoneButton.connect("clicked()", lambda: self._tick(set()))
        ui.screenTable.connect("itemChanged(QTableWidgetItem*)", self._item_changed)
        ui.screenTable.connect("cellDoubleClicked(int,int)", self._jump)
        # A dragged slider and a running job ask often.
        self._later = qt_tools.single_shot(LATER_MS, self.refresh)
        board.inputs_changed.connect(self.refresh)
        board.case_changed.connect(self.refresh)
        board.review_changed.connect(self.later)
        board.job_changed.connect(self._job_changed)

    def ticked(self) -> tuple[str, ...]:
        """Return the ticked levels from head to feet."""
        return tuple(level for level in self._levels if level in self._ticked)

    def probabilities(self) -> dict[str, float]:
        """Return P(malignant) of the levels that have one."""
        case = self.board.live_case()
        rows = case.vertebra_rows() if case is not None else ()
        known = {row.level: words.known(row.p_malignant) for row in rows}
        return {level: p for level, p in known.items() if p is not None}

    def refresh(self) -> None:
        """Show the levels of the segmentation and whatever is known about them."""
        case = self.board.live_case()
        rows = {row.level: row for row in case.vertebra_rows()} if case is not None else {}
        candidates = case.rows() if case is not None else []
        levels = self.board.levels()
        anew = levels != self._levels
        if anew:
            self._levels = levels
            self._ticked &= set(levels)
            self._build_rows()
        table = self.ui.screenTable
        before = table.blockSignals(True)
        for index, level in enumerate(levels):
            row = rows.get(level)
            item = table.item(index, 1)
            tables.write(item, words.about_p(row))
            tables.tint(table, item, tables.RED, 0.65 * words.weight_of_p(row))
            item.setToolTip(row.outside if row is not None else "")
            tables.write(
                table.item(index, 3),
                (
                    words.state_in_job(self.board.job, level)
                    or words.state_of_vertebra(row, candidates)
                ),
            )
            table.item(index, 3).setToolTip(self._state_tip(row))
            ticked = level in self._ticked
            table.item(index, 0).setCheckState(qt.Qt.Checked if ticked else qt.Qt.Unchecked)
        table.blockSignals(before)
        # Only now do the check boxes take their room, and bold or longer texts theirs.
        tables.fit_columns(table, 3)
        self.refresh_buttons()

    def refresh_buttons(self) -> None:
        """Enable what makes sense now."""
        ui, levels = self.ui, self.board.levels()
        ready = self.board.parameters.ct is not None and bool(levels)
        ticked = self.ticked()
        ui.screenButton.enabled = ready
        ui.analyseButton.enabled = ready and bool(ticked)
        ui.analyseButton.text = (
            _("Analyse {level}").format(level=ticked[0])
            if len(ticked) == 1
            else _("Analyse {n} vertebrae").format(n=len(ticked))
            if ticked
            else _("Analyse ticked vertebrae")
        )
        ui.selectFlaggedButton.enabled = any(
            p >= words.FLAGGED for p in self.probabilities().values()
        )
        ui.selectAllButton.enabled = ui.selectNoneButton.enabled = bool(levels)

    def screen(self) -> None:
        """Start screening every level."""
        if not self.ui.screenButton.enabled:
            return
        self.board.start_job("screen", self.board.levels())

    def analyse(self, levels: tuple[str, ...] = ()) -> None:
        """Start the analysis of the given levels, or of the ticked ones."""
        chosen = levels or self.ticked()
        if chosen and self.board.parameters.ct is not None:
            self.board.start_job("segment", chosen)

    def tick_flagged(self) -> None:
        """Tick the levels whose P(malignant) is at least 0.5."""
        self._tick({level for level, p in self.probabilities().items() if p >= words.FLAGGED})

    def later(self) -> None:
        """Refresh soon."""
        if not self._later.isActive():
            self._later.start()

    def close(self) -> None:
        """Let go of what is to come."""
        self._later.stop()

    def _job_changed(self, job: Job | None) -> None:
        if job is None or not job.ended():
            self.later()
            return
        if job.kind == "screen" and job.state == JobState.DONE:
            self.tick_flagged()  # what deserves a closer look
        self.refresh()

    def _build_rows(self) -> None:
        table = self.ui.screenTable
        before = table.blockSignals(True)
        table.setRowCount(0)
        table.setRowCount(len(self._levels))
        self._combos = {}
        for index, level in enumerate(self._levels):
            item = tables.cell(level, key=level)
            item.setFlags(item.flags() | qt.Qt.ItemIsUserCheckable)
            table.setItem(index, 0, item)
            table.setItem(index, 1, tables.cell("", right=True))
            table.setItem(index, 3, tables.cell(""))
            combo = qt.QComboBox()
            combo.toolTip = _("Lesions to look for in {level}").format(level=level)
            combo.setFrame(False)
            combo.connect("activated(int)", lambda n, level=level: self._set_polarity(level))
            self._combos[level] = combo
            table.setCellWidget(index, 2, combo)
        table.blockSignals(before)
        self._fill_polarity()

    def _fill_polarity(self) -> None:
        own = dict(self.board.parameters.polarityByLevel)
        for level, combo in self._combos.items():
            entries = [(_("as patient"), "")]
            entries += [(choice.label(), choice.value) for choice in Polarity]
            tables.fill_combo(combo, entries, own.get(level, ""))

    def _set_polarity(self, level: str) -> None:
        chosen = tables.combo_key(self._combos[level])
        overrides = dict(self.board.parameters.polarityByLevel)
        overrides.pop(level, None)
        if chosen:
            overrides[level] = chosen
        self.board.parameters.polarityByLevel = overrides

    @staticmethod
    def _state_tip(row: Any) -> str:
        if row is None:
            return ""
        warnings = row.warnings
        if isinstance(warnings, (list, tuple)):
            warnings = "\n".join(warnings)
        told = (row.outside, row.reason, str(warnings or ""))
        return "\n".join(part for part in told if part)

    def _tick(self, levels: set[str]) -> None:
        self._ticked = levels & set(self._levels)
        self.refresh()

    def _item_changed(self, item: Any) -> None:
        if item.column() != 0:
            return
        level = tables.key_of(item)
        if item.checkState() == qt.Qt.Checked:
            self._ticked.add(level)
        else:
            self._ticked.discard(level)
        self.refresh_buttons()

    def _jump(self, row: int, column: int) -> None:
        if 0 <= row < len(self._levels):
            self.board.guarded(lambda: self._jump_to(self._levels[row]))

    def _jump_to(self, level: str) -> None:
        node = self.board.parameters.vertebrae
        segment = vertebrae.segments_by_level(self.board.matches).get(level)
        centre = node.GetSegmentCenterRAS(segment) if node is not None and segment else None
        if centre is not None:
            views.jump_to(tuple(centre))
