"""The benchmark's baselines, each with the little it may choose chosen on the validation split."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hideseek_backend.files import whole_file
from hideseek_backend.progress import Progress, ProgressCallback
from hideseek_lab.benchmark.baselines.anomaly import (
    NOISES,
    THRESHOLDS,
    anomaly_labels,
    pseudo_healthy,
)
from hideseek_lab.benchmark.baselines.cams import LAYERS, cam_labels, cam_maps
from hideseek_lab.benchmark.baselines.common import postprocess, to_unit
from hideseek_lab.benchmark.baselines.otsu import otsu_labels
from hideseek_lab.benchmark.baselines.training import unet_labels
from hideseek_lab.benchmark.dataset import MIDDLE, SliceSet
from hideseek_lab.benchmark.table import mean_pq, score_labels
from hideseek_lab.scoring.summary import PHENOTYPES

Labels = NDArray[np.uint8]
Predict = Callable[[SliceSet], Labels]


@dataclass(frozen=True)
class Method:
    """A method of the table.

    predict: central slices of a set -> labels (N, 64, 64), 1 lytic, 2 blastic, 3 either, after
    the common post-processing. weak: without masks in training; settings: what was chosen, and
    where.
    """

    key: str
    title: str
    predict: Predict
    weak: bool = True
    settings: str = ""


def otsu_methods() -> list[Method]:
    """Otsu with one threshold (several where mixed disease is expected), and with several."""

    def predictor(classes: int) -> Predict:
        def predict(vertebrae: SliceSet) -> Labels:
            slices = zip(
                vertebrae.hu[:, MIDDLE],
                vertebrae.body[:, MIDDLE],
                vertebrae.slice_phenotype,
                strict=True,
            )
            return cleaned(
                (otsu_labels(hu, body, str(p), classes=classes) for hu, body, p in slices),
                vertebrae,
            )

        return predict

    return [
        Method("otsu", "Otsu", predictor(2), settings="phenotype known, as in the paper"),
        Method("otsu-multi", "Otsu, 3 classes", predictor(3), settings="phenotype known"),
    ]


def cam_method(
    key: str, title: str, network: nn.Module, validation: SliceSet, cache: Path
) -> Method:
    """A class activation map; its layer is the one with the best mean PQ on validation."""

    def predictor(layer: str) -> Predict:
        def predict(vertebrae: SliceSet) -> Labels:
            images = torch.from_numpy(to_unit(vertebrae.hu[:, MIDDLE]))[:, None]
            maps = [cam_maps(key, network, part, layer) for part in images.split(32)]
            return cleaned((cam_labels(heat) for heat in np.concatenate(maps)), vertebrae)

        return predict

    layer = best_on(validation, key, {name: predictor(name) for name in LAYERS}, cache)
    return Method(key, title, predictor(layer), settings=f"{layer}, chosen on validation")


def anomaly_method(model: Any, validation: SliceSet, cache: Path) -> Method:
    """Anomaly detection with a healthy-only model; noise and threshold chosen on validation."""

    def rebuilt(vertebrae: SliceSet, noise: Any) -> tuple[Any, Any]:
        hu = vertebrae.hu[:, MIDDLE].astype(np.float32)
        intensity = model.intensity.to_intensity(
            hu, np.ascontiguousarray(vertebrae.valid[:, MIDDLE])
        )
        images = torch.as_tensor(intensity, dtype=torch.float32).cpu()[:, None]
        healthy = [
            pseudo_healthy(model.dae, part.to(model.device), noise).float().cpu()
            for part in images.split(32)
        ]
        return images[:, 0].numpy(), torch.cat(healthy)[:, 0].numpy()

    def predictor(noise: Any, threshold: Any) -> Predict:
        def predict(vertebrae: SliceSet) -> Labels:
            images, healthy = rebuilt(vertebrae, noise)
            body = vertebrae.body[:, MIDDLE]
            pairs = zip(images, healthy, body, strict=True)
            return cleaned((anomaly_labels(i, h, b, threshold) for i, h, b in pairs), vertebrae)

        return predict

    choices = {f"{n} x_T, {t} threshold": predictor(n, t) for n in NOISES for t in THRESHOLDS}
    best = best_on(validation, f"anomaly-{model.hash[:8]}", choices, cache)
    settings = f"{best}, chosen on validation, model {model.hash[:8]}"
    return Method("anomaly", "Anomaly detection", choices[best], settings=settings)


def unet_method(network: nn.Module) -> Method:
    """The supervised U-Net, trained on masks: an upper reference, not a competitor."""

    def predict(vertebrae: SliceSet) -> Labels:
        return cleaned(unet_labels(network, vertebrae.hu[:, MIDDLE]), vertebrae)

    return Method(
        "unet", "U-Net, supervised", predict, weak=False, settings="trained on truth masks"
    )


def cleaned(labels: Iterable[NDArray[Any]], vertebrae: SliceSet) -> Labels:
    """Common post-processing of every slice."""
    body = vertebrae.body[:, MIDDLE]
    return np.stack([postprocess(plane, b) for plane, b in zip(labels, body, strict=True)])


def best_on(validation: SliceSet, key: str, choices: dict[str, Predict], cache: Path) -> str:
    """The choice with the highest mean PQ over the phenotypes of the validation split."""
    scores = {}
    for name, predict in choices.items():
        labels = remembered(Method(key, name, predict, settings=name), validation, cache)
        scores[name] = mean_pq(score_labels(validation, labels), PHENOTYPES)
    return max(scores, key=lambda name: scores[name])


def remembered(
    method: Method, vertebrae: SliceSet, cache: Path, progress: ProgressCallback | None = None
) -> Labels:
    """Predict in parts of 50 slices that are kept, so that a stopped run goes on."""
    parts = []
    for start in range(0, len(vertebrae), 50):
        part = vertebrae.take(np.arange(start, min(start + 50, len(vertebrae))))
        digest = hashlib.sha256(f"{method.key} {method.settings}".encode())
        digest.update(part.hu.tobytes() + part.truth.tobytes())
        path = cache / f"{method.key}-{digest.hexdigest()[:20]}.npz"
        if path.is_file():
            with np.load(path, allow_pickle=False) as stored:
                parts.append(stored["labels"])
        else:
            parts.append(method.predict(part))
            with whole_file(path) as unfinished:
                np.savez_compressed(unfinished, labels=parts[-1])
        if progress is not None:
            progress(Progress(method.title, None, start + len(part), len(vertebrae)))
    return np.concatenate(parts)
