"""Pedicles, laminae, processes (and ribs) of a vertebra as a union of tapered bars."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .grid import Box, Frame, Grid, shift_box
from .spine import Patient, VertebraFrame

_FAR = np.float32(12.0)  # mm: distance outside every bar


@dataclass(frozen=True)
class Bar:
    """A straight bar from `start` to `end` (local mm) of an elliptic section.

    radius: (3,) half thickness along x, y, z: distances are measured with the axes scaled by it.
    """

    start: np.ndarray
    end: np.ndarray
    radius: np.ndarray

    def distance(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Return the approximate signed distance in mm, negative inside."""
        s, e = self.start / self.radius, self.end / self.radius
        axis = e - s
        length = float(axis @ axis) or 1.0
        px, py, pz = (
            p * np.float32(1 / r) - np.float32(o)
            for p, r, o in zip((x, y, z), self.radius, s, strict=True)
        )
        ax, ay, az = (np.float32(a) for a in axis)
        t = np.clip((px * ax + py * ay + pz * az) * np.float32(1 / length), 0, 1)
        px, py, pz = px - t * ax, py - t * ay, pz - t * az
        norm = np.sqrt(px * px + py * py + pz * pz)
        return (norm - 1) * np.float32(self.radius.min())


def draw_arch(
    rng: np.random.Generator, patient: Patient, vertebra: VertebraFrame, ribs: bool
) -> tuple[Bar, ...]:
    """Draw the posterior elements of one vertebra; thoracic spinous processes slope down."""
    lumbar = vertebra.level.startswith("L")
    size = patient.size
    a, b, h = vertebra.width / 2, vertebra.depth / 2, vertebra.height / 2
    canal = 2 * patient.canal_offset
    back = -b - canal * 0.92  # y of the laminae at the midline
    slope = float(rng.uniform(0.05, 0.3) if lumbar else rng.uniform(0.5, 1.2))
    length = float(rng.uniform(22, 30) * size)
    bars = []

    def bar(start: tuple[float, ...], end: tuple[float, ...], radius: tuple[float, ...]) -> None:
        bars.append(Bar(np.array(start), np.array(end), np.array(radius) * size))

    drop = -slope * length
    thick = float(rng.uniform(2.2, 3.4))
    tall = float(rng.uniform(6.5, 9.5) if lumbar else rng.uniform(3.5, 5.0))
    base = -0.35 * h
    bar((0, back - 1.0, base), (rng.normal(0, 1.2), back - length, base + drop), (thick, 4.0, tall))
    for side in (-1.0, 1.0):
        lateral = side * (0.62 * a if lumbar else 0.58 * a)
        pedicle_z = 0.38 * h
        joint_y = -b - 0.66 * canal
        bar((lateral, -b + 4, pedicle_z), (lateral * 1.02, joint_y, pedicle_z), (4.2, 4.0, 6.4))
        bar((lateral, joint_y, 0.1 * h), (0, back - 1.5, base), (2.8, 2.8, 6.5 if lumbar else 7.5))
        bar((lateral, joint_y, 0.1 * h), (lateral * 1.05, joint_y - 3, -1.45 * h), (5.0, 3.8, 4.4))
        bar((lateral, joint_y, 0.2 * h), (lateral * 1.15, joint_y + 2, 1.25 * h), (4.8, 3.4, 4.4))
        tip = (
            (side * (a + 16), joint_y + 2, 0.2 * h) if lumbar else (side * (a + 14), joint_y - 9, 2)
        )
        bar((lateral, joint_y, 0.25 * h), tip, (3.4, 2.8, 4.2))
        if ribs and not lumbar:
            head = (side * (a + 2.5), -b + 1.0, 0.6 * h)
            angle = (side * (a + 22), joint_y - 10, -2.0)
            bar(head, angle, (3.2, 3.2, 4.6))
            bar(angle, (side * (a + 48), joint_y - 2, -18.0), (3.2, 3.2, 5.2))
    return tuple(bars)


def arch_distance(bars: tuple[Bar, ...], grid: Grid, frame: Frame, box: Box) -> np.ndarray:
    """Return the distance to the union of `bars` on `box` of `grid`, mm; far off it is capped."""
    out = np.full([s.stop - s.start for s in box], _FAR, np.float32)
    for bar in bars:
        margin = bar.radius + 2.0
        part = grid.box(
            frame,
            np.minimum(bar.start, bar.end) - margin,
            np.maximum(bar.start, bar.end) + margin,
            within=box,
        )
        if part is None:
            continue
        target = out[shift_box(part, box)]
        np.minimum(target, bar.distance(*grid.points(part, frame)), out=target)
    return out


def arch_bounds(bars: tuple[Bar, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return the local box (low, high) that holds all bars, mm."""
    low = np.min([np.minimum(b.start, b.end) - b.radius for b in bars], axis=0) - 2
    high = np.max([np.maximum(b.start, b.end) + b.radius for b in bars], axis=0) + 2
    return low, high
