"""Label schemes: which value in a vertebra mask is which level.

Names in the file win. Without names the values must fit exactly one scheme; a mask whose values
fit two is refused, never guessed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from hideseek_backend.errors import LabelError
from hideseek_backend.volumes.names import SegmentName
from hideseek_backend.volumes.strays import without_strays
from hideseek_backend.volumes.volume import Volume
from hideseek_backend.wire.levels import LABEL_SCHEMES, LEVELS, parse_level


@dataclass(frozen=True)
class Scheme:
    """A numbering. levels: value -> level. other: values of the sacrum and the like, left out.

    dropped_above: values above it are other structures (discs, organs). whole_map_above: a map
    with values above it holds all structures of the scheme, so that any value may occur.
    """

    name: str
    title: str
    levels: Mapping[int, str]
    other: frozenset[int]
    dropped_above: int | None = None
    whole_map_above: int | None = None


VERSE = Scheme(
    "verse",
    "VerSe, SPINEPS or vertebrae_pp (1–7 C, 8–19 T, 20–25 L, 28 T13)",
    LABEL_SCHEMES["verse"],
    frozenset({26, 27, 29, 30, 31, 32, 33}),  # sacrum and coccyx
    dropped_above=100,  # SPINEPS: discs 100 + n, endplates 200 + n
)
TOTALSEGMENTATOR = Scheme(
    "totalsegmentator",
    "TotalSegmentator v2 (27–31 L5–L1, 32–43 T12–T1, 44–50 C7–C1)",
    LABEL_SCHEMES["totalsegmentator"],
    frozenset({25, 26}),  # sacrum, S1
    whole_map_above=60,
)
TOTALSEGMENTATOR_V1 = Scheme(
    "totalsegmentator-v1",
    "TotalSegmentator v1 (18–22 L5–L1, 23–34 T12–T1, 35–41 C7–C1)",
    LABEL_SCHEMES["totalsegmentator-v1"],
    frozenset({92}),  # sacrum
    whole_map_above=60,
)
SCHEMES: dict[str, Scheme] = {
    scheme.name: scheme for scheme in (VERSE, TOTALSEGMENTATOR, TOTALSEGMENTATOR_V1)
}
_OPTION = "--labels verse, --labels totalsegmentator, --labels totalsegmentator-v1 or a JSON file"
_JSON_HINT = 'with --labels FILE.json, such as {"T12": 5, "L1": 6}'


@dataclass(frozen=True)
class LabelChoice:
    """Which value is which level in one mask, and how that was found out."""

    values: dict[int, str]
    scheme: str
    warnings: tuple[str, ...] = ()


def choose_labels(
    mask: Volume,
    names: Mapping[int, SegmentName],
    labels: str | Path | Mapping[str, int] | None = None,
    source: str = "the vertebra mask",
) -> LabelChoice:
    """Find the level of each value in `mask` (I, J, K integers).

    labels: a scheme's name, a JSON file {level: value}, or such a mapping; None to find out.
    Raises LabelError when nothing fits, several schemes fit, or `labels` contradicts the file.
    """
    present = _present(mask)
    if not present:
        raise LabelError(
            f"Expected vertebrae in {source}, got a mask without labels.",
            "Check that the segmentation was saved and is not empty.",
        )
    named = {value: name.level for value, name in names.items() if value in present}
    by_name = {value: level for value, level in named.items() if level is not None}
    _refuse_doubles(by_name, source)
    if labels is not None:
        choice = _explicit(present, labels, by_name, source)
    elif by_name:
        choice = LabelChoice(by_name, "names")
    elif any(value in present for value in names):
        shown = ", ".join(f"{value} = {names[value]}" for value in present if value in names)
        raise LabelError(
            f"Expected segments named after vertebrae in {source}, got {shown[:300]}.",
            f"Name them like 'T12' or 'vertebrae_T12', or say which is which {_JSON_HINT}.",
        )
    else:
        choice = _by_values(mask, present, source)
    disorder = _disorder(mask, choice.values)
    if disorder:
        text = f"{source}: {disorder}: check the levels and the orientation of the image."
        choice = LabelChoice(choice.values, choice.scheme, (*choice.warnings, text))
    return choice


def _present(mask: Volume) -> list[int]:
    return [int(value) for value in np.unique(mask.data) if value > 0]


def _refuse_doubles(by_name: Mapping[int, str], source: str) -> None:
    levels = list(by_name.values())
    double = sorted({level for level in levels if levels.count(level) > 1})
    if double:
        raise LabelError(
            f"Expected one segment a level in {source}, got several for {', '.join(double)}.",
            "Merge or rename them.",
        )


def _explicit(
    present: list[int],
    labels: str | Path | Mapping[str, int],
    by_name: Mapping[int, str],
    source: str,
) -> LabelChoice:
    if isinstance(labels, Mapping):
        return _from_mapping(present, labels, source)
    if str(labels) not in SCHEMES:
        return _from_mapping(present, _read_json(Path(labels)), source)
    scheme = SCHEMES[str(labels)]
    values = {value: scheme.levels[value] for value in present if value in scheme.levels}
    if not values:
        raise LabelError(
            f"Expected values of {scheme.title} in {source}, got {_shown(present)}.",
            f"Choose another of {_OPTION}.",
        )
    wrong = [v for v in by_name if by_name[v] != values.get(v)]
    if wrong:
        raise LabelError(
            f"Expected {source} to be numbered as {scheme.title}, but it names value {wrong[0]} "
            f"{by_name[wrong[0]]}.",
            f"Leave --labels out to follow the names, or override them {_JSON_HINT}.",
        )
    return LabelChoice(values, scheme.name)


def _from_mapping(present: list[int], mapping: Mapping[str, int], source: str) -> LabelChoice:
    values: dict[int, str] = {}
    for name, value in mapping.items():
        level = parse_level(str(name))
        if level is None:
            raise LabelError(
                f"Expected vertebra levels as keys of the label mapping, got '{name}'.",
                "Use C1–C7, T1–T13, L1–L6.",
            )
        if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
            raise LabelError(
                f"Expected a positive whole number for {level}, got {value!r}.",
                'Write the mapping as {"T12": 19, "L1": 20}.',
            )
        if value in values or level in values.values():
            raise LabelError(
                f"Expected each level and each value once in the label mapping, got {level} and "
                f"{value} again.",
                "Remove the double entry.",
            )
        values[value] = level
    here = {value: level for value, level in values.items() if value in present}
    if not here:
        raise LabelError(
            f"Expected one of the mapping's values {_shown(sorted(values))} in {source}, "
            f"got {_shown(present)}.",
            "Correct the mapping.",
        )
    return LabelChoice(here, "custom")


def _read_json(path: Path) -> dict[str, int]:
    if not path.is_file():
        raise LabelError(
            f"Expected a label scheme, got '{path}', which is neither a scheme nor a file.",
            f"Use {_OPTION}.",
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise LabelError(
            f"Expected JSON in {path.name}, got something unreadable ({error}).",
            'Write it as {"T12": 19, "L1": 20}.',
        ) from error
    if not isinstance(content, dict) or not content:
        raise LabelError(
            f"Expected a JSON object of level: value in {path.name}, got {str(content)[:80]}.",
            'Write it as {"T12": 19, "L1": 20}.',
        )
    return content


def _by_values(mask: Volume, present: list[int], source: str) -> LabelChoice:
    """Accept the only scheme whose values and head-to-foot order agree with the mask."""
    reasons: dict[str, str] = {}
    fitting: list[Scheme] = []
    for scheme in SCHEMES.values():
        reason = _misfit(mask, present, scheme)
        if reason:
            reasons[scheme.name] = reason
        else:
            fitting.append(scheme)
    if not fitting:
        why = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
        raise LabelError(
            f"Expected the numbering of a known scheme in {source}, got {_shown(present)} ({why}).",
            f"Say which value is which level {_JSON_HINT}.",
        )
    if len(fitting) > 1:
        readings = "; ".join(
            f"{scheme.name} would read {', '.join(_levels_in(present, scheme))}"
            for scheme in fitting
        )
        raise LabelError(
            f"Expected one label scheme to fit {source}, but its values {_shown(present)} fit "
            f"{len(fitting)}: {readings}.",
            f"Say which with --labels {' or --labels '.join(s.name for s in fitting)}.",
        )
    scheme = fitting[0]
    values = {value: scheme.levels[value] for value in present if value in scheme.levels}
    return LabelChoice(
        values,
        scheme.name,
        (
            f"{source} has no names; its values and their order fit only {scheme.title}: "
            f"{', '.join(_levels_in(present, scheme))}. Pass --labels {scheme.name} to confirm.",
        ),
    )


def _levels_in(present: list[int], scheme: Scheme) -> list[str]:
    found = {scheme.levels[value] for value in present if value in scheme.levels}
    return [level for level in LEVELS if level in found]


def _misfit(mask: Volume, present: list[int], scheme: Scheme) -> str:
    """Why a scheme cannot be the mask's, or ""."""
    values = {value: scheme.levels[value] for value in present if value in scheme.levels}
    if not values:
        return "no vertebra among the values"
    whole = scheme.whole_map_above is not None and max(present) > scheme.whole_map_above
    if not whole:
        unknown = [
            value
            for value in present
            if value not in scheme.levels
            and value not in scheme.other
            and (scheme.dropped_above is None or value <= scheme.dropped_above)
        ]
        if unknown:
            return f"unknown values {_shown(unknown)}"
    return _disorder(mask, values)


def _disorder(mask: Volume, values: Mapping[int, str]) -> str:
    """Say which two levels stand in the wrong order from head to foot, or "".

    Stray voxels, which an analysis drops, do not count: they would move the middle of a vertebra.
    """
    ranked = sorted(values, key=lambda value: LEVELS.index(values[value]))
    if len(ranked) < 2:
        return ""
    # From 1 in anatomical order; labels of other structures may be huge.
    table = np.zeros(max(ranked) + 1, np.uint8)
    table[ranked] = np.arange(1, len(ranked) + 1)
    inside = (mask.data > 0) & (mask.data < len(table))
    clean, _lost = without_strays(table[np.where(inside, mask.data, 0)], mask.spacing)
    present = np.flatnonzero(np.bincount(clean.ravel(), minlength=len(ranked) + 1)[1:])
    centres = ndimage.center_of_mass(clean > 0, clean, present + 1)
    heights = mask.ras(np.array(centres).reshape(-1, 3))[:, 2]
    levels = [values[ranked[n]] for n in present]
    for upper, lower, a, b in zip(levels, levels[1:], heights, heights[1:], strict=False):
        if a <= b:
            return f"{upper} would lie below {lower}"
    return ""


def _shown(values: Sequence[int]) -> str:
    text = ", ".join(str(value) for value in values[:12])
    return text + (", …" if len(values) > 12 else "")
