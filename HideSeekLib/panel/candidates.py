"""The candidate table: rows, sorting, filters, selection. It shows; review.py decides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt

from HideSeekLib.case.review import Filters
from HideSeekLib.i18n import _
from HideSeekLib.panel import tables
from HideSeekLib.run.board import Board
from HideSeekLib.wire.levels import LEVELS

DECISION, LEVEL, TYPE, DELTA, KEPT, VOLUME, HU, REASON = range(8)
MARKS = {"accept": ("✓", tables.GREEN), "reject": ("✗", tables.RED), "": ("", "")}

_SORT: dict[int, Callable[[Any], Any]] = {
    DECISION: lambda row: row.decision,
    LEVEL: lambda row: (LEVELS.index(row.vertebra) if row.vertebra in LEVELS else 99, row.number),
    TYPE: lambda row: row.polarity,
    DELTA: lambda row: row.delta,
    KEPT: lambda row: row.kept,
    VOLUME: lambda row: row.volume_mm3,
    HU: lambda row: row.mean_hu,
    REASON: lambda row: row.reason,
}


class CandidateTable:
    """Shows the candidates that pass the filters; `on_select(key)` when the current row changes."""

    def __init__(self, ui: Any, board: Board, on_select: Callable[[str], None]) -> None:
        self.board = board
        self.ui = ui
        self.table = ui.candidatesTable
        self.on_select = on_select
        self._rows: dict[str, Any] = {}
        self._place: dict[str, int] = {}
        self._sort, self._descending = LEVEL, False
        self._quiet = False
        # Translated once: Slicer's `tr` looks for its caller's file each time.
        self._words = {
            "lytic": _("lytic"), "blastic": _("blastic"), "yes": _("yes"), "no": _("no")
        }  # fmt: skip
        tables.stretch_columns(self.table, REASON)
        header = self.table.horizontalHeader()
        header.setSectionsClickable(True)
        header.setSortIndicatorShown(True)
        header.connect("sectionClicked(int)", self._sort_by)
        self.table.connect("itemSelectionChanged()", self._selection_changed)
        self._fill_filters()
        for combo in (ui.filterVertebraCombo, ui.filterPolarityCombo, ui.filterStateCombo):
            combo.connect("activated(int)", lambda index: self.show())
        ui.filterDeltaRange.connect("valuesChanged(double,double)", lambda low, high: self.show())
        ui.filterVolumeSpin.connect("valueChanged(double)", lambda value: self.show())
        ui.filterResetButton.connect("clicked()", self.clear_filters)
        ui.selectShownButton.connect("clicked()", self.table.selectAll)

    # --- reading -----------------------------------------------------------------------------

    def selected(self) -> list[str]:
        """Return the keys of the selected rows, from top to bottom."""
        return [tables.key_of(self.table.item(row, 0)) for row in tables.selected_rows(self.table)]

    def current(self) -> str:
        """Return the key of the row with the focus, or of the first selected one."""
        row = self.table.currentRow()
        if row >= 0:
            return tables.key_of(self.table.item(row, 0))
        chosen = self.selected()
        return chosen[0] if chosen else ""

    def shown(self) -> list[str]:
        """Return the keys of all shown rows, from top to bottom."""
        return [tables.key_of(self.table.item(row, 0)) for row in range(self.table.rowCount)]

    def row(self, key: str) -> Any:
        """Return the row data of a candidate, or None."""
        return self._rows.get(key)

    def filters(self) -> Filters:
        """Return what the filter widgets ask for."""
        ui = self.ui
        vertebra = tables.combo_key(ui.filterVertebraCombo)
        polarity = tables.combo_key(ui.filterPolarityCombo)
        low, high = ui.filterDeltaRange.minimumValue, ui.filterDeltaRange.maximumValue
        volume = ui.filterVolumeSpin.value
        # Δ may be negative or above one; a range left at its ends means no limit there.
        delta = (low if low > 0.0 else float("-inf"), high if high < 1.0 else float("inf"))
        return Filters(
            vertebrae=frozenset({vertebra}) if vertebra else None,
            polarities=frozenset({polarity}) if polarity else None,
            delta=None if delta == (float("-inf"), float("inf")) else delta,
            volume_mm3=(volume, float("inf")) if volume > 0 else None,
            state=tables.combo_key(ui.filterStateCombo) or "all",
        )

    # --- showing -----------------------------------------------------------------------------

    def show(self) -> None:
        """Fill the table from the case; selection and scroll position stay where they were."""
        case = self.board.live_case()
        self._rows = {row.key: row for row in case.rows()} if case is not None else {}
        self._refresh_vertebra_filter()
        passed = set(case.review.filter(self.filters())) if case is not None else set()
        rows = [row for key, row in self._rows.items() if key in passed]
        rows.sort(key=_SORT[LEVEL])
        if self._sort != LEVEL or self._descending:
            rows.sort(key=_SORT[self._sort], reverse=self._descending)
        selected, current = set(self.selected()), self.current()
        grown = len(rows) != self.table.rowCount
        self._quiet = True
        self._mix_colours()
        table = self.table
        table.setUpdatesEnabled(False)
        before = table.blockSignals(True)
        table.clearSelection()
        table.setRowCount(len(rows))
        self._place = {row.key: index for index, row in enumerate(rows)}
        for index, row in enumerate(rows):
            self._write(index, row)
        if current in self._place:
            table.setCurrentCell(self._place[current], DECISION)
            table.clearSelection()
        for key in selected & set(self._place):
            for column in range(table.columnCount):
                table.item(self._place[key], column).setSelected(True)
        if grown:
            tables.fit_columns(table, REASON)
        table.blockSignals(before)
        table.setUpdatesEnabled(True)
        self._quiet = False

    def update(self, keys: set[str]) -> None:
        """Show changed candidates without building the table anew, where that is enough."""
        case = self.board.live_case()
        if case is None:
            self.show()
            return
        self._rows = {row.key: row for row in case.rows()}
        passed = set(case.review.filter(self.filters()))
        if self._sort in (DECISION, KEPT, REASON) or passed != set(self._place):
            self.show()
            return
        before = self.table.blockSignals(True)
        for key in keys & set(self._place):
            self._write(self._place[key], self._rows[key])
        self.table.blockSignals(before)

    def select(self, key: str) -> None:
        """Make one row the only selected one and bring it into view."""
        index = self._place.get(key)
        if index is not None:
            self.table.selectRow(index)
            self.table.setCurrentCell(index, DECISION)
            self.table.scrollToItem(self.table.item(index, DECISION))

    def step(self, forward: bool, undecided_only: bool = False) -> None:
        """Go to the next or previous row; with `undecided_only` skip what has a decision."""
        shown = self.shown()
        if not shown:
            return
        here = self.current()
        start = shown.index(here) if here in shown else -1
        order = shown[start + 1 :] if forward else list(reversed(shown[: max(0, start)]))
        for key in order:
            row = self._rows.get(key)
            if not undecided_only or (row is not None and not row.decision):
                self.select(key)
                return

    def clear_filters(self) -> None:
        """Show all candidates."""
        ui = self.ui
        before = ui.filterDeltaRange.blockSignals(True)
        ui.filterDeltaRange.setValues(0.0, 1.0)
        ui.filterDeltaRange.blockSignals(before)
        before = ui.filterVolumeSpin.blockSignals(True)
        ui.filterVolumeSpin.value = 0.0
        ui.filterVolumeSpin.blockSignals(before)
        for combo in (ui.filterVertebraCombo, ui.filterPolarityCombo, ui.filterStateCombo):
            tables.choose(combo, "")
        self.show()

    # --- inside ------------------------------------------------------------------------------

    def _fill_filters(self) -> None:
        ui = self.ui
        tables.fill_combo(ui.filterVertebraCombo, [(_("All levels"), "")], "")
        tables.fill_combo(
            ui.filterPolarityCombo,
            [(_("All types"), ""), (_("Lytic"), "lytic"), (_("Blastic"), "blastic")],
            "",
        )
        tables.fill_combo(
            ui.filterStateCombo,
            [
                (_("All"), ""),
                (_("Kept"), "kept"),
                (_("Dropped"), "dropped"),
                (_("Undecided"), "undecided"),
                (_("Accepted"), "accepted"),
                (_("Rejected"), "rejected"),
            ],
            "",
        )

    def _refresh_vertebra_filter(self) -> None:
        present = [
            level for level in LEVELS if any(row.vertebra == level for row in self._rows.values())
        ]
        combo = self.ui.filterVertebraCombo
        if [combo.itemData(i) for i in range(1, combo.count)] != present:
            entries = [(_("All levels"), ""), *((level, level) for level in present)]
            tables.fill_combo(combo, entries, tables.combo_key(combo))

    def _mix_colours(self) -> None:
        """Mix the colours of rows once for the present style, light or dark."""
        table = self.table
        text = table.palette.color(qt.QPalette.Active, qt.QPalette.Text)
        self._plain = qt.QBrush(text)
        self._faint = qt.QBrush(tables.blend(table, text, 0.6))
        self._tints = {
            (lytic, kept): qt.QBrush(
                tables.blend(table, tables.RED if lytic else tables.BLUE, 0.35 if kept else 0.12)
            )
            for lytic in (True, False)
            for kept in (True, False)
        }

    def _write(self, index: int, row: Any) -> None:
        table = self.table
        mark, colour = MARKS.get(row.decision, ("", ""))
        brush = self._faint if not row.kept else self._plain
        texts = (
            mark,
            f"{row.vertebra} · {row.number}" + (" ✎" if row.source == "reader" else ""),
            self._words.get(row.polarity, row.polarity),
            f"{row.delta:.2f}",
            self._words["yes" if row.kept else "no"],
            f"{row.volume_mm3:.0f}",
            f"{row.mean_hu:.0f}",
            row.reason,
        )
        for column, text in enumerate(texts):
            item = table.item(index, column)
            if item is None:
                item = tables.cell(text, right=column in (DELTA, VOLUME, HU))
                table.setItem(index, column, item)
            else:
                tables.write(item, text)
            item.setForeground(brush)
        table.item(index, DECISION).setData(tables.KEY_ROLE, row.key)
        if mark:
            table.item(index, DECISION).setForeground(qt.QBrush(qt.QColor(colour)))
        table.item(index, TYPE).setBackground(self._tints[row.polarity == "lytic", row.kept])

    def _sort_by(self, column: int) -> None:
        self._descending = not self._descending if column == self._sort else column == DELTA
        self._sort = column
        order = qt.Qt.DescendingOrder if self._descending else qt.Qt.AscendingOrder
        self.table.horizontalHeader().setSortIndicator(column, order)
        self.show()

    def _selection_changed(self) -> None:
        if not self._quiet:
            self.on_select(self.current() if self.selected() else "")
