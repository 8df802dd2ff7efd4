"""Progress, time left and Cancel."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from HideSeekLib.i18n import _
from HideSeekLib.panel import tables
from HideSeekLib.run.jobs import Job

if TYPE_CHECKING:
    from HideSeekLib.panel.panel import HideSeekPanel

STAGES = {
    "screen": lambda: _("screening"),
    "edit": lambda: _("making the healthy edit"),
    "score": lambda: _("scoring candidates"),
    "volumes": lambda: _("measuring"),
}


def duration(seconds: float) -> str:
    """Return a rough duration in words."""
    if seconds < 90:
        return _("{n} s").format(n=max(1, round(seconds)))
    return _("{n} min").format(n=round(seconds / 60))


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
        job = self.panel.analysis.job
        if job is None or job.kind != "segment" or level not in job.levels:
            return ""
        if level in job.finished:
            return ""
        if level == job.vertebra:
            return _("running, {n} %").format(n=round(100 * job.vertebra_share()))
        return _("waiting")

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
        self.say(self._describe(job))

    def _describe(self, job: Job) -> str:
        if job.state == "cutting":
            return _("Preparing {level} …").format(level=job.levels[0] if job.levels else "")
        parts = []
        if job.kind == "screen":
            parts.append(_("Screening {n} vertebrae").format(n=len(job.levels)))
        else:
            stage = STAGES.get(job.stage)
            doing = stage() if stage else job.stage
            parts.append(f"{job.vertebra}: {doing}" if job.vertebra else _("Analysing"))
            if len(job.levels) > 1:
                parts.append(
                    _("{done} of {n} done").format(done=len(job.finished), n=len(job.levels))
                )
        left = job.seconds_left(time.monotonic())
        if left is not None:
            parts.append(_("about {time} left").format(time=duration(left)))
        if self.panel.analysis.waiting():
            parts.append(_("{n} more waiting").format(n=self.panel.analysis.waiting()))
        return " · ".join(parts)

    def job_ended(self, job: Job) -> None:
        """Say how a job ended."""
        kept = len(job.finished)
        names = ", ".join(job.finished[:6]) + (" …" if kept > 6 else "")
        if job.state == "cancelled":
            text = _("Cancelled.")
            if job.kind == "segment" and kept:
                text += " " + _("Kept what was finished: {names}.").format(names=names)
        elif job.state == "failed":
            text = "⚠ " + (job.problem or _("The analysis failed."))
            if job.kind == "segment" and kept:
                text += " " + _("Kept what was finished: {names}.").format(names=names)
        elif job.kind == "screen":
            flagged = sum(p >= 0.5 for p in self.panel.screening.probabilities().values())
            text = _("Screened {n} vertebrae; {flagged} with P ≥ 0.5.").format(
                n=kept, flagged=flagged
            )
        else:
            text = _("Done: {names}. Review the candidates below.").format(names=names)
        self.say(text)
        self.refresh()
