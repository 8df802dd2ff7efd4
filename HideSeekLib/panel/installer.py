"""Runs what the environment page asks for: probes, pip and imports, each in its own process."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import slicer
import slicer.util

from HideSeekLib.i18n import _
from HideSeekLib.run.board import Board
from HideSeekLib.setup import environment
from HideSeekLib.worker.python_runner import PythonRunner

PROBE_TIMEOUT_MS = 120_000


class Installer:
    """Installs one thing after the other; Slicer's own packages stay as they are.

    log: takes lines of output. say: takes what the user should see.
    """

    def __init__(
        self, board: Board, log: Callable[[str], None], say: Callable[[str], None]
    ) -> None:
        self.board = board
        self.say = say
        self._runner = PythonRunner(log)
        self._folders: list[Path] = []

    def run(self, arguments: list[str], given: str, done: Callable[[int, str, str], None]) -> None:
        """Run the chosen Python with `arguments`; `done(code, output, problem)` comes once."""
        # A download may take as long as it takes.
        limit = None if arguments[:2] == ["-m", "pip"] else PROBE_TIMEOUT_MS
        self._runner.run(self.board.settings, arguments, given, done, limit)

    def install_torch(self, agreed: bool, done: Callable[[int], None]) -> bool:
        """Install PyTorch: through its extension into Slicer's Python, with pip into another.

        agreed: the user was asked already. Returns whether it began; done(exit code) comes then.
        """
        if not self.board.settings.slicers_own():
            return self.pip([["torch" + environment.TORCH_REQUIREMENT]], agreed, done)
        try:
            import PyTorchUtils
        except ModuleNotFoundError:
            slicer.util.infoDisplay(
                _(
                    "PyTorch comes through the PyTorch extension. Install it in the Extensions "
                    "Manager, restart Slicer, then press this button again."
                )
            )
            return False
        if not agreed and not slicer.util.confirmOkCancelDisplay(
            _(
                "The PyTorch extension downloads and installs PyTorch (up to 3 GB). Slicer stands "
                "still meanwhile, for minutes; save your work first. Continue?"
            )
        ):
            return False
        install = PyTorchUtils.PyTorchUtilsLogic().installTorch
        self.say(_("Installing PyTorch …"))
        try:
            install(**environment.torch_arguments(install))
        except Exception as error:  # pip, network, or a wrong driver: all end here for the user
            self.say("⚠ " + _("PyTorch was not installed: {error}").format(error=error))
            done(1)
        else:
            done(0)
        return True

    def install_backend(
        self, facts: dict[str, Any], agreed: bool, done: Callable[[int], None]
    ) -> bool:
        """Install the extension's copy of the backend. facts: what the probe found.

        Returns whether it began; done(exit code) comes then.
        """
        copy = environment.backend_copy()
        if copy is None:
            self.say("⚠ " + _("The extension carries no copy of the backend."))
            return False
        try:
            source = environment.copy_for_build(copy)
        except OSError as error:
            self.say("⚠ " + str(error))
            return False
        self._folders.append(source.parent)
        offline = self.board.settings.offline
        return self.pip(environment.backend_steps(facts, source, offline=offline), agreed, done)

    def pip(self, steps: list[list[str]], agreed: bool, done: Callable[[int], None]) -> bool:
        """Run pip once for each list of words.

        Returns whether it began (the user may say no); done(exit code) comes then.
        """
        if not agreed and not slicer.util.confirmOkCancelDisplay(
            _("This installs Python packages: {names}. Continue?").format(
                names=", ".join(Path(step[-1]).name for step in steps)
            )
        ):
            return False
        self.say(_("Installing …"))
        self.board.restart_backend()  # its files are going to be replaced
        self._pip_step(steps, done)
        return True

    def _pip_step(self, steps: list[list[str]], done: Callable[[int], None]) -> None:
        if not steps:
            self._tidy()
            done(0)
            return

        def next_step(code: int, *rest: Any) -> None:
            if code == 0:
                self._pip_step(steps[1:], done)
            else:
                self._tidy()
                done(code)

        if not self.board.settings.slicers_own():
            self.run(["-m", "pip", "install", *steps[0]], "", next_step)
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
                install([*steps[0], *words], **{**keywords, "completedCallback": next_step})
            else:
                with slicer.util.WaitCursor():
                    install([*steps[0], *words])
        except Exception as error:  # another install runs, no PythonSlicer, pip's own failure
            self.say("⚠ " + str(error))
            next_step(1)
        else:
            if not later:
                next_step(0)

    def _tidy(self) -> None:
        for folder in self._folders:
            shutil.rmtree(folder, ignore_errors=True)
        self._folders = []

    def close(self) -> None:
        """End whatever runs, for a closing module."""
        self._runner.close()
