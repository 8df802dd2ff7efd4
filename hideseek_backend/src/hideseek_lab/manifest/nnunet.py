"""nnU-Net's raw layout, in and out."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import numpy as np

from hideseek_backend.errors import InputError
from hideseek_backend.volumes.grids import onto_grid
from hideseek_backend.volumes.reading import read_ct, read_label_map
from hideseek_backend.volumes.writing import write_nifti
from hideseek_backend.wire.levels import parse_level
from hideseek_lab.manifest.rows import Case, Manifest, Row

_ENDING = re.compile(r"\.(nii\.gz|nii|nrrd|mha)$")


def import_nnunet(
    dataset: Path, vertebrae: Path | None = None, patient: str = r"(.+)", scheme: str = ""
) -> tuple[list[Row], list[str]]:
    """Return one row a training case of a raw dataset.

    Its labels are vertebrae where dataset.json names levels, else lesions; then `vertebrae` is the
    folder of vertebra masks of the same names. patient: pattern whose first group is the patient.
    Raises InputError for a folder that is no such dataset.
    """
    try:
        described = json.loads((dataset / "dataset.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"Expected nnU-Net's raw dataset in {dataset}, got no readable dataset.json.",
            "Give the folder Dataset…, which holds imagesTr and labelsTr.",
        ) from error
    names = [str(name) for name in described.get("labels", {})]
    of_levels = any(parse_level(name) for name in names)
    rows, remarks = [], []
    for image in sorted((dataset / "imagesTr").glob("*_0000.*")):
        case = image.name.partition("_0000.")[0]
        label = dataset / "labelsTr" / image.name.replace("_0000.", ".")
        mask = label if of_levels else _named(vertebrae, case)
        hit = re.match(patient, case)
        if mask is None or not mask.exists() or hit is None:
            remarks.append(f"{case}: left out, {'no vertebra mask' if hit else 'no patient'}")
            continue
        lesions = "" if of_levels or not label.exists() else str(label)
        rows.append(
            Row(hit[1], case, str(image), str(mask), scheme=scheme, lesions=lesions,
                source=dataset.name)
        )  # fmt: skip
    if not rows:
        raise InputError(
            f"Expected cases with vertebra masks in {dataset}, got none.",
            "Where the labels are lesions, give the vertebra masks with --vertebrae DIR.",
        )
    return rows, remarks


def _named(folder: Path | None, case: str) -> Path | None:
    if folder is None:
        return None
    return next((p for p in sorted(folder.iterdir()) if _ENDING.sub("", p.name) == case), None)


def export_nnunet(
    manifest: Manifest,
    root: Path,
    name: str,
    target: str = "lesions",
    folds: int = 5,
    report: Callable[[str], None] = print,
) -> Path:
    """Write cases as `nnUNet_raw/NAME` and the splits as `nnUNet_preprocessed/NAME`, by patient.

    target: "lesions" (1 lytic, 2 blastic) or "vertebrae" (VerSe's values). Test patients go to
    imagesTs and labelsTs. Where there are validation patients they make the only fold; else the
    patients are parted into `folds`.
    Raises InputError where no case has the target.
    """
    raw, prepared = root / "nnUNet_raw" / name, root / "nnUNet_preprocessed" / name
    cases = [c for c in manifest.cases if getattr(c, target) is not None]
    if not any(case.split != "test" for case in cases):
        raise InputError(
            f"Expected cases with {target} outside the test split, got none.",
            "Fill that column of the manifest, or choose another --target.",
        )
    for case in cases:
        side = "Ts" if case.split == "test" else "Tr"
        ct, _ = read_ct(case.ct)
        mask = read_label_map(getattr(case, target))
        labels, _ = onto_grid(mask.volume, ct, mask.source)
        write_nifti(ct, raw / f"images{side}" / f"{case.name}_0000.nii.gz")
        write_nifti(
            ct.with_data(labels.astype(np.uint8)), raw / f"labels{side}" / f"{case.name}.nii.gz"
        )
        report(f"{case.name} → images{side}")
    training = [case for case in cases if case.split != "test"]
    described = {
        "channel_names": {"0": "CT"},
        "labels": _label_names(target),
        "numTraining": len(training),
        "file_ending": ".nii.gz",
    }
    (raw / "dataset.json").write_text(json.dumps(described, indent=1) + "\n", "utf-8")
    prepared.mkdir(parents=True, exist_ok=True)
    splits = json.dumps(folds_of(training, folds), indent=1)
    (prepared / "splits_final.json").write_text(splits + "\n", "utf-8")
    return raw


def folds_of(cases: list[Case], folds: int, seed: int = 0) -> list[dict[str, list[str]]]:
    """Return nnU-Net's splits_final.json: cases to train and validate on, parted by patient."""
    validation = {case.patient for case in cases if case.split == "validation"}
    return patient_folds({case.name: case.patient for case in cases}, folds, validation, seed)


def patient_folds(
    patients: Mapping[str, str], folds: int, validation: Collection[str] = (), seed: int = 0
) -> list[dict[str, list[str]]]:
    """Return splits_final.json of cases with their patients; validation patients make the only
    fold where there are some."""
    groups: list[Collection[str]] = [validation]
    if not validation:
        names = np.array(sorted(set(patients.values())))
        order = np.random.default_rng(seed).permutation(names)
        parts = np.array_split(order, min(folds, len(names)))
        groups = [{str(patient) for patient in part} for part in parts]
    return [
        {
            "train": [case for case, patient in patients.items() if patient not in group],
            "val": [case for case, patient in patients.items() if patient in group],
        }
        for group in groups
    ]


def _label_names(target: str) -> dict[str, int]:
    from hideseek_backend.wire.levels import VERSE_VALUES

    if target == "lesions":
        return {"background": 0, "lytic": 1, "blastic": 2}
    # nnU-Net wants consecutive values: VerSe's 1 to 28, those without a vertebra named by number.
    by_value = {value: level for level, value in VERSE_VALUES.items()}
    return {"background": 0, **{by_value.get(v, f"label_{v}"): v for v in range(1, 29)}}
