"""nnU-Net v2 through its own library: it plans, trains its folds and predicts as their ensemble.

nnU-Net reads its own checkpoints by unpickling, so a folder that somebody else made can run code.
This module only ever loads what it has trained in the same folder.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch
from numpy.typing import NDArray

from hideseek_backend.errors import Cancelled
from hideseek_backend.optional import import_optional
from hideseek_backend.progress import Progress, ProgressCallback
from hideseek_lab.manifest.nnunet import patient_folds
from hideseek_lab.supervised.arms import (
    Arm,
    ArmResult,
    Laboratory,
    count,
    finish,
    read_result,
    write_result,
)
from hideseek_lab.supervised.networks import BASELINES_EXTRA
from hideseek_lab.supervised.protocol import SIZES
from hideseek_lab.supervised.scans import Scan
from hideseek_lab.supervised.training import Deadline

FOLDS = 5
_ID = 501
_NAME = f"Dataset{_ID}_HideSeek"
_FINAL, _LATEST = "checkpoint_final.pth", "checkpoint_latest.pth"


@dataclass(frozen=True)
class NnUNetPlan:
    """configuration: "2d" or "3d_fullres". iterations: an epoch (nnU-Net's own: 250, 1000 epochs);
    epochs 0 leaves nnU-Net's. batch: 0 leaves the planned one."""

    configuration: str = "3d_fullres"
    epochs: int = 0
    iterations: int = 0
    batch: int = 0
    folds: int = FOLDS


class NnUNet:
    """nnU-Net in a folder of its own; every step goes on where an earlier one stopped."""

    def __init__(self, folder: Path, plan: NnUNetPlan, device: torch.device) -> None:
        self.folder, self.plan, self.device = folder.absolute(), plan, device
        self._predictor: Any = None

    def prepare(self, scans: Sequence[Scan], classes: Sequence[str]) -> None:
        """Write the raw data set, let nnU-Net plan and preprocess it, and part it by patient.

        classes: names of the labels from 1 on.
        """
        self._environment(planning=True)
        done = self.folder / "nnUNet_preprocessed" / _NAME / "splits_final.json"
        if done.is_file():
            return
        raw = self.folder / "nnUNet_raw" / _NAME
        names = {f"case{n:04d}": scan for n, scan in enumerate(scans)}
        for case, scan in names.items():
            for channel, image in enumerate(scan.image):
                _write(image.astype(np.float32), scan, raw / "imagesTr",
                       f"{case}_{channel:04d}.nii.gz")  # fmt: skip
            _write(scan.lesions, scan, raw / "labelsTr", f"{case}.nii.gz")
        channels = {n: "CT" if n == 0 else f"channel{n}" for n in range(len(scans[0].image))}
        labels = {"background": 0, **{name: n for n, name in enumerate(classes, 1)}}
        described = _library("nnunetv2.dataset_conversion.generate_dataset_json")
        # listed, for nnU-Net looks for files in forked processes, which can hang once torch has run
        described.generate_dataset_json(
            str(raw), channels, labels, len(names), ".nii.gz",
            dataset={
                case: {
                    "images": [f"imagesTr/{case}_{n:04d}.nii.gz" for n in range(len(channels))],
                    "label": f"labelsTr/{case}.nii.gz",
                }
                for case in names
            },
        )  # fmt: skip
        api = _library("nnunetv2.experiment_planning.plan_and_preprocess_api")
        with redirect_stdout(StringIO()):
            api.extract_fingerprints([_ID], num_processes=1, check_dataset_integrity=True)
            api.plan_experiments([_ID])
            api.preprocess([_ID], configurations=[self.plan.configuration], num_processes=[1])
        folds = patient_folds({case: scan.patient for case, scan in names.items()}, self.plan.folds)
        done.write_text(json.dumps(folds, indent=1) + "\n", encoding="utf-8")

    def train(
        self,
        deadline: Deadline | None = None,
        progress: ProgressCallback | None = None,
        name: str = "nnU-Net v2",
    ) -> int:
        """Train all folds; returns the number of parameters.

        Raises Cancelled between folds when the deadline is over.
        """
        self._environment(planning=False)
        training = _library("nnunetv2.run.run_training")
        for fold in range(self._folds()):
            if deadline is not None and deadline.over and not self._has(fold, _FINAL):
                raise Cancelled(
                    f"The time is over: nnU-Net has {fold} of {self._folds()} folds.",
                    "Run the same command again to go on.",
                )
            if not self._has(fold, _FINAL):
                with redirect_stdout(StringIO()):
                    trainer = training.get_trainer_from_args(
                        _NAME, self.plan.configuration, fold, device=self.device
                    )
                    self._shorten(trainer)
                    if self._has(fold, _LATEST):
                        training.maybe_load_checkpoint(trainer, True, False)
                    trainer.run_training()
            if progress is not None:
                progress(Progress(name, None, fold + 1, self._folds()))
        return count(self._load().network)

    def probabilities(self, scan: Scan) -> NDArray[np.float32]:
        """Probability of every class (C, I, J, K): the mean over all folds' networks."""
        predictor = self._load()
        image = np.stack([channel.transpose() for channel in scan.image]).astype(np.float32)
        spacing = [float(v) for v in reversed(scan.spacing)]
        with redirect_stdout(StringIO()):
            _, p = predictor.predict_single_npy_array(image, {"spacing": spacing}, None, None, True)
        return np.ascontiguousarray(np.asarray(p, dtype=np.float32).transpose(0, 3, 2, 1))

    def _load(self) -> Any:
        if self._predictor is None:
            self._environment(planning=False)
            inference = _library("nnunetv2.inference.predict_from_raw_data")
            self._predictor = inference.nnUNetPredictor(
                use_mirroring=False, perform_everything_on_device=self.device.type == "cuda",
                device=self.device, allow_tqdm=False,
            )  # fmt: skip
            with redirect_stdout(StringIO()):
                self._predictor.initialize_from_trained_model_folder(
                    str(self._results()), tuple(range(self._folds())), _FINAL
                )
        return self._predictor

    def _shorten(self, trainer: Any) -> None:
        plan = self.plan
        if plan.epochs:
            trainer.num_epochs = plan.epochs
        if plan.iterations:
            trainer.num_iterations_per_epoch = plan.iterations
            # nnU-Net's own share; a single batch of the held-out fold may show no lytic lesion
            trainer.num_val_iterations_per_epoch = max(1, plan.iterations // 5)
        if plan.batch:
            trainer.configuration_manager.configuration["batch_size"] = plan.batch
        trainer.save_every = 1

    def _folds(self) -> int:
        splits = self.folder / "nnUNet_preprocessed" / _NAME / "splits_final.json"
        return len(json.loads(splits.read_text(encoding="utf-8")))

    def _has(self, fold: int, checkpoint: str) -> bool:
        return (self._results() / f"fold_{fold}" / checkpoint).is_file()

    def _results(self) -> Path:
        trained = f"nnUNetTrainer__nnUNetPlans__{self.plan.configuration}"
        return self.folder / "nnUNet_results" / _NAME / trained

    def _environment(self, *, planning: bool) -> None:
        """nnU-Net takes its folders and its processes from the environment, when it needs them."""
        for place in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
            (self.folder / place).mkdir(parents=True, exist_ok=True)
            os.environ[place] = str(self.folder / place)
        os.environ["nnUNet_compile"] = "f"  # noqa: SIM112
        # read when it is imported; its 8 are too many for a small machine's memory
        os.environ.setdefault("nnUNet_def_n_proc", str(min(8, os.cpu_count() or 1)))
        # planning needs a positive number; training in this process none
        os.environ["nnUNet_n_proc_DA"] = "1" if planning else "0"  # noqa: SIM112


def run_nnunet_arm(
    lab: Laboratory, arm: Arm, epochs: int, iterations: int, folds: int = FOLDS
) -> ArmResult:
    """nnU-Net on the slices of a comparison, as `arms.run_arm` does with the other networks."""
    plan = NnUNetPlan("2d", epochs, iterations, folds=folds)
    learned_on = lab.arena.train.annotated(arm.annotated)
    place = lab.place("nnunet", arm.key, plan, learned_on)
    kept = lab.place(
        "predictions", arm.key, plan, learned_on, lab.arena.tune, lab.arena.test, SIZES
    ).with_suffix(".npz")  # fmt: skip
    if kept.is_file():
        return read_result(kept, arm)
    network = NnUNet(place, plan, lab.device)
    network.prepare(learned_on.scans(), ("lytic", "blastic"))
    parameters = network.train(lab.deadline, lab.progress, f"{arm.title}, {arm.annotated}")
    result = finish(lab, arm, network.probabilities, parameters)
    write_result(kept, result)
    return result


def _write(array: NDArray[Any], scan: Scan, folder: Path, name: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    image = sitk.GetImageFromArray(np.ascontiguousarray(array.transpose()))
    image.SetSpacing([float(v) for v in scan.spacing])
    sitk.WriteImage(image, str(folder / name))


def _library(module: str) -> Any:
    return import_optional(module, "nnU-Net", BASELINES_EXTRA)
