"""Environment page: what is there, what is missing, and the buttons that change it."""

from __future__ import annotations

from typing import Any

import qt
import slicer
import slicer.util

from HideSeekLib.i18n import _
from HideSeekLib.panel import tables
from HideSeekLib.panel.installer import Installer
from HideSeekLib.panel.settings_section import SettingsSection
from HideSeekLib.run.board import Board
from HideSeekLib.setup import environment
from HideSeekLib.setup.environment import CheckState

MARKS = {
    CheckState.OK: ("✓", tables.GREEN),
    CheckState.WARNING: ("!", tables.AMBER),
    CheckState.MISSING: ("✗", tables.RED),
    CheckState.UNKNOWN: ("?", tables.GREY),
}


class EnvironmentPage:
    """Checks the chosen Python and offers repairs; nothing starts by itself."""

    def __init__(self, ui: Any, board: Board) -> None:
        self.board = board
        self.ui = ui
        self.facts: dict[str, Any] | None = None
        self.settings = SettingsSection(ui, board, self._moved)
        self.installer = Installer(board, self.log, self.say)
        self._busy = ""
        self._offered = self._offering = False
        self._wanted: list[str] = []  # actions the user agreed to, not done yet
        tables.stretch_columns(ui.environmentTable, 1)
        ui.checkEnvironmentButton.connect("clicked()", self.check)
        ui.restartWorkerButton.connect("clicked()", lambda: board.restart_backend())
        ui.importFolderButton.connect("clicked()", self._import_folder)
        ui.importFileButton.connect("clicked()", self._import_file)
        self._moved()

    # --- checking ----------------------------------------------------------------------------

    def _moved(self) -> None:
        """Another Python: nothing is known of it."""
        self.facts = None
        self.show(environment.checks(None, self.board.settings))

    def show(self, checks: list[environment.Check]) -> None:
        """Fill the table with checks."""
        table = self.ui.environmentTable
        table.setRowCount(len(checks))
        for row, check in enumerate(checks):
            mark, colour = MARKS[check.state]
            title = tables.cell(f"{mark}  {check.title}", key=check.key)
            title.setForeground(qt.QBrush(qt.QColor(colour)))
            table.setItem(row, 0, title)
            table.setItem(row, 1, tables.cell(check.text, tip=check.text))
            table.removeCellWidget(row, 2)
            if check.action:
                button = qt.QPushButton(check.action_text)
                button.toolTip = _("Install or repair: {item}").format(item=check.title)
                button.enabled = not self._busy
                button.connect("clicked()", lambda action=check.action: self.act(action))
                table.setCellWidget(row, 2, button)
        tables.fit_columns(table, 1)
        problems = [c.title for c in checks if c.state == CheckState.MISSING]
        text = _("Environment and settings")
        if problems:
            text += " ⚠ " + ", ".join(problems)
        self.ui.settingsCollapsible.text = text

    def check(self) -> None:
        """Look at the chosen Python; the answer comes later."""
        self.settings.read()
        names = [environment.requirement_name(r) for r in environment.requirements()]
        self._set_busy(_("Looking …"))
        self._run(["-"], environment.probe_source(names), self._probed)

    def _run(self, arguments: list[str], given: str, done: Any) -> None:
        self.installer.run(arguments, given, done)

    def _probed(self, code: int, output: str, problem: str) -> None:
        self._set_busy("")
        self.facts = environment.parse_probe(output)
        if self.facts is None:
            last = problem or next(
                (line for line in reversed(output.splitlines()) if line.strip()), ""
            )
            text = _("This Python cannot be used: {reason}").format(
                reason=last or _("exit code {code}").format(code=code)
            )
            self.show(environment.failed_checks(text))
        else:
            self.show(environment.checks(self.facts, self.board.settings))
        offering, self._offering = self._offering, False
        if offering and self.facts is not None:
            self._offer()
        else:
            self._next_wanted()

    # --- first run ---------------------------------------------------------------------------

    def offer_installation(self) -> None:
        """Check the Python and, where something is missing, offer to install it, once."""
        if self._offered or self._busy or self.board.settings.remote():
            return
        self._offered = True
        self.ui.settingsCollapsible.collapsed = False
        self._offering = True
        self.check()

    def _offer(self) -> None:
        """One question about all that is missing; what is agreed to runs step by step."""
        settings = self.board.settings
        checks = environment.checks(self.facts, settings)
        missing = [c for c in checks if c.state == CheckState.MISSING and c.action]
        if not missing:
            return
        text = environment.offer_text(missing, settings.slicers_own())
        if slicer.util.confirmOkCancelDisplay(text):
            self._wanted = [c.action for c in missing]
            self._next_wanted()

    def _next_wanted(self) -> None:
        if self._wanted and not self._busy:
            self.act(self._wanted.pop(0), agreed=True)

    # --- actions -----------------------------------------------------------------------------

    def act(self, action: str, *, agreed: bool = False) -> None:
        """Install or repair one item. agreed: the user was asked already."""
        if self._busy:
            return
        self._set_busy(_("Installing …"))
        if action == "torch":
            began = self.installer.install_torch(agreed, self._installed)
        else:
            began = self.installer.install_backend(self.facts or {}, agreed, self._installed)
        if not began:
            self._wanted = []
            self._set_busy("")

    def _installed(self, code: int) -> None:
        self._set_busy("")
        if code:
            self._wanted = []
            self.say("⚠ " + _("The installation failed; the log has the details."))
        self.check()

    def _import_folder(self) -> None:
        path = qt.QFileDialog.getExistingDirectory(
            slicer.util.mainWindow(), _("Folder of the model")
        )
        if path:
            self.import_model(str(path))

    def _import_file(self) -> None:
        path = qt.QFileDialog.getOpenFileName(slicer.util.mainWindow(), _("File of the model"))
        path = path[0] if isinstance(path, tuple) else path
        if path:
            self.import_model(str(path))

    def import_model(self, path: str) -> None:
        """Install a model through the backend, which verifies it by its hash."""
        self._set_busy(_("Importing the model …"))
        self._run(environment.model_command(path), "", self._imported)

    def _imported(self, code: int, output: str, problem: str) -> None:
        self._set_busy("")
        lines = [line for line in output.splitlines() if line.strip()]
        last = lines[-1] if lines else problem
        if code == 0:
            name = last.partition("name ")[2].strip()
            if name:
                self.ui.modelCombo.setEditText(name)
            self.say(_("Model imported and verified: {name}").format(name=name or last))
            self.check()
        else:
            reason = last or _("exit code {code}").format(code=code)
            self.say("⚠ " + _("The model was not imported: {reason}").format(reason=reason))

    # --- inside ------------------------------------------------------------------------------

    def say(self, text: str) -> None:
        """Show a line where the user looks, and keep it in the log."""
        self.board.say(text)
        self.log(text)

    def log(self, text: str) -> None:
        """Add text to the log."""
        if text:
            self.ui.logText.appendPlainText(text.rstrip())

    def _set_busy(self, text: str) -> None:
        self._busy = text
        self.ui.checkEnvironmentButton.text = text or _("Check now")
        for button in (
            self.ui.checkEnvironmentButton,
            self.ui.importFolderButton,
            self.ui.importFileButton,
        ):
            button.enabled = not text

    def close(self) -> None:
        """End whatever runs, for a closing module."""
        self.settings.close()
        self.installer.close()
