"""Phantoms scanned twice: known growth, another pose, another scanner, other names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from hideseek_backend.phantom import PhantomOptions
from hideseek_backend.phantom.canvas import Canvas
from hideseek_backend.phantom.grid import Frame, Grid
from hideseek_backend.phantom.lesions import LYTIC, LesionSpec, draw_focus
from hideseek_backend.phantom.render import paint
from hideseek_backend.phantom.scanner import Scan, acquire, draw_scan, scan_affine, scan_shape
from hideseek_backend.phantom.spine import (
    LEVEL_NAMES,
    Patient,
    VertebraFrame,
    build_spine,
    draw_patient,
)
from hideseek_backend.phantom.vertebra import Anatomy, draw_anatomy, paint_body
from hideseek_backend.volumes.volume import Volume

LEVELS_SHOWN = 5
MOST_TURN_DEG, MOST_SHIFT_MM, MOST_BEND_DEG = 10.0, 20.0, 5.0
PAIRS_VERSION = 2  # raised whenever a seed gives another pair
THICK_MM = 5.0
"""Slices of a thick scan, those of routine reports; the others are those of `PhantomOptions`."""
BONE_BLUR_MM = 0.575
"""In-plane blur below which a phantom's kernel counts as one for bone (the sharper half)."""
# HU that a contrast medium adds, portal venous phase. Marrow: 11 HU on average, Pickhardt et al.,
# Osteoporos Int 2016;27:147. Vessels, muscle and soft-tissue lesions: assumed, within what
# portal venous scans show.
_MARROW_HU, _LYTIC_HU, _MUSCLE_HU, _VESSEL_HU = (5.0, 25.0), (15.0, 50.0), (8.0, 20.0), (130, 190)
_NATIVE_HU = 45.0
GROWTH = (-0.6, 2.0)
_GAP_MM = 3.0  # between foci of one body, so that each stays a lesion of its own
_LATTICE_MM = 0.5
_END_MARGIN_MM = 9.0


@dataclass(frozen=True, eq=False)
class Focus:
    """One lesion of the truth. level: by the patient's anatomy. volumes: mm³ on a lattice of
    0.5 mm within the body, 0 where it is not there. number: its label in both scans."""

    number: int
    level: str
    polarity: str
    earlier_mm3: float
    current_mm3: float

    @property
    def ratio(self) -> float:
        """Current volume over earlier one; NaN where it is not in both."""
        both = min(self.earlier_mm3, self.current_mm3) > 0
        return self.current_mm3 / self.earlier_mm3 if both else float("nan")


@dataclass(frozen=True, eq=False)
class PhantomScan:
    """One date. bodies: VerSe values of the anatomy. foci: number of the focus a voxel belongs to.
    names: anatomical level -> the name that this scan's mask gives it. contrast: medium was given.
    """

    ct: Volume
    bodies: Volume
    foci: Volume
    names: dict[str, str]
    scan: Scan
    frames: dict[str, Frame]
    contrast: bool = False

    @property
    def bone_kernel(self) -> bool:
        """Whether the scan's kernel is one for bone."""
        return self.scan.blur_mm < BONE_BLUR_MM


@dataclass(frozen=True, eq=False)
class PhantomPair:
    """Two dates of one phantom. kind: "changed" or "unchanged"; naming: "same", "shifted" (every
    name by one) or "skipped" (from one level on)."""

    seed: int
    kind: str
    naming: str
    earlier: PhantomScan
    current: PhantomScan
    foci: tuple[Focus, ...]


def make_pair(
    seed: int,
    *,
    unchanged: bool = False,
    naming: str = "same",
    thick: tuple[bool, bool] = (False, False),
    contrast: bool = False,
    images: bool = True,
) -> PhantomPair:
    """Draw a patient, its lesions, and two scans of it; the same seed, the same voxels.

    thick: dates scanned in slices of 5 mm. contrast: given at the current date.
    images: paint the CTs; without, masks alone on the same grids, which is many times faster.

    The current scan has its own scanner (kernel, dose, thickness, grid), pose (a turn of up to 10°,
    up to 5° of bending more, 20 mm) and, in a third of the pairs, one level less at an end.
    """
    seeds = np.random.SeedSequence([seed, 11]).spawn(7)
    rng, pose_rng = (np.random.default_rng(s) for s in seeds[:2])
    patient = draw_patient(np.random.default_rng(seeds[2]))
    first = int(rng.integers(LEVEL_NAMES.index("T8"), LEVEL_NAMES.index("L1")))
    names = LEVEL_NAMES[first - 1 : first + LEVELS_SHOWN + 1]
    shown = list(names[1:-1])
    spine = build_spine(np.random.default_rng(seeds[3]), patient, names)
    bare = [
        draw_anatomy(s, patient, v, "healthy", p_central=0.9, ribs=True)
        for v, s in zip(spine, seeds[4].spawn(len(spine)), strict=True)
    ]
    before: list[Anatomy] = []
    after: list[Anatomy] = []
    foci: list[Focus] = []
    for anatomy in bare:
        old, new = anatomy, anatomy
        if anatomy.vertebra.level in shown and rng.random() < 0.65:
            drawn = _draw_foci(rng, patient, anatomy, unchanged)
            old = replace(anatomy, lesions=tuple(a for a, _ in drawn if a is not None))
            new = replace(anatomy, lesions=tuple(b for _, b in drawn if b is not None))
            for a, b in drawn:
                spec = a or b
                assert spec is not None
                foci.append(
                    Focus(len(foci) + 1, anatomy.vertebra.level, spec.polarity,
                          _volume(a, anatomy), _volume(b, anatomy))
                )  # fmt: skip
        before.append(old)
        after.append(new)
    moved = _moved(pose_rng, spine)
    after = [replace(a, vertebra=v) for a, v in zip(after, moved, strict=True)]
    later_shown = list(shown)
    if rng.random() < 1 / 3:
        later_shown = shown[1:] if rng.random() < 0.5 else shown[:-1]
    scans = [np.random.default_rng(s) for s in seeds[5].spawn(4)]
    then = _numbers([f for f in foci if f.earlier_mm3 > 0])
    now = _numbers([f for f in foci if f.current_mm3 > 0])
    later_names = _names(later_shown, naming, rng)
    native = replace(patient, vessel=min(patient.vessel, _NATIVE_HU)) if contrast else patient
    earlier = _scan(
        native, before, {n: n for n in shown}, then, scans[0], scans[1], images, thick[0]
    )
    if contrast:
        patient, after = _enhanced(np.random.default_rng(seeds[6]), patient, after)
    current = _scan(patient, after, later_names, now, scans[2], scans[3], images, thick[1])
    current = replace(current, contrast=contrast)
    kind = "unchanged" if unchanged else "changed"
    return PhantomPair(seed, kind, naming, earlier, current, tuple(foci))


def _numbers(foci: Sequence[Focus]) -> dict[str, list[int]]:
    by_level: dict[str, list[int]] = {}
    for focus in foci:
        by_level.setdefault(focus.level, []).append(focus.number)
    return by_level


def _draw_foci(
    rng: np.random.Generator, patient: Patient, anatomy: Anatomy, unchanged: bool
) -> list[tuple[LesionSpec | None, LesionSpec | None]]:
    """Draw one or two foci, each as it is at both dates; None where it is not there."""
    polarity = str(rng.choice(["lytic", "blastic"]))
    found: list[tuple[LesionSpec | None, LesionSpec | None]] = []
    largest: list[LesionSpec] = []
    for _ in range(int(rng.choice([1, 2], p=[0.6, 0.4]))):
        for _try in range(20):
            one = draw_focus(
                rng, patient, anatomy.marrow, anatomy.shape, polarity,
                central=bool(rng.random() < 0.7), smallest=3.2,
            )  # fmt: skip
            growth, fate = float(rng.uniform(*GROWTH)), float(rng.random())
            if unchanged or fate < 0.3:
                pair: tuple[LesionSpec | None, LesionSpec | None] = (one, one)
            elif fate < 0.4:
                pair = (None, one)
            elif fate < 0.5:
                pair = (one, None)
            else:
                pair = (one, replace(one, radii=one.radii * np.cbrt(1 + growth)))
            big = max((p for p in pair if p is not None), key=lambda p: float(p.radii.max()))
            least = min((_volume(p, anatomy) for p in pair if p is not None), default=0.0)
            if least > 60 and all(_apart(big, other) for other in largest):
                found.append(pair)
                largest.append(big)
                break
    return found


def _apart(a: LesionSpec, b: LesionSpec) -> bool:
    reach = a.radii.max() + b.radii.max() + 1.5 * (a.warp_mm + b.warp_mm) + _GAP_MM
    return bool(np.linalg.norm(a.centre - b.centre) > reach)


def _volume(spec: LesionSpec | None, anatomy: Anatomy) -> float:
    """Volume of a focus within its body on a lattice of 0.5 mm, mm³."""
    if spec is None:
        return 0.0
    low, high = spec.bounds
    reach = anatomy.shape.reach
    low, high = np.maximum(low, -reach), np.minimum(high, reach)
    axes = [np.arange(a, b, _LATTICE_MM, dtype=np.float32) for a, b in zip(low, high, strict=True)]
    x, y, z = (np.ascontiguousarray(p) for p in np.meshgrid(*axes, indexing="ij"))
    inside = anatomy.shape.distances(x, y, z)[0] < 0
    return float((inside & _covered(spec, x, y, z)).sum()) * _LATTICE_MM**3


def _covered(spec: LesionSpec, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> NDArray[np.bool_]:
    _, lytic, blastic = spec.apply(np.full(x.shape, 150, np.float32), x, y, z)
    return np.asarray(np.maximum(lytic, blastic) > 0.5)


def _moved(rng: np.random.Generator, spine: tuple[VertebraFrame, ...]) -> list[VertebraFrame]:
    """The spine in another pose: turned and shifted as a whole, and bent about its middle."""
    axis = rng.standard_normal(3)
    turn = Rotation.from_rotvec(
        axis / np.linalg.norm(axis) * np.radians(rng.uniform(3, MOST_TURN_DEG))
    ).as_matrix()
    way = rng.standard_normal(3)
    shift = way / np.linalg.norm(way) * rng.uniform(5, MOST_SHIFT_MM)
    most, middle = rng.uniform(-MOST_BEND_DEG, MOST_BEND_DEG), (len(spine) - 1) / 2
    bends = [
        Rotation.from_euler("x", most * (n - middle) / middle, degrees=True).as_matrix()
        for n in range(len(spine))
    ]
    places = [spine[0].frame.origin]
    for n in range(1, len(spine)):
        step = spine[n].frame.origin - spine[n - 1].frame.origin
        places.append(places[-1] + (bends[n] + bends[n - 1]) / 2 @ step)
    # Turned about its own middle, so that the shift is what it says.
    centre, target = np.mean(places, axis=0), np.mean([v.frame.origin for v in spine], axis=0)
    return [
        replace(v, frame=Frame(turn @ (p - centre) + target + shift, turn @ b @ v.frame.rotation))
        for v, p, b in zip(spine, places, bends, strict=True)
    ]


def _enhanced(
    rng: np.random.Generator, patient: Patient, anatomies: list[Anatomy]
) -> tuple[Patient, list[Anatomy]]:
    """The same patient after a contrast medium: marrow, lytic tissue, muscle and vessels gain."""
    marrow, lytic = (float(rng.uniform(*gain)) for gain in (_MARROW_HU, _LYTIC_HU))
    fuller = replace(
        patient,
        muscle=patient.muscle + float(rng.uniform(*_MUSCLE_HU)),
        vessel=max(patient.vessel, float(rng.uniform(*_VESSEL_HU))),
    )
    return fuller, [
        replace(
            one,
            marrow=one.marrow + marrow,
            lesions=tuple(
                replace(spec, hu=spec.hu + (lytic if spec.polarity == LYTIC else 0.0),
                        partner_hu=spec.partner_hu + (lytic if spec.polarity != LYTIC else 0.0))
                for spec in one.lesions
            ),
        )
        for one in anatomies
    ]  # fmt: skip


def _names(shown: list[str], naming: str, rng: np.random.Generator) -> dict[str, str]:
    """The names that a scan's mask gives: right, one off, or one off from some level on."""
    start = {"same": len(shown), "shifted": 0}.get(naming, int(rng.integers(2, len(shown) - 1)))
    return {
        level: LEVEL_NAMES[LEVEL_NAMES.index(level) + 1] if n >= start else level
        for n, level in enumerate(shown)
    }


def _scan(
    patient: Patient,
    anatomies: list[Anatomy],
    names: dict[str, str],
    numbers: dict[str, list[int]],
    scan_rng: np.random.Generator,
    noise_rng: np.random.Generator,
    images: bool,
    thick: bool,
) -> PhantomScan:
    options = PhantomOptions().scan
    scan = draw_scan(
        scan_rng, replace(options, thickness_mm=(THICK_MM, THICK_MM)) if thick else options
    )
    listed = [a for a in anatomies if a.vertebra.level in names]
    origins = np.array([a.vertebra.frame.origin for a in listed])
    low, high = origins.min(0), origins.max(0)
    ends = (listed[0].vertebra.height + listed[-1].vertebra.height) / 2 + 2 * _END_MARGIN_MM
    wide = [high[0] - low[0] + 80.0, high[1] - low[1] + 90.0]
    shape = scan_shape(scan, np.array([*wide, high[2] - low[2] + ends]))
    affine = scan_affine(scan, shape, (low + high) / 2 - [0, 12.0, 0])
    canvas = Canvas(Grid(shape, affine))
    ct = np.zeros(shape, np.int16)
    if images:
        paint(canvas, patient, tuple(a.vertebra for a in anatomies), tuple(anatomies))
        ct = acquire(canvas.attenuation(), scan, noise_rng)
    else:
        for anatomy in anatomies:
            paint_body(canvas, patient, anatomy)
    labels = [a.vertebra.label for a in listed]
    bodies = np.where(np.isin(canvas.body, labels), canvas.body, 0).astype(np.uint8)
    foci = np.zeros_like(bodies)
    for anatomy in listed:
        own = numbers.get(anatomy.vertebra.level, [])
        _mark(canvas, anatomy, own, bodies, foci)
    return PhantomScan(
        Volume(ct, affine), Volume(bodies, affine), Volume(foci, affine), names, scan,
        {a.vertebra.level: a.vertebra.frame for a in listed},
    )  # fmt: skip


def _mark(
    canvas: Canvas,
    anatomy: Anatomy,
    numbers: list[int],
    bodies: NDArray[np.uint8],
    foci: NDArray[np.uint8],
) -> None:
    """Give each voxel of the truth in one body the number of its focus."""
    index = np.argwhere((bodies == anatomy.vertebra.label) & (canvas.truth > 0))
    if not len(index) or not anatomy.lesions:
        return
    grid = canvas.coarse
    places = anatomy.vertebra.frame.to_local(index @ grid.affine[:3, :3].T + grid.affine[:3, 3])
    x, y, z = (np.ascontiguousarray(p, dtype=np.float32) for p in places.T)
    depths = np.array([spec.distance(x, y, z) for spec in anatomy.lesions])
    foci[tuple(index.T)] = np.array(numbers)[depths.argmin(axis=0)]
