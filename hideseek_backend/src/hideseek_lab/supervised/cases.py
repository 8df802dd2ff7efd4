"""Scans of a manifest: read, resampled to one spacing, kept in shards; predictions go back.

The grid runs to posterior, superior and right, whatever the file's, so that a plane of axis 2 is a
sagittal slice. Where there are vertebra masks the scan is cut to their box and a margin.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hideseek_backend.errors import InputError
from hideseek_backend.files import whole_file
from hideseek_backend.volumes.grids import onto_grid
from hideseek_backend.volumes.labels import choose_labels
from hideseek_backend.volumes.reading import read_ct, read_label_map
from hideseek_backend.volumes.volume import Volume, inverse
from hideseek_lab.benchmark.baselines.common import to_unit
from hideseek_lab.manifest import Case
from hideseek_lab.supervised.scans import REGION_OF, Scan

Modality = Literal["ct", "mr"]
_TO_PSR = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
_AIR_HU = -1000.0
_CHANNEL = re.compile(r"_0000(\.nii\.gz|\.nii|\.nrrd|\.mha)$")


@dataclass(frozen=True)
class Grid:
    """How scans are laid out. spacing_mm: of every axis. channels: of each scan, the second and
    later in files named as nnU-Net names them (case_0001.nii.gz beside case_0000.nii.gz)."""

    spacing_mm: float = 1.5
    margin_mm: float = 40.0
    channels: int = 1
    modality: Modality = "ct"


def load_scan(case: Case, grid: Grid) -> Scan:
    """Read a case onto the grid.

    CT is windowed (−200 to 1,000 HU); MR is clipped to the 1st and 99th percentile of its own
    voxels (SAP). Lesions are 1 lytic, 2 blastic, or 1 alone where nobody said.
    Raises InputError and GeometryError for files that cannot be used.
    """
    volumes = [read_ct(path)[0] for path in channel_files(case.ct, grid.channels)]
    ct = volumes[0]
    bones = np.zeros(ct.shape, np.uint8)
    if case.vertebrae is not None:
        mask = read_label_map(case.vertebrae)
        choice = choose_labels(mask.volume, mask.names, case.scheme or None, mask.source)
        on_ct, _ = onto_grid(mask.volume, ct, mask.source)
        for value, level in choice.values.items():
            bones[on_ct == value] = REGION_OF[level]
    lesions: NDArray[np.uint8] = np.zeros(ct.shape, np.uint8)
    if case.lesions is not None:
        drawn = read_label_map(case.lesions)
        if int(drawn.volume.data.max(initial=0)) > 2:
            raise InputError(
                f"Expected 1 (lytic) and 2 (blastic) in {drawn.source}, got up to "
                f"{int(drawn.volume.data.max())}.",
                "Relabel it: lesions of unknown polarity are 1.",
            )
        if drawn.volume.data.any():
            lesions = onto_grid(drawn.volume, ct, drawn.source)[0].astype(np.uint8)
    affine, shape = _layout(ct, bones > 0, grid)
    image = np.stack([_resampled(v, affine, shape, 1, grid.modality) for v in volumes])
    if grid.modality == "ct":
        image = to_unit(image)
    else:
        image = np.stack([_clipped(channel) for channel in image])
    labels = [
        _resampled(ct.with_data(mask), affine, shape, 0, grid.modality) for mask in (lesions, bones)
    ]
    return Scan(
        case.name, case.patient, image.astype(np.float16), labels[0].astype(np.uint8),
        labels[1].astype(np.uint8), (grid.spacing_mm,) * 3, affine,
    )  # fmt: skip


def channel_files(first: Path, channels: int) -> list[Path]:
    """Files of all channels. Raises InputError where one is missing."""
    if channels == 1:
        return [first]
    files = [first.with_name(_CHANNEL.sub(rf"_{n:04d}\1", first.name)) for n in range(channels)]
    missing = [f.name for f in files if not f.is_file()]
    if missing or len(set(files)) < channels:
        raise InputError(
            f"Expected {channels} channels beside {first.name}, got no "
            f"{', '.join(missing) or 'others'}.",
            "Name them case_0000.nii.gz, case_0001.nii.gz and so on.",
        )
    return files


def read_scans(cases: Sequence[Case], grid: Grid, folder: Path) -> list[Scan]:
    """Read cases, each kept in a shard of the folder."""
    scans = []
    for case in cases:
        path = folder / f"{case.name}-{_digest(case, grid)}.npz"
        if not path.is_file():
            scan = load_scan(case, grid)
            with whole_file(path) as part:
                np.savez_compressed(
                    part, image=scan.image, lesions=scan.lesions, bones=scan.bones,
                    affine=scan.affine,
                )  # fmt: skip
        with np.load(path, allow_pickle=False) as kept:
            scans.append(
                Scan(
                    case.name, case.patient, kept["image"], kept["lesions"], kept["bones"],
                    (grid.spacing_mm,) * 3, kept["affine"],
                )
            )  # fmt: skip
    return scans


def onto_ct(classes: NDArray[np.float32], scan: Scan, ct: Volume) -> NDArray[np.float32]:
    """Probabilities (C, …) of a scan on the CT's own grid (C, I, J, K), trilinear; outside the
    scan's box there is background."""
    to_scan = inverse(scan.affine) @ ct.affine
    out = np.stack(
        [
            ndimage.affine_transform(
                channel, to_scan[:3, :3], to_scan[:3, 3], output_shape=ct.shape, order=1,
                mode="grid-constant", cval=float(n == 0), prefilter=False,
            )
            for n, channel in enumerate(classes)
        ]
    )  # fmt: skip
    return out.astype(np.float32)


def _layout(
    ct: Volume, bones: NDArray[np.bool_], grid: Grid
) -> tuple[NDArray[np.float64], tuple[int, int, int]]:
    """Affine and shape of the grid about the bones, or about the whole scan."""
    if bones.any():
        index = np.argwhere(bones)
        low, high, margin = index.min(axis=0), index.max(axis=0), grid.margin_mm
    else:
        low, high, margin = np.zeros(3), np.array(ct.shape) - 1, 0.0
    corners = np.array(np.meshgrid(*zip(low, high, strict=True))).reshape(3, -1).T
    ras = ct.ras(corners)
    whole = ct.ras(np.array(np.meshgrid(*((0, n - 1) for n in ct.shape))).reshape(3, -1).T)
    start = np.maximum(ras.min(axis=0) - margin, whole.min(axis=0))
    end = np.minimum(ras.max(axis=0) + margin, whole.max(axis=0))
    extent = end - start
    # first voxel: most anterior, inferior and left
    origin = np.array([start[0], end[1], start[2]])
    affine = np.eye(4)
    affine[:3, :3] = _TO_PSR * grid.spacing_mm
    affine[:3, 3] = origin
    p, s, r = (int(np.ceil(extent[a] / grid.spacing_mm)) + 1 for a in (1, 2, 0))
    return affine, (p, s, r)


def _resampled(
    volume: Volume,
    affine: NDArray[np.float64],
    shape: tuple[int, int, int],
    order: int,
    modality: Modality,
) -> NDArray[np.float32]:
    matrix = inverse(volume.affine) @ affine
    outside = _AIR_HU if order and modality == "ct" else 0
    return np.asarray(
        ndimage.affine_transform(
            np.asarray(volume.data, dtype=np.float32), matrix[:3, :3], matrix[:3, 3],
            output_shape=shape, order=order, mode="constant", cval=outside, prefilter=False,
        ),
        dtype=np.float32,
    )  # fmt: skip


def _clipped(channel: NDArray[np.float32]) -> NDArray[np.float32]:
    low, high = np.percentile(channel, [1, 99])
    return np.clip((channel - low) / max(high - low, 1e-6), 0, 1).astype(np.float32)


def _digest(case: Case, grid: Grid) -> str:
    files = [p for p in (case.ct, case.vertebrae, case.lesions) if p is not None]
    said = [str((p, p.stat().st_size, p.stat().st_mtime_ns)) for p in files]
    return hashlib.sha256(f"{said} {case.scheme} {grid}".encode()).hexdigest()[:12]
