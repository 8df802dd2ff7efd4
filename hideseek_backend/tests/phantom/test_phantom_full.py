"""The whole spine: labels, truth, tables, files."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from hideseek_backend.errors import OptionError, OutputError
from hideseek_backend.phantom import (
    Phantom,
    PhantomOptions,
    ScanOptions,
    make_phantom,
    write_phantom,
)

OPTIONS = PhantomOptions(
    levels=("T12", "L1", "L2"),
    p_malignant=1.0,
    scan=ScanOptions(thickness_mm=(1.5, 2.0), in_plane_mm=(0.9, 1.0), p_coarse=0.0),
)
LABELS = {"T12": 19, "L1": 20, "L2": 21}


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return make_phantom(5, OPTIONS)


def test_same_seed_same_voxels(phantom: Phantom) -> None:
    again = make_phantom(5, OPTIONS)
    assert np.array_equal(phantom.ct.data, again.ct.data)
    assert np.array_equal(phantom.truth.data, again.truth.data)
    assert phantom.lesions == again.lesions


def test_labels_are_those_of_verse(phantom: Phantom) -> None:
    assert set(np.unique(phantom.vertebrae.data)) == {0, *LABELS.values()}
    assert set(np.unique(phantom.bodies.data)) == {0, *LABELS.values()}


def test_bodies_lie_in_vertebrae_and_truth_in_bodies(phantom: Phantom) -> None:
    bodies, vertebrae = phantom.bodies.data, phantom.vertebrae.data
    assert np.array_equal(bodies[bodies > 0], vertebrae[bodies > 0])
    assert not np.any((phantom.truth.data > 0) & (bodies == 0))


def test_bodies_have_human_sizes(phantom: Phantom) -> None:
    for label in LABELS.values():
        volume = np.count_nonzero(phantom.bodies.data == label) * phantom.ct.voxel_volume_mm3
        assert 13_000 < volume < 55_000
        share = np.count_nonzero(phantom.bodies.data == label) / np.count_nonzero(
            phantom.vertebrae.data == label
        )
        assert 0.4 < share < 0.85


def test_levels_are_stacked_from_the_top(phantom: Phantom) -> None:
    heights = []
    for label in LABELS.values():
        index = np.argwhere(phantom.bodies.data == label).mean(0)
        heights.append(float(phantom.ct.ras(index)[2]))
    assert heights == sorted(heights, reverse=True)
    assert all(22 < step < 48 for step in -np.diff(heights))


def test_tissues_have_their_attenuation(phantom: Phantom) -> None:
    hu = phantom.ct.data
    assert np.percentile(hu, 0.5) < -400  # air behind the back or lung
    bone = hu[phantom.bodies.data > 0]
    assert 60 < np.median(bone) < 700


def test_table_matches_the_volume(phantom: Phantom) -> None:
    voxel = phantom.ct.voxel_volume_mm3
    for level, label in LABELS.items():
        own = phantom.bodies.data == label
        for value, name in ((1, "lytic"), (2, "blastic")):
            rows = [
                row.volume_mm3
                for row in phantom.lesions
                if row.level == level and row.polarity == name
            ]
            count = np.count_nonzero(own & (phantom.truth.data == value))
            assert sum(rows) == pytest.approx(count * voxel)
    assert [v.level for v in phantom.vertebra_truth] == list(LABELS)


def test_healthy_patient_has_no_lesion() -> None:
    options = PhantomOptions(levels=("L1",), patient="healthy", scan=OPTIONS.scan)
    made = make_phantom(1, options)
    assert not made.truth.data.any()
    assert made.lesions == ()


def test_progress_counts_up() -> None:
    seen: list[tuple[int, int]] = []
    make_phantom(
        2,
        PhantomOptions(levels=("L1",), scan=OPTIONS.scan),
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen[-1][0] == seen[-1][1]
    assert [d for d, _ in seen] == sorted(d for d, _ in seen)


def test_written_files_say_the_same(phantom: Phantom, tmp_path: Path) -> None:
    paths = write_phantom(phantom, tmp_path / "case")
    assert {p.name for p in (tmp_path / "case").iterdir()} == set(paths)
    for name, volume in (
        ("ct.nii.gz", phantom.ct),
        ("vertebrae.nii.gz", phantom.vertebrae),
        ("bodies.nii.gz", phantom.bodies),
        ("truth.nii.gz", phantom.truth),
    ):
        image = nib.load(paths[name])
        assert np.array_equal(np.asarray(image.dataobj), volume.data)
        assert np.allclose(image.get_qform(), volume.affine, atol=1e-4)
        assert np.allclose(image.get_sform(), volume.affine, atol=1e-4)
    assert nib.load(paths["ct.nii.gz"]).get_data_dtype() == np.int16
    with paths["lesions.csv"].open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(phantom.lesions)
    assert float(rows[0]["volume_mm3"]) == pytest.approx(phantom.lesions[0].volume_mm3, abs=0.01)
    with paths["vertebrae_truth.csv"].open(newline="") as file:
        assert [r["level"] for r in csv.DictReader(file)] == list(LABELS)
    record = json.loads(paths["phantom.json"].read_text(encoding="utf-8"))
    assert record["seed"] == 5
    assert record["options"]["levels"] == list(LABELS)


def test_a_folder_that_cannot_be_written_is_explained(phantom: Phantom, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    with pytest.raises(OutputError, match="could not be written"):
        write_phantom(phantom, blocked)
    assert blocked.read_text(encoding="utf-8") == "in the way"


def test_an_interrupted_writing_leaves_nothing(
    phantom: Phantom, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = nib.save
    calls: list[str] = []

    def save_then_stop(image: nib.Nifti1Image, path: Path) -> None:
        calls.append(path.name)
        saved(image, path)
        if len(calls) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(nib, "save", save_then_stop)
    kept = tmp_path / "kept"
    kept.mkdir()
    for folder in (tmp_path / "fresh", kept):
        calls.clear()
        with pytest.raises(KeyboardInterrupt):
            write_phantom(phantom, folder)
    assert not (tmp_path / "fresh").exists()
    assert list(kept.iterdir()) == []


@pytest.mark.parametrize(
    "options",
    [
        {"levels": ("T9", "T11")},
        {"levels": ("L2", "L1")},
        {"patient": "sick"},
        {"p_malignant": 2.0},
        {"depth_mm": 10.0},
    ],
)
def test_bad_options_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(OptionError):
        PhantomOptions(**options)  # type: ignore[arg-type]
