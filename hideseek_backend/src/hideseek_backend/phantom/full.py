"""A whole spine CT with known truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from hideseek_backend.volumes.volume import Volume

from .canvas import Canvas
from .grid import Grid
from .lesions import BLASTIC, LYTIC, MIXED
from .options import PhantomOptions
from .render import paint
from .scanner import Scan, acquire, draw_scan, scan_affine, scan_shape
from .spine import LEVEL_NAMES, build_spine, draw_patient
from .truth import TruthLesion, VertebraTruth, drop_specks, lesion_table, vertebra_truth
from .vertebra import Anatomy, draw_anatomy

_LEANING = 0.7  # share of a patient's malignant vertebrae that follow the patient's phenotype
_END_MARGIN_MM = 9.0  # field of view beyond the first and the last vertebra's centre line


@dataclass(frozen=True)
class Phantom:
    """A spine CT and its truth, all volumes on one grid.

    ct: int16 HU; vertebrae, bodies: uint8 VerSe labels; truth: uint8, 1 lytic, 2 blastic; lesions:
    one row per connected part; vertebra_truth: one row per labelled level, from the top.
    """

    seed: int
    options: PhantomOptions
    ct: Volume
    vertebrae: Volume
    bodies: Volume
    truth: Volume
    lesions: tuple[TruthLesion, ...]
    vertebra_truth: tuple[VertebraTruth, ...]
    scan: Scan


def make_phantom(
    seed: int = 0,
    options: PhantomOptions | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Phantom:
    """Make the phantom of `seed`; the same seed and options give the same voxels.

    progress: called with (steps done, steps in total). One more level is drawn at each end, healthy
    and without a label, as a field of view cuts a spine.
    """
    options = options or PhantomOptions()
    choice_seed, patient_seed, spine_seed, scan_seed, noise_seed, anatomy_seed = (
        np.random.SeedSequence([seed, 2]).spawn(6)
    )
    rng = np.random.default_rng(choice_seed)
    patient = draw_patient(np.random.default_rng(patient_seed))
    first, last = (LEVEL_NAMES.index(options.levels[n]) for n in (0, -1))
    start, stop = max(first - 1, 0), min(last + 2, len(LEVEL_NAMES))
    spine = build_spine(np.random.default_rng(spine_seed), patient, LEVEL_NAMES[start:stop])
    phenotypes = _draw_phenotypes(rng, options)
    anatomies = tuple(
        draw_anatomy(
            vertebra_seed,
            patient,
            vertebra,
            phenotypes.get(vertebra.level, "healthy"),
            p_central=options.p_central,
            ribs=True,
            benign_scale=options.benign_scale,
        )
        for vertebra, vertebra_seed in zip(spine, anatomy_seed.spawn(len(spine)), strict=True)
    )
    broken = {level: (kind, share) for level, kind, share in options.fractures}
    anatomies = tuple(
        replace(a, shape=a.shape.fractured(*broken[a.vertebra.level]))
        if a.vertebra.level in broken
        else a
        for a in anatomies
    )
    scan = draw_scan(np.random.default_rng(scan_seed), options.scan)
    shown = [v for v in spine if v.level in options.levels]
    origins = np.array([v.frame.origin for v in shown])
    low, high = origins.min(0), origins.max(0)
    extent = np.array(
        [
            options.width_mm,
            options.depth_mm,
            high[2] - low[2] + (shown[0].height + shown[-1].height) / 2 + 2 * _END_MARGIN_MM,
        ]
    )
    shape = scan_shape(scan, extent)
    # The spine lies in front of the middle of the field of view: the back's soft tissue is behind.
    affine = scan_affine(scan, shape, (low + high) / 2 - [0, 0.18 * options.depth_mm, 0])
    canvas = Canvas(Grid(shape, affine))
    paint(canvas, patient, spine, anatomies, progress)
    hu = acquire(canvas.attenuation(), scan, np.random.default_rng(noise_seed))
    labels = [v.label for v in shown]
    vertebrae = np.where(np.isin(canvas.vertebra, labels), canvas.vertebra, 0).astype(np.uint8)
    bodies = np.where(np.isin(canvas.body, labels), canvas.body, 0).astype(np.uint8)
    truth = np.zeros_like(bodies)
    lesions: list[TruthLesion] = []
    listed = [a for a in anatomies if a.vertebra.level in options.levels]
    for anatomy in listed:
        lesions.extend(_settle_truth(anatomy, canvas.truth, bodies, truth, affine))
    return Phantom(
        seed=seed,
        options=options,
        ct=Volume(hu, affine),
        vertebrae=Volume(vertebrae, affine),
        bodies=Volume(bodies, affine),
        truth=Volume(truth, affine),
        lesions=tuple(lesions),
        vertebra_truth=tuple(vertebra_truth(a, heights=True) for a in listed),
        scan=scan,
    )


def _draw_phenotypes(rng: np.random.Generator, options: PhantomOptions) -> dict[str, str]:
    """Return the phenotype per labelled level; at least one is malignant unless none may be."""
    names = (LYTIC, BLASTIC, MIXED)
    share = np.asarray(options.weights, float)
    share /= share.sum()
    patient = str(rng.choice(names, p=share)) if options.patient == "any" else options.patient
    malignant = rng.random(len(options.levels)) < options.p_malignant
    others = rng.choice(names, size=len(options.levels), p=share)
    follows = rng.random(len(options.levels)) < _LEANING
    chosen = int(rng.integers(len(options.levels)))
    if patient == "healthy":
        return {}
    if options.p_malignant > 0 and not malignant.any():
        malignant[chosen] = True
    return {
        level: patient if follows[n] else str(others[n])
        for n, level in enumerate(options.levels)
        if malignant[n]
    }


def _settle_truth(
    anatomy: Anatomy,
    painted: np.ndarray,
    bodies: np.ndarray,
    truth: np.ndarray,
    affine: np.ndarray,
) -> tuple[TruthLesion, ...]:
    """Write one level's lesions, cut to its body, into `truth`; return their table."""
    found = ndimage.find_objects((bodies == anatomy.vertebra.label).astype(np.uint8))
    if not found:
        return ()
    box = found[0]
    own = bodies[box] == anatomy.vertebra.label
    moved = affine.copy()
    moved[:3, 3] += affine[:3, :3] @ [s.start for s in box]
    kept = drop_specks(np.where(own, painted[box], 0).astype(np.uint8), moved)
    truth[box][own] = kept[own]
    return lesion_table(anatomy, kept, own, moved)
