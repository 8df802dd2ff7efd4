"""Render one vertebra with its neighbours on a small native grid: the unit of training data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hideseek_backend.volumes.crops import VertebraBlock
from hideseek_backend.volumes.volume import Volume

from .canvas import Canvas
from .grid import Grid
from .options import BlockOptions
from .render import paint
from .scanner import Scan, acquire, draw_scan, scan_affine, scan_shape
from .spine import LEVEL_NAMES, build_spine, draw_patient
from .truth import TruthLesion, VertebraTruth, drop_specks, lesion_table, vertebra_truth
from .vertebra import draw_anatomy

PHENOTYPES = ("lytic", "blastic", "mixed")
_NEIGHBOURS = 2  # levels on each side that can reach into the block


@dataclass(frozen=True)
class PhantomBlock:
    """One rendered vertebra with its truth.

    block: as `volumes.crops.cut_block` gives it, ct int16 HU; truth: (I, J, K) uint8 on the block's
    grid, 1 lytic, 2 blastic, of this vertebra only; lesions: measured on the part inside the block;
    scan: the acquisition it was made with.
    """

    block: VertebraBlock
    truth: np.ndarray
    vertebra_truth: VertebraTruth
    lesions: tuple[TruthLesion, ...]
    scan: Scan


def make_block(
    seed: int,
    options: BlockOptions | None = None,
    *,
    phenotype: str | None = None,
    level: str | None = None,
) -> PhantomBlock:
    """Render the vertebra that `seed` stands for; the same seed and options give the same block.

    phenotype: "healthy", "lytic", "blastic" or "mixed" instead of a drawn one; level: likewise.
    """
    options = options or BlockOptions()
    choice_seed, patient_seed, spine_seed, scan_seed, noise_seed, *vertebra_seeds = (
        np.random.SeedSequence([seed, 1]).spawn(5 + 2 * _NEIGHBOURS + 1)
    )
    rng = np.random.default_rng(choice_seed)
    drawn_level = str(rng.choice(options.levels))
    drawn = _draw_phenotype(rng, options.p_malignant, options.weights)
    offset = rng.uniform(-1, 1, 3) * (2.0, 1.0, 1.0)
    level, phenotype = level or drawn_level, phenotype or drawn
    patient = draw_patient(np.random.default_rng(patient_seed))
    at = LEVEL_NAMES.index(level)
    names = LEVEL_NAMES[max(at - _NEIGHBOURS, 0) : at + _NEIGHBOURS + 1]
    spine = build_spine(np.random.default_rng(spine_seed), patient, names)
    anatomies = []
    for vertebra in spine:
        steps = LEVEL_NAMES.index(vertebra.level) - at
        neighbour = _draw_phenotype(rng, options.p_neighbour, options.weights)
        anatomies.append(
            draw_anatomy(
                vertebra_seeds[steps + _NEIGHBOURS],
                patient,
                vertebra,
                phenotype if steps == 0 else neighbour,
                p_central=options.p_central,
                ribs=False,
                benign_scale=options.benign_scale,
            )
        )
    target = next(a for a in anatomies if a.vertebra.level == level)
    scan = draw_scan(np.random.default_rng(scan_seed), options.scan)
    # Room for the upright crop on the tilted grid, and for a body that is not quite in the middle.
    shape = scan_shape(scan, np.array([options.width_mm, options.side_mm, options.side_mm]))
    affine = scan_affine(scan, shape, target.vertebra.frame.origin + offset)
    canvas = Canvas(Grid(shape, affine))
    paint(canvas, patient, spine, tuple(anatomies))
    ct = Volume(acquire(canvas.attenuation(), scan, np.random.default_rng(noise_seed)), affine)
    body = canvas.body == target.vertebra.label
    truth = drop_specks(np.where(body, canvas.truth, 0).astype(np.uint8), affine)
    vertebra = canvas.vertebra == target.vertebra.label
    block = VertebraBlock(level=level, ct=ct, vertebra=vertebra, body=body)
    table = lesion_table(target, truth, body, affine)
    return PhantomBlock(block, truth, vertebra_truth(target), table, scan)


def _draw_phenotype(
    rng: np.random.Generator, p_malignant: float, weights: tuple[float, float, float]
) -> str:
    """Draw "healthy" or one of the malignant phenotypes."""
    malignant = rng.random() < p_malignant
    share = np.asarray(weights, float)
    name = str(rng.choice(PHENOTYPES, p=share / share.sum()))
    return name if malignant else "healthy"
