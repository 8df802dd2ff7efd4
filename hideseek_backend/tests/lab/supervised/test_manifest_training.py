"""`supervised train` and `predict` on a manifest of files, to `evaluate --clinical`."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from toy_spine import toy_spine

from hideseek_backend.cli import main
from hideseek_backend.errors import InputError, ModelError, OptionError
from hideseek_backend.volumes.volume import Volume
from hideseek_backend.volumes.writing import write_nifti
from hideseek_lab.manifest import Case, Row, read_manifest, write_manifest
from hideseek_lab.scoring.masks import read_mask
from hideseek_lab.supervised.cases import Grid, channel_files, load_scan, onto_ct
from hideseek_lab.supervised.networks import make_segmenter
from hideseek_lab.supervised.store import SPEC, SupervisedSpec, load_network, save_network
from hideseek_lab.supervised.workflow import TrainPlan

LEVELS = ("L1", "L2", "L3")


def _patient(folder: Path, name: str, number: int) -> Row:
    """A spine with one dark lesion in L2, on files; oblique for every second patient."""
    spine = toy_spine(LEVELS)
    folder.mkdir(parents=True, exist_ok=True)
    body = spine.bodies.data == 21
    centre = np.argwhere(body).mean(axis=0).round().astype(int)
    rng = np.random.default_rng(number)
    low = centre - 3 + rng.integers(-1, 2, 3)
    lesion = np.zeros(body.shape, np.uint8)
    lesion[tuple(slice(a, a + 6) for a in low)] = 1
    lesion[~body] = 0
    hu = spine.ct.data.copy()
    hu[lesion > 0] -= 250
    write_nifti(spine.ct.with_data(hu), folder / f"{name}_0000.nii.gz")
    write_nifti(spine.labels, folder / f"{name}_vertebrae.nii.gz")
    write_nifti(spine.ct.with_data(lesion), folder / f"{name}_lesions.nii.gz")
    split = {0: "validation", 1: "test"}.get(number, "train")
    return Row(
        name, name, str(folder / f"{name}_0000.nii.gz"), str(folder / f"{name}_vertebrae.nii.gz"),
        scheme="verse", label="malignant", lesions=str(folder / f"{name}_lesions.nii.gz"),
        split=split,
    )  # fmt: skip


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("patients")
    path = folder / "manifest.csv"
    write_manifest(path, [_patient(folder, f"P{n}", n) for n in range(4)])
    return path


def _case(manifest: Path, number: int = 0) -> Case:
    return read_manifest(manifest).cases[number]


def _train(manifest: Path, out: Path, *words: str) -> int:
    return main([
        "supervised", "train", "--manifest", str(manifest), "--run", str(out / "run"), "--size",
        "tiny", "--roi", "32", "--spacing", "2.5", "--batch", "4", "--pretraining-steps", "2",
        "--device", "cpu", "--rate", "5e-3", *words,
    ])  # fmt: skip


def test_scans_lie_upright_and_predictions_go_back(manifest: Path) -> None:
    case = _case(manifest)
    scan = load_scan(case, Grid(spacing_mm=2.0, margin_mm=10))
    assert np.allclose(scan.affine[:3, :3], np.array([[0, 0, 2], [-2, 0, 0], [0, 2, 0]]))
    assert scan.image.shape == (1, *scan.shape) and 0 <= scan.image.min() <= scan.image.max() <= 1
    assert set(np.unique(scan.bones)) == {0, 3}  # lumbar
    assert scan.malignant and scan.lesions.max() == 1
    ct = nib.load(case.ct)
    volume = Volume(np.asarray(ct.dataobj), ct.affine)
    truth = np.asarray(nib.load(case.lesions).dataobj) > 0
    classes = np.stack([scan.lesions == 0, scan.lesions == 1]).astype(np.float32)
    back = onto_ct(classes, scan, volume)
    assert back.shape == (2, *truth.shape) and np.allclose(back.sum(axis=0), 1)
    overlap = 2 * ((back[1] > 0.5) & truth).sum() / ((back[1] > 0.5).sum() + truth.sum())
    assert overlap > 0.8
    assert back[0][0, 0, 0] == 1  # outside the box of the vertebrae


def test_channels_are_named_as_nnunet_names_them(manifest: Path, tmp_path: Path) -> None:
    case = _case(manifest)
    with pytest.raises(InputError, match="P0_0001.nii.gz"):
        channel_files(case.ct, 2)
    ct = nib.load(case.ct)
    for number, factor in enumerate((1.0, -2.0)):
        data = (np.asarray(ct.dataobj) * factor).astype(np.float32)
        nib.save(nib.Nifti1Image(data, ct.affine), tmp_path / f"P0_000{number}.nii.gz")
    two = replace(case, ct=tmp_path / "P0_0000.nii.gz")
    scan = load_scan(two, Grid(2.5, 10, channels=2, modality="mr"))
    assert scan.image.shape[0] == 2
    assert all(0 == channel.min() < channel.max() == 1 for channel in scan.image)
    assert scan.image[0].argmax() != scan.image[1].argmax()


def test_from_a_manifest_to_an_evaluation(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "network"
    words = ("--network", "unet", "--init", "sap", "--steps", "40", "--out", str(model))
    assert _train(manifest, tmp_path, *words) == 0
    said = capsys.readouterr().out
    assert "2 lesions of 2 patients; threshold" in said and "1 tuning patients" in said
    weights = (model / "weights.safetensors").read_bytes()
    assert _train(manifest, tmp_path, *words) == 0  # all done: nothing is trained again
    assert (model / "weights.safetensors").read_bytes() == weights
    spec = json.loads((model / SPEC).read_text(encoding="utf-8"))
    assert spec["network"] == "unet" and spec["made"]["init"] == "sap"
    out = tmp_path / "predicted"
    assert main([
        "supervised", "predict", "--model", str(model), "--manifest", str(manifest), "--out",
        str(out), "--device", "cpu",
    ]) == 0  # fmt: skip
    lesions = read_mask(out / "P1" / "lesions.nii.gz")
    truth = read_mask(_case(manifest, 1).lesions)
    assert lesions.labels.shape == truth.labels.shape
    assert ((lesions.labels > 0) & (truth.labels > 0)).any()
    probability = nib.load(out / "P1" / "probability.nii.gz").get_fdata()
    assert probability.min() >= 0 and probability.max() <= 1
    assert main([
        "evaluate", str(out), str(_case(manifest, 1).lesions), "--out", str(tmp_path / "score"),
        "--clinical", "--bones", str(_case(manifest, 1).vertebrae), "--bone-labels", "verse",
        "--polarity", "merged",
    ]) == 0  # fmt: skip
    assert "in spine: sensitivity 1.00" in capsys.readouterr().out


def test_folds_predict_every_patient_once(manifest: Path, tmp_path: Path, capsys) -> None:
    rows = [replace(_patient(tmp_path / "more", f"Q{n}", n), split="train") for n in range(4)]
    path = tmp_path / "more" / "manifest.csv"
    write_manifest(path, rows)
    assert _train(path, tmp_path, "--network", "unet", "--steps", "2", "--folds", "4") == 0
    said = capsys.readouterr().out
    assert said.count("tested on 1 patients") == 3 and "1 patients chose thresholds" in said
    predicted = [p.name for p in (tmp_path / "run" / "predictions").iterdir()]
    assert len(predicted) == 3


def test_slices_are_detected_from_a_manifest(manifest: Path, tmp_path: Path, capsys) -> None:
    model = tmp_path / "slices"
    assert _train(
        manifest, tmp_path, "--network", "efficientnet", "--steps", "1", "--out", str(model)
    ) == 0  # fmt: skip
    assert '"accuracy"' in capsys.readouterr().out
    out = tmp_path / "called"
    assert main([
        "supervised", "predict", "--model", str(model), "--manifest", str(manifest), "--out",
        str(out), "--threshold", "0.0",
    ]) == 0  # fmt: skip
    rows = (out / "slices.csv").read_text(encoding="utf-8").splitlines()
    assert rows[0] == "case,slice,probability,called" and len(rows) > 10


def test_bad_input_is_told(manifest: Path, tmp_path: Path, capsys) -> None:
    assert _train(manifest, tmp_path, "--network", "unet") != 0
    assert "needs --out" in capsys.readouterr().err
    with pytest.raises(OptionError, match="multiple of 32"):
        TrainPlan("swinunetr", roi=40)
    with pytest.raises(OptionError, match="for the segmentation networks"):
        TrainPlan("resnet34", "sap")
    (tmp_path / "nnunet").mkdir()
    assert main([
        "supervised", "predict", "--model", str(tmp_path), "--manifest", str(manifest), "--out",
        str(tmp_path / "x"),
    ]) != 0  # fmt: skip
    assert "--trust-nnunet" in capsys.readouterr().err


def test_an_altered_network_is_refused(tmp_path: Path) -> None:
    network = make_segmenter("unet", size="tiny")
    spec = SupervisedSpec("unet", "tiny", 3, (32, 32, 1), 0.4, Grid(2.0), 6)
    save_network(network, spec, tmp_path / "network")
    loaded, found = load_network(tmp_path / "network")
    assert (found.threshold, found.least) == (0.4, 6)
    assert found.grid == Grid(2.0) and found.roi == (32, 32, 1)
    for name, value in network.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value)
    weights = tmp_path / "network" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\0")
    with pytest.raises(ModelError, match="not those it was written with"):
        load_network(tmp_path / "network")
    with pytest.raises(ModelError, match="no supervised network"):
        load_network(tmp_path)
