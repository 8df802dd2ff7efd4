"""The patient and the spine: sizes, tissue values, and one frame per vertebra.

Local vertebral axes: x to the right, y anterior, z superior; the origin is the body's centre.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from hideseek_backend.wire.heights import USUAL_MM

from .grid import Frame
from .texture import Noise, Waves

# Level: (VerSe label, body width, depth, disc below, forward lean in degrees). Millimetres
# of an average adult; the lean is that of the local superior axis in standing kyphosis / lordosis.
_SIZES: dict[str, tuple[int, float, float, float, float]] = {
    "T1": (8, 28.0, 17.0, 3.5, 26.0),
    "T2": (9, 27.0, 18.0, 3.5, 23.0),
    "T3": (10, 26.5, 20.0, 3.5, 20.0),
    "T4": (11, 27.0, 22.0, 3.6, 16.0),
    "T5": (12, 27.5, 23.5, 3.8, 12.0),
    "T6": (13, 28.5, 25.0, 4.0, 7.0),
    "T7": (14, 29.5, 26.5, 4.2, 2.0),
    "T8": (15, 31.0, 27.8, 4.4, -3.0),
    "T9": (16, 32.5, 29.0, 4.7, -7.0),
    "T10": (17, 34.5, 30.0, 5.2, -10.0),
    "T11": (18, 37.5, 30.8, 5.8, -12.0),
    "T12": (19, 40.5, 31.6, 6.5, -12.0),
    "L1": (20, 42.5, 32.5, 7.5, -10.0),
    "L2": (21, 44.5, 33.5, 8.8, -6.0),
    "L3": (22, 46.5, 34.3, 9.8, 1.0),
    "L4": (23, 48.5, 34.8, 10.6, 9.0),
    "L5": (24, 50.5, 34.6, 10.0, 20.0),
}
LEVEL_TABLE: dict[str, tuple[int, float, float, float, float, float]] = {
    level: (label, width, depth, USUAL_MM[level], disc, lean)
    for level, (label, width, depth, disc, lean) in _SIZES.items()
}
"""The same with the usual height of the body after its depth."""
LEVEL_NAMES: tuple[str, ...] = tuple(LEVEL_TABLE)


@dataclass(frozen=True)
class Patient:
    """What all vertebrae of a patient share. HU before blur and noise; sizes relative or in mm."""

    size: float
    depth_ratio: float
    marrow: float
    cortex: float
    endplate: float
    cortex_mm: float
    trabecular: float  # relative amplitude of the fine texture
    mottle: float  # relative amplitude of the coarse texture
    muscle: float
    muscle_fat: float
    fat: float
    disc: float
    vessel: float
    concavity: float
    waist: float
    canal_offset: float
    lung: bool
    texture: Noise
    coarse: Noise
    tissue: Noise
    organs: Waves
    edges: Waves


@dataclass(frozen=True)
class VertebraFrame:
    """One vertebra in space with its own sizes (mm)."""

    level: str
    label: int
    frame: Frame
    width: float
    depth: float
    height: float
    disc_below: float


def draw_patient(rng: np.random.Generator) -> Patient:
    """Draw a patient: body size, bone density from osteopenic to dense, tissues."""
    dense = rng.beta(1.8, 2.4)
    # Whole bodies of the real CTs at hand have medians of 98 to 160 HU, cortex included.
    marrow = 55.0 + 150.0 * dense
    return Patient(
        size=float(np.clip(rng.normal(1.0, 0.07), 0.86, 1.16)),
        depth_ratio=float(np.clip(rng.normal(1.0, 0.04), 0.9, 1.1)),
        marrow=float(marrow),
        cortex=float(rng.uniform(330, 850) * (0.75 + 0.5 * dense)),
        endplate=float(rng.uniform(500, 1250) * (0.75 + 0.5 * dense)),
        cortex_mm=float(rng.uniform(0.45, 0.95)),
        trabecular=float(rng.uniform(0.15, 0.48)),
        mottle=float(rng.uniform(0.03, 0.11)),
        muscle=float(rng.uniform(45, 68)),
        muscle_fat=float(rng.uniform(0.0, 1.0)),
        fat=float(rng.uniform(-115, -90)),
        disc=float(rng.uniform(60, 105)),
        vessel=float(
            rng.choice([rng.uniform(35, 50), rng.uniform(110, 190), rng.uniform(190, 330)])
        ),
        concavity=float(rng.uniform(0.6, 1.5)),
        waist=float(rng.uniform(0.05, 0.13)),
        canal_offset=float(rng.uniform(8.5, 11.5)),
        lung=bool(rng.random() < 0.9),
        texture=Noise.draw(rng, rotate=False),
        coarse=Noise.draw(rng),
        tissue=Noise.draw(rng, rotate=False),
        organs=Waves.draw(rng, 6, 25.0, 90.0),
        edges=Waves.draw(rng, 3, 25.0, 60.0),
    )


def build_spine(
    rng: np.random.Generator, patient: Patient, levels: tuple[str, ...]
) -> tuple[VertebraFrame, ...]:
    """Stack `levels` (cranio-caudal, contiguous) along a curve with kyphosis, lordosis, scoliosis.

    The middle of the stack is the RAS origin. Returns frames in the given order.
    """
    curve = rng.uniform(0.4, 1.5)
    posture = rng.normal(0, 5.0)
    scoliosis = abs(rng.normal(0, 5.0)) if rng.random() < 0.7 else rng.uniform(8, 16)
    phase, period = rng.uniform(0, 2 * np.pi), rng.uniform(6, 14)
    axial_ratio = rng.uniform(-0.6, 0.6)
    rotations, sizes = [], []
    for n, level in enumerate(levels):
        _, width, depth, height, disc, lean = LEVEL_TABLE[level]
        jitter = rng.normal(0, 1.0, 3)
        roll = scoliosis * np.sin(2 * np.pi * n / period + phase) + jitter[0]
        pitch = -(curve * lean + posture) + jitter[1]  # a turn about +x moves z posteriorly
        yaw = axial_ratio * roll + jitter[2]
        rotations.append(Rotation.from_euler("zyx", [yaw, roll, pitch], degrees=True).as_matrix())
        scale = patient.size * rng.normal(1.0, 0.02, 3)
        disc_mm = disc * patient.size * np.clip(rng.normal(0.88, 0.2), 0.4, 1.3)
        sizes.append(
            (width * scale[0], depth * scale[1] * patient.depth_ratio, height * scale[2], disc_mm)
        )
    origins = [np.zeros(3)]
    for n in range(1, len(levels)):
        up, down = rotations[n - 1][:, 2], rotations[n][:, 2]
        middle = (up + down) / np.linalg.norm(up + down)
        step = up * sizes[n - 1][2] / 2 + middle * sizes[n - 1][3] + down * sizes[n][2] / 2
        origins.append(origins[-1] - step)
    centre = (origins[0] + origins[-1]) / 2
    return tuple(
        VertebraFrame(level, LEVEL_TABLE[level][0], Frame(o - centre, r), *map(float, s))
        for level, o, r, s in zip(levels, origins, rotations, sizes, strict=True)
    )
