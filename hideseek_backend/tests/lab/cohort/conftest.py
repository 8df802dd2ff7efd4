"""Small spines as a folder of cases, and a tiny model, for every test of the cohort."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_model import write_tiny_model
from toy_spine import toy_spine

from hideseek_backend.volumes.writing import write_nifti


@pytest.fixture(scope="session")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three cases, of which gamma is cut short."""
    root = tmp_path_factory.mktemp("cases")
    for number, name in enumerate(("alpha", "beta", "gamma")):
        spine = toy_spine(("L1", "L2"), noise=10.0 + number)
        write_nifti(spine.ct, root / name / "ct.nii.gz")
        write_nifti(spine.labels, root / name / "vertebrae.nii.gz")
        write_nifti(spine.bodies, root / name / "bodies.nii.gz")
    (root / "gamma" / "ct.nii.gz").write_bytes(b"\x1f\x8b cut short")
    return root


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of random weights."""
    return write_tiny_model(tmp_path_factory.mktemp("model") / "tiny")
