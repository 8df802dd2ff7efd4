"""What an analysis comes to: candidates, vertebrae and the evidence behind them.

A record knows its columns, units and decimals, so that results, messages, tables and files are all
made from it and no field is spelled out again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from .errors import WireError
from .levels import LEVELS
from .tables import Column, carried, column

Polarity = Literal["lytic", "blastic"]
Source = Literal["model", "reader"]
Verdict = Literal["", "accept", "reject"]
Unit = Literal["HU", "model"]

_NAN = math.nan


@dataclass(frozen=True)
class Candidate:
    """One suspected lesion and its Hide-and-Seek score.

    vertebra: level, "T12". number: from 1 in this vertebra; the model's come by falling Δ.
    source: the model found it, or a reader (or another tool) drew it.
    delta: Δ, NaN where it was not computed. kept: counts as a lesion: Δ ≥ τ and of a polarity that
        is reported, or what a reader decided.
    decision, reason: a reader's verdict and why; "" without one.
    p_hide: malignancy of the vertebra when only this candidate is shown. p_without: when only this
        one is hidden; None where it was not computed.
    slices: sagittal crop slices that it crosses.
    area_px: area of its largest slice in px of 0.8 × 0.8 mm.
    volume_mm3: of its voxels on the CT's own grid. For `slices="central"` these are the voxels
        of one slab about 0.8 mm thick: not the volume of a lesion.
    mean_hu: mean of the CT over it, in the crop. centroid_ras: mm.

    Raises WireError for a level or number that cannot be.
    """

    vertebra: str = column()
    number: int = column("candidate")
    polarity: Polarity = column()
    delta: float = column(decimals=4)
    kept: bool = column()
    p_hide: float = column()
    slices: tuple[int, ...] = column()
    area_px: int = column(unit="pixel")
    volume_mm3: float = column(unit="mm3", decimals=1)
    mean_hu: float = column(unit="HU", decimals=1)
    centroid_ras: tuple[float, float, float] = column(
        unit="mm", decimals=2, split=("centroid_r_mm", "centroid_a_mm", "centroid_s_mm")
    )
    source: Source = column(default="model")
    p_without: float | None = column(default=None)
    decision: Verdict = column(default="")
    reason: str = column(default="")

    def __post_init__(self) -> None:
        if self.vertebra not in LEVELS:
            raise WireError(f"expected a vertebral level, got {self.vertebra!r}")
        if self.number < 1:
            raise WireError(f"expected candidates numbered from 1, got {self.number}")

    @property
    def key(self) -> str:
        """Name of the candidate within a case: "T12:3"."""
        return f"{self.vertebra}:{self.number}"


@dataclass(frozen=True)
class Vertebra:
    """One vertebra.

    p_malignant: NaN where it could not be computed. p_healthy_image: malignancy of the healthy
        image, encoded again; None when not analysed.
    reason: why it was not analysed, or that nothing that is kept explains its flag; else "".
    outside: why p is not to be trusted, "" where nothing speaks against it; several are joined by
        "; ". p is told all the same.
    phenotype: "lytic", "blastic", "mixed", or None when nothing is kept.
    heights_mm: anterior, middle and posterior height of the body; NaN where not measured.
        height_ratio: the least of them over what the neighbours let expect; see `heights`.
    volumes: mm³ on the CT's grid, NaN where unknown; lytic and blastic count kept candidates only.
    candidates: the model's by falling Δ, then those a reader drew. seconds: that it took.

    Raises WireError for an unknown level, or for candidates of another level or of one number.
    """

    level: str = column("vertebra")
    p_malignant: float = column()
    p_healthy_image: float | None = column(default=None)
    analysed: bool = column(default=False)
    reason: str = column(default="")
    phenotype: str | None = column(default=None)
    body_volume_mm3: float = column(unit="mm3", decimals=1, default=_NAN)
    lytic_volume_mm3: float = column(unit="mm3", decimals=1, default=_NAN)
    blastic_volume_mm3: float = column(unit="mm3", decimals=1, default=_NAN)
    outside: str = column(default="")
    heights_mm: tuple[float, float, float] = column(
        unit="mm",
        decimals=1,
        default=(_NAN, _NAN, _NAN),
        split=("anterior_mm", "middle_mm", "posterior_mm"),
    )
    height_ratio: float = column(decimals=3, default=_NAN)
    candidates: tuple[Candidate, ...] = carried(default=())
    warnings: tuple[str, ...] = carried(default=())
    seconds: float = carried(default=0.0)

    DERIVED: ClassVar[tuple[Column, ...]] = (
        Column("lytic_fraction", decimals=5),
        Column("blastic_fraction", decimals=5),
    )

    def __post_init__(self) -> None:
        if self.level not in LEVELS:
            raise WireError(f"expected a vertebral level, got {self.level!r}")
        keys = {c.key for c in self.candidates}
        strangers = {c.vertebra for c in self.candidates} - {self.level}
        if strangers or len(keys) < len(self.candidates):
            what = f"candidates of {strangers.pop()}" if strangers else "two with the same number"
            raise WireError(f"expected candidates of {self.level}, each its number, got {what}")

    @property
    def lytic_fraction(self) -> float:
        """Share of the body that is kept lytic lesion; NaN where unknown."""
        return _share(self.lytic_volume_mm3, self.body_volume_mm3)

    @property
    def blastic_fraction(self) -> float:
        """Share of the body that is kept blastic lesion; NaN where unknown."""
        return _share(self.blastic_volume_mm3, self.body_volume_mm3)


@dataclass(frozen=True, eq=False)
class Evidence:
    """What the method saw on n sagittal slices of one crop.

    affine: (4, 4) crop index (p, s, r) -> RAS mm. slices: the k of each.
    image, healthy, difference: (64, 64, n) float32 in `unit`; difference = healthy − image,
        positive where the edit restores bone (lytic).
    unit: "HU" where the model's intensities can be turned back into HU (as the model sees them:
        within its window), else "model", its own intensity.
    labels: candidate numbers, (64, 64, n) uint16; body: 0 or 1, uint8; None where not at hand.

    Raises WireError where shapes do not fit.
    """

    affine: np.ndarray = carried()
    slices: tuple[int, ...] = carried()
    image: np.ndarray = carried()
    healthy: np.ndarray = carried()
    difference: np.ndarray = carried()
    unit: Unit = carried()
    labels: np.ndarray | None = carried(default=None)
    body: np.ndarray | None = carried(default=None)

    def __post_init__(self) -> None:
        if self.affine.shape != (4, 4) or not abs(np.linalg.det(self.affine[:3, :3])) > 1e-9:
            raise WireError("expected evidence with an affine of 4 x 4 that can be inverted")
        shape = (*self.image.shape[:2], len(self.slices))
        for name in ("image", "healthy", "difference", "labels", "body"):
            array = getattr(self, name)
            if array is not None and (array.ndim != 3 or array.shape != shape):
                raise WireError(
                    f"expected {name} of {len(self.slices)} slices, got shape {array.shape}"
                )


@dataclass(frozen=True, eq=False)
class VertebraMessage(Vertebra):
    """A vertebra as the worker streams it, and as a report takes it back.

    block_labels: candidate numbers on the CT's grid, (I, J, K) uint16, its corner in the CT being
    block_origin_ijk. tau: the Δ threshold that `kept` comes from.

    Raises WireError where a voxel is labelled with what is no candidate.
    """

    evidence: Evidence | None = carried(default=None)
    block_labels: np.ndarray | None = carried(default=None)
    block_origin_ijk: tuple[int, int, int] = carried(default=(0, 0, 0))
    tau: float | None = carried(default=None)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.block_labels is None:
            return
        if self.block_labels.ndim != 3:
            raise WireError(f"expected block_labels of 3 axes, got {self.block_labels.shape}")
        numbers = {c.number for c in self.candidates}
        strangers = set(np.unique(self.block_labels).tolist()) - numbers - {0}
        if strangers:
            raise WireError(f"voxels are labelled {sorted(strangers)}, which no candidate is")


def _share(part_mm3: float, body_mm3: float) -> float:
    return part_mm3 / body_mm3 if body_mm3 > 0 else _NAN
