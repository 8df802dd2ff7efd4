"""Real vertebrae without known metastases, as they are and with lesions of two generators."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hideseek_backend.attribution.classifier import logit
from hideseek_backend.attribution.network import Network
from hideseek_backend.attribution.options import Options
from hideseek_backend.attribution.vertebra import (
    AnalysisModel,
    screen_vertebrae,
    screened_slices,
)
from hideseek_backend.files import whole_file
from hideseek_backend.progress import Meter, Progress, ProgressCallback
from hideseek_backend.volumes.crops import VertebraBlock, crop_block, crop_body
from hideseek_lab.insertion.level_sets import grow_lesions
from hideseek_lab.insertion.lookalikes import insert_lookalikes
from hideseek_lab.insertion.metastases import insert_metastases
from hideseek_lab.insertion.statistics import PHENOTYPES, draw_diameter
from hideseek_lab.training.real import load_vertebrae, truth_of, with_hu
from hideseek_lab.training.real_cases import RealCase

UNTOUCHED, BENIGN, WARPED, GROWN = "untouched", "benign inserted", "warped", "level sets"
"""What was done to a vertebra; "warped" is the generator that models are trained on, "level sets"
the second one, which no training sees."""

SIZES_ML = (("< 1 mL", 0.0, 1.0), ("1–3 mL", 1.0, 3.0), ("> 3 mL", 3.0, np.inf))


@dataclass(frozen=True, eq=False)
class RealVertebraCase:
    """One vertebra as it is screened.

    kind: UNTOUCHED, BENIGN, WARPED or GROWN. phenotype: "healthy", "lytic", "blastic" or "mixed".
    truth: (I, J, K) 1 lytic, 2 blastic on the block's grid. volume_ml: of the truth.
    """

    patient: str
    case: str
    level: str
    kind: str
    phenotype: str
    block: VertebraBlock
    truth: NDArray[np.uint8]
    volume_ml: float

    @property
    def malignant(self) -> bool:
        return self.phenotype != "healthy"


@dataclass(frozen=True)
class Screened:
    """A vertebra of the set with what the model says of it.

    logit: log(p / (1 − p)). The rest as in `RealVertebraCase`.
    """

    patient: str
    case: str
    level: str
    kind: str
    phenotype: str
    volume_ml: float
    logit: float

    @property
    def malignant(self) -> bool:
        return self.phenotype != "healthy"


def screened(
    model: AnalysisModel,
    cases: Sequence[RealCase],
    options: Options | None = None,
    progress: ProgressCallback | None = None,
) -> list[Screened]:
    """Screen every vertebra of the set as the package does; p, not a shortcut to it."""
    options = options or Options.for_protocol("fast")
    total = 8 * sum(len(case.healthy_levels) for case in cases)
    rows = []
    for done, v in enumerate(real_set(cases)):
        (told,) = screen_vertebrae(model, [v.block], options)
        rows.append(_row(v, float(logit(told.p_malignant))))
        if progress is not None:
            progress(Progress("real vertebrae", f"{v.case} {v.level}", done + 1, total))
    return rows


def screened_from(
    folder: Path,
    model: AnalysisModel,
    cases: Sequence[RealCase],
    options: Options,
    progress: ProgressCallback | None = None,
) -> list[Screened]:
    """As `screened`, from slices kept in `folder` (HU rounded), written there where they are not.

    Several models read the same slices so, at the cost of their encoders alone.
    """
    rows: list[Screened] = []
    for done, case in enumerate(cases):
        path = folder / f"{case.name}-{options.p_slices}-{options.p_span:g}.npz"
        if not path.is_file():
            _keep(path, case, options)
        with np.load(path, allow_pickle=False) as kept:
            hu, valid = kept["hu"].astype(np.float32), kept["valid"]
            plane = (-1, *hu.shape[2:])
            images = model.intensity.to_intensity(hu.reshape(plane), valid.reshape(plane))
            tensor = torch.as_tensor(images, dtype=torch.float32)[:, None]
            network = Network(model.dae, model.device, options, Meter())
            z = network.encode(tensor)
            for index, own in enumerate(z.split(hu.shape[1])):
                told = {name: str(kept[name][index]) for name in _TEXT}
                rows.append(
                    Screened(
                        told["patient"],
                        told["case"],
                        told["level"],
                        told["kind"],
                        told["phenotype"],
                        float(kept["volume_ml"][index]),
                        model.classifier.vertebra_logit(own),
                    )
                )
        if progress is not None:
            progress(Progress("real vertebrae", case.name, done + 1, len(cases)))
    return rows


def _keep(path: Path, case: RealCase, options: Options) -> None:
    """Write the slices of a case's vertebrae that p is read from."""
    rows, hu, valid = [], [], []
    for v in real_set([case]):
        crop = crop_block(v.block, screened_slices(crop_body(v.block), options))
        rows.append(_row(v, 0.0))
        hu.append(np.moveaxis(crop.hu, 2, 0).round().astype(np.int16))
        valid.append(np.moveaxis(crop.valid, 2, 0))
    columns: dict[str, Any] = {
        name: np.array([getattr(row, name) for row in rows]) for name in (*_TEXT, "volume_ml")
    }
    with whole_file(path) as part:
        np.savez(part, hu=np.stack(hu), valid=np.stack(valid), **columns)


_TEXT = ("patient", "case", "level", "kind", "phenotype")


def _row(v: RealVertebraCase, logit_of: float) -> Screened:
    return Screened(v.patient, v.case, v.level, v.kind, v.phenotype, v.volume_ml, logit_of)


def real_set(cases: Sequence[RealCase], seed: int = 0) -> Iterator[RealVertebraCase]:
    """Yield every healthy level untouched, with a benign insertion, and with one vertebra's lesions
    of each phenotype by each generator.

    The same seed gives the same lesions, whatever else is in `cases`.
    """
    for case in cases:
        for vertebra in load_vertebrae(case):
            block, site = vertebra.block, vertebra.site
            none = np.zeros(block.ct.shape, np.uint8)

            def made(
                kind: str,
                phenotype: str,
                block: VertebraBlock,
                truth: NDArray[np.uint8],
                case: RealCase = case,
            ) -> RealVertebraCase:
                volume = np.count_nonzero(truth) * block.ct.voxel_volume_mm3 / 1000
                return RealVertebraCase(
                    case.patient, case.name, block.level, kind, phenotype, block, truth, volume
                )

            key = [seed, *f"{case.name}:{block.level}".encode()]
            yield made(UNTOUCHED, "healthy", block, none)
            rng = np.random.default_rng([*key, 1])
            shown = insert_lookalikes(vertebra.hu, site, rng)
            yield made(BENIGN, "healthy", with_hu(block, shown.hu), none)
            for number, phenotype in enumerate(PHENOTYPES):
                rng = np.random.default_rng([*key, 2, number])
                shown = insert_metastases(vertebra.hu, site, phenotype, rng)
                truth = truth_of(block, site, shown.lytic, shown.blastic)
                yield made(WARPED, phenotype, with_hu(block, shown.hu), truth)
                rng = np.random.default_rng([*key, 3, number])
                hu, truth = grow_lesions(block, phenotype, draw_diameter(rng), rng)
                yield made(GROWN, phenotype, with_hu(block, hu), truth)
