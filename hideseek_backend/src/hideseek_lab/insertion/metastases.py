"""Metastases drawn for a real body: warped ellipsoids of destroyed or grown bone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from hideseek_backend.phantom.lesions import LesionSpec
from hideseek_backend.phantom.texture import Noise, Waves
from hideseek_lab.insertion.compose import Change, Shown, apply_changes
from hideseek_lab.insertion.site import Field, Site
from hideseek_lab.insertion.statistics import draw_diameter, draw_foci

LEAST_MM3 = 60.0
"""Least volume of a polarity that a vertebra is named after: a ball of 4.9 mm."""
_TRIES = 8


def insert_metastases(
    hu: Field, site: Site, phenotype: str, rng: np.random.Generator, diameter: float | None = None
) -> Shown:
    """Insert the foci of a diseased vertebra of `phenotype` into a block's HU (I, J, K).

    diameter: mm, of the first focus; drawn when None. Drawn again where the body's outline leaves
    too little of them. Returns the changed block and the truth's shares.
    """
    for _ in range(_TRIES):
        shown = apply_changes(hu, site, _draw(rng, site, phenotype, diameter), rng)
        voxel = float(np.prod(site.spacing))
        lytic, blastic = ((s[site.body] > 0.5).sum() * voxel for s in (shown.lytic, shown.blastic))
        enough = {
            "lytic": lytic >= LEAST_MM3,
            "blastic": blastic >= LEAST_MM3,
            "mixed": min(lytic, blastic) >= LEAST_MM3,
        }
        if enough[phenotype]:
            break
    return shown


def _draw(
    rng: np.random.Generator, site: Site, phenotype: str, diameter: float | None
) -> list[Change]:
    count = draw_foci(rng)
    kinds = [phenotype] * count
    if phenotype == "mixed" and rng.random() < 0.35:
        kinds = ["lytic", "blastic", *(str(rng.choice(["lytic", "blastic"])) for _ in kinds[1:])]
    sizes = [diameter or draw_diameter(rng)]
    sizes += [sizes[0] * rng.uniform(0.35, 1.0) for _ in kinds[1:]]
    return [_focus(rng, site, kind, size) for kind, size in zip(kinds, sizes, strict=True)]


def _focus(rng: np.random.Generator, site: Site, kind: str, diameter: float) -> Change:
    """Draw one focus: "lytic", "blastic", or "mixed" (interwoven, or with a sclerotic rim)."""
    mean = diameter / 2
    mixed = kind == "mixed"
    if mixed:
        mean = max(mean, 5.0)
    polarity = str(rng.choice(["lytic", "blastic"], p=[0.6, 0.4])) if mixed else kind
    lytic_hu = float(max(min(rng.uniform(10, 80), site.marrow - 55), -5))
    small = mean < 5
    if rng.random() < 0.35:  # ground glass
        blastic_hu = float(np.clip(site.marrow + rng.uniform(160, 300), 300, 560))
    else:
        dense = rng.lognormal(np.log(640), 0.3)
        # Small and denser than 850 HU is how a bone island looks.
        blastic_hu = float(np.clip(dense, max(400, site.marrow + 220), 850 if small else 1250))
    sharp = rng.random() < (0.5 if polarity == "lytic" else 0.3)
    edge = float(rng.uniform(0.7, 1.6) if sharp else rng.uniform(1.6, 4.0))
    weave, rim, bias = None, 0.0, 0.0
    permeative = False
    if mixed:
        edge = min(edge, 2.0)
        if polarity == "lytic" and rng.random() < 0.4:
            rim = float(rng.uniform(1.2, 3.2))
        else:
            weave = Waves.draw(rng, 9, 0.9 * mean + 3, 2.0 * mean + 8)
            bias = float(rng.uniform(-0.4, 0.4))
    elif polarity == "lytic" and mean > 5 and rng.random() < 0.25:
        # Moth-eaten: bone left standing between small holes.
        permeative = True
        weave = Waves.draw(rng, 14, 4.0, 9.0)
        bias = float(rng.uniform(0.1, 0.7))
    own, partner = (lytic_hu, blastic_hu) if polarity == "lytic" else (blastic_hu, lytic_hu)
    spec = LesionSpec(
        polarity=polarity,
        kind="focal",
        centre=_centre(rng, site, mean),
        radii=mean * np.exp(rng.normal(0, 0.22, 3)),
        rotation=Rotation.from_quat(rng.standard_normal(4)).as_matrix(),
        hu=own,
        edge_mm=min(edge, 0.6 * mean),
        warp=Waves.draw(rng, 6, max(0.7 * mean, 3.5), 2.5 * mean + 5),
        warp_mm=float(rng.uniform(0.06, 0.28) * mean),
        patchiness=float(rng.uniform(0.10, 0.45)),
        patch_mm=float(rng.uniform(1.0, 3.5)),
        texture=Noise.draw(rng),
        breakthrough=bool(polarity == "lytic" and rng.random() < 0.5),
        mixed=mixed or permeative,
        partner_hu=-1000.0 if permeative else partner,
        weave=weave,
        weave_bias=bias,
        rim_mm=rim,
    )
    return Metastasis(spec, permeative)


@dataclass(frozen=True, eq=False)
class Metastasis(Change):
    """A focus as a change of structure.

    permeative: the partner polarity of the spec is bone left as it was.
    """

    spec: LesionSpec
    permeative: bool = False

    @property
    def breaks_cortex(self) -> bool:
        """Whether the focus takes the cortex with it."""
        return self.spec.breakthrough

    def on(self, hu: Field, site: Site, x: Field, y: Field, z: Field) -> tuple[Field, Field, Field]:
        """Return the changed structure and its lytic and blastic shares."""
        changed, lytic, blastic = self.spec.apply(hu, x, y, z)
        if self.permeative:
            blastic = np.zeros_like(blastic)
        return changed, lytic, blastic


def _centre(rng: np.random.Generator, site: Site, radius: float) -> NDArray[np.float64]:
    """Draw a centre in the body, seldom so far out that most of the focus would be lost."""
    margin = min(0.45 * radius, float(site.depth.max()) * 0.6) * rng.random()
    where = np.flatnonzero((site.depth > margin).ravel())
    chosen = int(where[rng.integers(len(where))])
    return np.array([float(axis.ravel()[chosen]) for axis in (site.x, site.y, site.z)])
