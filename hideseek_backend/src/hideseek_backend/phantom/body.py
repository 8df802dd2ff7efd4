"""The shape of a vertebral body as an implicit function of local points."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from hideseek_backend.volumes.heights import PATCHES, SIDEWAYS

from .spine import Patient, VertebraFrame
from .texture import Waves, smooth_max


@dataclass(frozen=True)
class BodyShape:
    """A vertebral body: a kidney-shaped column with a waist and concave endplates (mm).

    osteophytes: (azimuth in radians from anterior, side +1 upper / -1 lower, size mm) each.
    biconcave: the endplates have given way in the middle, as in osteopenia.
    """

    half_width: float
    half_depth: float
    half_height: float
    exponent: float
    waist: float
    dent: float
    cup_top: float
    cup_bottom: float
    cup_shift: float
    wedge: float
    rim: float
    warp: Waves
    warp_mm: float
    osteophytes: tuple[tuple[float, int, float], ...] = ()
    biconcave: bool = False

    @property
    def reach(self) -> np.ndarray:
        """(3,) half extents of a local box that holds the body with its osteophytes, mm."""
        return np.array([self.half_width + 5, self.half_depth + 7, self.half_height + 4])

    def endplates(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the heights of the upper and lower endplate surface at (x, y), mm."""
        u = (x / self.half_width) ** 2 + ((y - self.cup_shift) / self.half_depth) ** 2
        cup = np.clip(1 - u, 0, 1)
        cup = cup * (2 - cup) * 0.5 + cup * 0.5
        tilt = y * np.float32(self.wedge / self.half_depth)
        h = self.half_height
        return h + tilt - self.cup_top * cup, -h - tilt + self.cup_bottom * cup

    def distances(
        self, x: np.ndarray, y: np.ndarray, z: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return signed distances (mm, negative inside): to the whole surface, to the endplates."""
        posterior = np.clip(-y / self.half_depth, 0, 1)
        yc = y - self.dent * posterior * np.exp(-((x / (0.42 * self.half_width)) ** 2))
        n = self.exponent
        ax, ay = np.abs(x) / self.half_width, np.abs(yc) / self.half_depth
        r = (ax**n + ay**n) ** np.float32(1 / n) + np.float32(1e-3)
        rho = np.sqrt(x * x + yc * yc) + np.float32(1e-3)
        t = np.clip(np.abs(z) / self.half_height, 0, 1.1)
        profile = 1 - self.waist * (1 - t * t) * (1 - 0.4 * posterior)
        profile += self.rim * np.clip(t - 0.72, 0, 0.28) * 3.6 * (1 - posterior)
        lateral = rho * (1 - profile / r)
        top, bottom = self.endplates(x, y)
        for azimuth, side, size in self.osteophytes:
            direction = (x * np.sin(azimuth) + y * np.cos(azimuth)) / rho
            edge = z - side * np.float32(self.half_height - 0.8)
            gate = np.clip((direction - 0.72) * 3.6, 0, 1)
            lateral -= size * gate * np.exp(-((edge / 2.6) ** 2))
        bend = self.warp(x, y, z) * np.float32(self.warp_mm)
        ends = np.maximum(z - top, bottom - z) + bend
        return smooth_max(lateral + bend, ends, 2.2), ends

    def heights(self) -> tuple[float, float, float]:
        """Return the anterior, middle and posterior height, mm, over `volumes.heights.PATCHES`.

        Taken from the implicit surface itself along its own axis, without any voxel.
        """
        step = 0.25
        x = np.linspace(-SIDEWAYS, SIDEWAYS, 9) * self.half_width
        y = np.arange(-self.reach[1], self.reach[1], step)
        z = np.arange(-self.reach[2], self.reach[2], step)
        grid = np.meshgrid(*(a.astype(np.float32) for a in (x, y, z)), indexing="ij")
        height = (self.distances(*grid)[0] <= 0).sum(axis=2) * step
        bone = height >= self.half_height
        wall = y[bone.mean(axis=0) >= 0.5]
        share = (y - wall.min()) / np.ptp(wall)
        found = [
            float(height[:, (share >= low) & (share <= high)].mean())
            for low, high in PATCHES.values()
        ]
        return found[0], found[1], found[2]

    def fractured(self, kind: str, share: float) -> BodyShape:
        """Return the body after a fracture that takes `share` of one of its heights.

        kind: "wedge" takes it in front, "biconcave" in the middle, "crush" everywhere.
        """
        loss = share * 2 * self.half_height
        if kind == "wedge":
            return replace(
                self, half_height=self.half_height - loss / 4, wedge=self.wedge - loss / 4
            )
        if kind == "biconcave":
            return replace(
                self, cup_top=self.cup_top + loss / 2, cup_bottom=self.cup_bottom + loss / 2
            )
        return replace(self, half_height=self.half_height - loss / 2)


def draw_body(
    rng: np.random.Generator,
    patient: Patient,
    vertebra: VertebraFrame,
    osteophytes: tuple[tuple[float, int, float], ...] = (),
    collapse: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> BodyShape:
    """Draw the shape of one body within the patient's habit; findings as in `benign.Benign`."""
    lumbar = vertebra.level.startswith("L")
    cup = patient.concavity * rng.uniform(0.7, 1.3, 2) * (2.0 if lumbar else 1.5)
    biconcave = bool(rng.random() < 0.06)
    if biconcave:
        cup = cup + rng.uniform(1.5, 3.5, 2)
    return BodyShape(
        half_width=vertebra.width / 2,
        half_depth=vertebra.depth / 2,
        half_height=vertebra.height / 2 - 0.25 * collapse[1],
        exponent=float(rng.uniform(2.1, 2.6)),
        waist=float(patient.waist * rng.uniform(0.8, 1.2)),
        dent=float(rng.uniform(1.0, 3.0)),
        cup_top=float(cup[0] + collapse[0]),
        cup_bottom=float(cup[1]),
        cup_shift=float(rng.uniform(-0.15, 0.05) * vertebra.depth),
        wedge=float(rng.normal(-0.4 if not lumbar else 0.2, 0.5) - 0.25 * collapse[1]),
        rim=float(rng.uniform(0.0, 0.08)),
        warp=Waves.draw(rng, 4, 8.0, 22.0),
        warp_mm=float(rng.uniform(0.15, 0.4)),
        osteophytes=osteophytes,
        biconcave=biconcave,
    )
