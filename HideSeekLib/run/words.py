"""What an interface says about inputs, jobs and vertebrae; the same in each. No Qt."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from HideSeekLib.anatomy import blocks
from HideSeekLib.anatomy.vertebrae import SegmentLevel, segments_by_level
from HideSeekLib.errors import SceneError
from HideSeekLib.i18n import _
from HideSeekLib.run.jobs import Inputs, Job, JobState
from HideSeekLib.wire.records import Candidate, Vertebra
from HideSeekLib.worker.request import Failure

FLAGGED = 0.5
"""P(malignant) from which on a screened vertebra is offered for analysis."""

STAGES = {
    "screen": lambda: _("screening"),
    "edit": lambda: _("making the healthy edit"),
    "score": lambda: _("scoring candidates"),
    "volumes": lambda: _("measuring"),
}


def known(value: float | None) -> float | None:
    """Return a number, or None for one that is not known (None or NaN)."""
    return None if value is None or math.isnan(value) else float(value)


def duration(seconds: float) -> str:
    """Return a rough duration in words."""
    if seconds < 90:
        return _("{n} s").format(n=max(1, round(seconds)))
    return _("{n} min").format(n=round(seconds / 60))


def about_inputs(inputs: Inputs, matches: Sequence[SegmentLevel]) -> tuple[bool, str]:
    """Tell whether the inputs can be used and say what they are, or what is wrong with them."""
    try:
        good, reason = blocks.check_inputs(inputs.ct, inputs.vertebrae, inputs.overrides)
    except SceneError as error:
        good, reason = False, str(error)
    if not good:
        return False, reason
    if inputs.vertebrae is None:
        return True, _("No vertebra segmentation: pick vertebrae by clicking in a slice view.")
    levels = tuple(segments_by_level(matches))
    if not levels:
        return False, _("No segment is known as a vertebra. Give the levels below.")
    text = _("{n} vertebrae, {first} to {last}.").format(
        n=len(levels), first=levels[0], last=levels[-1]
    )
    doubtful = [match.name for match in matches if match.note and match.level]
    if doubtful:
        text += " ⚠ " + _("Check: {names}").format(names=", ".join(doubtful[:4]))
    return True, text


def about_job(job: Job, now: float, waiting: int = 0) -> str:
    """Say what a running job does, how far it is and how long it takes. waiting: jobs behind it."""
    if job.state == JobState.CUTTING:
        return _("Preparing {level} …").format(level=job.levels[0] if job.levels else "")
    parts = []
    if job.kind == "screen":
        parts.append(_("Screening {n} vertebrae").format(n=len(job.levels)))
    else:
        stage = STAGES.get(job.stage)
        doing = stage() if stage else job.stage
        parts.append(f"{job.vertebra}: {doing}" if job.vertebra else _("Analysing"))
        if len(job.levels) > 1:
            parts.append(_("{done} of {n} done").format(done=len(job.finished), n=len(job.levels)))
    left = job.seconds_left(now)
    if left is not None:
        parts.append(_("about {time} left").format(time=duration(left)))
    if waiting:
        parts.append(_("{n} more waiting").format(n=waiting))
    return " · ".join(parts)


def about_end(job: Job, rows: Iterable[Vertebra]) -> str:
    """Say how a job ended. rows: the vertebrae of its case."""
    n = len(job.finished)
    names = ", ".join(job.finished[:6]) + (" …" if n > 6 else "")
    finished = ""
    if job.kind == "segment" and n:
        finished = " " + _("Kept what was finished: {names}.").format(names=names)
    if job.state == JobState.CANCELLED:
        return _("Cancelled.") + finished
    if job.state == JobState.FAILED:
        return "⚠ " + (job.problem or _("The analysis failed.")) + finished
    if job.kind == "screen":
        told = list(rows)
        flagged = sum((known(row.p_malignant) or 0.0) >= FLAGGED for row in told)
        text = _("Screened {n} vertebrae; {flagged} with P ≥ 0.5.").format(n=n, flagged=flagged)
        outside = [row.level for row in told if row.outside]
        if outside:
            text += " ⚠ " + _("P is not to be trusted in {names}.").format(names=", ".join(outside))
        return text
    return _("Done: {names}. Review the candidates below.").format(names=names)


def state_in_job(job: Job | None, level: str) -> str:
    """Say what a job does to a level now, "" for nothing."""
    if job is None or job.kind != "segment" or level not in job.levels or level in job.finished:
        return ""
    if level == job.vertebra:
        return _("running, {n} %").format(n=round(100 * job.vertebra_share()))
    return _("waiting")


def state_of_vertebra(row: Vertebra | None, candidates: Sequence[Candidate]) -> str:
    """Say what is known about a vertebra, first why its P is not to be trusted.

    candidates: all rows of its case.
    """
    if row is None:
        return ""
    return " · ".join(part for part in (row.outside, _found_in(row, candidates)) if part)


def _found_in(row: Vertebra, candidates: Sequence[Candidate]) -> str:
    if not row.analysed:
        return row.reason or ""
    own = [candidate for candidate in candidates if candidate.vertebra == row.level]
    kept = sum(candidate.kept for candidate in own)
    if not own:
        text = _("no candidate")
    elif len(own) == 1:
        text = _("1 candidate, {kept} kept").format(kept=kept)
    else:
        text = _("{n} candidates, {kept} kept").format(n=len(own), kept=kept)
    if row.reason:
        text += " · " + row.reason
    return text + (" ⚠" if row.warnings else "")


def about_p(row: Vertebra | None) -> str:
    """P(malignant) as text, marked where it is not to be trusted; "" where it is not known."""
    p = known(row.p_malignant) if row is not None else None
    if row is None or p is None:
        return ""
    return f"{p:.2f} ?" if row.outside else f"{p:.2f}"


def weight_of_p(row: Vertebra | None) -> float:
    """How much P(malignant) should stand out, 0 to 1: not at all where it is not to be trusted."""
    p = known(row.p_malignant) if row is not None else None
    return 0.0 if row is None or p is None or row.outside else p


def about_vertebra(row: Vertebra) -> str:
    """Say what was found in a vertebra: P before and after the healthy edit, volumes, and why P is
    not to be trusted."""
    parts = [row.level]
    p, healthy = known(row.p_malignant), known(row.p_healthy_image)
    if p is not None:
        after = "" if healthy is None else _(" → {p:.2f} after the healthy edit").format(p=healthy)
        parts.append(f"P {about_p(row)}{after}")
    if row.outside:
        parts.append(row.outside)
    if row.analysed and row.reason:
        parts.append(row.reason)
    for name, volume, share in (
        (_("lytic"), row.lytic_volume_mm3, row.lytic_fraction),
        (_("blastic"), row.blastic_volume_mm3, row.blastic_fraction),
    ):
        if known(volume):
            percent = 100 * (known(share) or 0.0)
            parts.append(f"{name} {volume / 1000:.2f} cm³ ({percent:.1f} %)")
    return " · ".join(parts)


def about_candidate(row: Vertebra, candidate: Candidate) -> str:
    """Say what was found in a vertebra, and what is lost when only this candidate is hidden."""
    text = about_vertebra(row)
    without = known(candidate.p_without)
    if without is None:
        return text
    return (
        text
        + " · "
        + _("P {p:.2f} without candidate {number}").format(p=without, number=candidate.number)
    )


def about_region(candidate: Candidate) -> str:
    """Say what was found about a region that the reader drew."""
    return _(
        "{level}, region {number}: Δ {delta:.2f} · p alone {p:.2f} · {volume:.2f} cm³ · {hu:.0f} HU"
    ).format(
        level=candidate.vertebra,
        number=candidate.number,
        delta=candidate.delta,
        p=candidate.p_hide,
        volume=candidate.volume_mm3 / 1000,
        hu=candidate.mean_hu,
    )


def counts(rows: Sequence[Candidate], shown: int) -> str:
    """Say how many candidates there are and what was decided. shown: those that pass the filter."""
    return _(
        "{shown} of {n} shown · {kept} kept · {accepted} accepted · {rejected} rejected"
    ).format(
        shown=shown,
        n=len(rows),
        kept=sum(row.kept for row in rows),
        accepted=sum(row.decision == "accept" for row in rows),
        rejected=sum(row.decision == "reject" for row in rows),
    )


def about_levels(odd: Sequence[str]) -> str:
    """Say what is odd about the levels of a case, before DICOM objects are written."""
    if not odd:
        return _("Levels: nothing odd.")
    return "⚠ " + " ".join((*odd, _("Count them in the images first.")))


def no_study() -> str:
    """Say that DICOM objects need their study."""
    return _("Choose the folder of the study (or its zip or DICOMDIR).")


def about_failed_export(failure: Failure) -> str:
    """Say why DICOM objects were not written."""
    return _("Cancelled.") if failure.code == "cancelled" else "⚠ " + str(failure)


def about_dicom(result: Mapping[str, Any], folder: str) -> str:
    """Say what DICOM objects were written. result: the worker's; folder: where they are."""
    lines = [
        _("{n} lesions written to {folder}: segmentation, report, key images.").format(
            n=result.get("lesions"), folder=folder
        ),
        _("Nothing was sent: `hideseek dicom send` does it, or your PACS client."),
        *("⚠ " + str(warning) for warning in result.get("warnings") or ()),
    ]
    return "\n".join(lines)
