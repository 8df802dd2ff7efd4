"""How a CT was made, as far as its DICOM headers say."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from .tables import carried

_BONE_KERNEL = re.compile(
    # Siemens B60/Br59/Hr60 and up, GE, Canon FC30 to FC35 and FC81, Philips YB to YE
    r"\b(?:[BH][A-Z]?[5-9]\d[A-Z]?|BONE\w*|EDGE|FC3\d|FC81|Y[B-E])\b",
    re.IGNORECASE,
)
_BONE_NAME = re.compile(r"\b(bone|knochen|os|osseux|spine|ws)\b", re.IGNORECASE)
_LUNG = re.compile(r"\b(lung|lunge|poumon|thorax)\b", re.IGNORECASE)
_NO_AGENT = re.compile(
    r"^\W*(none|no|nil|n/?a|without|ohne|kein\w*|nativ\w*|sans)\b", re.IGNORECASE
)
_PHASES = {
    "native": re.compile(r"\b(nativ|native|non[- ]?contrast|unenhanced|plain)\b", re.IGNORECASE),
    "arterial": re.compile(r"\b(art|arteri\w*)\b", re.IGNORECASE),
    "venous": re.compile(r"\b(ven|veno\w*|ven\u00f6s\w*|venoes\w*|portal\w*|pv)\b", re.IGNORECASE),
    "delayed": re.compile(r"\b(delay\w*|late|sp\u00e4t\w*)\b", re.IGNORECASE),
}

TAGS = {
    "kernel": "0018,1210",
    "description": "0008,103E",
    "agent": "0018,0010",
    "thickness": "0018,0050",
    "diameter": "0018,1100",
    "kvp": "0018,0060",
}
"""DICOM attributes of classic CT slices that `acquired` reads; none of them names a patient."""


@dataclass(frozen=True)
class Acquisition:
    """One scan; "", NaN or None where the headers do not say. Nothing of it names a patient.

    kernel: convolution kernel; bone_kernel: whether it is one for bone. contrast: whether a medium
    was given; phase: native, arterial, venous or delayed. thickness_mm: of slices, which may
    overlap. diameter_mm: of the reconstruction. kvp: tube voltage.
    """

    kernel: str = carried(default="")
    bone_kernel: bool | None = carried(default=None)
    contrast: bool | None = carried(default=None)
    phase: str = carried(default="")
    thickness_mm: float = carried(default=math.nan)
    diameter_mm: float = carried(default=math.nan)
    kvp: float = carried(default=math.nan)

    def __str__(self) -> str:
        parts = [f"kernel {self.kernel}"] if self.kernel else []
        if self.contrast is not None:
            medium = "contrast medium" if self.contrast else "no contrast medium"
            parts.append(medium + (f" ({self.phase})" if self.phase else ""))
        for value, text in (
            (self.thickness_mm, "{:g} mm slices"),
            (self.kvp, "{:g} kV"),
            (self.diameter_mm, "{:g} mm field of view"),
        ):
            if math.isfinite(value):
                parts.append(text.format(value))
        return ", ".join(parts)


UNTOLD = Acquisition()
"""A file without such headers: NIfTI, NRRD."""


def acquired(
    *,
    kernel: str = "",
    description: str = "",
    agent: str | None = None,
    phase: str = "",
    thickness: object = None,
    diameter: object = None,
    kvp: object = None,
) -> Acquisition:
    """Make the record from what DICOM headers hold.

    description: of the series; only words about kernel and phase are taken from it. agent: of the
    contrast medium; None where the attribute is absent, which says that none was given, "" where it
    was emptied, which says nothing. Numbers may be text; what is no positive number is left out.
    """
    named = " ".join((phase, description))
    told = next((name for name, words in _PHASES.items() if words.search(named)), "")
    contrast: bool | None = None
    if told:
        contrast = told != "native"
    elif agent is None:
        contrast = False
    if agent and agent.strip():
        contrast = not _NO_AGENT.search(agent)
    kernel = " ".join(kernel.replace("\\", " ").split())
    bone = is_for_bone(kernel, description)
    return Acquisition(
        kernel,
        bone if bone or kernel else None,
        contrast,
        told,
        _positive(thickness),
        _positive(diameter),
        _positive(kvp),
    )


def is_for_bone(kernel: str, description: str) -> bool:
    """Whether kernel or description says that a series was made for bone."""
    sharp = bool(_BONE_KERNEL.search(kernel) or _BONE_NAME.search(description))
    return sharp and not _LUNG.search(description)


def _positive(value: object) -> float:
    try:
        number = float(str(value))
    except ValueError:
        return math.nan
    return number if math.isfinite(number) and number > 0 else math.nan
