"""Progress, time left and Cancel."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from HideSeekLib.i18n import _
from HideSeekLib.panel import tables
from HideSeekLib.run import words
from HideSeekLib.run.jobs import Job

if TYPE_CHECKING:
    from HideSeekLib.panel.panel import HideSeekPanel


class RunSection:
    """Shows what runs, how long it takes, and stops it."""

    def __init__(self, panel: HideSeekPanel) -> None:
        self.panel = panel
        self.ui = panel.ui
        self.ui.cancelButton.connect("clicked()", self.cancel)
        self.say("")

    def cancel(self) -> None:
        """Stop within two seconds; finished vertebrae stay."""
        if self.panel.analysis.busy():
            self.say(_("Stopping …"))
            self.ui.cancelButton.enabled = False
            self.panel.analysis.cancel()

    def say(self, text: str) -> None:
        """Show a line under the progress bar."""
        tables.show_text(self.ui.statusLabel, text)

    def state_of(self, level: str) -> str:
        """Return what happens to a level now, "" for nothing."""
        return words.state_in_job(self.panel.analysis.job, level)

    def refresh(self) -> None:
        """Show the present job."""
        ui, analysis = self.ui, self.panel.analysis
        job = analysis.job
        busy = analysis.busy()
        ui.progressBar.visible = ui.cancelButton.visible = busy
        ui.cancelButton.enabled = busy
        if job is None:
            return
        if job.state == "model":
            starting = analysis.client.state == "starting"
            ui.progressBar.maximum = 0  # an unknown time: the bar only moves
            self.say(_("Starting the backend …") if starting else _("Loading the model …"))
            return
        ui.progressBar.maximum = 1000
        ui.progressBar.value = round(1000 * job.progress())
        self.say(words.about_job(job, time.monotonic(), analysis.waiting()))

    def job_ended(self, job: Job) -> None:
        """Say how a job ended."""
        case = job.case if job.case is not None and job.case.alive else None
        self.say(words.about_end(job, case.vertebra_rows() if case is not None else ()))
        self.refresh()
