"""Benign look-alikes, drawn alike for healthy and malignant vertebrae."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .body import BodyShape
from .texture import Noise, Waves, lerp

# Probability of each finding in a vertebra, whatever its class.
FREQUENCY: dict[str, float] = {
    "schmorl": 0.10,
    "endplate_sclerosis": 0.10,
    "osteophyte": 0.22,
    "haemangioma": 0.05,
    "bone_island": 0.05,
    "fatty_marrow": 0.10,
    "osteopenia": 0.08,
    "compression_fracture": 0.05,
    "disc_calcification": 0.05,
    "basivertebral_vein": 0.65,
}


@dataclass(frozen=True)
class Blob:
    """A warped ellipsoid of local points (mm) with a soft edge."""

    centre: np.ndarray
    radii: np.ndarray
    rotation: np.ndarray
    edge_mm: float
    warp: Waves
    warp_mm: float

    def distance(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Return the signed distance, mm, negative inside."""
        dx, dy, dz = x - self.centre[0], y - self.centre[1], z - self.centre[2]
        q = 0.0
        for axis in range(3):
            u, v, w = (self.rotation[:, axis] / self.radii[axis]).astype(np.float32)
            component = dx * u + dy * v + dz * w
            q = q + component * component
        scale = np.float32(float(np.prod(self.radii)) ** (1 / 3))
        out = (np.sqrt(q) - 1) * scale
        return out + self.warp(x, y, z) * np.float32(self.warp_mm) if self.warp_mm else out

    def cover(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Return the coverage in [0, 1]."""
        return np.clip(0.5 - self.distance(x, y, z) / np.float32(self.edge_mm), 0, 1)


@dataclass(frozen=True)
class Condensation:
    """The soft dense spot where the trabeculae converge upon the basivertebral vein.

    added: HU at its centre. centre: (3,) local mm. size: factor on radii of 6, 4 and 3.2 mm.
    """

    added: float
    centre: tuple[float, float, float]
    size: float

    def apply(
        self,
        marrow: np.ndarray,
        grain: np.ndarray,
        x: np.ndarray,
        y: np.ndarray,
        z: np.ndarray,
    ) -> np.ndarray:
        """Return the marrow HU with the spot in it, coarser grained than its surroundings."""
        if not self.added:
            return marrow
        cx, cy, cz = self.centre
        q = ((x - cx) / 6.0) ** 2 + ((y - cy) / 4.0) ** 2 + ((z - cz) / 3.2) ** 2
        spot = np.exp(-0.7 * q / np.float32(self.size**2))
        return marrow + np.float32(self.added) * spot * (1 + 0.4 * grain)


@dataclass(frozen=True)
class Benign:
    """The benign findings of one vertebra; empty tuples where there is none."""

    names: tuple[str, ...]
    osteophytes: tuple[tuple[float, int, float], ...]
    density: float  # factor of the marrow HU; < 1 with osteopenia
    vein: float  # strength of the basivertebral vein's cleft, 0 to 1
    vein_half_height: float
    condensation: Condensation
    collapse: tuple[float, float, float]  # deeper upper cup mm, anterior height loss mm, band HU
    fatty: tuple[tuple[Blob, float], ...]
    haemangioma: tuple[tuple[Blob, Noise], ...]
    islands: tuple[tuple[Blob, float], ...]
    schmorl: tuple[tuple[Blob, float, float], ...]  # cavity, rim width mm, rim HU
    modic: tuple[tuple[int, Blob, float, float], ...]  # side, lateral extent, depth mm, added HU
    calcified: tuple[tuple[Blob, float], ...]  # in the disc space, up to the endplate


def draw_benign(
    rng: np.random.Generator, half: tuple[float, float, float], scale: float = 1.0
) -> Benign:
    """Draw the findings of one vertebra.

    half: half width, depth and height of the body, mm; scale: factor on the frequencies.
    """
    a, b, h = half
    present = [
        n
        for n, p in FREQUENCY.items()
        if rng.random() < (p * scale if n != "basivertebral_vein" else p)
    ]

    def blob(centre: tuple[float, ...], radii: tuple[float, ...], edge: float, warp: float) -> Blob:
        mean = float(np.prod(radii)) ** (1 / 3)
        waves = Waves.draw(rng, 5, max(mean * 0.8, 2.5), mean * 2 + 4)
        return Blob(np.array(centre), np.array(radii), np.eye(3), edge, waves, warp)

    osteophytes: list[tuple[float, int, float]] = []
    fatty, haemangioma, islands, schmorl, modic, calcified = [], [], [], [], [], []
    density, vein = 1.0, 0.0
    collapse = (0.0, 0.0, 0.0)
    if "compression_fracture" in present:
        loss = float(rng.uniform(0.1, 0.3) * 2 * h)
        collapse = (float(rng.uniform(0.5, 2.5)), loss, float(rng.uniform(40, 260)))
    if "osteophyte" in present:
        for _ in range(int(rng.integers(1, 4))):
            azimuth = float(np.clip(rng.normal(0, 0.6), -1.7, 1.7))
            osteophytes.append((azimuth, int(rng.choice([-1, 1])), float(rng.uniform(1.2, 4.2))))
    if "osteopenia" in present:
        density = float(rng.uniform(0.55, 0.75))
    if "basivertebral_vein" in present:
        vein = float(rng.uniform(0.35, 1.0))
    if "fatty_marrow" in present:
        for _ in range(int(rng.integers(1, 3))):
            r = float(rng.uniform(3.5, 9.0))
            where = (
                rng.normal(0, 0.25 * a),
                rng.uniform(-0.6, 0.6) * b,
                rng.uniform(-0.7, 0.7) * h,
            )
            spread = tuple(r * rng.uniform(0.8, 1.3, 3))
            fatty.append((blob(where, spread, 0.8 * r, 0.15 * r), float(rng.uniform(-50, 50))))
    if "haemangioma" in present:
        r = float(rng.uniform(5.0, 11.0))
        where = (rng.normal(0, 0.2 * a), rng.uniform(-0.5, 0.5) * b, rng.uniform(-0.3, 0.3) * h)
        spread = (r, r, min(1.2 * r, 0.9 * h))
        haemangioma.append((blob(where, spread, 1.5, 0.06 * r), Noise.draw(rng, rotate=False)))
    if "bone_island" in present:
        r = float(rng.uniform(1.6, 3.6))
        where = (rng.normal(0, 0.15 * a), rng.uniform(-0.7, 0.7) * b, rng.uniform(-0.7, 0.7) * h)
        spread = (r, r, r * float(rng.uniform(1.0, 1.4)))
        islands.append((blob(where, spread, 1.0, 0.22 * r), float(rng.uniform(950, 1300))))
    if "schmorl" in present:
        for _ in range(int(rng.choice([1, 1, 2]))):
            side = float(rng.choice([-1, 1]))
            r = float(rng.uniform(2.5, 5.5))
            where = (rng.normal(0, 0.15 * a), rng.uniform(-0.55, 0.4) * b, side * (h - 1.5))
            spread = (r * 1.2, r * 1.2, r * float(rng.uniform(0.7, 1.1)))
            rim = (
                blob(where, spread, 0.8, 0.1 * r),
                float(rng.uniform(0.8, 2.2)),
                float(rng.uniform(380, 750)),
            )
            schmorl.append(rim)
    if "endplate_sclerosis" in present:
        sides = [-1, 1] if rng.random() < 0.3 else [int(rng.choice([-1, 1]))]
        for side in sides:
            where = (rng.normal(0, 0.1 * a), rng.uniform(-0.3, 0.7) * b, side * h)
            spread = (a * rng.uniform(0.6, 1.2), b * rng.uniform(0.5, 1.1), h)
            extent = blob(where, spread, 5.0, 0.8)
            modic.append((side, extent, float(rng.uniform(2.0, 7.0)), float(rng.uniform(150, 480))))
    if "disc_calcification" in present:
        side = int(rng.choice([-1, 1]))
        where = (rng.normal(0, 0.2 * a), rng.uniform(-0.4, 0.8) * b, side * (h + 0.5))
        spread = (rng.uniform(3, 7), rng.uniform(3, 7), rng.uniform(1.8, 4.0))
        calcified.append((blob(where, spread, 1.2, 0.7), float(rng.uniform(380, 950))))
    return Benign(
        tuple(present),
        tuple(osteophytes),
        density,
        vein,
        float(rng.uniform(1.2, 2.4)),
        _draw_condensation(rng, half),
        collapse,
        tuple(fatty),
        tuple(haemangioma),
        tuple(islands),
        tuple(schmorl),
        tuple(modic),
        tuple(calcified),
    )


def _draw_condensation(rng: np.random.Generator, half: tuple[float, float, float]) -> Condensation:
    """Faint or absent in most vertebrae, in a third as dense as it is in old, sparse bone."""
    dense = rng.random() < 0.35
    added = rng.uniform(60, 260) if dense else max(0.0, rng.uniform(-60, 130))
    a, b, h = half
    where = (rng.normal(0, 0.08 * a), rng.normal(-0.05, 0.15) * b, rng.normal(0, 0.1) * h)
    return Condensation(float(added), where, float(rng.uniform(0.6, 1.3)))


def apply_benign(
    findings: Benign,
    shape: BodyShape,
    marrow: np.ndarray,
    grain: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    z: np.ndarray,
) -> np.ndarray:
    """Return the marrow HU with the findings inside the bone; `grain` is the trabecular field."""
    for patch, hu in findings.fatty:
        # Fat between kept trabeculae: the mean falls, the grain stays.
        marrow = lerp(marrow, hu + 45 * grain, 0.9 * patch.cover(x, y, z))
    for patch, noise in findings.haemangioma:
        columns = np.clip(noise.fast(x, y, z, (0.6, 0.6, 12.0)) - 0.3, 0, 1.2)
        marrow = lerp(marrow, -20 + 480 * columns, patch.cover(x, y, z))
    if findings.vein:
        marrow = lerp(marrow, 35.0, findings.vein * vein_cover(findings, shape, x, y, z))
    marrow = findings.condensation.apply(marrow, grain, x, y, z)
    if findings.modic or findings.collapse[2]:
        top, bottom = shape.endplates(x, y)
        if findings.collapse[2]:
            # Impacted trabeculae: a band parallel to the broken endplate.
            marrow = marrow + findings.collapse[2] * np.exp(-(((top - z - 3.5) / 2.2) ** 2))
        for side, extent, depth, added in findings.modic:
            below = (top - z) if side > 0 else (z - bottom)
            band = np.exp(-np.clip(below, 0, None) / np.float32(depth * 0.7))
            cover = extent.cover(x, y, np.full_like(z, side * shape.half_height))
            marrow = marrow + added * band * cover
    for patch, hu in findings.islands:
        marrow = lerp(marrow, hu, patch.cover(x, y, z))
    for cavity, rim, hu in findings.schmorl:
        distance = cavity.distance(x, y, z)
        ring = np.exp(-((np.maximum(distance, 0) / np.float32(rim)) ** 2))
        marrow = np.maximum(marrow, lerp(marrow, hu, ring))
    return marrow


def vein_cover(
    findings: Benign, shape: BodyShape, x: np.ndarray, y: np.ndarray, z: np.ndarray
) -> np.ndarray:
    """Return the basivertebral cleft: a flat wedge from the posterior wall towards the centre."""
    into = np.clip(
        (y + shape.half_depth) / shape.half_depth, 0, 1.4
    )  # 0 at the wall, 1 at the centre
    half = findings.vein_half_height * np.clip(1.15 - into, 0, 1.15)
    spread = (2.0 + 5.0 * into) * np.clip(1.3 - into, 0, 1)
    inside = np.clip(0.6 * (half + 0.8 - np.abs(z)), 0, 1) * np.clip(
        0.5 * (spread + 1 - np.abs(x)), 0, 1
    )
    return inside * np.clip((1.15 - into) * 3, 0, 1)
