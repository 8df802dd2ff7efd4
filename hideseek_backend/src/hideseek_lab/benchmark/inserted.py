"""Lesions inserted into real vertebrae that the user gives by path."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hideseek_backend.errors import InputError
from hideseek_lab.benchmark.dataset import SliceSet, join, slices_of

_PHENOTYPES = ("lytic", "blastic", "mixed")


@dataclass(frozen=True)
class RealCase:
    """A CT without disease: paths, and the levels that are complete in it."""

    ct: Path
    vertebrae: Path
    levels: tuple[str, ...]
    bodies: Path | None = None


def parse_real(text: str) -> RealCase:
    """Read "CT,VERTEBRAE,L1+L2[,BODIES]". Raises InputError for anything else."""
    parts = text.split(",")
    if len(parts) not in (3, 4) or not all(parts):
        raise InputError(
            f"Expected CT,VERTEBRAE,LEVEL+LEVEL[,BODIES], got {text!r}.",
            "Example: ct.nii.gz,vertebrae.nii.gz,L2+L3,bodies.nii.gz",
        )
    bodies = Path(parts[3]) if len(parts) == 4 else None
    return RealCase(Path(parts[0]), Path(parts[1]), tuple(parts[2].split("+")), bodies)


def inserted_set(cases: list[RealCase], per_level: int, seed: int = 0) -> SliceSet:
    """Insert phantom lesions into every level, `per_level` times each phenotype, and keep one
    untouched copy of each as healthy.

    The same seed gives the same set. Raises InputError when a file cannot be used.
    """
    from hideseek_backend.volumes.crops import cut_block
    from hideseek_backend.volumes.vertebrae import load_case
    from hideseek_lab.training.real import insert_lesions

    parts = []
    for case in cases:
        loaded = load_case(case.ct, case.vertebrae, bodies_path=case.bodies)
        for level in case.levels:
            block = cut_block(loaded.ct, loaded.vertebrae, level)
            name = f"{case.ct.name}:{block.level}"
            empty = np.zeros(block.ct.data.shape, dtype=np.uint8)
            parts.append(slices_of(block, empty, "healthy", name))
            for draw in range(per_level):
                for kind, phenotype in enumerate(_PHENOTYPES):
                    rng = np.random.default_rng([seed, len(parts), draw, kind])
                    changed, truth = insert_lesions(block, phenotype, rng)
                    parts.append(slices_of(changed, truth, phenotype, f"{name}:{draw}"))
    return join(parts)
