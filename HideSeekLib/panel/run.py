"""Progress, time left and Cancel."""

from __future__ import annotations

import time
from typing import Any

from HideSeekLib.i18n import _
from HideSeekLib.panel import tables
from HideSeekLib.run import words
from HideSeekLib.run.board import Board
from HideSeekLib.run.jobs import Job, JobState
from HideSeekLib.worker.request import ClientState


class RunSection:
    """Shows what runs, how long it takes, and stops it."""

    def __init__(self, ui: Any, board: Board) -> None:
        self.board = board
        self.ui = ui
        ui.cancelButton.connect("clicked()", self.cancel)
        board.said.connect(self.say)
        board.inputs_changed.connect(self.refresh)
        board.job_changed.connect(self._job_changed)
        self.say("")

    def cancel(self) -> None:
        """Stop within two seconds; finished vertebrae stay."""
        if self.board.analysis.busy():
            self.say(_("Stopping …"))
            self.ui.cancelButton.enabled = False
            self.board.analysis.cancel()

    def say(self, text: str) -> None:
        """Show a line under the progress bar."""
        tables.show_text(self.ui.statusLabel, text)

    def refresh(self) -> None:
        """Show the present job."""
        ui, analysis = self.ui, self.board.analysis
        job = analysis.job
        busy = analysis.busy()
        ui.progressBar.visible = ui.cancelButton.visible = busy
        ui.cancelButton.enabled = busy
        if job is None:
            return
        if job.state == JobState.MODEL:
            starting = analysis.client.state == ClientState.STARTING
            ui.progressBar.maximum = 0  # an unknown time: the bar only moves
            self.say(_("Starting the backend …") if starting else _("Loading the model …"))
            return
        ui.progressBar.maximum = 1000
        ui.progressBar.value = round(1000 * job.progress())
        self.say(words.about_job(job, time.monotonic(), analysis.waiting()))

    def _job_changed(self, job: Job | None) -> None:
        if job is not None and job.ended():
            case = job.case if job.case is not None and job.case.alive else None
            self.say(words.about_end(job, case.vertebra_rows() if case is not None else ()))
        self.refresh()
