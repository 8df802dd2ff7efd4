"""The table of vertebrae: P(malignant), what to look for, which ones to analyse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import qt

from HideSeekLib.i18n import _
from HideSeekLib.panel import tables
from HideSeekLib.panel.parameters import Polarity
from HideSeekLib.run import words
from HideSeekLib.run.jobs import Job

if TYPE_CHECKING:
    from HideSeekLib.panel.panel import HideSeekPanel


class ScreeningSection:
    """Fills and reads the table of vertebrae and starts screening and analysis."""

    def __init__(self, panel: HideSeekPanel) -> None:
        self.panel = panel
        self.ui = ui = panel.ui
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

    def ticked(self) -> tuple[str, ...]:
        """Return the ticked levels from head to feet."""
        return tuple(level for level in self._levels if level in self._ticked)

    def probabilities(self) -> dict[str, float]:
        """Return P(malignant) of the levels that have one."""
        case = self.panel.case
        rows = case.vertebra_rows() if case is not None and case.alive else ()
        known = {row.level: words.known(row.p_malignant) for row in rows}
        return {level: p for level, p in known.items() if p is not None}

    def polarity_of(self, level: str) -> str:
        """Return what to look for in one vertebra."""
        return self._overrides().get(level, self.panel.parameters.polarity.value)

    def _overrides(self) -> dict[str, str]:
        # A copy: what Slicer's wrapper gives is no dict, and its `get` takes no default.
        return dict(self.panel.parameters.polarityByLevel)

    def refresh(self) -> None:
        """Show the levels of the segmentation and whatever is known about them."""
        case = self.panel.case
        rows = {row.level: row for row in case.vertebra_rows()} if case and case.alive else {}
        levels = self.panel.inputs.levels()
        anew = levels != self._levels
        if anew:
            self._levels = levels
            self._ticked &= set(levels)
            self._build_rows()
        table = self.ui.screenTable
        before = table.blockSignals(True)
        for index, level in enumerate(levels):
            row = rows.get(level)
            p = words.known(row.p_malignant) if row is not None else None
            item = table.item(index, 1)
            tables.write(item, "" if p is None else f"{p:.2f}")
            tables.tint(table, item, tables.RED, 0.65 * p if p is not None else 0.0)
            tables.write(table.item(index, 3), self._state_text(level, row))
            table.item(index, 3).setToolTip(self._state_tip(row))
            ticked = level in self._ticked
            table.item(index, 0).setCheckState(qt.Qt.Checked if ticked else qt.Qt.Unchecked)
        table.blockSignals(before)
        # Only now do the check boxes take their room, and bold or longer texts theirs.
        tables.fit_columns(table, 3)
        self.refresh_buttons()

    def refresh_buttons(self) -> None:
        """Enable what makes sense now."""
        ui, levels = self.ui, self.panel.inputs.levels()
        ready = self.panel.parameters.ct is not None and bool(levels)
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
        self.panel.start_job("screen", self.panel.inputs.levels())

    def analyse(self, levels: tuple[str, ...] = ()) -> None:
        """Start the analysis of the given levels, or of the ticked ones."""
        chosen = levels or self.ticked()
        if chosen and self.panel.parameters.ct is not None:
            self.panel.start_job("segment", chosen)

    def tick_flagged(self) -> None:
        """Tick the levels whose P(malignant) is at least 0.5."""
        self._tick({level for level, p in self.probabilities().items() if p >= words.FLAGGED})

    def job_ended(self, job: Job) -> None:
        """After screening, tick what deserves a closer look."""
        if job.kind == "screen" and job.state == "done":
            self.tick_flagged()
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
        for level, combo in self._combos.items():
            entries = [(_("as patient"), "")]
            entries += [(choice.label(), choice.value) for choice in Polarity]
            tables.fill_combo(combo, entries, self._overrides().get(level, ""))

    def _set_polarity(self, level: str) -> None:
        chosen = tables.combo_key(self._combos[level])
        overrides = self._overrides()
        overrides.pop(level, None)
        if chosen:
            overrides[level] = chosen
        self.panel.parameters.polarityByLevel = overrides

    def _state_text(self, level: str, row: Any) -> str:
        state = self.panel.run.state_of(level)
        return state or words.state_of_vertebra(row, self.panel.review.rows())

    @staticmethod
    def _state_tip(row: Any) -> str:
        if row is None:
            return ""
        warnings = row.warnings
        if isinstance(warnings, (list, tuple)):
            warnings = "\n".join(warnings)
        return "\n".join(part for part in (row.reason, str(warnings or "")) if part)

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
            self.panel.jump_to_level(self._levels[row])
