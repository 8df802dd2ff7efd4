"""A small study with known voxels, and a result on it as `segment` stores it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import sample_case

from hideseek_backend.case import CaseResult
from hideseek_backend.dicom.ct_series import write_ct_series
from hideseek_backend.report.case_store import NAME, write_stored
from hideseek_backend.volumes.crops import CropFrame
from hideseek_backend.volumes.volume import Volume

DIRECTIONS = {
    "axial": np.diag([-0.7, -0.7, 1.9]),
    "negated column cosine": np.diag([-0.7, 0.7, 1.9]),
    "feet first": np.diag([0.7, -0.7, -1.9]),
    "sagittal": np.array([[0, 0, -1.9], [-0.7, 0, 0], [0, -0.7, 0]]),
}
_TURN = np.radians(17.0)
DIRECTIONS["oblique"] = (
    np.array([[1, 0, 0], [0, np.cos(_TURN), -np.sin(_TURN)], [0, np.sin(_TURN), np.cos(_TURN)]])
    @ DIRECTIONS["axial"]
)


def write_study(
    folder: Path, directions: str = "axial", patient: str = "Doe^Jane", accession: str = "ACC77"
) -> Volume:
    """Write a CT of random HU under the sample case's lesions; returns it."""
    affine = np.eye(4)
    affine[:3, :3] = DIRECTIONS[directions]
    affine[:3, 3] = (20.0, -15.0, -300.0)
    hu = np.random.default_rng(1).normal(40, 60, sample_case.SHAPE).astype(np.int16)
    ct = Volume(hu, affine)
    write_ct_series(ct, folder, patient=patient, accession=accession)
    return ct


def write_result(folder: Path, ct: Volume, slices: str = "all") -> CaseResult:
    """Write the sample case on the grid of a CT into a results folder; returns it."""
    case = sample_case.sample_case(slices=slices)
    frames = {"T12": (0.0, -25.0, -250.0), "L1": (0.0, -25.0, -280.0)}
    vertebrae = tuple(
        replace(v, frame=CropFrame.centred(frames[v.level])) if v.level in frames else v
        for v in case.vertebrae
    )
    case = replace(case, vertebrae=vertebrae, lesions=Volume(case.lesions.data, ct.affine))
    folder.mkdir()
    write_stored(folder / NAME, case)
    return case
