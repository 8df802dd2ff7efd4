"""Finding which prediction belongs to which reference."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hideseek_backend.errors import InputError
from hideseek_lab.scoring.masks import is_mask, stem

#: names looked for inside a case's folder, in this order
PREDICTION_NAMES = ("lesions", "prediction", "pred", "truth")
TRUTH_NAMES = ("truth", "lesions", "reference", "annotation")
BODY_NAMES = ("bodies", "body", "vertebrae")


@dataclass(frozen=True)
class CaseFiles:
    """Files of one case; bodies and candidates are None where there are none."""

    name: str
    prediction: Path
    truth: Path
    bodies: Path | None
    candidates: Path | None


def find_cases(prediction: Path, truth: Path, bodies: Path | None = None) -> list[CaseFiles]:
    """Pair predictions with references.

    Each argument is a mask file (one case) or a folder. A folder holds one mask a case
    (`CASE.nii.gz`), or one folder a case with `lesions.*` (predictions), `truth.*` (references)
    and `bodies.*` in it, or is itself such a case folder. Cases pair by name; two single cases
    pair whatever their names.

    Raises InputError when a path does not exist, holds no mask, or lacks a reference's partner.
    """
    predictions = _list(prediction, PREDICTION_NAMES, "predictions")
    truths = _list(truth, TRUTH_NAMES, "references")
    body_files = _list(bodies, BODY_NAMES, "vertebral bodies") if bodies is not None else {}
    if len(predictions) == len(truths) == 1:
        predictions = dict(zip(truths, predictions.values(), strict=True))
    if len(body_files) == len(truths) == 1:
        body_files = dict(zip(truths, body_files.values(), strict=True))
    for kind, files in (("prediction", predictions), ("bodies file", body_files)):
        missing = sorted(set(truths) - set(files))
        if missing and files:
            raise InputError(
                f"{len(missing)} of {len(truths)} references have no {kind}: "
                f"{', '.join(missing[:5])}{' …' if len(missing) > 5 else ''}.",
                "Files and case folders pair by name: rename them, or take the reference out.",
            )
    return [
        CaseFiles(name, predictions[name], path, body_files.get(name), _sibling(predictions[name]))
        for name, path in sorted(truths.items())
    ]


def _sibling(prediction: Path) -> Path | None:
    table = prediction.parent / "candidates.csv"
    return table if stem(prediction) == "lesions" and table.is_file() else None


def _list(path: Path, names: tuple[str, ...], what: str) -> dict[str, Path]:
    """Masks of a path by case name."""
    if not path.exists():
        raise InputError(f"The {what} {path} do not exist.", "Check the path.")
    if path.is_file():
        return {stem(path): path}
    own = _named(path, names)
    if own is not None:
        return {path.resolve().name: own}
    found: dict[str, Path] = {}
    for entry in sorted(path.iterdir()):
        if entry.is_dir():
            mask = _named(entry, names)
            if mask is not None:
                found[entry.name] = mask
        elif is_mask(entry):
            found[stem(entry)] = entry
    if not found:
        raise InputError(
            f"No masks found in {path} for the {what}.",
            f"Expected CASE.nii.gz files, or case folders with {names[0]}.nii.gz in them.",
        )
    return found


def _named(folder: Path, names: tuple[str, ...]) -> Path | None:
    masks = {stem(entry): entry for entry in sorted(folder.iterdir()) if is_mask(entry)}
    for name in names:
        if name in masks:
            return masks[name]
    return None
