"""SINS worksheet: suggestions beside the reader's choices; a sum only when complete and signed."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from HideSeekLib.case import dates, views
from HideSeekLib.i18n import _
from HideSeekLib.panel import tables
from HideSeekLib.run.board import Board
from HideSeekLib.wire.sins import ITEMS, Sheet, Suggestion, meaning
from HideSeekLib.worker.request import Failure


class WorksheetSection:
    """Asks the backend what the images show, keeps what the reader chooses with the case."""

    def __init__(self, ui: Any, board: Board) -> None:
        self.board = board
        self.ui = ui
        self._asked = 0
        self._filling = False
        self.items = {
            "location": (ui.locationCombo, ui.locationLabel),
            "pain": (ui.painCombo, ui.painLabel),
            "lesion": (ui.lesionCombo, ui.lesionLabel),
            "alignment": (ui.alignmentCombo, ui.alignmentLabel),
            "collapse": (ui.collapseCombo, ui.collapseLabel),
            "posterolateral": (ui.posterolateralCombo, ui.posterolateralLabel),
        }
        for combo, _label in self.items.values():
            combo.connect("activated(int)", lambda index: board.guarded(self._entered))
        ui.sheetLevelCombo.connect("activated(int)", lambda index: board.guarded(self._show))
        ui.suggestButton.connect("clicked()", lambda: board.guarded(self.suggest))
        ui.showSheetButton.connect("clicked()", lambda: board.guarded(self._jump))
        ui.sheetReaderEdit.connect("editingFinished()", lambda: board.guarded(self._entered))
        ui.sheetSignedCheck.connect("toggled(bool)", lambda on: board.guarded(self._entered))
        board.case_changed.connect(self.refresh)
        self.refresh()

    @property
    def level(self) -> str:
        """The vertebra of the sheet."""
        return tables.combo_key(self.ui.sheetLevelCombo)

    def refresh(self) -> None:
        """Offer the case's levels and show the chosen one's sheet."""
        case = self.board.live_case()
        levels = case.record.levels() if case is not None else []
        combo = self.ui.sheetLevelCombo
        tables.fill_combo(combo, [(level, level) for level in levels], self.level)
        self.ui.suggestButton.enabled = self.ui.showSheetButton.enabled = bool(levels)
        self.board.guarded(self._show)

    def suggest(self) -> None:
        """Ask what the images show of the chosen vertebra."""
        case, level = self.board.live_case(), self.level
        if case is None or not level:
            return
        params = {**dates.date_message(case), "levels": [level]}
        self._asked += 1
        asked = self._asked
        self.ui.suggestButton.enabled = False

        def answered(result: dict[str, Any]) -> None:
            if asked == self._asked:
                self.ui.suggestButton.enabled = True
                self.board.guarded(lambda: self._suggested(case, result.get("sheets") or [None]))

        def failed(failure: Failure) -> None:
            if asked == self._asked:
                self.ui.suggestButton.enabled = True
                self.board.say("⚠ " + str(failure))

        self.board.ask("sheets", params, answered, failed)

    def forget(self) -> None:
        """Drop what is on its way, for a closing scene or module."""
        self._asked += 1

    def _suggested(self, case: Any, messages: list[Any]) -> None:
        """Put suggestions beside what the reader chose before; nothing is chosen by them."""
        sheets = dates.sheets_of(case)
        new = dates.read_sheet(messages[0])
        old = sheets.get(new.level, new)
        sheets[new.level] = replace(old, suggestions=new.suggestions)
        dates.keep_sheets(case, sheets.values())
        self._show()

    def _show(self) -> None:
        case, level = self.board.live_case(), self.level
        sheet = Sheet(level) if level else None
        if case is not None and level:
            sheet = dates.sheets_of(case).get(level, sheet)
        self._filling = True
        suggested = {s.item: s for s in sheet.suggestions} if sheet is not None else {}
        for item, (combo, label) in self.items.items():
            choices = [(f"{_(c)} ({points})", c) for c, points in ITEMS[item].items()]
            chosen = sheet.chosen.get(item, "") if sheet is not None else ""
            tables.fill_combo(combo, [("–", ""), *choices], chosen)
            combo.enabled = sheet is not None
            tables.show_text(label, suggestion_text(suggested.get(item)))
        self.ui.sheetReaderEdit.text = sheet.reader if sheet is not None else ""
        self.ui.sheetSignedCheck.checked = sheet is not None and sheet.signed
        self._filling = False
        self._total(sheet)

    def _entered(self) -> None:
        """Keep what the reader chose; a change after signing takes the signature back."""
        case, level = self.board.live_case(), self.level
        if self._filling or case is None or not level:
            return
        sheets = dates.sheets_of(case)
        old = sheets.get(level, Sheet(level))
        keys = [(item, tables.combo_key(combo)) for item, (combo, _label) in self.items.items()]
        entries = tuple((item, key) for item, key in keys if key)
        reader = str(self.ui.sheetReaderEdit.text).strip()
        changed = entries != old.entries or reader != old.reader
        signed = bool(self.ui.sheetSignedCheck.checked) and not (changed and old.signed)
        sheets[level] = replace(old, entries=entries, reader=reader, signed=signed)
        dates.keep_sheets(case, sheets.values())
        self._show()

    def _total(self, sheet: Sheet | None) -> None:
        total = sheet.total if sheet is not None else None
        text = ""
        if sheet is not None and total is not None:
            text = _("{total} of 18: {meaning} (by {reader})").format(
                total=total, meaning=_(meaning(total)), reader=sheet.reader
            )
        elif sheet is not None and sheet.entries:
            text = _("No sum before every item is chosen and the sheet is signed.")
        tables.show_text(self.ui.sheetTotalLabel, text)

    def _jump(self) -> None:
        case, level = self.board.live_case(), self.level
        if case is None or not level:
            return
        keys = sorted(k for k in case.review.kept_keys() if k.startswith(f"{level}:"))
        if keys:
            views.show_candidate(case, keys[0])
        else:
            views.jump_to(views.level_point(case, level))


def suggestion_text(suggestion: Suggestion | None) -> str:
    """A suggestion with its number, as the form shows it."""
    if suggestion is None:
        return ""
    number = ""
    if math.isfinite(suggestion.value):
        number = f" ({suggestion.value:.0f} {suggestion.unit})"
    choice = _("Suggested: {choice}").format(choice=_(suggestion.choice)) + number + ". "
    return (choice if suggestion.choice else "") + suggestion.because
