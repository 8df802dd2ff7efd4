"""Environment page: what is there, what is missing, install and repair, and the settings."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ctk
import qt
import slicer

from HideSeekLib.i18n import _
from HideSeekLib.panel import tables
from HideSeekLib.panel.parameters import DEVICES, BackendSettings
from HideSeekLib.setup import environment
from HideSeekLib.worker.python_runner import PythonRunner

if TYPE_CHECKING:
    from HideSeekLib.panel.panel import HideSeekPanel

MARKS = {
    "ok": ("✓", tables.GREEN),
    "warning": ("!", tables.AMBER),
    "missing": ("✗", tables.RED),
    "unknown": ("?", tables.GREY),
}
PROBE_TIMEOUT_MS = 120_000
TYPING_MS = 600


class EnvironmentPage:
    """Runs probes and installations in processes of their own; nothing starts by itself."""

    def __init__(self, panel: HideSeekPanel) -> None:
        self.panel = panel
        self.ui = ui = panel.ui
        self.facts: dict[str, Any] | None = None
        self.settings = BackendSettings.load(slicer.app.userSettings())
        self._runner = PythonRunner(self.log)
        self._busy = ""
        self._folders: list[Path] = []
        self._offered = self._offering = False
        self._wanted: list[str] = []  # actions the user agreed to, not done yet
        tables.stretch_columns(ui.environmentTable, 1)
        ui.exportFolder.filters = ctk.ctkPathLineEdit.Dirs
        ui.pythonPath.filters = ctk.ctkPathLineEdit.Files | ctk.ctkPathLineEdit.Executable
        self._show_settings()
        ui.checkEnvironmentButton.connect("clicked()", self.check)
        ui.restartWorkerButton.connect("clicked()", self.restart_worker)
        ui.importFolderButton.connect("clicked()", self._import_folder)
        ui.importFileButton.connect("clicked()", self._import_file)
        ui.offlineCheck.connect("toggled(bool)", lambda on: self._read_settings())
        ui.prefixEdit.connect("editingFinished()", self._read_settings)
        # A path tells of every keystroke, and of being cleared by another signal alone: act when
        # the typing has come to rest.
        self._typing = qt.QTimer()
        self._typing.setSingleShot(True)
        self._typing.setInterval(TYPING_MS)
        self._typing.connect("timeout()", self._read_settings)
        ui.pythonPath.connect("currentPathChanged(QString)", lambda path: self._typing.start())
        ui.pythonPath.connect("validInputChanged(bool)", lambda valid: self._typing.start())
        for combo in (ui.modelCombo, ui.deviceCombo):
            combo.connect("editTextChanged(QString)", lambda text: self._read_settings())
        self.show(environment.checks(None, self.settings))

    # --- settings ----------------------------------------------------------------------------

    def _show_settings(self) -> None:
        ui, settings = self.ui, self.settings
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

    def _read_settings(self) -> None:
        ui = self.ui
        new = BackendSettings(
            python=ui.pythonPath.currentPath.strip(),
            prefix=ui.prefixEdit.text.strip(),
            model=ui.modelCombo.currentText.strip() or "bundled",
            device=ui.deviceCombo.currentText.strip() or "auto",
            offline=ui.offlineCheck.checked,
        )
        if new == self.settings:
            return
        moved = (new.python, new.prefix) != (self.settings.python, self.settings.prefix)
        if (
            moved
            and self.panel.analysis.busy()
            and not slicer.util.confirmOkCancelDisplay(
                _("Another Python ends the running analysis. Finished vertebrae stay. Continue?")
            )
        ):
            self._show_settings()
            return
        self.settings = new
        new.store(slicer.app.userSettings())
        if moved:
            self.facts = None
            self.show(environment.checks(None, new))
        self.panel.backend_changed(moved)

    # --- checking ----------------------------------------------------------------------------

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
        problems = [c.title for c in checks if c.state == "missing"]
        text = _("Environment and settings")
        if problems:
            text += " ⚠ " + ", ".join(problems)
        self.ui.settingsCollapsible.text = text

    def check(self) -> None:
        """Look at the chosen Python; the answer comes later."""
        names = [environment.requirement_name(r) for r in environment.requirements()]
        self._set_busy(_("Looking …"))
        self._run(["-"], environment.probe_source(names), self._probed)

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
            self.show(environment.checks(self.facts, self.settings))
        offering, self._offering = self._offering, False
        if offering and self.facts is not None:
            self._offer()
        else:
            self._next_wanted()

    # --- first run ---------------------------------------------------------------------------

    def offer_installation(self) -> None:
        """Check the Python and, where something is missing, offer to install it, once."""
        if self._offered or self._busy or self.settings.remote():
            return
        self._offered = True
        self.ui.settingsCollapsible.collapsed = False
        self._offering = True
        self.check()

    def _offer(self) -> None:
        """One question about all that is missing; what is agreed to runs step by step."""
        checks = environment.checks(self.facts, self.settings)
        missing = [c for c in checks if c.state == "missing" and c.action]
        if not missing:
            return
        if slicer.util.confirmOkCancelDisplay(environment.offer_text(missing, self._own_python())):
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
        if action == "torch":
            self._install_torch(agreed)
        elif action == "backend":
            self._install_backend(agreed)

    def restart_worker(self) -> None:
        """End the backend process; it starts again with the next analysis."""
        self.panel.restart_backend()

    def _own_python(self) -> bool:
        return not self.settings.python and not self.settings.remote()

    def _install_torch(self, agreed: bool) -> None:
        if not self._own_python():
            self._pip([["torch" + environment.TORCH_REQUIREMENT]], agreed)
            return
        try:
            import PyTorchUtils
        except ModuleNotFoundError:
            slicer.util.infoDisplay(
                _(
                    "PyTorch comes through the PyTorch extension. Install it in the Extensions "
                    "Manager, restart Slicer, then press this button again."
                )
            )
            return
        if not agreed and not slicer.util.confirmOkCancelDisplay(
            _(
                "The PyTorch extension downloads and installs PyTorch (up to 3 GB). Slicer stands "
                "still meanwhile, for minutes; save your work first. Continue?"
            )
        ):
            return
        install = PyTorchUtils.PyTorchUtilsLogic().installTorch
        self.say(_("Installing PyTorch …"))
        try:
            install(**environment.torch_arguments(install))
        except Exception as error:  # pip, network, or a wrong driver: all end here for the user
            self.say("⚠ " + _("PyTorch was not installed: {error}").format(error=error))
        self.check()

    def _install_backend(self, agreed: bool) -> None:
        copy = environment.backend_copy()
        if copy is None:
            self.say("⚠ " + _("The extension carries no copy of the backend."))
            return
        try:
            source = environment.copy_for_build(copy)
        except OSError as error:
            self.say("⚠ " + str(error))
            return
        self._folders.append(source.parent)
        self._pip(
            environment.backend_steps(self.facts or {}, source, offline=self.settings.offline),
            agreed,
        )

    def _pip(self, steps: list[list[str]], agreed: bool) -> None:
        if not agreed and not slicer.util.confirmOkCancelDisplay(
            _("This installs Python packages: {names}. Continue?").format(
                names=", ".join(Path(step[-1]).name for step in steps)
            )
        ):
            return
        self._set_busy(_("Installing …"))
        self.panel.client_kill()
        self._pip_step(steps)

    def _pip_step(self, steps: list[list[str]]) -> None:
        if not steps:
            self._pip_done(0)
            return

        def done(code: int, *rest: Any) -> None:
            if code == 0:
                self._pip_step(steps[1:])
            else:
                self._pip_done(code)

        if not self._own_python():
            self._run(["-m", "pip", "install", *steps[0]], "", done)
            return
        folder = Path(tempfile.mkdtemp(prefix="hideseek-"))
        self._folders.append(folder)
        constraints = environment.write_constraints(folder)
        install = environment.find_pip_install()
        words, keywords = environment.pip_arguments(install, constraints)
        # In testing mode Slicer installs at once and never calls back.
        later = "blocking" in keywords and not slicer.app.testingEnabled()
        try:
            if later:
                install([*steps[0], *words], **{**keywords, "completedCallback": done})
            else:
                with slicer.util.WaitCursor():
                    install([*steps[0], *words])
        except Exception as error:  # another install runs, no PythonSlicer, pip's own failure
            self.say("⚠ " + str(error))
            done(1)
        else:
            if not later:
                done(0)

    def _pip_done(self, code: int) -> None:
        for folder in self._folders:
            shutil.rmtree(folder, ignore_errors=True)
        self._folders = []
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
            self.say(
                "⚠ "
                + _("The model was not imported: {reason}").format(
                    reason=last or _("exit code {code}").format(code=code)
                )
            )

    # --- inside ------------------------------------------------------------------------------

    def say(self, text: str) -> None:
        """Show a line where the user looks, and keep it in the log."""
        self.panel.run.say(text)
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

    def _run(self, arguments: list[str], given: str, done: Callable[[int, str, str], None]) -> None:
        # A download may take as long as it takes.
        limit = None if arguments[:2] == ["-m", "pip"] else PROBE_TIMEOUT_MS
        self._runner.run(self.settings, arguments, given, done, limit)

    def close(self) -> None:
        """End whatever runs, for a closing module."""
        self._runner.close()
