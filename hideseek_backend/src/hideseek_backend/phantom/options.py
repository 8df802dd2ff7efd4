"""Options of phantoms and blocks, with their allowed ranges."""

from __future__ import annotations

from dataclasses import dataclass

from hideseek_backend.errors import OptionError

from .spine import LEVEL_NAMES

PHANTOM_VERSION = 1  # raised whenever a seed gives another picture

Range = tuple[float, float]


def _check(name: str, value: Range, low: float, high: float) -> None:
    if not (low <= value[0] <= value[1] <= high):
        raise OptionError(
            f"Expected {name} as (low, high) within {low} to {high}, got {value}.",
            "Give the lower bound first.",
        )


def _check_share(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise OptionError(f"Expected {name} between 0 and 1, got {value}.", "Give a probability.")


@dataclass(frozen=True)
class ScanOptions:
    """Ranges that acquisitions are drawn from; lengths in mm, noise as HU standard deviation."""

    noise_hu: Range = (10.0, 60.0)
    thickness_mm: Range = (0.8, 3.0)
    in_plane_mm: Range = (0.6, 1.0)
    tilt_deg: float = 10.0

    def __post_init__(self) -> None:
        _check("noise_hu", self.noise_hu, 0.0, 300.0)
        _check("thickness_mm", self.thickness_mm, 0.3, 6.0)
        _check("in_plane_mm", self.in_plane_mm, 0.3, 2.0)
        _check("tilt_deg", (0.0, self.tilt_deg), 0.0, 45.0)


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
        unknown = [n for n in self.levels if n not in LEVEL_NAMES]
        if unknown or not self.levels:
            raise OptionError(
                f"Expected levels among {', '.join(LEVEL_NAMES)}, got {unknown or 'none'}.",
                "Name at least one thoracic or lumbar level.",
            )
