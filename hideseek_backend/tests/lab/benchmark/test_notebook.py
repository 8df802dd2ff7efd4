"""The notebook check, on a random model and a made-up sample."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from reference_files import write_reference_files

from hideseek_backend.errors import InputError, ModelError
from hideseek_backend.models.reference_import import import_reference
from hideseek_lab.benchmark import notebook as check_module
from hideseek_lab.benchmark.notebook import (
    NOTEBOOK_OPTIONS,
    PRINTED,
    NotebookFigures,
    check,
    compare,
)

FEW_STEPS = NOTEBOOK_OPTIONS.with_changes(invert_steps=2, render_steps=2)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("check")
    import_reference(**write_reference_files(folder), out=folder / "model")
    return folder / "model"


def write_sample(folder: Path, shape: tuple[int, ...] = (64, 64, 9)) -> tuple[Path, Path]:
    rng = np.random.default_rng(0)
    body = np.zeros(shape, dtype=np.float32)
    body[20:44, 20:44] = 1
    paths = folder / "sample_ct.nii", folder / "sample_seg.nii"
    for path, data in zip(paths, (rng.random(shape, dtype=np.float32), body), strict=True):
        nibabel.save(nibabel.Nifti1Image(data, np.eye(4)), path)
    return paths


def test_settings_are_the_notebook_s() -> None:
    chosen = NOTEBOOK_OPTIONS
    assert (chosen.solver, chosen.invert_steps, chosen.render_steps) == ("ddim", 250, 100)
    assert (chosen.p_target, chosen.binarize, chosen.erode) == (1e-5, "median", 0)
    assert (chosen.residual_against, chosen.projection) == ("reconstruction", "same-noise")
    assert (chosen.connectivity, chosen.min_area, chosen.delta) == (4, 5, "probability")


def test_runs_and_compares(model: Path, tmp_path: Path) -> None:
    figures = check(str(model), sample=write_sample(tmp_path), device="cpu", options=FEW_STEPS)
    names = [figure.name for figure in figures]
    assert names[:2] == ["P(malignant)", "P(malignant) after the edit"]
    assert len(figures) == 4 + 2 + 2 * 11
    assert not all(figure.agrees for figure in figures)  # a random model


def test_what_agrees_and_what_does_not() -> None:
    assert all(figure.agrees for figure in compare(PRINTED, PRINTED))
    nothing = NotebookFigures(0.5, 0.5, 0, 0, (), ())
    assert not any(figure.agrees for figure in compare(PRINTED, nothing))


def test_says_what_it_needs(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(**_: object) -> None:
        raise ModelError("sample_ct.nii could not be fetched: no network.")

    monkeypatch.setattr(check_module, "fetch_sample", offline)
    with pytest.raises(ModelError, match=r"(?s)not at hand.*no network.*--sample"):
        check(str(model), device="cpu")
    with pytest.raises(ModelError, match="No model"):
        check(str(tmp_path / "none"), device="cpu")
    with pytest.raises(InputError, match="64 x 64"):
        check(str(model), sample=write_sample(tmp_path, (32, 32, 3)), device="cpu")
    with pytest.raises(InputError, match="axes"):
        check(str(model), sample=write_sample(tmp_path, (64, 64)), device="cpu")
