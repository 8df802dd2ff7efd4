"""Metastases: drawing them and the share of each voxel's bone that they replace."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from .body import BodyShape
from .spine import Patient
from .texture import Noise, Waves, lerp

LYTIC, BLASTIC, MIXED = "lytic", "blastic", "mixed"
_LATTICE_MM = 2.0  # pitch of the lattice that checks a drawn set of foci
_LEAST_MM3 = 60.0  # about a ball of 4.9 mm diameter
_LEAST_MM2 = 22.0  # on the mid-sagittal plane; about 34 pixels of a crop
_MOST_TRIES = 12


@dataclass(frozen=True)
class LesionSpec:
    """One focus in local body coordinates, mm.

    polarity: "lytic" or "blastic"; kind: "focal", "diffuse" or "interwoven". A focus with a
    `partner` polarity part is mixed: inside its outline the field `weave` decides which of the two
    a point is, or within `rim_mm` of the outline it is the partner (a sclerotic rim).
    """

    polarity: str
    kind: str
    centre: np.ndarray
    radii: np.ndarray
    rotation: np.ndarray
    hu: float
    edge_mm: float
    warp: Waves
    warp_mm: float
    patchiness: float
    patch_mm: float
    texture: Noise
    breakthrough: bool
    mixed: bool = False
    partner_hu: float = 0.0
    weave: Waves | None = None
    weave_bias: float = 0.0
    rim_mm: float = 0.0

    def distance(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Return the signed distance to the warped ellipsoid, mm, negative inside."""
        dx, dy, dz = x - self.centre[0], y - self.centre[1], z - self.centre[2]
        q = 0.0
        for axis in range(3):
            u, v, w = (self.rotation[:, axis] / self.radii[axis]).astype(np.float32)
            component = dx * u + dy * v + dz * w
            q = q + component * component
        scale = np.float32(float(np.prod(self.radii)) ** (1 / 3))
        return (np.sqrt(q) - 1) * scale + self.warp(x, y, z) * np.float32(self.warp_mm)

    @property
    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the local box (low, high) in mm that holds the focus with its soft edge."""
        reach = self.radii.max() * 1.15 + 3.3 * self.warp_mm + self.edge_mm + 2
        return self.centre - reach, self.centre + reach

    def apply(
        self, marrow: np.ndarray, x: np.ndarray, y: np.ndarray, z: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return (new marrow HU, lytic fraction, blastic fraction) on the points."""
        distance = self.distance(x, y, z)
        inside = np.clip(0.5 - distance / np.float32(self.edge_mm), 0, 1)
        inside = inside * inside * (3 - 2 * inside)
        first = np.ones_like(inside)
        if self.mixed and self.weave is not None:
            first = np.clip(0.5 + (self.weave(x, y, z) + self.weave_bias) * np.float32(1.6), 0, 1)
        elif self.mixed and self.rim_mm > 0:
            first = np.clip(0.5 - (distance + self.rim_mm), 0, 1)
        second = (1 - first) * inside
        first = first * inside
        patches = 1 + np.float32(0.75 * self.patchiness) * (
            self.texture.fast(x, y, z, self.patch_mm)
            + self.texture.fast(y, z, x, 3 * self.patch_mm)
        )
        lytic, blastic = (first, second) if self.polarity == LYTIC else (second, first)
        lytic_hu = self.hu if self.polarity == LYTIC else self.partner_hu
        blastic_hu = self.partner_hu if self.polarity == LYTIC else self.hu
        # A lytic focus keeps a trace of its trabeculae where it is ill defined; a blastic one adds.
        destroyed = lerp(marrow, lytic_hu + 0.04 * (marrow - lytic_hu), lytic)
        grown = np.maximum(marrow, blastic_hu * np.clip(patches, 0.45, 1.6) + 0.15 * (marrow - 150))
        return lerp(destroyed, grown, blastic), lytic, blastic


def _radii(rng: np.random.Generator, mean: float, shape: BodyShape) -> np.ndarray:
    radii = mean * np.exp(rng.normal(0, 0.22, 3))
    return np.minimum(radii, [shape.half_width, shape.half_depth, shape.half_height * 1.3])


def _centre(rng: np.random.Generator, shape: BodyShape, radius: float, central: bool) -> np.ndarray:
    """Draw a centre inside the body; `central` keeps the focus across the mid-sagittal slices."""
    free = np.array([shape.half_width, shape.half_depth, shape.half_height])
    position = rng.uniform(-1, 1, 3) * np.maximum(free - 0.55 * radius, 0.15 * free)
    if central:
        position[0] = rng.uniform(-1, 1) * min(0.55 * radius, 7.0)
    else:
        position[0] = rng.choice([-1, 1]) * rng.uniform(0.45, 0.85) * shape.half_width
    outline = np.hypot(position[0] / free[0], position[1] / free[1])
    if outline > 0.9:
        position[:2] *= 0.9 / outline
    return position


def draw_focus(
    rng: np.random.Generator,
    patient: Patient,
    marrow: float,
    shape: BodyShape,
    phenotype: str,
    *,
    central: bool,
    smallest: float,
) -> LesionSpec:
    """Draw one focus of a vertebra of `phenotype` ("lytic", "blastic" or "mixed").

    marrow: HU of this vertebra; smallest: least mean radius in mm.
    """
    diffuse = rng.random() < (0.07 if phenotype == "lytic" else 0.16)
    if diffuse:
        mean = float(rng.uniform(0.75, 1.1) * shape.half_depth)
    else:
        mean = float(np.clip(rng.lognormal(np.log(7.0), 0.40), smallest, 14.0))
    polarity = phenotype
    mixed = False
    if phenotype == MIXED:
        polarity = "lytic" if rng.random() < 0.6 else "blastic"
        mixed = rng.random() < 0.7
        if mixed:
            mean = max(mean, 6.5)
    radii = _radii(rng, mean, shape)
    lytic_hu = float(max(min(rng.uniform(20, 70), marrow - 60), 5))
    if rng.random() < 0.35:  # ground glass
        blastic_hu = float(np.clip(marrow + rng.uniform(170, 300), 330, 520))
    else:
        dense = rng.lognormal(np.log(630), 0.3)
        blastic_hu = float(np.clip(dense, max(420, marrow + 230), 1200))
    sharp = rng.random() < (0.5 if polarity == LYTIC else 0.25)
    edge = float(rng.uniform(0.8, 1.6) if sharp else rng.uniform(1.6, 3.4))
    weave = rim = None
    if mixed:
        if polarity == LYTIC and rng.random() < 0.4:
            rim = float(rng.uniform(1.6, 3.2))
        else:
            weave = Waves.draw(rng, 9, 0.9 * mean + 3, 2.0 * mean + 8)
        edge = min(edge, 2.0)
    own, partner = (lytic_hu, blastic_hu) if polarity == LYTIC else (blastic_hu, lytic_hu)
    return LesionSpec(
        polarity=polarity,
        kind="diffuse" if diffuse else ("interwoven" if weave is not None else "focal"),
        centre=_centre(rng, shape, mean, central),
        radii=radii,
        rotation=Rotation.from_quat(rng.standard_normal(4)).as_matrix(),
        hu=own,
        edge_mm=min(edge, 0.6 * mean),
        warp=Waves.draw(rng, 6, max(0.7 * mean, 4.0), 2.5 * mean + 5),
        warp_mm=float(rng.uniform(0.06, 0.24) * mean),
        patchiness=float(rng.uniform(0.10, 0.40)),
        patch_mm=float(rng.uniform(1.2, 3.5)),
        texture=Noise.draw(rng),
        breakthrough=bool(polarity == LYTIC and rng.random() < 0.5),
        mixed=mixed,
        partner_hu=partner,
        weave=weave,
        weave_bias=float(rng.uniform(-0.4, 0.4)),
        rim_mm=rim or 0.0,
    )


def draw_lesions(
    rng: np.random.Generator,
    patient: Patient,
    marrow: float,
    shape: BodyShape,
    phenotype: str,
    p_central: float,
) -> tuple[LesionSpec, ...]:
    """Draw the foci of a malignant vertebra; they cross its centre with about `p_central`.

    A set that hardly meets the body, or lacks a polarity of its phenotype, is drawn again, so that
    the vertebra's class is never a matter of a lesion nobody could see.
    """
    central = bool(rng.random() < p_central)
    foci = _draw_foci(rng, patient, marrow, shape, phenotype, central)
    for _ in range(_MOST_TRIES):
        if _is_evident(foci, shape, phenotype, central):
            break
        foci = _draw_foci(rng, patient, marrow, shape, phenotype, central)
    return foci


def _draw_foci(
    rng: np.random.Generator,
    patient: Patient,
    marrow: float,
    shape: BodyShape,
    phenotype: str,
    central: bool,
) -> tuple[LesionSpec, ...]:
    """Draw 1 to 4 foci; a mixed vertebra has a mixed focus, or foci of both polarities."""
    count = int(rng.choice([1, 2, 3, 4], p=[0.62, 0.22, 0.1, 0.06]))
    kinds = [phenotype] * count
    if phenotype == MIXED and rng.random() < 0.35:
        kinds = [LYTIC, BLASTIC, *(str(rng.choice([LYTIC, BLASTIC])) for _ in range(count - 1))]
    foci: list[LesionSpec] = []
    for n, kind in enumerate(kinds):
        crossing = central and (n == 0 or bool(rng.random() < 0.6))
        smallest = 3.2 if n == 0 else 2.0
        focus = draw_focus(rng, patient, marrow, shape, kind, central=crossing, smallest=smallest)
        foci.append(focus)
        if focus.kind == "diffuse" and len(set(kinds)) == 1:
            break
    return tuple(foci)


def _is_evident(
    foci: tuple[LesionSpec, ...], shape: BodyShape, phenotype: str, central: bool
) -> bool:
    """Tell by a coarse lattice whether the lesions occupy enough of the body to be its class."""
    reach = np.array([shape.half_width, shape.half_depth, shape.half_height])
    axes = [np.arange(-r, r + 0.1, _LATTICE_MM, dtype=np.float32) for r in reach]
    x, y, z = (np.ascontiguousarray(p) for p in np.meshgrid(*axes, indexing="ij"))
    inside = shape.distances(x, y, z)[0] < 0
    x, y, z = x[inside], y[inside], z[inside]
    lytic, blastic = np.zeros(x.shape, bool), np.zeros(x.shape, bool)
    for focus in foci:
        _, own_lytic, own_blastic = focus.apply(np.full(x.shape, 150, np.float32), x, y, z)
        lytic, blastic = lytic | (own_lytic > 0.5), blastic | (own_blastic > 0.5)
    slab = np.abs(x) <= 0.75 * _LATTICE_MM
    enough = [
        (m.sum() * _LATTICE_MM**3 > _LEAST_MM3, (m & slab).sum() * _LATTICE_MM**2 > _LEAST_MM2)
        for m in (lytic, blastic)
    ]
    needed = {LYTIC: [0], BLASTIC: [1], MIXED: [0, 1]}[phenotype]
    visible = any(enough[n][1] for n in needed)
    return all(enough[n][0] for n in needed) and (visible or not central)
