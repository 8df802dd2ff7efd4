"""The healthy edit of real vertebrae: does it stay this patient, and does it take lesions out?

Central slices of untouched vertebrae and of vertebrae with inserted metastases of the training's
generator, every one of them forced through.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

from hideseek_backend.attribution.options import Options
from hideseek_backend.progress import ProgressCallback
from hideseek_backend.volumes.crops import CROP_SPACING_MM
from hideseek_lab.benchmark.contact_sheet import picture_sheet
from hideseek_lab.benchmark.dataset import MIDDLE, MIN_TRUTH_PX, SliceSet, join, slices_of
from hideseek_lab.benchmark.ours import (
    BenchmarkModel,
    Findings,
    analyse_set,
    kept_labels,
    reconstructions,
)
from hideseek_lab.benchmark.real_figures import Figure, mean_figure
from hideseek_lab.benchmark.real_set import UNTOUCHED, WARPED, real_set
from hideseek_lab.scoring.instances import BLASTIC, LYTIC
from hideseek_lab.training.real_cases import RealCase

PIXEL_MM2 = CROP_SPACING_MM**2


@dataclass(frozen=True, eq=False)
class Edits:
    """table: the figures. shown: N central slices; found: what the method finds on them; rebuilt:
    (N, 64, 64) their reconstructions, model intensity."""

    table: list[Figure]
    shown: SliceSet
    found: Findings
    rebuilt: NDArray[np.float32]


def edit_figures(
    model: BenchmarkModel,
    cases: Sequence[RealCase],
    options: Options,
    progress: ProgressCallback | None = None,
) -> Edits:
    """Edit the slices of `cases`, and measure."""
    parts, patients = [], []
    for v in real_set(cases):
        if v.kind in (UNTOUCHED, WARPED):
            source = f"{v.case}:{v.level}"
            parts.append(slices_of(v.block, v.truth, v.phenotype, source))
            patients.append(v.patient)
    shown = join(parts)
    found = analyse_set(model, shown, options, progress=progress, name="real edits")
    rebuilt = reconstructions(model, shown, options)
    labels = kept_labels(found, options, gate=False)
    truth, body = shown.truth[:, MIDDLE], shown.body[:, MIDDLE]
    whole = np.ones_like(body)
    quiet = shown.phenotype == "healthy"
    owner = np.array(patients)
    area = (labels > 0).sum(axis=(1, 2)) * PIXEL_MM2
    left = shown.slice_phenotype != "healthy"
    table = [
        mean_figure(
            "untouched, real: SSIM of the reconstruction",
            owner[quiet],
            similarity(found.image, rebuilt, whole)[quiet],
        ),
        mean_figure(
            "untouched, real: SSIM of the healthy edit",
            owner[quiet],
            similarity(found.image, found.healthy, whole)[quiet],
        ),
        mean_figure(
            "inserted: SSIM of the healthy edit outside lesions",
            owner[left],
            similarity(found.image, found.healthy, truth == 0)[left],
        ),
        mean_figure(
            "untouched, real: share forced through with nothing marked",
            owner[quiet],
            (area == 0)[quiet].astype(float),
        ),
    ]
    for name, value in (("lytic", LYTIC), ("blastic", BLASTIC)):
        has = (truth == value).sum(axis=(1, 2)) >= MIN_TRUTH_PX
        both = 2 * ((truth == value) & (labels == value)).sum(axis=(1, 2))
        size = (truth == value).sum(axis=(1, 2)) + (labels == value).sum(axis=(1, 2))
        table.append(
            mean_figure(
                f"inserted, {name}: Dice on the central slice",
                owner[has],
                both[has] / np.maximum(size[has], 1),
            )
        )
    return Edits(table, shown, found, rebuilt)


def similarity(
    first: NDArray[np.float32], second: NDArray[np.float32], where: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Structural similarity of slice pairs (N, 64, 64), averaged over `where`: (N,)."""
    values = []
    for a, b, mask in zip(first, second, where, strict=True):
        _, local = structural_similarity(a, b, data_range=1.0, full=True)
        values.append(float(local[mask].mean()))
    return np.array(values)


def edit_sheet(model: BenchmarkModel, edits: Edits, options: Options, count: int = 20) -> bytes:
    """Draw `count` slices, spread over the set: slice, reconstruction, healthy edit, what is marked
    and the truth. Returns PNG bytes."""
    shown, found = edits.shown, edits.found
    chosen = np.unique(np.linspace(0, len(shown) - 1, count).round().astype(int))
    hu = shown.hu[chosen, MIDDLE].astype(float)
    labels = kept_labels(found, options, gate=False)[chosen]
    rows = [f"{shown.source[i]}\n{shown.phenotype[i]} p {found.p[i]:.2f}" for i in chosen]
    return picture_sheet(
        {
            "slice": (hu, None),
            "reconstruction": (model.intensity.shown(edits.rebuilt[chosen]), None),
            "healthy edit": (model.intensity.shown(found.healthy[chosen]), None),
            "marked": (hu, labels),
            "inserted": (hu, shown.truth[chosen, MIDDLE]),
        },
        rows,
    )
