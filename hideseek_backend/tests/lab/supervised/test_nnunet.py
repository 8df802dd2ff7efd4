"""nnU-Net by its own library: plans, folds by patient, an ensemble, going on after a stop."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from hideseek_lab.manifest.nnunet import patient_folds
from hideseek_lab.supervised.scans import Scan

pytest.importorskip("nnunetv2", reason="the extra 'baselines' is not installed")


def test_nnunet_plans_trains_and_predicts(scans: list[Scan], tmp_path: Path) -> None:
    from hideseek_lab.supervised.nnunet import NnUNet, NnUNetPlan

    plan = NnUNetPlan("2d", epochs=1, iterations=1, batch=2, folds=2)
    network = NnUNet(tmp_path, plan, torch.device("cpu"))
    network.prepare(scans[:4], ("lytic",))
    splits = tmp_path / "nnUNet_preprocessed" / "Dataset501_HideSeek" / "splits_final.json"
    assert [len(s["val"]) for s in json.loads(splits.read_text(encoding="utf-8"))] == [2, 2]
    assert network.train() > 1e6
    results = tmp_path / "nnUNet_results"
    checkpoints = sorted(results.rglob("checkpoint_final.pth"))
    assert len(checkpoints) == 2
    times = [path.stat().st_mtime_ns for path in checkpoints]
    again = NnUNet(tmp_path, plan, torch.device("cpu"))
    again.prepare(scans[:4], ("lytic",))
    again.train()
    assert [path.stat().st_mtime_ns for path in checkpoints] == times
    classes = again.probabilities(scans[5])
    assert classes.shape == (2, *scans[5].shape)
    assert np.allclose(classes.sum(axis=0), 1, atol=1e-4)
    # the axes come back as they went: the ensemble is the mean of its folds
    parts = []
    for fold in range(2):
        again._predictor.list_of_parameters, kept = (
            [again._predictor.list_of_parameters[fold]], again._predictor.list_of_parameters,
        )  # fmt: skip
        parts.append(again.probabilities(scans[5]))
        again._predictor.list_of_parameters = kept
    # nnU-Net averages logits before its softmax, so compare those
    logits = [np.log(np.clip(p, 1e-12, 1)) for p in parts]
    mean = np.exp(np.mean(logits, axis=0))
    assert np.allclose(classes, mean / mean.sum(axis=0), atol=1e-3)


def test_folds_part_patients() -> None:
    patients = {f"c{n}": f"p{n // 2}" for n in range(10)}
    for fold in patient_folds(patients, 5):
        assert not {patients[c] for c in fold["train"]} & {patients[c] for c in fold["val"]}
        assert len(fold["train"]) + len(fold["val"]) == 10
    (only,) = patient_folds(patients, 5, {"p1"})
    assert only["val"] == ["c2", "c3"]
