"""Inputs: CT, segmentations, and which segment is which vertebra."""

from __future__ import annotations

from typing import Any

import slicer
import slicer.util

from HideSeekLib.anatomy import vertebrae
from HideSeekLib.case.nodes import OURS_ATTRIBUTE
from HideSeekLib.i18n import _
from HideSeekLib.panel import qt_tools, tables
from HideSeekLib.run import words
from HideSeekLib.run.board import Board
from HideSeekLib.run.jobs import Inputs
from HideSeekLib.wire.levels import LEVELS, order

FOUND_BY = {
    "user": lambda: _("you"),
    "terminology": lambda: _("terminology"),
    "segment id": lambda: _("segment id"),
    "name": lambda: _("name"),
}
NOT_A_VERTEBRA = "-"


class InputsSection:
    """Shows the inputs and keeps the user's corrections of levels in the parameter node."""

    def __init__(self, ui: Any, board: Board) -> None:
        self.board = board
        self.ui = ui
        self._later = qt_tools.single_shot(0, board.match_inputs)
        tables.stretch_columns(ui.levelsTable, 0)
        entries = [(_("not a vertebra"), NOT_A_VERTEBRA), *((level, level) for level in LEVELS)]
        tables.fill_combo(ui.levelCombo, entries, "")
        schemes = {
            "": _("not used"),
            "verse": _("VerSe, SPINEPS (20 = L1)"),
            "totalsegmentator": _("TotalSegmentator 2 (31 = L1)"),
            "totalsegmentator-v1": _("TotalSegmentator 1 (22 = L1)"),
        }
        tables.fill_combo(ui.schemeCombo, [(text, key) for key, text in schemes.items()], "")
        for selector in (ui.ctSelector, ui.vertebraeSelector, ui.bodiesSelector):
            selector.connect("currentNodeChanged(vtkMRMLNode*)", lambda node: self.later())
        ui.levelsTable.connect("itemSelectionChanged()", self._show_selected)
        ui.levelCombo.connect("activated(int)", lambda index: self._relabel())
        ui.schemeCombo.connect("activated(int)", lambda index: self._use_scheme())
        ui.resetLevelsButton.connect("clicked()", self._forget)
        board.inputs_changed.connect(self.refresh)

    def later(self) -> None:
        """Match the inputs once, after the present event."""
        self._later.start()

    def close(self) -> None:
        """Let go of what is to come."""
        self._later.stop()

    def choose_defaults(self) -> None:
        """Choose the first CT, and the first segmentation of vertebrae, where none is chosen.

        Slicer's selectors show nothing for data that were loaded before the module was opened.
        """
        parameters = self.board.parameters
        if parameters.ct is not None:
            return
        volumes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
        ct = next((node for node in volumes if _is_ct(node)), None)
        if ct is None:
            return
        parameters.ct = ct
        if parameters.vertebrae is None:
            for node in slicer.util.getNodesByClass("vtkMRMLSegmentationNode"):
                if _offered(node) and any(m.level for m in vertebrae.match_levels(node, {})):
                    parameters.vertebrae = node
                    break

    def _hide_ours(self) -> None:
        """Keep what a case made (evidence, lesions) out of the selectors."""
        for selector, kind in (
            (self.ui.ctSelector, "vtkMRMLScalarVolumeNode"),
            (self.ui.vertebraeSelector, "vtkMRMLSegmentationNode"),
            (self.ui.bodiesSelector, "vtkMRMLSegmentationNode"),
        ):
            ours = [n.GetID() for n in slicer.util.getNodesByClass(kind) if not _offered(n)]
            model = selector.sortFilterProxyModel()
            if list(model.hiddenNodeIDs) != ours:
                model.hiddenNodeIDs = ours

    def refresh(self) -> None:
        """Show the segments and their levels."""
        self._hide_ours()
        self._fill_table()
        self._show_message(self.board.inputs())

    def _fill_table(self) -> None:
        table = self.ui.levelsTable
        selected = {tables.key_of(table.item(row, 0)) for row in tables.selected_rows(table)}
        before = table.blockSignals(True)
        # Vertebrae first: a whole-body segmentation has a hundred segments that are none.
        rows = sorted(self.board.matches, key=lambda match: order(match.level or ""))
        table.setRowCount(len(rows))
        for row, match in enumerate(rows):
            found = FOUND_BY.get(match.source)
            table.setItem(row, 0, tables.cell(match.name, key=match.segment_id, tip=match.note))
            table.setItem(row, 1, tables.cell(match.level or "–", tip=match.note))
            table.setItem(row, 2, tables.cell(match.note or (found() if found else "")))
            for column in range(3):
                tables.dim(table, table.item(row, column), not match.level)
            if match.segment_id in selected:
                table.selectRow(row)
        tables.fit_columns(table, 0)
        table.blockSignals(before)
        self._show_selected()

    def _show_message(self, inputs: Inputs) -> None:
        text = ""
        if inputs.ct is None:
            text = _("Choose a CT. Without one, load a sample: Sample Data module, HideSeek.")
        else:
            good, text = words.about_inputs(inputs, self.board.matches)
            text = text if good else "⚠ " + text
        tables.show_text(self.ui.inputsMessageLabel, text)
        self.ui.levelsGroup.enabled = inputs.vertebrae is not None

    def _show_selected(self) -> None:
        table = self.ui.levelsTable
        rows = tables.selected_rows(table)
        self.ui.levelCombo.enabled = bool(rows)
        if rows:
            segment = tables.key_of(table.item(rows[0], 0))
            level = next((m.level for m in self.board.matches if m.segment_id == segment), None)
            tables.choose(self.ui.levelCombo, level or NOT_A_VERTEBRA)

    def _relabel(self) -> None:
        table = self.ui.levelsTable
        chosen = tables.combo_key(self.ui.levelCombo)
        overrides = dict(self.board.parameters.levelOverrides)
        for row in tables.selected_rows(table):
            overrides[tables.key_of(table.item(row, 0))] = (
                "" if chosen == NOT_A_VERTEBRA else chosen
            )
        self._store(overrides)

    def _use_scheme(self) -> None:
        node = self.board.parameters.vertebrae
        scheme = tables.combo_key(self.ui.schemeCombo)
        if node is None or not scheme:
            return
        found = vertebrae.match_label_values(node, scheme)
        self._store({**self.board.parameters.levelOverrides, **found})

    def _forget(self) -> None:
        tables.choose(self.ui.schemeCombo, "")
        self._store({})

    def _store(self, overrides: dict[str, str]) -> None:
        self.board.parameters.levelOverrides = overrides
        self.board.match_inputs()


def _offered(node: Any) -> bool:
    """Whether a node may be an input: neither hidden nor made by a case."""
    return not node.GetHideFromEditors() and not node.GetAttribute(OURS_ATTRIBUTE)


def _is_ct(node: Any) -> bool:
    """Whether a volume node may be a CT: no label map, no vector or tensor volume, none of ours."""
    return node.GetClassName() == "vtkMRMLScalarVolumeNode" and _offered(node)
