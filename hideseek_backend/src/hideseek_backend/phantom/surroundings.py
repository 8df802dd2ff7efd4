"""Everything about the vertebrae: fat, muscle, vessels, lung, canal, skin, and the discs."""

from __future__ import annotations

import numpy as np

from .canvas import Canvas
from .spine import Patient, VertebraFrame
from .texture import lerp, ramp

SKIN_MM = 78.0  # depth of the back behind the canal's centre
_CORD_END = "L1"


def paint_surroundings(
    canvas: Canvas, patient: Patient, spine: tuple[VertebraFrame, ...], slabs: int = 48
) -> None:
    """Paint soft tissue on the whole canvas, slab by slab of its slices (bounded memory)."""
    z = np.array([v.frame.origin[2] for v in spine])[::-1]
    centre = np.array([v.frame.origin for v in spine])[::-1]
    canal = np.array(
        [v.frame.to_ras(np.array([0, -v.depth / 2 - patient.canal_offset, 0])) for v in spine]
    )[::-1]
    depth = np.array([v.depth for v in spine])[::-1]
    width = np.array([v.width for v in spine])[::-1]
    thoracic = np.array([float(v.level.startswith("T")) for v in spine])[::-1]
    names = [v.level for v in spine]
    cord_end = spine[names.index(_CORD_END)].frame.origin[2] if _CORD_END in names else None
    if cord_end is None:
        cord_end = z.min() - 50 if names[-1].startswith("T") else z.max() + 50
    full = canvas.grid.full
    for start in range(0, canvas.grid.shape[2], slabs):
        box = (full[0], full[1], slice(start, min(start + slabs, canvas.grid.shape[2])))
        r, a, s = canvas.grid.points(box)

        def along(values: np.ndarray, x: np.ndarray = s, heights: np.ndarray = z) -> np.ndarray:
            # np.interp over every voxel is slow; a fine table by height is as good.
            table = np.linspace(heights[0] - 60, heights[-1] + 60, 1024)
            lookup = _extrapolate(table, heights, values).astype(np.float32)
            index = (x - np.float32(table[0])) * np.float32(1023 / (table[-1] - table[0]))
            return lookup[np.clip(index, 0, 1023).astype(np.int32)]

        dx, dy = r - along(canal[:, 0]), a - along(canal[:, 1])
        hu = _soft_tissue(patient, r, a, s, dx, dy, along(depth), along(thoracic))
        hu = _vessels(patient, hu, r - along(centre[:, 0]), dy - along(depth), s)
        hu = _column(patient, hu, dx, a - along(centre[:, 1]), along(depth), along(width))
        canvas.hu[box] = _canal(hu, dx, dy, s, float(cord_end))


def _extrapolate(x: np.ndarray, xp: np.ndarray, fp: np.ndarray) -> np.ndarray:
    """Interpolate linearly and go on linearly beyond both ends."""
    out = np.interp(x, xp, fp)
    low, high = x < xp[0], x > xp[-1]
    out[low] = fp[0] + (x[low] - xp[0]) * (fp[1] - fp[0]) / (xp[1] - xp[0])
    out[high] = fp[-1] + (x[high] - xp[-1]) * (fp[-1] - fp[-2]) / (xp[-1] - xp[-2])
    return out


def _ellipse(
    dx: np.ndarray, dy: np.ndarray, cx: float, cy: float, rx: float, ry: float
) -> np.ndarray:
    """Return the approximate signed distance to an ellipse, mm."""
    u, v = (dx - cx) * np.float32(1 / rx), (dy - cy) * np.float32(1 / ry)
    return (np.sqrt(u * u + v * v) - 1) * np.float32(min(rx, ry))


def _soft_tissue(
    patient: Patient,
    r: np.ndarray,
    a: np.ndarray,
    s: np.ndarray,
    dx: np.ndarray,
    dy: np.ndarray,
    depth: np.ndarray,
    thoracic: np.ndarray,
) -> np.ndarray:
    """Return fat, muscle with streaks, viscera, lung and skin."""
    n = patient.tissue
    hu = patient.fat + 10 * n.fast(r, a, s, 4.0)
    side = np.abs(dx)
    wander = 4 * patient.edges(r, a, s)
    streaks = n.fast(r, a, s, (1.8, 1.8, 14.0))
    lean = np.clip((2.2 - 1.5 * patient.muscle_fat - streaks) * 3, 0, 1)
    flesh = lean * (patient.muscle + 6 * streaks + 60) - 60
    back = np.minimum(_ellipse(side, dy, 15, -31, 13, 17), _ellipse(side, dy, 31, -24, 18, 18))
    hu = lerp(hu, flesh, ramp(back + 0.3 * wander, 1.5))
    # Interspinous ligament between the spinous processes.
    hu = lerp(hu, 60 + 10 * streaks, ramp(np.maximum(side - 2.6, np.abs(dy + 24) - 15), 1.5))
    psoas = ramp(_ellipse(side, dy, 35, 12, 14, 18) + 0.3 * wander, 1.5) * (1 - thoracic)
    hu = lerp(hu, flesh, psoas)
    # Viscera in front of the great vessels.
    organ = lerp(hu, 45.0, np.clip(patient.organs(r, a, s) * 6 + 3, 0, 1))
    hu = lerp(hu, organ, ramp(depth + 36 + wander - dy, 2.0))
    if patient.lung:
        lobes = _ellipse(side, dy, 57, 30, 36, 50)
        dome = np.clip(((side - 45) / 35) ** 2, 0, 1)  # the diaphragm, over T12 to L1
        # The pleura of the right lung reaches in front of the thoracic bodies.
        recess = _ellipse(dx, dy - depth, 27, 34, 22, 24)
        air = ramp(np.minimum(lobes, recess) + 0.3 * wander, 2.0) * (thoracic > 0.3 + 0.6 * dome)
        vessels = np.clip(n.fast(a, s, r, (3.0, 3.0, 7.0)) - 1.6, 0, 1)
        hu = lerp(hu, -860 + 700 * vessels, air)
    skin = dy + SKIN_MM
    hu = lerp(hu, 20.0, ramp(np.abs(skin - 1.0) - 1.0, 1.0))
    return lerp(hu, -1000.0, ramp(skin, 1.0))


def _vessels(
    patient: Patient, hu: np.ndarray, x: np.ndarray, ahead: np.ndarray, s: np.ndarray
) -> np.ndarray:
    """Add aorta (left, RAS x < 0) and vena cava; `ahead`: mm in front of the canal plus a body."""
    gap = np.float32(patient.canal_offset)
    aorta = _ellipse(x, ahead - gap, -9.0, 14.0, 10.0, 10.0)
    hu = lerp(hu, patient.vessel, ramp(aorta, 1.2))
    cava = _ellipse(x, ahead - gap, 15.0, 15.0, 11.0, 8.0)
    return lerp(hu, 0.75 * patient.vessel + 10, ramp(cava, 1.2))


def _column(
    patient: Patient,
    hu: np.ndarray,
    dx: np.ndarray,
    dy: np.ndarray,
    depth: np.ndarray,
    width: np.ndarray,
) -> np.ndarray:
    """Add discs, a column that the bodies are painted over, and a thin ligament about it."""
    u, v = dx / (0.5 * width), dy / (0.5 * depth)
    radius = np.sqrt(u * u + v * v)
    distance = (radius - 1) * 0.5 * depth
    annulus = np.clip(radius - 0.55, 0, 0.4) * 70
    hu = lerp(hu, 50.0, ramp(distance - 1.2, 1.2))
    return lerp(hu, patient.disc - 10 + annulus, ramp(distance - 0.2, 1.0))


def _canal(
    hu: np.ndarray, dx: np.ndarray, dy: np.ndarray, s: np.ndarray, cord_end: float
) -> np.ndarray:
    """Add epidural fat, the thecal sac, and the cord down to the conus."""
    hu = lerp(hu, -40.0, ramp(_ellipse(dx, dy, 0, 0, 11.5, 9.0), 1.0))
    hu = lerp(hu, 14.0, ramp(_ellipse(dx, dy, 0, 0.8, 9.0, 6.8), 1.0))
    cord = _ellipse(dx, dy, 0, 0.8, 4.8, 3.8)
    return lerp(hu, 42.0, ramp(cord, 1.0) * (s > cord_end))
