"""Benign findings inserted into real vertebrae, and insertions of nothing: all labelled healthy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hideseek_backend.phantom.texture import Noise, Waves, lerp
from hideseek_lab.insertion.compose import Change, Shown, apply_changes
from hideseek_lab.insertion.site import Field, Site

WEIGHTS = {
    "null": 0.16,
    "bone_island": 0.13,
    "haemangioma": 0.13,
    "schmorl_node": 0.16,
    "endplate_sclerosis": 0.16,
    "osteophyte": 0.14,
    "fatty_marrow": 0.12,
}
"""How often each is drawn; "null" redraws the texture of a region and hardly shifts its HU."""


def insert_lookalikes(hu: Field, site: Site, rng: np.random.Generator) -> Shown:
    """Insert one or two benign findings into a block's HU (I, J, K)."""
    count = 1 + int(rng.random() < 0.35)
    names = rng.choice(list(WEIGHTS), size=count, p=np.array(list(WEIGHTS.values())))
    return insert_named(hu, site, [str(name) for name in names], rng)


def insert_named(hu: Field, site: Site, names: list[str], rng: np.random.Generator) -> Shown:
    """Insert findings by their names, the keys of `WEIGHTS`."""
    return apply_changes(hu, site, [_DRAW[name](site, rng) for name in names], rng)


@dataclass(frozen=True, eq=False)
class Ball:
    """A warped ellipsoid: centre, radii (3,) mm, width of its edge, waves that bend it by mm."""

    centre: NDArray[np.float64]
    radii: NDArray[np.float64]
    edge_mm: float
    warp: Waves
    warp_mm: float

    def distance(self, x: Field, y: Field, z: Field) -> Field:
        """Return mm beyond the surface, negative inside."""
        c, r = self.centre.astype(np.float32), self.radii.astype(np.float32)
        q = ((x - c[0]) / r[0]) ** 2 + ((y - c[1]) / r[1]) ** 2 + ((z - c[2]) / r[2]) ** 2
        scale = np.float32(float(np.prod(self.radii)) ** (1 / 3))
        return (np.sqrt(q) - 1) * scale + self.warp(x, y, z) * np.float32(self.warp_mm)

    def cover(self, x: Field, y: Field, z: Field) -> Field:
        """Return the coverage in [0, 1]."""
        inside = np.clip(0.5 - self.distance(x, y, z) / np.float32(self.edge_mm), 0, 1)
        return inside * inside * (3 - 2 * inside)


def _ball(
    rng: np.random.Generator, centre: NDArray[np.float64], radii: object, edge: float, warp: float
) -> Ball:
    size = np.asarray(radii, dtype=float)
    mean = float(np.prod(size)) ** (1 / 3)
    waves = Waves.draw(rng, 6, max(0.7 * mean, 2.5), 2.5 * mean + 4)
    return Ball(centre, size, edge, waves, warp * mean)


def _somewhere(site: Site, where: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[Any]:
    """A random point of a mask, or of the body where the mask is empty."""
    index = np.flatnonzero(where) if where.any() else np.flatnonzero(site.body)
    chosen = int(index[rng.integers(len(index))])
    return np.array([float(axis.ravel()[chosen]) for axis in (site.x, site.y, site.z)])


@dataclass(frozen=True, eq=False)
class Null(Change):
    """Texture taken away as a lesion would, without a lesion: a shift of a few HU at most."""

    ball: Ball
    shift: float
    taken: float
    grown: bool

    def on(self, hu: Field, site: Site, x: Field, y: Field, z: Field) -> tuple[Field, Field, Field]:
        cover = self.ball.cover(x, y, z)
        own, none = self.taken * cover, np.zeros_like(cover)
        return hu + self.shift * cover, none if self.grown else own, own if self.grown else none


@dataclass(frozen=True, eq=False)
class Dense(Change):
    """A bone island: compact, brush-bordered, small."""

    ball: Ball
    value: float

    def on(self, hu: Field, site: Site, x: Field, y: Field, z: Field) -> tuple[Field, Field, Field]:
        cover = self.ball.cover(x, y, z)
        return np.maximum(hu, lerp(hu, self.value, cover)), np.zeros_like(cover), cover


@dataclass(frozen=True, eq=False)
class Haemangioma(Change):
    """Fat between coarse upright trabeculae: stripes on a sagittal slice, dots on an axial one."""

    ball: Ball
    noise: Noise
    fat: float
    bone: float
    pitch: float

    def on(self, hu: Field, site: Site, x: Field, y: Field, z: Field) -> tuple[Field, Field, Field]:
        cover = self.ball.cover(x, y, z)
        columns = np.clip(self.noise.fast(x, y, z, (self.pitch, self.pitch, 14.0)), 0, 1.3)
        return lerp(hu, self.fat + self.bone * columns, 0.95 * cover), cover, np.zeros_like(cover)


@dataclass(frozen=True, eq=False)
class SchmorlNode(Change):
    """Disc pushed through an endplate, with a sclerotic rim."""

    ball: Ball
    disc: float
    rim_mm: float
    rim: float

    @property
    def breaks_cortex(self) -> bool:
        return True

    def on(self, hu: Field, site: Site, x: Field, y: Field, z: Field) -> tuple[Field, Field, Field]:
        distance = self.ball.distance(x, y, z)
        ring = np.exp(-((np.maximum(distance, 0) / np.float32(self.rim_mm)) ** 2))
        ring = ring * (distance > -1.5)
        cover = np.clip(0.5 - distance / np.float32(self.ball.edge_mm), 0, 1)
        rimmed = np.maximum(hu, lerp(hu, self.rim, ring))
        return lerp(rimmed, self.disc, cover), cover, ring * (1 - cover)


@dataclass(frozen=True, eq=False)
class EndplateSclerosis(Change):
    """A dense band under an endplate, fading into the marrow."""

    ball: Ball
    side: int
    depth_mm: float
    added: float

    @property
    def breaks_cortex(self) -> bool:
        return True

    def on(self, hu: Field, site: Site, x: Field, y: Field, z: Field) -> tuple[Field, Field, Field]:
        under = np.clip(self.side * site.upright * 1.6 - 0.6, 0, 1) * (site.depth > 0)
        band = np.exp(-((np.maximum(site.depth, 0) / np.float32(self.depth_mm)) ** 2))
        cover = under * band * self.ball.cover(x, y, z)
        return hu + self.added * cover, np.zeros_like(cover), cover.astype(np.float32)


@dataclass(frozen=True, eq=False)
class Osteophyte(Change):
    """A beak of bone at a corner, with a cortex of its own, mostly outside the body."""

    ball: Ball
    core: float
    shell: float

    @property
    def outside(self) -> bool:
        return True

    def on(self, hu: Field, site: Site, x: Field, y: Field, z: Field) -> tuple[Field, Field, Field]:
        distance = self.ball.distance(x, y, z)
        cover = np.clip(0.5 - distance / np.float32(1.2), 0, 1)
        edge = np.exp(-(((distance + 0.8) / np.float32(0.9)) ** 2))
        bone = lerp(np.full_like(hu, self.core), self.shell, edge)
        return np.maximum(hu, lerp(hu, bone, cover)), np.zeros_like(cover), cover


@dataclass(frozen=True, eq=False)
class FattyMarrow(Change):
    """Marrow turned to fat: the mean falls softly, the trabeculae stay."""

    ball: Ball
    share: float

    def on(self, hu: Field, site: Site, x: Field, y: Field, z: Field) -> tuple[Field, Field, Field]:
        cover = self.ball.cover(x, y, z)
        none = np.zeros_like(cover)
        return hu - self.share * np.clip(hu + 60, 0, 250) * cover, none, none


def _null(site: Site, rng: np.random.Generator) -> Change:
    r = float(rng.uniform(3, 11))
    ball = _ball(rng, _somewhere(site, site.depth > 1, rng), r * rng.uniform(0.7, 1.4, 3), 2.0, 0.2)
    return Null(ball, float(rng.normal(0, 8)), float(rng.uniform(0.2, 1)), bool(rng.random() < 0.4))


def _bone_island(site: Site, rng: np.random.Generator) -> Change:
    r = float(rng.uniform(1.5, 3.8))
    where = _somewhere(site, site.depth > 1.0, rng)
    ball = _ball(rng, where, r * rng.uniform(0.8, 1.35, 3), float(rng.uniform(0.8, 1.6)), 0.25)
    return Dense(ball, float(rng.uniform(900, 1300)))


def _haemangioma(site: Site, rng: np.random.Generator) -> Change:
    r = float(rng.uniform(4.0, 11.0))
    tall = min(1.3 * r, float(site.half[2]))
    ball = _ball(
        rng,
        _somewhere(site, site.depth > 0.4 * r, rng),
        (r, r, tall),
        float(rng.uniform(1, 3)),
        0.1,
    )
    bone = float(rng.uniform(300, 560))
    return Haemangioma(
        ball,
        Noise.draw(rng, rotate=False),
        float(rng.uniform(-60, 20)),
        bone,
        float(rng.uniform(0.7, 1.3)),
    )


def _schmorl_node(site: Site, rng: np.random.Generator) -> Change:
    r = float(rng.uniform(2.2, 5.5))
    side = rng.choice([-1, 1])
    plate = (site.upright * side > 0.8) & (site.depth > 0) & (site.depth < 2.5)
    ball = _ball(
        rng, _somewhere(site, plate, rng), (1.2 * r, 1.2 * r, r * rng.uniform(0.7, 1.1)), 1.0, 0.12
    )
    return SchmorlNode(
        ball,
        float(rng.uniform(50, 120)),
        float(rng.uniform(0.7, 2.4)),
        float(rng.uniform(330, 750)),
    )


def _endplate_sclerosis(site: Site, rng: np.random.Generator) -> Change:
    side = int(rng.choice([-1, 1]))
    plate = (site.upright * side > 0.8) & (site.depth > 0) & (site.depth < 2.5)
    a, b, _ = site.half
    radii = (a * rng.uniform(0.5, 1.3), b * rng.uniform(0.5, 1.2), 14.0)
    ball = _ball(rng, _somewhere(site, plate, rng), radii, 6.0, 0.1)
    return EndplateSclerosis(ball, side, float(rng.uniform(2, 7)), float(rng.uniform(120, 450)))


def _osteophyte(site: Site, rng: np.random.Generator) -> Change:
    corner = (np.abs(site.depth) < 2) & (np.abs(site.z) > 0.75 * site.half[2])
    azimuth = np.arctan2(site.x, site.y)
    corner &= np.abs(azimuth) < 2.0  # to the front and the sides
    r = float(rng.uniform(2.0, 5.5))
    where = _somewhere(site, corner, rng)
    where[:2] *= 1 + 0.15 * r / max(float(np.hypot(*where[:2])), 5.0)
    ball = _ball(rng, where, r * rng.uniform(0.6, 1.4, 3), 1.2, 0.15)
    core = site.marrow + rng.uniform(-30, 200)
    return Osteophyte(ball, float(core), float(rng.uniform(400, 850)))


def _fatty_marrow(site: Site, rng: np.random.Generator) -> Change:
    r = float(rng.uniform(3.5, 10.0))
    ball = _ball(
        rng, _somewhere(site, site.depth > 1, rng), r * rng.uniform(0.8, 1.4, 3), 1.1 * r, 0.15
    )
    return FattyMarrow(ball, float(rng.uniform(0.2, 0.6)))


_DRAW = {
    "null": _null,
    "bone_island": _bone_island,
    "haemangioma": _haemangioma,
    "schmorl_node": _schmorl_node,
    "endplate_sclerosis": _endplate_sclerosis,
    "osteophyte": _osteophyte,
    "fatty_marrow": _fatty_marrow,
}
