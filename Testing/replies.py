"""Hand-made worker replies: simple shapes in the protocol's JSON, for tests of the scene alone.

No network ran for these. They are what the worker could send about boxes that the tests can count.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from HideSeekLib.wire import arrays


def ct_affine(
    spacing=(0.7, 0.8, 2.5), turn=0.2, flip=True, origin=(10.0, -20.0, 30.0)
) -> np.ndarray:
    """Oblique, anisotropic index -> RAS matrix; flip makes i run to the left, as most CTs do."""
    c, s = np.cos(turn), np.sin(turn)
    around_s = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    around_r = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    affine = np.eye(4)
    affine[:3, :3] = around_s @ around_r @ np.diag(spacing)
    if flip:
        affine[:3, :2] *= -1
    affine[:3, 3] = origin
    return affine


def vertebra_reply(
    level: str,
    origin: tuple[int, int, int],
    deltas: dict[str, list[float]],
    affine: np.ndarray,
    *,
    tau: float = 0.5,
    size: int = 3,
    evidence: bool = False,
    body_mm3: float = 20000.0,
) -> dict[str, Any]:
    """A vertebra message: cubes of size³ voxels in a row, one per Δ in deltas[polarity]."""
    count = sum(len(v) for v in deltas.values())
    labels = np.zeros((max(8, (size + 1) * count), size + 4, size + 4), np.uint16)
    voxel = abs(np.linalg.det(affine[:3, :3]))
    candidates = []
    for polarity, values in deltas.items():
        for delta in values:
            n = len(candidates) + 1
            start = (size + 1) * (n - 1)
            labels[start : start + size, 2 : 2 + size, 2 : 2 + size] = n
            middle = np.array(origin) + [
                start + (size - 1) / 2,
                2 + (size - 1) / 2,
                2 + (size - 1) / 2,
            ]
            candidates.append(
                {
                    "vertebra": level,
                    "candidate": n,
                    "polarity": polarity,
                    "delta": delta,
                    "kept": delta >= tau,
                    "p_hide": 0.9 * delta,
                    "slices": [31, 32],
                    "area_px": 20,
                    "volume_mm3": size**3 * voxel,
                    "mean_hu": 80.0 if polarity == "lytic" else 600.0,
                    "centroid_ras": (affine[:3, :3] @ middle + affine[:3, 3]).tolist(),
                }
            )
    volume = {
        p: sum(c["volume_mm3"] for c in candidates if c["polarity"] == p and c["kept"])
        for p in ("lytic", "blastic")
    }
    message: dict[str, Any] = {
        "vertebra": level,
        "p_malignant": 0.93,
        "p_healthy_image": 0.02,
        "analysed": True,
        "reason": "",
        "phenotype": "mixed",
        "candidates": candidates,
        "block_labels": arrays.encode(labels),
        "block_origin_ijk": list(origin),
        "body_volume_mm3": body_mm3,
        "lytic_volume_mm3": volume["lytic"],
        "blastic_volume_mm3": volume["blastic"],
        "warnings": [],
        "seconds": 1.5,
        "evidence": None,
    }
    if evidence:
        center = affine[:3, :3] @ (np.array(origin) + np.array(labels.shape) / 2) + affine[:3, 3]
        message["evidence"] = evidence_message(center)
    return message


def evidence_message(
    center_ras: np.ndarray, slices: tuple[int, ...] = (30, 31, 32), unit: str = "HU"
) -> dict[str, Any]:
    """Evidence about a point: each voxel of `healthy` holds 10 * p + s + 1000 * its slice k."""
    affine = np.eye(4)
    affine[:3, :3] = np.array([[0, 0, 1], [-1, 0, 0], [0, 1, 0]]) * 0.8
    affine[:3, 3] = center_ras - affine[:3, :3] @ np.full(3, 32.0)
    p, s = np.meshgrid(np.arange(64), np.arange(64), indexing="ij")
    healthy = np.stack([10 * p + s + 1000 * k for k in slices], axis=2).astype(np.float32)
    image = healthy - 5
    return {
        "affine": affine.tolist(),
        "slices": list(slices),
        "image": arrays.encode(image),
        "healthy": arrays.encode(healthy),
        "difference": arrays.encode(healthy - image),
        "unit": unit,
    }
