"""Bodies from points, and what the other verbs make of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from shared_data import shared_file

from hideseek_backend.cli import main
from hideseek_backend.wire.levels import VERSE_VALUES

from .conftest import words


def point_in(case: Path, level: str) -> str:
    """The option's value for a point near the middle of a level's body."""
    bodies = nib.load(case / "bodies.nii.gz")
    inside = np.argwhere(np.asarray(bodies.dataobj) == VERSE_VALUES[level])
    r, a, s = nib.affines.apply_affine(bodies.affine, inside.mean(axis=0))
    return f"{level}={r:.1f},{a:.1f},{s:.1f}"


def test_points_become_bodies_that_screen_takes(
    case: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fitted = tmp_path / "fitted.nii.gz"
    at = ["--at", point_in(case, "L1"), "--at", point_in(case, "L2")]
    assert main(["bodies", str(case / "ct.nii.gz"), *at, "--out", str(fitted)]) == 0
    assert "look at them before use" in capsys.readouterr().out
    found = np.asarray(nib.load(fitted).dataobj)
    truth = np.asarray(nib.load(case / "bodies.nii.gz").dataobj)
    for level in ("L1", "L2"):
        ours, own = found == VERSE_VALUES[level], truth == VERSE_VALUES[level]
        assert 2 * (ours & own).sum() / (ours.sum() + own.sum()) > 0.8
    line = words(case, tmp_path / "out", "--bodies", str(fitted), verb="screen")
    line[2] = str(fitted)
    assert main(line) == 0
    assert (tmp_path / "out" / "vertebrae.csv").read_text(encoding="utf-8").count("\n") == 3


@pytest.mark.parametrize("at", ["L9=1,2,3", "L1", "L1=1,2", "L1=1,2,nan", "L1=900,0,0"])
def test_points_that_cannot_be_used_are_refused(
    case: Path, tmp_path: Path, refused: Callable[..., str], at: str
) -> None:
    out = str(tmp_path / "fitted.nii.gz")
    text = refused(["bodies", str(case / "ct.nii.gz"), "--at", at, "--out", out])
    assert "LEVEL=R,A,S" in text or "unknown level" in text or "within the CT" in text


def test_a_dicom_folder_is_segmented_from_one_point(tmp_path: Path) -> None:
    """A real series without masks, from a point to a report."""
    folder = str(shared_file("data", "totalsegmentator_dicom"))
    fitted = str(tmp_path / "fitted.nii.gz")
    assert main(["bodies", folder, "--at", "L1=5.4,120.1,-782.5", "--out", fitted]) == 0
    out = tmp_path / "out"
    line = ["segment", folder, fitted, "--bodies", fitted, "--labels", "verse", "--force"]
    assert main([*line, "--quiet", "--out", str(out)]) == 0
    lesions = nib.load(out / "lesions.nii.gz")
    assert lesions.shape == (512, 512, 20)
    assert "L1,0." in (out / "vertebrae.csv").read_text(encoding="utf-8")
