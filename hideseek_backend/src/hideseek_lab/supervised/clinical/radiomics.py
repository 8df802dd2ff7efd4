"""Do radiomic features of a predicted region stand for those of the true one? By mirp (IBSI).

Families as table 3 of Pawan, Rich et al.; their figures are from pyradiomics, with which mirp
agrees where it averages over directions, as here (`tests/lab/supervised/test_radiomics.py`).
"""

from __future__ import annotations

import logging
import math
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from hideseek_backend.errors import InputError
from hideseek_backend.optional import import_optional
from hideseek_lab.scoring.agreement import icc_2_1
from hideseek_lab.supervised.clinical.statistics import Interval, bootstrap

RADIOMICS_EXTRA = "pip install 'hideseek-backend[radiomics]'"
#: prefix of mirp's columns -> the paper's family
FAMILIES = {
    "stat": "First order", "cm": "GLCM", "ngl": "GLDM", "rlm": "GLRLM", "szm": "GLSZM",
    "ngt": "NGTDM",
}  # fmt: skip
_ASKED = ("statistics", "glcm", "ngldm", "glrlm", "glszm", "ngtdm")
BIN_HU = 25.0
LOWEST_HU = -1000.0
"""Where the bins begin: the same for all regions, so that a bin means the same HU."""
LEAST_VOXELS = 10
_RESAMPLES = 200


@dataclass(frozen=True)
class FamilyAgreement:
    """ICC(2,1) of a family: mean over its features with its interval over lesions; lowest and
    highest feature."""

    family: str
    features: int
    icc: Interval
    lowest: float
    highest: float


def features(
    hu: NDArray[Any],
    region: NDArray[np.bool_],
    spacing: Sequence[float],
    *,
    bin_hu: float = BIN_HU,
    lowest_hu: float = LOWEST_HU,
) -> dict[str, float]:
    """Features of a region by mirp's column name without its settings ("cm_contrast").

    hu: (I, J, K); region: same shape; spacing: mm. Raises InputError for a region of under 10
    voxels, MissingDependencyError without mirp.
    """
    if np.count_nonzero(region) < LEAST_VOXELS:
        raise InputError(
            f"Expected a region of at least {LEAST_VOXELS} voxels, got {np.count_nonzero(region)}.",
            "Leave regions so small out: textures mean nothing in them.",
        )
    mirp = import_optional("mirp", "Radiomic features", RADIOMICS_EXTRA)
    box = tuple(
        slice(max(int(index.min()) - 2, 0), int(index.max()) + 3) for index in np.nonzero(region)
    )
    with tempfile.TemporaryDirectory() as folder, _quiet():
        files = []
        for name, array in (("image", hu[box].astype(np.float32)),
                            ("mask", region[box].astype(np.uint8))):  # fmt: skip
            image = sitk.GetImageFromArray(np.ascontiguousarray(array.transpose()))
            image.SetSpacing([float(s) for s in spacing])
            files.append(str(Path(folder) / f"{name}.nii.gz"))
            sitk.WriteImage(image, files[-1])
        table = mirp.extract_features(
            image=files[0], mask=files[1], image_modality="ct",
            base_feature_families=list(_ASKED),
            base_discretisation_method="fixed_bin_size", base_discretisation_bin_width=bin_hu,
            resegmentation_intensity_range=[lowest_hu, math.nan],
            glcm_spatial_method="3d_average", glrlm_spatial_method="3d_average",
        )[0]  # fmt: skip
    found = {}
    for column in table.columns:
        family = column.partition("_")[0]
        if family in FAMILIES:
            found[_plain(column)] = float(table[column].iloc[0])
    return found


def agreement(
    truth: Sequence[dict[str, float]], prediction: Sequence[dict[str, float]]
) -> list[FamilyAgreement]:
    """ICC(2,1) of each family over lesions: features of the true and of the predicted region.

    Features that do not vary have no ICC and are left out. Empty for fewer than two lesions.
    """
    if len(truth) < 2:
        return []
    made = []
    for prefix, family in FAMILIES.items():
        names = [n for n in truth[0] if n.startswith(f"{prefix}_")]
        if not names:
            continue
        table = np.array(
            [[[t[n], p[n]] for n in names] for t, p in zip(truth, prediction, strict=True)]
        )

        def icc_of_features(rows: NDArray[np.float64]) -> NDArray[np.float64]:
            finite = np.isfinite(rows).all(axis=(0, 2))
            return np.array([icc_2_1(rows[:, k]) for k in np.flatnonzero(finite)])

        def mean(rows: NDArray[np.float64]) -> float:
            values = icc_of_features(rows)
            values = values[np.isfinite(values)]
            return float(values.mean()) if values.size else math.nan

        values = icc_of_features(table)
        values = values[np.isfinite(values)]
        if not values.size:
            continue
        interval = bootstrap(table, mean, resamples=_RESAMPLES)
        made.append(
            FamilyAgreement(
                family, int(values.size), interval, float(values.min()), float(values.max())
            )
        )
    return made


def region_pairs(
    hu: NDArray[Any],
    truth: NDArray[np.int32],
    prediction: NDArray[np.int32],
    pairs: Sequence[tuple[int, int]],
    spacing: Sequence[float],
) -> tuple[list[dict[str, float]], list[dict[str, float]]]:
    """Features of lesions and of the predictions that found them.

    truth, prediction: numbered lesions (I, J, K); pairs: (number in truth, number in prediction).
    Pairs with a region that is too small are left out.
    """
    true_features, predicted_features = [], []
    boxes = [ndimage.find_objects(labels) for labels in (truth, prediction)]
    for numbers in pairs:
        joint = tuple(
            slice(min(a.start, b.start), max(a.stop, b.stop))
            for a, b in zip(boxes[0][numbers[0] - 1], boxes[1][numbers[1] - 1], strict=True)
        )
        own = truth[joint] == numbers[0]
        found = prediction[joint] == numbers[1]
        if min(np.count_nonzero(own), np.count_nonzero(found)) < LEAST_VOXELS:
            continue
        true_features.append(features(hu[joint], own, spacing))
        predicted_features.append(features(hu[joint], found, spacing))
    return true_features, predicted_features


def _plain(column: str) -> str:
    """A column without mirp's settings: "cm_contrast_d1_3d_avg_fbs_w25.0" -> "cm_contrast"."""
    return re.split(r"_(?:d1|3d)_", column)[0]


class _quiet:
    """mirp reports every step to the log's handlers."""

    def __enter__(self) -> None:
        self.before = logging.root.manager.disable
        logging.disable(logging.INFO)

    def __exit__(self, *_error: object) -> None:
        logging.disable(self.before)
