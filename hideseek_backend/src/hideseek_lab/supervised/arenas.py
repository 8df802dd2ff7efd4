"""The cases of a comparison: vertebrae to learn from, to choose thresholds on, and to test on.

Every phantom vertebra is of another patient. Real vertebrae are parted by patient; lesions are
inserted by one generator where networks learn, and by another one, which nothing has learned from,
where they are tested.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hideseek_backend.errors import InputError
from hideseek_backend.phantom.options import PHANTOM_VERSION
from hideseek_backend.progress import Progress, ProgressCallback
from hideseek_lab.benchmark.dataset import (
    SPLITS,
    SliceSet,
    join,
    load_range,
    load_split,
    read_set,
    slices_of,
    write_set,
)
from hideseek_lab.benchmark.real_set import GROWN, WARPED, real_set
from hideseek_lab.supervised.scans import Scan, scans_of
from hideseek_lab.training.real_cases import RealCase

#: seeds of the phantoms that are tested on, beside the benchmark's own splits
VALIDATION_SEED = 2_200_100
BUDGETS = (5, 20, 80, 300)
MOST_TUNING = 40


@dataclass(frozen=True, eq=False)
class Vertebrae:
    """Vertebrae and whose they are: patients (N,)."""

    slices: SliceSet
    patients: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.slices)

    def take(self, index: NDArray[np.int_] | NDArray[np.bool_]) -> Vertebrae:
        """The vertebrae of an index or mask."""
        return Vertebrae(self.slices.take(index), self.patients[index])

    def annotated(self, count: int) -> Vertebrae:
        """The first `count` diseased vertebrae and as many healthy ones: smaller sets lie in
        larger ones. Fewer where there are not as many."""
        ill = np.flatnonzero(self.slices.malignant & self.slices.truth.any(axis=(1, 2, 3)))
        well = np.flatnonzero(~self.slices.malignant)
        return self.take(np.concatenate([ill[:count], well[:count]]))

    @cached_property
    def digest(self) -> str:
        """Of images, masks and patients: what decides what is learned from them."""
        made = hashlib.sha256("\n".join(self.patients.tolist()).encode())
        for array in (self.slices.hu, self.slices.truth, self.slices.body):
            made.update(np.ascontiguousarray(array).tobytes())
        return made.hexdigest()[:16]

    @property
    def diseased(self) -> int:
        return int(self.slices.malignant.sum())

    def scans(self) -> list[Scan]:
        """A scan of five slices for each vertebra."""
        return scans_of(self.slices, self.patients.tolist())


@dataclass(frozen=True, eq=False)
class Arena:
    """name: "phantom" or "inserted". told: one sentence for the reader of a figure."""

    name: str
    told: str
    train: Vertebrae
    tune: Vertebrae
    test: Vertebrae

    def __post_init__(self) -> None:
        train, tune, test = (set(v.patients.tolist()) for v in (self.train, self.tune, self.test))
        shared = (train & test) | (tune & test) | (train & tune)
        if shared:
            raise InputError(
                f"{len(shared)} patients are on two sides of the comparison.",
                "Give every patient to one side.",
            )


def phantom_arena(
    seen: int,
    tested: int,
    cache: Path,
    split: str = "validation",
    progress: ProgressCallback | None = None,
) -> Arena:
    """Phantom vertebrae: `seen` diseased and as many healthy to learn from, up to MOST_TUNING
    of each for the threshold, `tested` of each to test on.

    split: "validation" tests on the seeds from VALIDATION_SEED on, "test" on those of the benchmark
    of quality. Raises OptionError for another one.
    """
    train = load_split("train", seen, seen, cache, progress)
    tuning = min(seen, MOST_TUNING)
    tune = load_split("validation", tuning, tuning, cache, progress)
    if split == "validation":
        test = load_range(split, VALIDATION_SEED, tested, tested, cache, progress)
        seeds = VALIDATION_SEED
    else:
        test = load_split(split, tested, tested, cache, progress)
        seeds = SPLITS[split]
    sides = [Vertebrae(s.vertebrae, s.vertebrae.source) for s in (train, tune, test)]
    told = (
        f"Phantoms (version {PHANTOM_VERSION}), {tested} diseased and {tested} healthy test "
        f"vertebrae of as many patients, seeds from {seeds:,}."
    )
    return Arena("phantom", told, sides[0], sides[1], sides[2])


def inserted_arena(
    cases: Sequence[RealCase],
    tested: Sequence[str],
    cache: Path,
    progress: ProgressCallback | None = None,
    tuned: int = 2,
) -> Arena:
    """Real vertebrae with inserted lesions; `tested` names the patients to test on.

    Of the other patients the `tuned` with the most levels choose thresholds. The generator that is
    tested shares nothing with the one that is learned from.
    Raises InputError where a patient is unknown or too few are left.
    """
    patients = sorted({case.patient for case in cases})
    unknown = sorted(set(tested) - set(patients))
    left = [p for p in patients if p not in tested]
    if unknown or len(left) < tuned + 1 or not tested:
        raise InputError(
            f"Expected patients to test on among {', '.join(patients)} and at least {tuned + 1} "
            f"others, got {', '.join(tested) or 'none'}.",
            "Name them as the case files do.",
        )
    whole = _inserted(cases, cache, progress)
    levels = {p: sum(len(c.healthy_levels) for c in cases if c.patient == p) for p in left}
    tuning = sorted(left, key=lambda p: (-levels[p], p))[:tuned]
    training = [p for p in left if p not in tuning]
    side = {
        "train": _of(whole, training, (WARPED,)),
        "tune": _of(whole, tuning, (WARPED,)),
        "test": _of(whole, tested, (GROWN,)),
    }
    test = side["test"]
    told = (
        f"Lesions inserted into real vertebrae: {test.diseased} diseased and "
        f"{len(test) - test.diseased} healthy test vertebrae of {len(set(tested))} patients, "
        f"trained on {len(training)} other patients and another generator of lesions."
    )
    return Arena("inserted", told, side["train"], side["tune"], test)


def _of(whole: Vertebrae, patients: Sequence[str], kinds: Sequence[str]) -> Vertebrae:
    """Vertebrae of patients: the healthy ones, and those whose lesions are of these generators.

    Diseased vertebrae whose lesions miss the central slice are left out; the rest is shuffled, so
    that the first few are of several patients.
    """
    slices = whole.slices
    kind = np.array([source.rpartition("|")[2] for source in slices.source])
    wanted = np.isin(kind, kinds) & (slices.slice_phenotype != "healthy")
    keep = np.isin(whole.patients, list(patients)) & (wanted | ~slices.malignant)
    index = np.flatnonzero(keep)
    return whole.take(np.random.default_rng(0).permutation(index))


def _inserted(
    cases: Sequence[RealCase], cache: Path, progress: ProgressCallback | None
) -> Vertebrae:
    """Every case as `real_set` makes it, kept a case a file."""
    parts, patients = [], []
    for done, case in enumerate(cases):
        path = cache / "inserted" / f"{case.name}-{'+'.join(case.healthy_levels)}.npz"
        if not path.is_file():
            made = [
                slices_of(v.block, v.truth, v.phenotype, f"{v.case}|{v.kind}")
                for v in real_set([case])
            ]
            if not made:
                continue
            write_set(path, join(made))
        parts.append(read_set(path))
        patients += [case.patient] * len(parts[-1])
        if progress is not None:
            progress(Progress("inserting lesions", case.name, done + 1, len(cases)))
    return Vertebrae(join(parts), np.array(patients))
