"""Rerun the authors' notebook case with their settings and compare with what it prints."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
import torch
from numpy.typing import NDArray

from hideseek_backend.attribution.attribute import Stack, attribute
from hideseek_backend.attribution.network import Network
from hideseek_backend.attribution.options import Options
from hideseek_backend.errors import InputError, ModelError
from hideseek_backend.models.download import DownloadProgress
from hideseek_backend.models.install import fetch_sample
from hideseek_backend.models.reference_import import DAE_VERTS
from hideseek_backend.models.store import Model, load_model
from hideseek_backend.progress import CancelledCallback, Meter, ProgressCallback

# The released notebook: p_target 1e-5, median threshold, no erosion; the rest as the paper.
NOTEBOOK_OPTIONS = Options.for_protocol(
    "reference", None, p_target=1e-5, binarize="median", erode=0
)


@dataclass(frozen=True)
class Figure:
    """One printed figure, what this code computed, and how far apart they may be."""

    name: str
    printed: float
    computed: float
    tolerance: float

    @property
    def agrees(self) -> bool:
        return bool(abs(self.printed - self.computed) <= self.tolerance)


@dataclass(frozen=True)
class NotebookFigures:
    """What the notebook prints for its sample (a malignant T10).

    lytic_px, blastic_px: candidate pixels. lytic, blastic: (area in px, Δ) of the regions of 5 px
    and more, in the order printed.
    """

    p: float
    p_after: float
    lytic_px: int
    blastic_px: int
    lytic: tuple[tuple[int, float], ...]
    blastic: tuple[tuple[int, float], ...]


PRINTED = NotebookFigures(
    p=0.9672,
    p_after=1e-5,
    lytic_px=514,
    blastic_px=327,
    lytic=((180, 0.088), (5, 0.052), (17, 0.051), (178, 0.113), (81, 0.068), (31, 0.055)),
    blastic=((8, 0.055), (12, 0.056), (24, 0.049), (218, 0.733), (65, 0.067)),
)


def check(
    model: str = DAE_VERTS,
    *,
    sample: Sequence[str | os.PathLike[str]] | None = None,
    device: str = "auto",
    progress: ProgressCallback | None = None,
    download_progress: DownloadProgress | None = None,
    cancelled: CancelledCallback | None = None,
    printed: NotebookFigures = PRINTED,
    options: Options = NOTEBOOK_OPTIONS,
) -> list[Figure]:
    """Return every figure of the authors' notebook beside this code's.

    model: name or folder of the imported weights. sample: (sample_ct.nii, sample_seg.nii) of the
    authors' repository; fetched where they are not given. The notebook ran on a GPU in float16:
    a region's Δ may differ by 0.03, and a few pixels fall on the other side of the median.

    Raises ModelError when the model or the sample is not at hand, saying what to fetch; InputError
    for a sample that is no 64 x 64 crop with a mask on the same grid.
    """
    loaded = load_model(model, device)
    paths = [Path(p) for p in sample] if sample is not None else list(_fetched(download_progress))
    if len(paths) != 2:
        raise InputError("Expected the sample's CT and mask.", "Give --sample CT MASK.")
    image, body = _read_slice(paths[0]), _read_slice(paths[1]) > 0
    if image.shape != (64, 64) or body.shape != image.shape:
        raise InputError(
            f"Expected slices of 64 x 64, got {image.shape} and {body.shape}.",
            "Use data/sample/sample_ct.nii and sample_seg.nii of the authors' repository.",
        )
    computed = _run(loaded, image, body, options, Meter(progress, cancelled))
    return compare(printed, computed)


def compare(printed: NotebookFigures, computed: NotebookFigures) -> list[Figure]:
    """Pair the printed figures with the computed ones; a region that is missing counts as NaN."""
    figures = [
        Figure("P(malignant)", printed.p, computed.p, 0.005),
        Figure("P(malignant) after the edit", printed.p_after, computed.p_after, 1e-6),
        Figure("lytic candidate pixels", printed.lytic_px, computed.lytic_px, 10),
        Figure("blastic candidate pixels", printed.blastic_px, computed.blastic_px, 10),
    ]
    for kind in ("blastic", "lytic"):
        theirs, ours = getattr(printed, kind), getattr(computed, kind)
        figures.append(Figure(f"{kind} regions", len(theirs), len(ours), 0))
        for area, delta in theirs:
            nearest = min(ours, key=lambda region: abs(region[0] - area), default=(np.nan, np.nan))
            figures.append(Figure(f"{kind} region of {area} px: area", area, nearest[0], 5))
            figures.append(Figure(f"{kind} region of {area} px: Δ", delta, nearest[1], 0.03))
    return figures


def _run(
    model: Model,
    image: NDArray[np.float32],
    body: NDArray[np.bool_],
    options: Options,
    meter: Meter,
) -> NotebookFigures:
    network = Network(model.dae, model.device, options, meter)
    intensity = torch.from_numpy(model.intensity.to_intensity(image[None]))[:, None]
    stack = Stack(intensity, image[:, :, None], body[:, :, None])
    analysed = attribute(network, model.classifier, model.intensity, stack, options)
    edit, found, scores = analysed.edit, analysed.candidates, analysed.scores
    difference = edit.difference(options)[:, :, 0]
    suspected = found.suspected[:, :, 0]
    regions: dict[str, list[tuple[int, float]]] = {"lytic": [], "blastic": []}
    for number, polarity in enumerate(found.polarities, start=1):
        area = int((found.labels == number).sum())
        regions[polarity].append((area, scores[number].delta))
    return NotebookFigures(
        p=float(model.classifier.probability(edit.z)[0]),
        p_after=float(model.classifier.probability(edit.z_healthy)[0]),
        lytic_px=int((suspected & (difference > 0)).sum()),
        blastic_px=int((suspected & (difference < 0)).sum()),
        lytic=tuple(regions["lytic"]),
        blastic=tuple(regions["blastic"]),
    )


def _fetched(progress: DownloadProgress | None) -> tuple[Path, Path]:
    try:
        return fetch_sample(progress=progress)
    except ModelError as error:
        raise ModelError(
            f"The check needs the authors' sample, which is not at hand. {error.message}",
            "Fetch data/sample/sample_ct.nii and sample_seg.nii of github.com/matanat/hide_and_seek"
            " and give them with --sample CT MASK.",
        ) from error


def _read_slice(path: Path) -> NDArray[np.float32]:
    """The middle slice along the last axis, as the notebook's centre crop takes it."""
    try:
        volume = np.asarray(nibabel.load(path).dataobj, dtype=np.float32)  # type: ignore[attr-defined]
    except (OSError, ValueError, nibabel.filebasedimages.ImageFileError) as error:
        raise InputError(f"{path} cannot be read: {error}.", "Give a NIfTI file.") from error
    if volume.ndim != 3:
        raise InputError(f"{path} has {volume.ndim} axes, expected 3.", "Give a 64³ crop.")
    # MONAI centres a crop of one slice there.
    return volume[:, :, volume.shape[2] // 2]
