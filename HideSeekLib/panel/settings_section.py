"""The settings of this computer: which Python, which model, which device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ctk
import slicer
import slicer.util

from HideSeekLib.i18n import _
from HideSeekLib.panel import qt_tools
from HideSeekLib.run.board import Board
from HideSeekLib.wire.words import DEVICES
from HideSeekLib.worker.settings import BackendSettings

TYPING_MS = 600


class SettingsSection:
    """Shows and reads the settings; `on_moved()` when another Python was chosen."""

    def __init__(self, ui: Any, board: Board, on_moved: Callable[[], None]) -> None:
        self.board = board
        self.ui = ui
        self._on_moved = on_moved
        ui.pythonPath.filters = ctk.ctkPathLineEdit.Files | ctk.ctkPathLineEdit.Executable
        self._show()
        ui.offlineCheck.connect("toggled(bool)", lambda on: self.read())
        ui.prefixEdit.connect("editingFinished()", self.read)
        # A path tells of every keystroke, and of being cleared by another signal alone; another
        # Python ends every job: act when the typing has come to rest.
        self._typing = qt_tools.single_shot(TYPING_MS, self.read)
        ui.pythonPath.connect("currentPathChanged(QString)", lambda path: self._typing.start())
        ui.pythonPath.connect("validInputChanged(bool)", lambda valid: self._typing.start())
        for combo in (ui.modelCombo, ui.deviceCombo):
            combo.connect("editTextChanged(QString)", lambda text: self.read())

    def _show(self) -> None:
        ui, settings = self.ui, self.board.settings
        for combo, entries, value in (
            (ui.modelCombo, ["bundled"], settings.model),
            (ui.deviceCombo, list(DEVICES), settings.device),
        ):
            before = combo.blockSignals(True)
            combo.clear()
            for entry in entries if value in entries else [*entries, value]:
                combo.addItem(entry)
            combo.setEditText(value)
            combo.blockSignals(before)
        ui.pythonPath.currentPath = settings.python
        ui.prefixEdit.text = settings.prefix
        ui.offlineCheck.checked = settings.offline

    def read(self) -> None:
        """Take up what the widgets say."""
        ui, board = self.ui, self.board
        self._typing.stop()
        new = BackendSettings(
            python=ui.pythonPath.currentPath.strip(),
            prefix=ui.prefixEdit.text.strip(),
            model=ui.modelCombo.currentText.strip() or "bundled",
            device=ui.deviceCombo.currentText.strip() or "auto",
            offline=ui.offlineCheck.checked,
        )
        if new == board.settings:
            return
        moved = (new.python, new.prefix) != (board.settings.python, board.settings.prefix)
        if (
            moved
            and board.analysis.busy()
            and not slicer.util.confirmOkCancelDisplay(
                _("Another Python ends the running analysis. Finished vertebrae stay. Continue?")
            )
        ):
            self._show()
            return
        board.settings = new
        new.store(slicer.app.userSettings())
        if moved:
            self._on_moved()
            board.restart_backend()
        else:
            board.analysis.forget_model()

    def close(self) -> None:
        """Let go of what is to come."""
        self._typing.stop()
