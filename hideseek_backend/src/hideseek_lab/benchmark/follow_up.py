"""Figures of the follow-up on phantom pairs, and the limits of agreement that it needs."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import minimize

from hideseek_backend.followup.compare import follow_up
from hideseek_backend.followup.limits import Limits
from hideseek_backend.followup.timepoint import Finding, Timepoint, boxes, timepoint
from hideseek_backend.volumes.writing import write_nifti
from hideseek_backend.wire.codec import json_text
from hideseek_backend.wire.levels import VERSE_VALUES
from hideseek_backend.wire.records import Candidate
from hideseek_backend.wire.tables import rows_as_csv
from hideseek_lab.benchmark.follow_up_pairs import PhantomPair, PhantomScan, make_pair

FIGURE_MM3 = 500.0
"""Lesions from 0.5 mL on at the earlier date count for the volume figure."""
UNCHANGED_EVERY = 4
NAMINGS = ("same", "shifted", "same", "skipped", "same")
_LEAST_OVERLAP = 0.2  # of a found lesion that must lie in a focus to be that focus


@dataclass(frozen=True)
class Link:
    """One focus at both dates. ratio: current over earlier volume, as measured and as it is;
    NaN where it was not matched. fate: as told; "" where it was not matched."""

    focus: int
    earlier_mm3: float
    ratio_true: float
    ratio: float
    fate: str


@dataclass(frozen=True)
class PairScore:
    """One pair. levels_right: pairs of vertebrae that are the same one, of levels_shared.
    matched, false, missed: links of lesions. fates_right of fates: new and gone ones."""

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
    thickness_mm: tuple[float, float]
    gap_mm: float


def nth_pair(first_seed: int, n: int, *, images: bool = True) -> PhantomPair:
    """The n-th pair of a set: every fourth unchanged, two in five with other names."""
    return make_pair(
        first_seed + n, unchanged=n % UNCHANGED_EVERY == 0, naming=NAMINGS[n % len(NAMINGS)],
        images=images,
    )  # fmt: skip


def score_pair(pair: PhantomPair, limits: Limits, model: Any = None) -> PairScore:
    """Compare the two scans, by the truth's masks or, with a model, by what it finds in the CTs."""
    dates = [_outlined(scan, pair) if model is None else _analysed(scan, model)
             for scan in (pair.earlier, pair.current)]  # fmt: skip
    told = follow_up(dates[0], dates[1], limits=limits)
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
    false = fates = fates_right = 0
    for change in told.changes:
        old = {focus_of[0][f"{change.vertebra_before}:{n}"] for n in change.before}
        new = {focus_of[1][f"{change.vertebra}:{n}"] for n in change.after}
        if change.before and change.after:
            common = (old & new) - {0}
            false += len(change.before) * len(change.after) - len(common) if not common else 0
            ratio = change.volume_mm3 / change.volume_before_mm3
            for number in common:
                focus = pair.foci[number - 1]
                links[number] = Link(number, focus.earlier_mm3, focus.ratio, ratio, change.fate)
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
        *(Link(f.number, f.earlier_mm3, f.ratio, math.nan, "") for f in missed),
    ]
    return PairScore(
        pair.seed, pair.kind, pair.naming, right, len(told.pairs), len(shared), len(links), false,
        len(missed), fates_right, fates, tuple(listed),
        (float(dates[0].spacing.max()), float(dates[1].spacing.max())),
        float(np.mean([p.gap_mm for p in told.pairs])),
    )  # fmt: skip


def _foci_of(change: Any, focus_of: Sequence[dict[str, int]]) -> set[int]:
    old = {focus_of[0].get(f"{change.vertebra_before}:{n}", 0) for n in change.before}
    return old | {focus_of[1].get(f"{change.vertebra}:{n}", 0) for n in change.after}


def _outlined(scan: PhantomScan, pair: PhantomPair) -> Timepoint:
    """The date as a reader would outline it: one finding a focus, from the truth's voxels."""
    findings = []
    for focus in pair.foci:
        index = np.argwhere(scan.foci.data == focus.number)
        if not len(index):
            continue
        places = scan.foci.ras(index)
        volume = len(index) * scan.foci.voxel_volume_mm3
        centre = places.mean(axis=0)
        hu = float(scan.ct.data[tuple(index.T)].mean())
        candidate = Candidate(
            scan.names[focus.level], focus.number, focus.polarity, 1.0, True, 1.0, (), 0, volume,  # type: ignore[arg-type]
            hu, (float(centre[0]), float(centre[1]), float(centre[2])),
        )  # fmt: skip
        findings.append(Finding(candidate, places, True))
    return Timepoint(_bodies(scan), tuple(findings), scan.ct.spacing)


def _bodies(scan: PhantomScan) -> dict[str, Any]:
    values = {name: VERSE_VALUES[level] for level, name in scan.names.items()}
    return boxes(scan.bodies.data, values, scan.bodies.affine)


def _analysed(scan: PhantomScan, model: Any) -> Timepoint:
    from hideseek_backend.attribution.options import Options
    from hideseek_backend.case import segment_ct
    from hideseek_backend.volumes.vertebrae import load_case
    from hideseek_backend.wire.codec import from_plain, to_plain
    from hideseek_backend.wire.records import VertebraMessage
    from hideseek_backend.worker.messages import vertebra_message

    names = {name: VERSE_VALUES[level] for level, name in scan.names.items()}
    case = load_case(scan.ct, scan.bodies, bodies_path=scan.bodies, labels=names)
    options = Options.for_protocol("fast", model.spec.defaults, slices="all")
    result = segment_ct(case.ct, case.vertebrae, model=model, options=options)
    told = tuple(
        from_plain(VertebraMessage, to_plain(vertebra_message(v, options.tau)))
        for v in result.vertebrae
    )
    return timepoint(told, scan.ct.affine, _bodies(scan), options=asdict(options), model=model.hash)


def _focus(finding: Finding, scan: PhantomScan) -> int:
    """The focus that most of a finding lies in, 0 where that is less than a fifth of it."""
    index = np.rint(scan.foci.ijk(finding.places)).astype(int)
    counts = np.bincount(scan.foci.data[tuple(index.T)])
    counts[0] = 0
    best = int(counts.argmax())
    return best if counts[best] >= _LEAST_OVERLAP * len(index) else 0


@dataclass(frozen=True)
class Figures:
    """What the pairs come to. volume_error: median of |measured ratio / true ratio − 1| for lesions
    of 0.5 mL and more. false_changes: share of unchanged lesions called grown or shrunk."""

    pairs: int
    links: int
    f1: float
    levels_right: float
    fates_right: float
    volume_error: float
    volume_lesions: int
    false_changes: float
    unchanged_lesions: int
    found_changes: float
    changed_lesions: int
    gap_mm: float


def figures(scores: Sequence[PairScore]) -> Figures:
    """Add up pairs."""
    links = [link for s in scores for link in s.links if link.fate]
    matched, false = sum(s.matched for s in scores), sum(s.false for s in scores)
    missed = sum(s.missed for s in scores)
    errors = [abs(e.ratio / e.ratio_true - 1) for e in links if e.earlier_mm3 >= FIGURE_MM3]
    still = [e for s in scores if s.kind == "unchanged" for e in s.links if e.fate]
    # A change that no limit would swallow: half as large again, or a third less.
    real = [e for e in links if abs(math.log(e.ratio_true)) >= math.log(1.5)]
    return Figures(
        pairs=len(scores),
        links=matched + missed,
        f1=2 * matched / max(1, 2 * matched + false + missed),
        levels_right=_share(
            sum(s.levels_right for s in scores), sum(s.levels_shared for s in scores)
        ),
        fates_right=_share(sum(s.fates_right for s in scores), sum(s.fates for s in scores)),
        volume_error=float(np.median(errors)) if errors else math.nan,
        volume_lesions=len(errors),
        false_changes=_share(sum(e.fate in ("grown", "shrunk") for e in still), len(still)),
        unchanged_lesions=len(still),
        found_changes=_share(
            sum(e.fate == ("grown" if e.ratio_true > 1 else "shrunk") for e in real), len(real)
        ),
        changed_lesions=len(real),
        gap_mm=float(np.mean([s.gap_mm for s in scores])) if scores else math.nan,
    )


def fitted_limits(scores: Sequence[PairScore], source: str) -> Limits:
    """Fit the spread of the log ratio (measured over true) to the matched lesions' sizes.

    Maximum likelihood of a normal of mean 0, so that a bias counts as spread.
    """
    links = [e for s in scores for e in s.links if e.fate and e.ratio > 0]
    error = np.log([e.ratio / e.ratio_true for e in links])
    size = np.array([e.earlier_mm3 * math.sqrt(e.ratio_true) for e in links]) / 1000.0

    def loss(logs: np.ndarray) -> float:
        base, by_size = np.exp(logs)
        sd = np.hypot(base, by_size * size ** (-1 / 3))
        return float((np.log(sd) + 0.5 * (error / sd) ** 2).sum())

    best = minimize(loss, np.log([0.03, 0.03]), method="Nelder-Mead")
    base, by_size = np.exp(best.x)
    pairs = [s.thickness_mm for s in scores]
    return Limits(
        round(float(base), 4), round(float(by_size), 4),
        _upward(max(max(p) for p in pairs)), _upward(max(max(p) / min(p) for p in pairs)),
        len(links), source,
    )  # fmt: skip


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


def _upward(value: float) -> float:
    """To a tenth: slices of 2.45 mm speak for 2.5 mm."""
    return math.ceil(round(10 * value, 6)) / 10


def stored_score(path: Path, make: Any) -> PairScore:
    """Read a pair's score, or make and store it."""
    if path.is_file():
        data = json.loads(path.read_text(encoding="utf-8"))
        links = tuple(_link(one) for one in data.pop("links"))
        thick = data.pop("thickness_mm")
        return PairScore(**data, links=links, thickness_mm=(thick[0], thick[1]))
    score: PairScore = make()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json_text(asdict(score)), encoding="utf-8")
    return score


def _link(stored: dict[str, Any]) -> Link:
    values: dict[str, Any] = {k: math.nan if v is None else v for k, v in stored.items()}
    return Link(**values)


def _share(part: float, whole: float) -> float:
    return part / whole if whole else math.nan
