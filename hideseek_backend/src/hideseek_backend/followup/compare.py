"""Two dates in, a FollowUp out."""

from __future__ import annotations

import math
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hideseek_backend.errors import InputError
from hideseek_backend.followup.limits import Agreement, Limits, ScanPair, limits_for
from hideseek_backend.followup.matching import MatchOptions, groups, overlaps
from hideseek_backend.followup.pairing import Pair, pair_levels
from hideseek_backend.followup.registration import Pose
from hideseek_backend.followup.scans import scan_pair, unlike_scans
from hideseek_backend.followup.timepoint import Finding, Timepoint
from hideseek_backend.volumes.volume import apply_affine
from hideseek_backend.wire.changes import Change, Fate, FollowUp, LevelPair, LimitOf
from hideseek_backend.wire.levels import order
from hideseek_backend.wire.words import CUT

# Medians of bodies without lesions, both dates; more is another tube voltage or contrast phase.
_HU_SHIFT = 50.0
_WORST_GAP_MM = 1.5
_SETTINGS = ("protocol", "polarity", "slices", "residual_against", "binarize", "direction", "erode")
_TRACKING = uuid.UUID("5b0f6f2e-6a0c-4c1e-9f0a-8d9f3c1b7a51")


def follow_up(
    earlier: Timepoint,
    current: Timepoint,
    options: MatchOptions | None = None,
    limits: Agreement | None = None,
    known_uids: Mapping[str, str] | None = None,
    pairs: Sequence[Pair] | None = None,
) -> FollowUp:
    """Say what became of each lesion.

    limits: of agreement, those measured for the model by default. known_uids: tracking uids that
    the earlier result was exported with, "T12:3" -> uid; others are made from the lesion's place.
    pairs: of `pair_levels`, where they are at hand.
    Raises InputError where the two share no vertebra.
    """
    options = options or MatchOptions()
    limits = limits if limits is not None else limits_for(current.model)
    pairs = tuple(pairs) if pairs is not None else pair_levels(earlier.bodies, current.bodies)
    if not pairs:
        raise InputError(
            "Expected two scans of one spine, got none of the earlier one's vertebral bodies in "
            f"the current one ({_span(earlier)} and {_span(current)}).",
            "Check that both are of one patient and show a common part of the spine.",
        )
    scans = scan_pair(earlier, current, options.same_protocol)
    dates = _Dates(earlier, current, options, limits, scans, known_uids or {})
    unlike = _unlike(earlier, current)
    reasons = [*unlike, *_beyond(dates)]
    warnings = [
        w for w in (
            limits.warning, *_named(pairs), *unlike_scans(earlier, current),
            *_shifted_hu(earlier, current, pairs),
        ) if w
    ]  # fmt: skip
    changes: list[Change] = []
    for pair in pairs:
        withheld = [*unlike, *_unlike_bodies(pair, earlier, current)]
        changes += _changes(pair, dates, withheld)
    paired = {p.earlier for p in pairs}, {p.current for p in pairs}
    nowhere = Pose(np.eye(4), math.nan)
    for one in earlier.findings:
        level = one.candidate.vertebra
        if one.counts and level not in paired[0]:
            lone = Pair(level, level, nowhere)
            changes.append(_change(lone, [one], [], dates, ["not in the current scan"]))
    for one in current.findings:
        level = one.candidate.vertebra
        if one.counts and level not in paired[1]:
            lone = Pair("", level, nowhere)
            changes.append(_change(lone, [], [one], dates, ["not in the earlier scan"]))
    changes.sort(key=lambda c: order(c.vertebra))
    told = tuple(
        LevelPair(p.earlier, p.current, p.pose.gap_mm, p.pose.rotation_deg, p.pose.matrix)
        for p in pairs
    )
    return FollowUp(
        not reasons, tuple(changes), told, tuple(reasons), tuple(warnings),
        earlier.date, current.date, _told(dates), earlier.scan, current.scan,
    )  # fmt: skip


@dataclass(frozen=True)
class _Dates:
    """What is compared, and how."""

    earlier: Timepoint
    current: Timepoint
    options: MatchOptions
    limits: Agreement
    scans: ScanPair
    uids: Mapping[str, str]

    def limit(self, findings: Sequence[Finding]) -> tuple[LimitOf, Limits]:
        """Whose limits hold for these lesions: outlined ones have their own."""
        if findings and all(f.candidate.source == "reader" for f in findings):
            return "outlined", self.limits.outlined
        return "found", self.limits.found

    def in_use(self) -> dict[LimitOf, Limits]:
        """The limits that any lesion of the two dates needs."""
        every = [*self.earlier.findings, *self.current.findings]
        return dict(self.limit([one]) for one in every) or dict([self.limit([])])


def _beyond(dates: _Dates) -> list[str]:
    """Why no limits in use speak for these two scans; [] where some do."""
    found = [limits.beyond(dates.scans) for limits in dates.in_use().values()]
    return [] if any(not reasons for reasons in found) else found[0]


def _told(dates: _Dates) -> str:
    """What the limits were measured on, for the page and the record."""
    parts = []
    for of, limits in dates.in_use().items():
        by_model = of == "found" and dates.current.model
        whose = "lesions that this model found" if by_model else "outlined lesions"
        count = f"{limits.lesions} on phantoms, " if limits.lesions else ""
        parts.append(f"Limits of agreement of {whose}: {count}{limits.source}.")
    said = scan_pair(dates.earlier, dates.current)
    untold = [
        word
        for word, differs in (
            ("kernel", said.kernels_differ), ("contrast medium", said.contrast_differs),
        )
        if differs is None
    ]  # fmt: skip
    if untold:
        both = " and ".join(untold)
        taken = "taken to be the same" if dates.options.same_protocol else "the limits are wider"
        parts.append(f"No header says whether both dates have the same {both}: {taken}.")
    return " ".join(parts)


def _changes(pair: Pair, dates: _Dates, withheld: list[str]) -> list[Change]:
    """The changes of one vertebra. Candidates that counted at neither date are left out."""
    options = dates.options
    old, new = dates.earlier.of(pair.earlier), dates.current.of(pair.current)
    reach = options.reach_mm
    moved = [apply_affine(pair.pose.matrix, f.filled(reach)) for f in old]
    shares = overlaps(moved, [f.filled(reach) for f in new], reach)
    alike = np.array(
        [[a.candidate.polarity == b.candidate.polarity for b in new] for a in old], dtype=bool
    ).reshape(shares.shape)
    # What does not count (Δ below τ) may be the other date of what does, but joins no group.
    counted = np.array([[a.counts and b.counts for b in new] for a in old], dtype=bool)
    first = np.where(alike & counted.reshape(shares.shape), shares, 0.0)
    found = groups(first, options.least_overlap)
    taken = [g for g in found if g[0] and g[1]]
    # Once lytic, now blastic (a lesion that heals), or below τ at one date: one to one.
    for wanted in (counted.reshape(shares.shape), alike, np.ones_like(alike)):
        free = np.where(wanted, shares, 0.0)
        for a, b in taken:
            free[list(a), :] = 0.0
            free[:, list(b)] = 0.0
        while free.size and free.max() >= options.least_overlap:
            i, j = (int(v) for v in np.unravel_index(int(free.argmax()), free.shape))
            free[i, :], free[:, j] = 0.0, 0.0
            if old[i].counts or new[j].counts:
                taken.append(((i,), (j,)))
    used = {i for a, _ in taken for i in a}, {j for _, b in taken for j in b}
    taken += [((i,), ()) for i in range(len(old)) if i not in used[0] and old[i].counts]
    taken += [((), (j,)) for j in range(len(new)) if j not in used[1] and new[j].counts]
    return [
        _change(pair, [old[i] for i in a], [new[j] for j in b], dates, withheld)
        for a, b in sorted(taken)
    ]


def _change(
    pair: Pair, old: list[Finding], new: list[Finding], dates: _Dates, withheld: list[str]
) -> Change:
    before = sum(f.candidate.volume_mm3 for f in old)
    after = sum(f.candidate.volume_mm3 for f in new)
    size = math.sqrt(before * after) if old and new else max(before, after)
    of, limits = dates.limit([*old, *new])
    limit = limits.percent(size, dates.scans)
    fate: Fate = fate_of(len(old), len(new), before, after, dates.options, limit)
    remarks = _remarks(pair, old, new, dates)
    withheld = [*withheld, *limits.beyond(dates.scans)]
    if withheld:
        fate, remarks = "not comparable", [*withheld, *remarks]
    main_old, main_new = _largest(old), _largest(new)
    shown = main_new or main_old
    assert shown is not None
    key = main_old.candidate.key if main_old else ""
    return Change(
        vertebra=pair.current,
        vertebra_before=pair.earlier,
        fate=fate,
        polarity=shown.candidate.polarity,
        polarity_before=main_old.candidate.polarity if main_old else "",
        before=_numbers(old),
        after=_numbers(new),
        volume_before_mm3=before,
        volume_mm3=after,
        change_percent=100.0 * (after / before - 1.0) if old and new else math.nan,
        limit_percent=limit,
        limit_of=of,
        **_seen(main_old, "_before"),
        **_seen(main_new, ""),
        tracking_uid=dates.uids.get(key) or _uid(shown),
        reason="; ".join(remarks),
    )


def fate_of(
    old: int, new: int, before: float, after: float, options: MatchOptions, limit: float
) -> Fate:
    """What became of `old` lesions of `before` mm³ that are `new` ones of `after` mm³ now.

    limit: growth that unchanged lesions stay within, %; shrinking likewise, as a ratio.
    """
    if not old or not new:
        return "new" if new else "gone"
    if old != new and min(old, new) == 1:
        return "merged" if old > new else "split"
    if max(before, after) < options.least_volume_mm3:
        return "stable"
    change = math.log(after / before)
    if abs(change) <= math.log1p(options.least_change_percent / 100.0):
        return "stable"
    if abs(change) <= math.log1p(limit / 100.0):
        return "indeterminate"
    return "grown" if change > 0 else "shrunk"


def _remarks(pair: Pair, old: list[Finding], new: list[Finding], dates: _Dates) -> list[str]:
    remarks = []
    before, now = _largest(old), _largest(new)
    if before and now and before.candidate.polarity != now.candidate.polarity:
        remarks.append(f"{before.candidate.polarity} before, {now.candidate.polarity} now")
    if old and not any(f.counts for f in old):
        remarks.append("a candidate below the threshold at the earlier date")
    if new and not any(f.counts for f in new):
        remarks.append("a candidate below the threshold now")
    for side, level, date, word in (
        (old, pair.earlier, dates.earlier, "then"),
        (new, pair.current, dates.current, "now"),
    ):
        vertebra = date.vertebrae.get(level)
        if not side and vertebra is not None and not vertebra.analysed:
            p = vertebra.p_malignant
            told = f", p = {p:.2f}" if math.isfinite(p) else ""
            remarks.append(f"the vertebra was not analysed {word}{told}")
    return remarks


def _unlike(earlier: Timepoint, current: Timepoint) -> list[str]:
    """Why two analyses must not be compared."""
    reasons = []
    if earlier.model != current.model:
        reasons.append("analysed with two models: analyse both with one")
    differing = [s for s in _SETTINGS if earlier.options.get(s) != current.options.get(s)]
    if differing:
        reasons.append(f"analysed with other settings ({', '.join(differing)})")
    if "central" in (earlier.options.get("slices"), current.options.get("slices")):
        reasons.append("only the central slice was analysed, which has no volumes: use all slices")
    return reasons


def _unlike_bodies(pair: Pair, earlier: Timepoint, current: Timepoint) -> list[str]:
    reasons = []
    for date, level, word in (
        (earlier, pair.earlier, "earlier"),
        (current, pair.current, "current"),
    ):
        vertebra = date.vertebrae.get(level)
        if vertebra is not None and CUT in vertebra.reason:
            reasons.append(f"cut by the field of view of the {word} scan")
    if pair.pose.gap_mm > _WORST_GAP_MM:
        reasons.append(f"the two bodies lie {pair.pose.gap_mm:.1f} mm apart: collapsed, or another")
    return reasons


def _named(pairs: Sequence[Pair]) -> list[str]:
    renamed = [p for p in pairs if p.renamed]
    if not renamed:
        return []
    told = ", ".join(f"{p.earlier} is {p.current}" for p in renamed)
    return [f"By shape, names differ between the scans (earlier is current): {told}. Count them."]


def _shifted_hu(earlier: Timepoint, current: Timepoint, pairs: Sequence[Pair]) -> list[str]:
    shifts = []
    for pair in pairs:
        seen = earlier.evidence.get(pair.earlier), current.evidence.get(pair.current)
        values = [
            float(np.median(e.image[e.body > 0]))
            for e in seen
            if e is not None and e.body is not None and e.unit == "HU" and e.body.any()
        ]
        if len(values) == 2:
            shifts.append(values[1] - values[0])
    if not shifts or abs(float(np.median(shifts))) < _HU_SHIFT:
        return []
    return [
        f"Bone is {np.median(shifts):+.0f} HU against the earlier scan (contrast, tube voltage or "
        "kernel): do not compare mean HU."
    ]


def _largest(findings: list[Finding]) -> Finding | None:
    return max(findings, key=lambda f: f.candidate.volume_mm3, default=None)


def _numbers(findings: list[Finding]) -> tuple[int, ...]:
    """Candidate numbers, the largest first: it carries the tracking uid on."""
    ordered = sorted(findings, key=lambda f: -f.candidate.volume_mm3)
    return tuple(f.candidate.number for f in ordered)


def _seen(finding: Finding | None, suffix: str) -> dict[str, float]:
    if finding is None:
        return {}
    c = finding.candidate
    return {f"hu{suffix}": c.mean_hu, f"delta{suffix}": c.delta}


def _uid(finding: Finding) -> str:
    """A uid that follows from the lesion itself: the same result, the same uid."""
    c = finding.candidate
    place = " ".join(f"{v:.1f}" for v in c.centroid_ras)
    return f"2.25.{uuid.uuid5(_TRACKING, f'{c.key} {c.polarity} {c.volume_mm3:.1f} {place}').int}"


def _span(date: Timepoint) -> str:
    names = list(date.bodies)
    return f"{names[0]} to {names[-1]}" if names else "no bodies"
