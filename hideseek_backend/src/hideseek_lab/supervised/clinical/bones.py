"""Which bone a lesion lies in, and whether that bone bears weight."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hideseek_backend.errors import LabelError
from hideseek_backend.wire.levels import LABEL_SCHEMES

GROUPS = ("skull", "spine", "rib", "pelvis", "extremity", "other")
"""The groups of Pawan, Rich et al., and "other" for sternum and shoulder girdle, which they do not
name."""


@dataclass(frozen=True)
class Bone:
    """A bone of a label map. weight_bearing: legs, pelvis or spine (Pawan, Rich et al.)."""

    name: str
    group: str

    @property
    def weight_bearing(self) -> bool:
        legs = ("femur", "tibia", "fibula", "leg", "patella", "foot")
        return self.group in ("spine", "pelvis") or self.name.startswith(legs)


def _total_segmentator() -> dict[int, Bone]:
    """Bones of TotalSegmentator 2's task "total"; sacrum and S1 count as pelvis."""
    bones = {v: Bone(name, "spine") for v, name in LABEL_SCHEMES["totalsegmentator"].items()}
    bones |= {25: Bone("sacrum", "pelvis"), 26: Bone("vertebrae_S1", "pelvis")}
    pairs = {
        "humerus": (69, "extremity"), "scapula": (71, "other"), "clavicula": (73, "other"),
        "femur": (75, "extremity"), "hip": (77, "pelvis"),
    }  # fmt: skip
    for name, (first, group) in pairs.items():
        for number, side in enumerate(("left", "right")):
            bones[first + number] = Bone(f"{name}_{side}", group)
    bones[91] = Bone("skull", "skull")
    for number in range(12):
        bones[92 + number] = Bone(f"rib_left_{number + 1}", "rib")
        bones[104 + number] = Bone(f"rib_right_{number + 1}", "rib")
    bones[116] = Bone("sternum", "other")
    return bones


def _verse() -> dict[int, Bone]:
    return {v: Bone(name, "spine") for v, name in LABEL_SCHEMES["verse"].items()}


SCHEMES: dict[str, Mapping[int, Bone]] = {
    "totalsegmentator": _total_segmentator(),
    "verse": _verse(),
}


def read_scheme(name: str) -> Mapping[int, Bone]:
    """Bones by label value: a scheme's name, or a JSON file {value: [name, group]}.

    Raises LabelError for an unknown scheme, an unreadable file or an unknown group.
    """
    if name in SCHEMES:
        return SCHEMES[name]
    path = Path(name)
    if not path.is_file():
        raise LabelError(
            f"Unknown bone labels {name!r}; expected {', '.join(SCHEMES)} or a JSON file.",
            'A file looks like {"75": ["femur_left", "extremity"]}.',
        )
    try:
        given = json.loads(path.read_text(encoding="utf-8"))
        bones = {int(value): Bone(str(of[0]), str(of[1])) for value, of in given.items()}
    except (OSError, ValueError, TypeError, IndexError, KeyError, AttributeError) as error:
        raise LabelError(
            f"{path.name} is no table of bones: {error}.",
            'It looks like {"75": ["femur_left", "extremity"]}.',
        ) from error
    unknown = sorted({b.group for b in bones.values()} - set(GROUPS))
    if unknown:
        raise LabelError(
            f"{path.name} names unknown groups: {', '.join(unknown)}.",
            f"The groups are {', '.join(GROUPS)}.",
        )
    return bones
