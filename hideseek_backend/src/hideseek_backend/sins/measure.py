"""Alignment and posterolateral corners of a vertebral body, from masks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hideseek_backend.errors import LabelError
from hideseek_backend.followup.registration import centroid
from hideseek_backend.volumes.heights import PATCHES, Heights, measure_heights
from hideseek_backend.volumes.volume import FloatArray, Volume
from hideseek_backend.wire.levels import order

_MIDDLE = 0.25  # share of the half width in which the posterior wall is looked for
_CORNER_BACK, _CORNER_SIDE = -1 / 3, 0.5  # of the half depth and the half width


@dataclass(frozen=True, eq=False)
class BodyFrame:
    """A body in its own axes. centre: RAS mm; axes: (3, 3), rows right, anterior, superior in RAS.
    points: (N, 3) mm of its voxels in them, voxel_mm3 each. half: (3,) half extents, mm."""

    heights: Heights
    centre: FloatArray
    axes: FloatArray
    points: FloatArray
    half: FloatArray
    voxel_mm3: float

    def local(self, ras: FloatArray) -> FloatArray:
        """RAS mm (..., 3) in the body's axes."""
        return np.asarray((ras - self.centre) @ self.axes.T)

    def wall(self, upper: bool) -> FloatArray:
        """The posterior wall's middle near the upper or the lower endplate, RAS mm."""
        x, y, z = self.points.T
        third = z > self.half[2] / 3 if upper else z < -self.half[2] / 3
        near = third & (np.abs(x) <= _MIDDLE * self.half[0])
        chosen = self.points[near] if near.any() else self.points
        level = 0.8 * self.half[2] * (1 if upper else -1)
        place = np.array([0.0, float(np.percentile(chosen[:, 1], 2)), level])
        return np.asarray(place @ self.axes + self.centre)

    @property
    def wedge_deg(self) -> float:
        """Angle between the endplates in the sagittal plane, positive where the front is lower."""
        middles = [sum(PATCHES[name]) / 2 for name in ("anterior", "posterior")]
        run = (middles[0] - middles[1]) * self.heights.depth_mm
        return float(np.degrees(np.arctan2(self.heights.posterior - self.heights.anterior, run)))


@dataclass(frozen=True)
class Alignment:
    """step_mm: greatest offset of the posterior wall to a neighbour, and which. wedge_deg: of the
    endplates beyond the median of the neighbours'. None where there is no neighbour."""

    step_mm: float | None
    step_to: str
    wedge_deg: float | None


def body_frames(bodies: Mapping[str, Volume]) -> dict[str, BodyFrame]:
    """Measure each body, starting from the course of the spine; those too small are left out."""
    names = sorted(bodies, key=order)
    centres = {level: centroid(bodies[level]) for level in names}
    found = {}
    for n, level in enumerate(names):
        above, below = names[max(n - 1, 0)], names[min(n + 1, len(names) - 1)]
        course = centres[above] - centres[below] if above != below else None
        body = bodies[level]
        try:
            heights = measure_heights(body.data > 0, body.affine, superior=course)
        except LabelError:
            continue
        up, front = heights.superior, heights.anterior_direction
        axes = np.stack([np.cross(front, up), front, up])
        points = (body.ras(np.argwhere(body.data)) - centres[level]) @ axes.T
        low, high = np.percentile(points, [1, 99], axis=0)
        # From its middle, so that corners lie alike on both sides.
        middle = (low + high) / 2
        centre = centres[level] + middle @ axes
        found[level] = BodyFrame(heights, centre, axes, points - middle, (high - low) / 2,
                                 body.voxel_volume_mm3)  # fmt: skip
    return found


def alignment(frames: Mapping[str, BodyFrame], level: str) -> Alignment:
    """Compare a body's posterior wall and endplates with those of its neighbours."""
    names = list(frames)
    n = names.index(level)
    own = frames[level]
    steps = []
    for other, upper in ((n - 1, True), (n + 1, False)):
        if 0 <= other < len(names) and abs(order(names[other]) - order(level)) <= 2:
            beside = frames[names[other]]
            front = own.axes[1] + beside.axes[1]
            across = (own.wall(upper) - beside.wall(not upper)) @ (front / np.linalg.norm(front))
            steps.append((abs(float(across)), names[other]))
    wedges = [f.wedge_deg for name, f in frames.items() if name != level]
    most = max(steps, default=None)
    return Alignment(
        most[0] if most else None,
        most[1] if most else "",
        own.wedge_deg - float(np.median(wedges)) if wedges else None,
    )


def corner_shares(frame: BodyFrame, places: FloatArray, voxel_mm3: float) -> tuple[float, float]:
    """Share of the left and of the right posterolateral corner that lesions fill, 0 to 1.

    places: (N, 3) RAS mm of lesion voxels, voxel_mm3 each. A corner is the rear third of the
    lateral half, where the pedicle leaves.
    """
    lesion = frame.local(places)
    left, right = (
        _in_corner(lesion, frame, side) * voxel_mm3
        / max(_in_corner(frame.points, frame, side) * frame.voxel_mm3, 1e-9)
        for side in (-1, 1)
    )  # fmt: skip
    return min(left, 1.0), min(right, 1.0)


def _in_corner(points: FloatArray, frame: BodyFrame, side: int) -> int:
    x, y, _ = points.T
    back = y < _CORNER_BACK * frame.half[1]
    return int(np.count_nonzero(back & (side * x > _CORNER_SIDE * frame.half[0])))
