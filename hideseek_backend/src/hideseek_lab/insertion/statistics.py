"""How large metastases are, of which kind, and how many of one vertebra: published figures.

Levels take no part: were some levels diseased more often than others, the level itself would count
as evidence, and a healthy L3 would be called ill for being an L3.
"""

from __future__ import annotations

import numpy as np

PHENOTYPES = ("lytic", "blastic", "mixed")

DIAMETER_PERCENTS = (0.0, 5.0, 25.0, 50.0, 75.0, 95.0, 100.0)
DIAMETERS_MM = (5.0, 5.8, 10.2, 14.8, 21.9, 34.7, 40.0)
"""Equivalent diameters of bone metastases on CT, of 697 lesions; both ends are ours."""

PHENOTYPE_WEIGHTS = (54 / 183, 58 / 183, 71 / 183)
"""Lytic, blastic and mixed levels of 55 patients (Spine-Mets-CT-SEG, doi 10.7937/kh36-ds04)."""

FOCI = (1, 2, 3, 4)
FOCI_WEIGHTS = (0.62, 0.22, 0.10, 0.06)


def draw_diameter(rng: np.random.Generator) -> float:
    """Draw the diameter (mm) of a ball of the lesion's volume, between the published quantiles."""
    logs = np.interp(rng.uniform(0, 100), DIAMETER_PERCENTS, np.log(DIAMETERS_MM))
    return float(np.exp(logs))


def draw_foci(rng: np.random.Generator) -> int:
    """Draw how many foci a diseased vertebra holds."""
    return int(rng.choice(FOCI, p=FOCI_WEIGHTS))
