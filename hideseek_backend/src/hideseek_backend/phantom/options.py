"""Options of phantoms and blocks, with their allowed ranges."""

from __future__ import annotations

from dataclasses import dataclass

from hideseek_backend.errors import OptionError

from .spine import LEVEL_NAMES

PHANTOM_VERSION = 3  # raised whenever a seed gives another picture

PATIENTS = ("any", "healthy", "lytic", "blastic", "mixed")

Range = tuple[float, float]


FRACTURES = ("wedge", "biconcave", "crush")


def _check(name: str, value: Range, low: float, high: float) -> None:
    if not (low <= value[0] <= value[1] <= high):
        raise OptionError(
            f"Expected {name} as (low, high) within {low} to {high}, got {value}.",
            "Give the lower bound first.",
        )


def _check_share(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise OptionError(f"Expected {name} between 0 and 1, got {value}.", "Give a probability.")


def _check_levels(levels: tuple[str, ...]) -> None:
    unknown = [n for n in levels if n not in LEVEL_NAMES]
    if unknown or not levels:
        raise OptionError(
            f"Expected levels among {', '.join(LEVEL_NAMES)}, got {unknown or 'none'}.",
            "Name at least one thoracic or lumbar level.",
        )


@dataclass(frozen=True)
class ScanOptions:
    """Ranges that acquisitions are drawn from; lengths in mm, noise as HU standard deviation.

    p_sagittal: share stored as sagittal slices; p_coarse: share resampled to 1.5 to 3 mm voxels.
    """

    noise_hu: Range = (10.0, 60.0)
    thickness_mm: Range = (0.8, 3.0)
    in_plane_mm: Range = (0.6, 1.1)
    tilt_deg: float = 10.0
    p_sagittal: float = 0.35
    p_coarse: float = 0.06

    def __post_init__(self) -> None:
        _check("noise_hu", self.noise_hu, 0.0, 300.0)
        _check("thickness_mm", self.thickness_mm, 0.3, 6.0)
        _check("in_plane_mm", self.in_plane_mm, 0.3, 2.0)
        _check("tilt_deg", (0.0, self.tilt_deg), 0.0, 45.0)
        _check_share("p_sagittal", self.p_sagittal)
        _check_share("p_coarse", self.p_coarse)


@dataclass(frozen=True)
class BlockOptions:
    """How single-vertebra blocks are drawn.

    p_malignant: share of malignant vertebrae; weights: of (lytic, blastic, mixed) among them;
    p_central: probability that the first lesion crosses the mid-sagittal slices;
    p_neighbour: probability that a neighbour is malignant, whatever the vertebra itself is;
    benign_scale: factor on the frequency of benign findings; width_mm: lateral extent of the block
    about the body's centre; side_mm: its extent from front to back and from top to bottom (enough
    for the 51.2 mm crop on a tilted grid).
    """

    p_malignant: float = 0.5
    weights: tuple[float, float, float] = (0.4, 0.32, 0.28)
    p_central: float = 0.9
    p_neighbour: float = 0.3
    benign_scale: float = 1.0
    width_mm: float = 20.0
    side_mm: float = 56.0
    levels: tuple[str, ...] = LEVEL_NAMES[5:]
    scan: ScanOptions = ScanOptions()

    def __post_init__(self) -> None:
        _check_share("p_malignant", self.p_malignant)
        _check_share("p_central", self.p_central)
        _check_share("p_neighbour", self.p_neighbour)
        _check("width_mm", (4.0, self.width_mm), 4.0, 120.0)
        _check("side_mm", (40.0, self.side_mm), 40.0, 120.0)
        _check_levels(self.levels)


@dataclass(frozen=True)
class PhantomOptions:
    """How a whole spine CT is drawn.

    levels: contiguous, from the top; patient: phenotype that the patient's metastases lean to, or
    "any" to draw it, or "healthy"; p_malignant: share of malignant vertebrae; weights: of lytic,
    blastic and mixed; p_central, benign_scale: as in `BlockOptions`; fractures: (level, kind, share
    of its height that is lost) of bodies that are broken beside what chance does, kind "wedge",
    "biconcave" or "crush"; width_mm, depth_mm: field of view about the spine, right to left and
    front to back.
    """

    levels: tuple[str, ...] = LEVEL_NAMES[LEVEL_NAMES.index("T9") : LEVEL_NAMES.index("L4") + 1]
    patient: str = "any"
    p_malignant: float = 0.5
    weights: tuple[float, float, float] = (0.4, 0.32, 0.28)
    p_central: float = 0.9
    benign_scale: float = 1.0
    fractures: tuple[tuple[str, str, float], ...] = ()
    width_mm: float = 112.0
    depth_mm: float = 140.0
    scan: ScanOptions = ScanOptions(
        thickness_mm=(0.9, 2.5), in_plane_mm=(0.7, 1.0), p_coarse=0.0, p_sagittal=0.25
    )

    def __post_init__(self) -> None:
        _check_levels(self.levels)
        numbers = [LEVEL_NAMES.index(n) for n in self.levels]
        if numbers != list(range(numbers[0], numbers[0] + len(numbers))):
            raise OptionError(
                f"Expected neighbouring levels from the top down, got {', '.join(self.levels)}.",
                "Give a stretch such as T9 to L4.",
            )
        if self.patient not in PATIENTS:
            raise OptionError(
                f"Expected patient as one of {', '.join(PATIENTS)}, got {self.patient!r}.",
                "Leave it at 'any' to draw it from the seed.",
            )
        _check_share("p_malignant", self.p_malignant)
        for level, kind, share in self.fractures:
            if level not in self.levels or kind not in FRACTURES or not 0 < share < 0.8:
                raise OptionError(
                    f"Expected a fracture as (level, {' | '.join(FRACTURES)}, share lost), got "
                    f"{(level, kind, share)}.",
                    "Name one of the phantom's levels and a share between 0 and 0.8.",
                )
        _check_share("p_central", self.p_central)
        _check("width_mm", (60.0, self.width_mm), 60.0, 400.0)
        _check("depth_mm", (90.0, self.depth_mm), 90.0, 400.0)
