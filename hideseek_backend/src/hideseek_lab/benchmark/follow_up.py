"""The follow-up on phantom pairs, lesion by lesion, and its figures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hideseek_backend.followup.compare import fate_of, follow_up
from hideseek_backend.followup.limits import Agreement, Limits, ScanPair
from hideseek_backend.followup.matching import MatchOptions
from hideseek_backend.followup.scans import scan_pair
from hideseek_backend.followup.timepoint import Finding, Timepoint
from hideseek_backend.volumes.writing import write_nifti
from hideseek_backend.wire.levels import VERSE_VALUES
from hideseek_backend.wire.tables import rows_as_csv
from hideseek_lab.benchmark.follow_up_pairs import PhantomPair, PhantomScan, make_pair

UNCHANGED_EVERY = 4
NAMINGS = ("same", "shifted", "same", "skipped", "same")
_OPEN = Limits(0.0, 0.0, math.inf, math.inf, kernel=0.0, contrast=0.0)
_LEAST_OVERLAP = 0.2  # of a found lesion that must lie in a focus to be that focus


@dataclass(frozen=True)
class Link:
    """One focus at both dates. earlier_mm3, ratio_true: its volume then, and current over earlier.

    parts, volumes_mm3: number and volume of the findings that it was matched by, then and now;
    (0, 0) where it was not matched.
    """

    focus: int
    earlier_mm3: float
    ratio_true: float
    parts: tuple[int, int]
    volumes_mm3: tuple[float, float]

    @property
    def matched(self) -> bool:
        """Whether findings of both dates were told to be this focus."""
        return min(self.parts) > 0

    @property
    def error(self) -> float:
        """Log of the measured over the true ratio; of matched ones."""
        return math.log(self.volumes_mm3[1] / self.volumes_mm3[0] / self.ratio_true)

    @property
    def size_ml(self) -> float:
        """Geometric mean of the two true volumes."""
        return self.earlier_mm3 * math.sqrt(self.ratio_true) / 1000.0

    def fate(self, limits: Limits, scans: ScanPair) -> str:
        """What the follow-up tells of it, "" where it was not matched."""
        if not self.matched:
            return ""
        if limits.beyond(scans):
            return "not comparable"
        limit = limits.percent(math.sqrt(math.prod(self.volumes_mm3)), scans)
        return fate_of(*self.parts, *self.volumes_mm3, MatchOptions(), limit)


@dataclass(frozen=True)
class PairScore:
    """One pair. levels_right: pairs of vertebrae that are the same one, of levels_shared.
    matched, false, missed: links of lesions; elsewhere: findings at one place that lie in no focus
    at either date. fates_right of fates: new and gone ones. scans: what the two have in common."""

    seed: int
    kind: str
    naming: str
    levels_right: int
    levels_told: int
    levels_shared: int
    matched: int
    false: int
    missed: int
    fates_right: int
    fates: int
    links: tuple[Link, ...]
    scans: ScanPair
    gap_mm: float
    elsewhere: int = 0


def nth_pair(first_seed: int, n: int, *, images: bool = True) -> PhantomPair:
    """The n-th pair of a set: every fourth unchanged, two in five with other names, two in seven
    with contrast medium at the current date, one in seven in thick slices then or at both dates."""
    thick = n % 7 == 3
    return make_pair(
        first_seed + n, unchanged=n % UNCHANGED_EVERY == 0, naming=NAMINGS[n % len(NAMINGS)],
        thick=(thick and n % 2 == 1, thick), contrast=n % 7 in (1, 5), images=images,
    )  # fmt: skip


def score_pair(pair: PhantomPair, dates: tuple[Timepoint, Timepoint]) -> PairScore:
    """Compare the two scans by what was outlined or found at each date, whatever the limits."""
    told = follow_up(dates[0], dates[1], limits=Agreement(_OPEN, _OPEN))
    focus_of = [
        {f.candidate.key: _focus(f, scan) for f in date.findings}
        for date, scan in zip(dates, (pair.earlier, pair.current), strict=True)
    ]
    anatomy = [
        {name: level for level, name in s.names.items()} for s in (pair.earlier, pair.current)
    ]
    right = sum(anatomy[0][p.level_before] == anatomy[1][p.level] for p in told.pairs)
    shared = set(pair.earlier.names) & set(pair.current.names)
    # What a reader could match: lesions present in what was outlined or found at both dates.
    seen = [{n for n in found.values() if n} for found in focus_of]
    counted = [
        {focus_of[k][f.candidate.key] for f in date.findings if f.counts} - {0}
        for k, date in enumerate(dates)
    ]
    links: dict[int, Link] = {}
    false = elsewhere = fates = fates_right = 0
    for change in told.changes:
        old = {focus_of[0][f"{change.vertebra_before}:{n}"] for n in change.before}
        new = {focus_of[1][f"{change.vertebra}:{n}"] for n in change.after}
        if change.before and change.after:
            common = (old & new) - {0}
            if old == new == {0}:
                elsewhere += 1
            elif not common:
                false += len(change.before) * len(change.after)
            parts = (len(change.before), len(change.after))
            volumes = (change.volume_before_mm3, change.volume_mm3)
            for number in common:
                focus = pair.foci[number - 1]
                links[number] = Link(number, focus.earlier_mm3, focus.ratio, parts, volumes)
    for focus in pair.foci:
        if focus.level not in shared or math.isfinite(focus.ratio):
            continue
        here = focus.number in counted[0 if focus.current_mm3 == 0 else 1]
        if here:
            fates += 1
            wanted = "gone" if focus.current_mm3 == 0 else "new"
            fates_right += any(
                c.fate == wanted and focus.number in _foci_of(c, focus_of) for c in told.changes
            )
    wanted_links = [
        f for f in pair.foci
        if f.level in shared and math.isfinite(f.ratio) and all(f.number in s for s in seen)
        and any(f.number in c for c in counted)
    ]  # fmt: skip
    missed = [f for f in wanted_links if f.number not in links]
    listed = [
        *links.values(),
        *(Link(f.number, f.earlier_mm3, f.ratio, (0, 0), (0.0, 0.0)) for f in missed),
    ]
    return PairScore(
        pair.seed, pair.kind, pair.naming, right, len(told.pairs), len(shared), len(links), false,
        len(missed), fates_right, fates, tuple(listed),
        scan_pair(*dates), float(np.mean([p.gap_mm for p in told.pairs])), elsewhere,
    )  # fmt: skip


def _foci_of(change: Any, focus_of: Sequence[dict[str, int]]) -> set[int]:
    old = {focus_of[0].get(f"{change.vertebra_before}:{n}", 0) for n in change.before}
    return old | {focus_of[1].get(f"{change.vertebra}:{n}", 0) for n in change.after}


def _focus(finding: Finding, scan: PhantomScan) -> int:
    """The focus that most of a finding lies in, 0 where that is less than a fifth of it."""
    index = np.rint(scan.foci.ijk(finding.places)).astype(int)
    counts = np.bincount(scan.foci.data[tuple(index.T)])
    counts[0] = 0
    best = int(counts.argmax())
    return best if counts[best] >= _LEAST_OVERLAP * len(index) else 0


def save_pair(pair: PhantomPair, folder: Path) -> None:
    """Write both scans (ct.nii.gz, bodies.nii.gz with VerSe's values as named) and the truth."""
    for name, scan in (("earlier", pair.earlier), ("current", pair.current)):
        table = np.zeros(256, np.uint8)
        for level, told in scan.names.items():
            table[VERSE_VALUES[level]] = VERSE_VALUES[told]
        write_nifti(scan.ct, folder / name / "ct.nii.gz")
        write_nifti(scan.bodies.with_data(table[scan.bodies.data]), folder / name / "bodies.nii.gz")
    rows = [{k: str(v) for k, v in asdict(focus).items()} for focus in pair.foci]
    text = rows_as_csv(list(rows[0]), rows) if rows else ""
    (folder / "truth.csv").write_text(text, encoding="utf-8", newline="")
