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
from HideSeekLib.panel.parameters import BackendSettings
from HideSeekLib.setup import environment
from HideSeekLib.worker.process import (
    make_process,
    process_environment,
    python_command,
    read_bytes,
)
from HideSeekLib.worker.process_tree import kill_tree

if TYPE_CHECKING:
    from HideSeekLib.panel.panel import HideSeekPanel

MARKS = {
    "ok": ("✓", tables.GREEN),
    "warning": ("!", tables.AMBER),
    "missing": ("✗", tables.RED),
    "unknown": ("?", tables.GREY),
}
PROBE_TIMEOUT_MS = 120_000


class EnvironmentPage:
    """Runs probes and installations in processes of their own; nothing starts by itself."""

    def __init__(self, panel: HideSeekPanel) -> None:
        self.panel = panel
        self.ui = ui = panel.ui
        self.facts: dict[str, Any] | None = None
        self.settings = BackendSettings.load(slicer.app.userSettings())
        self._processes: list[Any] = []
        self._busy = ""
        self._folders: list[Path] = []
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
        ui.pythonPath.connect("currentPathChanged(QString)", lambda path: self._read_settings())
        for combo in (ui.modelCombo, ui.deviceCombo):
            combo.connect("editTextChanged(QString)", lambda text: self._read_settings())
        self.show(environment.checks(None, self.settings))

    # --- settings ----------------------------------------------------------------------------

    def _show_settings(self) -> None:
        ui, settings = self.ui, self.settings
        for combo, entries, value in (
            (ui.modelCombo, ["bundled"], settings.model),
            (ui.deviceCombo, ["auto", "cpu", "cuda", "mps"], settings.device),
        ):
            for entry in entries if value in entries else [*entries, value]:
                combo.addItem(entry)
            combo.setEditText(value)
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

    # --- actions -----------------------------------------------------------------------------

    def act(self, action: str) -> None:
        """Install or repair one item."""
        if self._busy:
            return
        if action == "torch":
            self._install_torch()
        elif action == "backend":
            self._install_backend()

    def restart_worker(self) -> None:
        """End the backend process; it starts again with the next analysis."""
        self.panel.restart_backend()

    def _own_python(self) -> bool:
        return not self.settings.python and not self.settings.remote()

    def _install_torch(self) -> None:
        if not self._own_python():
            self._pip([["torch" + environment.TORCH_REQUIREMENT]])
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
        install = PyTorchUtils.PyTorchUtilsLogic().installTorch
        self.say(_("Installing PyTorch …"))
        try:
            install(**environment.torch_arguments(install))
        except Exception as error:  # pip, network, or a wrong driver: all end here for the user
            self.say("⚠ " + _("PyTorch was not installed: {error}").format(error=error))
        self.check()

    def _install_backend(self) -> None:
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
            environment.backend_steps(self.facts or {}, source, offline=self.settings.offline)
        )

    def _pip(self, steps: list[list[str]]) -> None:
        if not slicer.util.confirmOkCancelDisplay(
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
        if "blocking" in keywords:
            keywords["completedCallback"] = done
            install([*steps[0], *words], **keywords)
            return
        try:
            with slicer.util.WaitCursor():
                install([*steps[0], *words])
        except Exception as error:  # CalledProcessError and whatever an older Slicer raises
            self.say("⚠ " + str(error))
            done(1)
        else:
            done(0)

    def _pip_done(self, code: int) -> None:
        for folder in self._folders:
            shutil.rmtree(folder, ignore_errors=True)
        self._folders = []
        self._set_busy("")
        if code:
            self.say("⚠ " + _("The installation failed; the log has the details."))
        self.check()

    def _import_folder(self) -> None:
        path = qt.QFileDialog.getExistingDirectory(None, _("Folder of the model"))
        if path:
            self.import_model(str(path))

    def _import_file(self) -> None:
        path = qt.QFileDialog.getOpenFileName(None, _("File of the model"))
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
        """Run the chosen Python with `arguments`; `done(code, output, problem)` comes once."""
        try:
            command = python_command(self.settings, arguments)
        except ValueError as error:
            done(1, "", str(error))
            return
        process = make_process(process_environment(self.settings))
        process.setProcessChannelMode(qt.QProcess.MergedChannels)
        output: list[bytes] = []
        ended: list[bool] = []

        def finish(code: int, problem: str) -> None:
            if ended:
                return
            ended.append(True)
            timer.stop()
            text = b"".join(output).decode("utf-8", "replace")
            self.log(
                "\n".join(
                    line for line in text.splitlines() if not line.startswith("hideseek-probe:")
                )
            )
            # The slot of the process is still running: let go of it afterwards.
            qt.QTimer.singleShot(0, lambda: self._processes.remove(process))
            done(code, text, problem)

        def too_long() -> None:
            kill_tree(int(process.processId()))
            process.kill()
            finish(1, _("no answer"))

        timer = qt.QTimer()
        timer.setSingleShot(True)
        timer.connect("timeout()", too_long)
        process.connect("readyRead()", lambda: output.append(read_bytes(process.readAll())))
        process.connect(
            "finished(int,QProcess::ExitStatus)", lambda code, status: finish(int(code), "")
        )
        process.connect(
            "errorOccurred(QProcess::ProcessError)",
            lambda error: (
                finish(1, _("the command was not found or may not be run"))
                if error == qt.QProcess.FailedToStart
                else None
            ),
        )
        self._processes.append(process)
        self.log("$ " + " ".join(command))
        process.start(command[0], command[1:])
        if arguments[:2] != ["-m", "pip"]:  # a download may take as long as it takes
            timer.start(PROBE_TIMEOUT_MS)
        if given:
            process.write(qt.QByteArray(given.encode("utf-8")))
        process.closeWriteChannel()

    def close(self) -> None:
        """End whatever runs, for a closing module."""
        for process in list(self._processes):
            kill_tree(int(process.processId()))
            process.kill()
