"""Look at every case of a manifest before any work, and say what was understood."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from hideseek_backend.errors import HideSeekError
from hideseek_backend.volumes.labels import choose_labels
from hideseek_backend.volumes.reading import NIFTI_SUFFIXES, read_ct, read_label_map
from hideseek_backend.wire.levels import order
from hideseek_lab.manifest.rows import LABELS, LEFT_OUT, SPLITS, Case, Manifest


@dataclass(frozen=True)
class Checked:
    """One case as it was found.

    labels: level -> label of the levels that are in the masks and meant. absent: levels of the
    manifest that the masks lack. problem: why the case cannot be used, "" where it can.
    """

    case: Case
    labels: dict[str, str]
    absent: tuple[str, ...] = ()
    spacing: tuple[float, float, float] | None = None
    problem: str = ""


def check_case(case: Case) -> Checked:
    """Read a case's masks and its CT's grid; whatever is wrong becomes its `problem`."""
    if case.vertebrae is None:
        return Checked(case, {}, problem="no vertebrae given")
    try:
        mask = read_label_map(case.vertebrae)
        choice = choose_labels(mask.volume, mask.names, case.scheme or None, mask.source)
        spacing = _spacing(case.ct)
    except HideSeekError as error:
        return Checked(case, {}, problem=error.message)
    present = sorted(choice.values.values(), key=order)
    labels = {lv: label for lv in present if (label := case.label_of(lv)) is not None}
    absent = tuple(level for level in case.labels if level not in present)
    return Checked(case, labels, absent, spacing)


def check_manifest(
    manifest: Manifest, report: Callable[[int, int], None] = lambda done, total: None
) -> list[Checked]:
    """Check every case, in order."""
    checked = []
    for number, case in enumerate(manifest.cases, 1):
        checked.append(check_case(case))
        report(number, len(manifest.cases))
    return checked


def summary(manifest: Manifest, checked: Sequence[Checked]) -> list[str]:
    """What was understood, line by line."""
    usable = [one for one in checked if not one.problem]
    lines = [f"{'split':<11}{'patients':>9}{'cases':>7}" + "".join(f"{n:>11}" for n in LABELS)]
    for split in SPLITS:
        own = [one for one in usable if one.case.split == split]
        counts = Counter(label for one in own for label in one.labels.values())
        patients = len({one.case.patient for one in own})
        lines.append(
            f"{split:<11}{patients:>9}{len(own):>7}" + "".join(f"{counts[n]:>11}" for n in LABELS)
        )
    levels = Counter(lv for one in usable for lv in one.labels)
    lines.append("levels: " + ", ".join(f"{lv} {levels[lv]}" for lv in sorted(levels, key=order)))
    spacings = [one.spacing for one in usable if one.spacing is not None]
    if spacings:
        largest = np.max(spacings, axis=1)
        lines.append(
            f"spacing: {np.min(spacings):.2f} to {np.max(spacings):.2f} mm; the coarsest axis of a "
            f"scan {np.median(largest):.2f} mm (median)"
        )
    left = [
        f"{one.case.name} {level}: {label}"
        for one in usable
        for level, label in one.labels.items()
        if label in LEFT_OUT
    ]
    left += [f"{one.case.name} {lv}: not in the masks" for one in usable for lv in one.absent]
    left += [f"{one.case.name}: {one.problem}" for one in checked if one.problem]
    lines += [f"left out: {len(left)}", *(f"  {line}" for line in left)]
    if manifest.ignored:
        lines.append(f"columns that mean nothing here: {', '.join(manifest.ignored)}")
    return lines


def _spacing(path: Path) -> tuple[float, float, float]:
    """The voxel size; of NIfTI by its header alone."""
    if path.name.lower().endswith(NIFTI_SUFFIXES):
        try:
            image: Any = nib.load(path)
            zooms = np.array(image.header.get_zooms()[:3], dtype=np.float64)
        except Exception:  # damaged: the reader says how
            zooms = read_ct(path)[0].spacing
    else:
        zooms = read_ct(path)[0].spacing
    a, b, c = (float(z) for z in zooms)
    return a, b, c
