"""One vertebra: its drawn anatomy and how it is painted on a canvas."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .arch import Bar, arch_bounds, arch_distance, draw_arch
from .benign import Benign, apply_benign, draw_benign, vein_cover
from .body import BodyShape, draw_body
from .canvas import Canvas
from .grid import Box, shift_box
from .lesions import LesionSpec, draw_lesions
from .spine import Patient, VertebraFrame
from .texture import Noise, lerp, ramp

_EDGE_MM = 0.7  # width of the analytic edge: about the finest pixel


@dataclass(frozen=True)
class Anatomy:
    """All that is drawn for one vertebra. phenotype: "healthy", "lytic", "blastic" or "mixed"."""

    vertebra: VertebraFrame
    shape: BodyShape
    bars: tuple[Bar, ...]
    benign: Benign
    lesions: tuple[LesionSpec, ...]
    phenotype: str
    marrow: float
    grain: Noise


def draw_anatomy(
    seed: np.random.SeedSequence,
    patient: Patient,
    vertebra: VertebraFrame,
    phenotype: str,
    *,
    p_central: float,
    ribs: bool,
    benign_scale: float = 1.0,
) -> Anatomy:
    """Draw one vertebra. Each part has a generator of its own, so parts do not shift each other."""
    shape_rng, benign_rng, lesion_rng, arch_rng = map(np.random.default_rng, seed.spawn(4))
    half = (vertebra.width / 2, vertebra.depth / 2, vertebra.height / 2)
    benign = draw_benign(benign_rng, half, benign_scale)
    shape = draw_body(shape_rng, patient, vertebra, benign.osteophytes, benign.collapse)
    varied = patient.marrow * benign.density * np.clip(shape_rng.normal(1, 0.06), 0.85, 1.15)
    marrow = float(max(varied, 75.0))
    grain = Noise.draw(shape_rng, rotate=False)
    lesions: tuple[LesionSpec, ...] = ()
    if phenotype != "healthy":
        lesions = draw_lesions(lesion_rng, patient, marrow, shape, phenotype, p_central)
    bars = draw_arch(arch_rng, patient, vertebra, ribs)
    return Anatomy(vertebra, shape, bars, benign, lesions, phenotype, marrow, grain)


def paint_arch(canvas: Canvas, patient: Patient, anatomy: Anatomy) -> None:
    """Paint the posterior elements and label them as vertebra."""
    frame = anatomy.vertebra.frame
    box = canvas.box(frame, *arch_bounds(anatomy.bars))
    if box is None:
        return
    distance = arch_distance(anatomy.bars, canvas.grid, frame, box)
    cover = ramp(distance, _EDGE_MM)
    x, y, z = canvas.grid.points(box, frame)
    grain = anatomy.grain.fast(x, y, z, 0.8)
    inner = anatomy.marrow * (0.95 + 0.35 * grain)
    for lesion in anatomy.lesions:  # a focus at the back of the body goes on into the pedicle
        part = canvas.grid.box(frame, *lesion.bounds, within=box)
        if part is not None:
            own = shift_box(part, box)
            inner[own] = lesion.apply(inner[own], *canvas.grid.points(part, frame))[0]
    shell = np.exp(-(((distance + 0.6) / np.float32(0.85)) ** 2))
    canvas.hu[box] = lerp(
        canvas.hu[box], lerp(inner, np.maximum(1.05 * patient.cortex, inner), shell), cover
    )
    canvas.mark_vertebra(box, cover, anatomy.vertebra.label)


def paint_body(canvas: Canvas, patient: Patient, anatomy: Anatomy) -> None:
    """Paint the body with its findings, label it, and write the truth of its lesions."""
    shape, frame = anatomy.shape, anatomy.vertebra.frame
    box = canvas.box(frame, -shape.reach, shape.reach)
    if box is None:
        return
    x, y, z = canvas.grid.points(box, frame)
    distance, ends = shape.distances(x, y, z)
    cover = ramp(distance, _EDGE_MM)
    if not cover.any():
        return
    grain = anatomy.grain.fast(x, y, z, (0.55, 0.55, 0.95))
    mottle = patient.coarse.fast(x, y, z + 37 * anatomy.vertebra.label, 5.0)
    profile = 1 + 0.15 * np.exp(ends / np.float32(3.0)) - 0.08 * y / shape.half_depth
    marrow = anatomy.marrow * (profile + patient.trabecular * grain + patient.mottle * mottle)
    marrow = apply_benign(anatomy.benign, shape, marrow, grain, x, y, z)
    keep = np.ones_like(cover)
    lytic, blastic = np.zeros_like(cover), np.zeros_like(cover)
    mass = np.zeros_like(cover)
    for lesion in anatomy.lesions:
        part = canvas.grid.box(frame, *lesion.bounds, within=box)
        if part is not None:
            own = shift_box(part, box)
            _add_lesion(lesion, marrow, lytic, blastic, keep, mass, (x, y, z), own)
    sides = ends < distance - 0.4
    strength = np.where(sides, np.float32(patient.cortex), np.float32(patient.endplate))
    thick = np.float32(patient.cortex_mm)
    shell = np.exp(-(((distance + 0.5 * thick) / thick) ** 2)) * keep
    if anatomy.benign.vein:
        gap = vein_cover(anatomy.benign, shape, x, np.maximum(y, -shape.half_depth * 0.97), z)
        shell *= 1 - 0.8 * anatomy.benign.vein * gap * (y < 0)
    bone = lerp(marrow, np.maximum(strength, marrow), shell)
    for cavity, _, _ in anatomy.benign.schmorl:
        bone = lerp(bone, patient.disc, cavity.cover(x, y, z))
    below = canvas.hu[box]
    if mass.any():
        below = lerp(below, 48.0, np.clip(mass, 0, 1) * np.clip(1.5 - distance / 3.0, 0, 1))
    painted = lerp(below, bone, cover)
    for deposit, hu in anatomy.benign.calcified:
        painted = lerp(painted, hu, deposit.cover(x, y, z))
    canvas.hu[box] = painted
    canvas.mark_vertebra(box, cover, anatomy.vertebra.label)
    canvas.mark_body(box, cover, anatomy.vertebra.label)
    canvas.mark_truth(box, cover, lytic * cover, blastic * cover)


def _add_lesion(
    lesion: LesionSpec,
    marrow: np.ndarray,
    lytic: np.ndarray,
    blastic: np.ndarray,
    keep: np.ndarray,
    mass: np.ndarray,
    points: tuple[np.ndarray, np.ndarray, np.ndarray],
    part: Box,
) -> None:
    """Apply one lesion to the fields of the body's box, in place."""
    marrow[part], own_lytic, own_blastic = lesion.apply(marrow[part], *(p[part] for p in points))
    # A later focus takes over what an earlier one of the other polarity had.
    lytic[part] = np.maximum(lytic[part] * (1 - own_blastic), own_lytic)
    blastic[part] = np.maximum(blastic[part] * (1 - own_lytic), own_blastic)
    if lesion.breakthrough:
        keep[part] *= 1 - 0.95 * own_lytic
        mass[part] = np.maximum(mass[part], own_lytic)
    else:
        keep[part] *= 1 - 0.35 * own_lytic
