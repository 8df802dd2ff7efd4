"""Training samples from real vertebrae without disease: as they are, or with something inserted.

Half of them get metastases. Of the others half get benign look-alikes, or an insertion of nothing,
on the same way, so that neither the insertion itself nor its place is evidence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hideseek_backend.attribution.vertebra import MIN_BODY_PX
from hideseek_backend.volumes.crops import (
    CROP_SIZE,
    CROP_SPACING_MM,
    CropFrame,
    VertebraBlock,
    crop_block,
    cut_block,
)
from hideseek_backend.volumes.padding import SOFT_TISSUE_HU
from hideseek_backend.volumes.vertebrae import load_case
from hideseek_backend.volumes.volume import Volume, inverse
from hideseek_lab.insertion.lookalikes import insert_lookalikes
from hideseek_lab.insertion.metastases import insert_metastases
from hideseek_lab.insertion.scans import another_pose, another_scan
from hideseek_lab.insertion.site import Field, Site, make_site
from hideseek_lab.insertion.statistics import PHENOTYPE_WEIGHTS, PHENOTYPES
from hideseek_lab.training.dataset import PHENOTYPE_LABELS, SLICES, Sample, write_shard
from hideseek_lab.training.real_cases import RealCase

P_MALIGNANT = 0.5
P_LOOKALIKE = {True: 0.2, False: 0.5}
"""How often a malignant and a healthy vertebra get a benign finding."""
P_NEIGHBOUR = 0.15
"""How often a neighbour in the picture gets metastases, whatever the vertebra itself is."""
P_CUT = 0.06
"""How often the scan ends above or below within the picture."""
_LEAST_NEIGHBOUR_MM3 = 2000.0


@dataclass(frozen=True, eq=False)
class RealVertebra:
    """A real vertebra ready for insertion; neighbours: bodies that its block shows in part."""

    case: str
    block: VertebraBlock
    site: Site
    neighbours: tuple[Site, ...]

    @property
    def hu(self) -> Field:
        """(I, J, K) HU of the block."""
        return self.block.ct.data.astype(np.float32)


def load_vertebrae(case: RealCase) -> list[RealVertebra]:
    """Read a case and prepare its healthy levels."""
    loaded = load_case(case.ct, case.vertebrae, bodies_path=case.bodies, labels=case.labels)
    made = []
    for level in case.healthy_levels:
        block = cut_block(loaded.ct, loaded.vertebrae, level)
        low = np.array(block.origin_ijk)
        box = tuple(slice(a, a + n) for a, n in zip(low, block.ct.shape, strict=True))
        bodies = loaded.vertebrae.bodies[box]
        least = _LEAST_NEIGHBOUR_MM3 / block.ct.voxel_volume_mm3
        others = [
            bodies == value
            for name, value in loaded.vertebrae.levels.items()
            if name != level and (bodies == value).sum() > least
        ]
        made.append(
            RealVertebra(
                case.name,
                block,
                make_site(block.ct, block.body),
                tuple(make_site(block.ct, body) for body in others),
            )
        )
    return made


def with_hu(block: VertebraBlock, hu: Field) -> VertebraBlock:
    """Return a block with other HU (I, J, K) and the padding found before."""
    data = np.clip(np.rint(hu), -32768, 32767).astype(np.int16)
    return block.with_ct(block.ct.with_data(data))


def insert_lesions(
    block: VertebraBlock, phenotype: str, rng: np.random.Generator
) -> tuple[VertebraBlock, NDArray[np.uint8]]:
    """Return the block with metastases of a phenotype, and their truth (1 lytic, 2 blastic)."""
    site = make_site(block.ct, block.body)
    shown = insert_metastases(block.ct.data.astype(np.float32), site, phenotype, rng)
    return with_hu(block, shown.hu), truth_of(block, site, shown.lytic, shown.blastic)


def insert_into_case(case: RealCase, wanted: Mapping[str, str], seed: int) -> dict[str, Volume]:
    """Return "ct" with metastases in the wanted levels {level: phenotype}, "bodies" and "truth"
    (1 lytic, 2 blastic), all on the grid of the case."""
    loaded = load_case(case.ct, case.vertebrae, bodies_path=case.bodies, labels=case.labels)
    hu = loaded.ct.data.copy()
    truth = np.zeros(hu.shape, np.uint8)
    for number, (level, phenotype) in enumerate(wanted.items()):
        block = cut_block(loaded.ct.with_data(hu), loaded.vertebrae, level)
        changed, own = insert_lesions(block, phenotype, np.random.default_rng([seed, number]))
        box = tuple(slice(a, a + n) for a, n in zip(block.origin_ijk, block.ct.shape, strict=True))
        hu[box] = changed.ct.data
        truth[box] = np.maximum(truth[box], own)
    return {
        "ct": loaded.ct.with_data(hu),
        "bodies": loaded.ct.with_data(loaded.vertebrae.bodies),
        "truth": loaded.ct.with_data(truth),
    }


def truth_of(block: VertebraBlock, site: Site, lytic: Field, blastic: Field) -> NDArray[np.uint8]:
    """Return the truth (I, J, K), 1 lytic and 2 blastic, of shares in a site's box."""
    truth = np.zeros(block.ct.shape, np.uint8)
    own = truth[site.where]
    own[(lytic > 0.5) & site.body] = 1
    own[(blastic > 0.5) & site.body] = 2
    return truth


def real_sample(vertebrae: Sequence[RealVertebra], seed: int) -> Sample:
    """Draw a vertebra, what is inserted into it, a pose and a scan, and take its slices."""
    rng = np.random.default_rng([seed, 11])
    vertebra = vertebrae[int(rng.integers(len(vertebrae)))]
    malignant = bool(rng.random() < P_MALIGNANT)
    phenotype = str(rng.choice(PHENOTYPES, p=PHENOTYPE_WEIGHTS)) if malignant else "healthy"
    hu = vertebra.hu
    for site in vertebra.neighbours:
        if rng.random() < P_NEIGHBOUR:
            hu = insert_metastases(hu, site, str(rng.choice(PHENOTYPES)), rng).hu
    if rng.random() < P_LOOKALIKE[malignant]:
        hu = insert_lookalikes(hu, vertebra.site, rng).hu
    if malignant:
        hu = insert_metastases(hu, vertebra.site, phenotype, rng).hu
    if rng.random() < 0.75:
        hu = another_scan(hu, vertebra.site.spacing, rng)
    block = another_pose(with_hu(vertebra.block, hu), rng)
    slices = whole_width(block, rng)
    if rng.random() < P_CUT:
        end = int(rng.integers(3, 14))
        if rng.random() < 0.5:
            slices[:, :, :end] = SOFT_TISSUE_HU
        else:
            slices[:, :, -end:] = SOFT_TISSUE_HU
    return Sample(slices, PHENOTYPE_LABELS[phenotype], f"{vertebra.case}:{block.level}")


def write_real_shards(
    folder: Path, cases: Sequence[RealCase], per_vertebra: int, report: Callable[[str], None]
) -> None:
    """Write the shards real-CASE-000.npz of `cases` that are not there yet."""
    for number, case in enumerate(cases):
        path = folder / f"real-{case.name}-000.npz"
        if path.exists():
            continue
        vertebrae = load_vertebrae(case)
        first = number * 1_000_000
        seeds = range(first, first + per_vertebra * len(vertebrae))
        write_shard(path, (real_sample(vertebrae, seed) for seed in seeds))
        report(f"wrote {path}")


def whole_width(block: VertebraBlock, rng: np.random.Generator) -> NDArray[np.int16]:
    """Resample eight sagittal slices, one from each eighth of the body's width."""
    crossing = crossing_planes(block)
    position = (np.arange(SLICES) + rng.random(SLICES)) / SLICES
    wanted = crossing[(position * len(crossing)).astype(int)]
    hu = crop_block(block, wanted.tolist()).hu
    return np.moveaxis(hu, 2, 0).round().astype(np.int16)


def crossing_planes(block: VertebraBlock) -> NDArray[np.int_]:
    """The slices k that show more of the body than its cortex, from the mask's voxels alone."""
    to_crop = inverse(CropFrame.centred(block.centre_ras).affine) @ block.ct.affine
    index = np.argwhere(block.body)
    # A voxel spreads over as many slices as it is wide.
    width = float(np.abs(to_crop[2, :3]).max())
    steps = max(1, int(np.ceil(2 * width)))
    k = (index @ to_crop[2, :3] + to_crop[2, 3])[:, None] + (
        (np.arange(steps) + 0.5) / steps - 0.5
    ) * width
    inside = np.rint(k[(k > -0.4) & (k < CROP_SIZE - 0.6)]).astype(int)
    counts = np.bincount(inside, minlength=CROP_SIZE)
    area = counts * block.ct.voxel_volume_mm3 / CROP_SPACING_MM**3 / steps
    planes = np.flatnonzero(area >= MIN_BODY_PX)
    return planes if len(planes) else np.array([CROP_SIZE // 2])
