"""Predictions on disk, as `hideseek evaluate` reads them: CASE/lesions.nii.gz and probability."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hideseek_backend.files import whole_folder
from hideseek_backend.volumes.reading import read_ct
from hideseek_backend.volumes.writing import write_nifti
from hideseek_lab.manifest import Case
from hideseek_lab.supervised.cases import channel_files, onto_ct
from hideseek_lab.supervised.predicting import labels_at, lesion_probability
from hideseek_lab.supervised.scans import Scan


def write_prediction(
    folder: Path,
    case: Case,
    scan: Scan,
    classes: NDArray[np.float32],
    threshold: float,
    least: int = 0,
) -> Path:
    """Write a case's lesions (1 lytic, 2 blastic) and lesion probability on the CT's own grid.

    classes: (C, I, J, K) on the scan's grid. least: voxels of that grid under which a component is
    dropped; on the CT's grid as many as fill the same volume. Returns the folder.
    """
    ct = read_ct(channel_files(case.ct, 1)[0])[0]
    on_ct = onto_ct(classes, scan, ct)
    on_grid = round(least * math.prod(scan.spacing) / math.prod(ct.spacing))
    with whole_folder(folder / case.name) as part:
        lesions = labels_at(on_ct, threshold, on_grid)
        write_nifti(ct.with_data(lesions), part / "lesions.nii.gz")
        probability = lesion_probability(on_ct)
        write_nifti(ct.with_data(probability), part / "probability.nii.gz", np.float32)
    return folder / case.name
