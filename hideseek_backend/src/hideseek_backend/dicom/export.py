"""A reviewed case as DICOM: segmentation, structured report and key images, for one study."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hideseek_backend.dicom import objects
from hideseek_backend.dicom.key_picture import key_picture
from hideseek_backend.dicom.lesions import (
    Decisions,
    Lesion,
    exported_lesions,
    label_map,
    require_levels,
    without_voxels,
)
from hideseek_backend.dicom.media import StudyPath
from hideseek_backend.dicom.needs import lenient, need
from hideseek_backend.dicom.objects import Signature
from hideseek_backend.dicom.pseudonym import pseudonymised
from hideseek_backend.dicom.study import Source, read_source
from hideseek_backend.errors import InputError
from hideseek_backend.progress import CancelledCallback, Meter, ProgressCallback
from hideseek_backend.report.case_store import StoredCase
from hideseek_backend.volumes.volume import Volume
from hideseek_backend.wire.version import VERSION

# The mean in the report is of a resampled crop, within the model's window; beyond this on the
# median candidate, the CT is another one.
_MAX_HU_OFF = 120.0
_SHOWN_SETTINGS = ("tau", "slices", "polarity", "seed")


@dataclass(frozen=True)
class ExportOptions:
    """What is exported and in whose name.

    series: uid or number of the CT in the study; found by its grid where None. pseudonym: replaces
    the patient and all uids, and the CT is written along. levels_checked: somebody counted.
    tracking: uids that lesions have had since an earlier date, "T12:3" -> uid.
    """

    series: str | None = None
    decisions: Decisions = field(default_factory=dict)
    rejected: bool = False
    signature: Signature = Signature()
    pseudonym: str | None = None
    levels_checked: bool = False
    tracking: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Exported:
    """What was written. files: relative to the folder. warnings name no patient."""

    lesions: tuple[Lesion, ...]
    files: tuple[Path, ...]
    warnings: tuple[str, ...]


def export_case(
    case: StoredCase,
    study: StudyPath,
    folder: Path,
    options: ExportOptions | None = None,
    *,
    progress: ProgressCallback | None = None,
    cancelled: CancelledCallback | None = None,
) -> Exported:
    """Write seg.dcm, sr.dcm and key-NN.dcm (and, pseudonymised, ct/) into an existing folder.

    Raises InputError where the study is not the CT of the result, nothing is left to export, or
    a signature is incomplete; LabelError for odd levels; Cancelled; what `read_study` raises.
    """
    options = options or ExportOptions()
    meter = Meter(progress, cancelled)
    require_levels(case, checked=options.levels_checked)
    meter.phase("read", 40, 1)
    source = read_source(
        study,
        options.series,
        shape=case.shape,
        affine=case.affine,
        pixels=options.pseudonym is not None,
    )
    meter.step()
    uid = source.study.series.uid
    lesions = exported_lesions(
        case, options.decisions, uid, rejected=options.rejected, tracking=options.tracking
    )
    lost = without_voxels(case, options.decisions, rejected=options.rejected)
    if not lesions:
        raise InputError(
            f"Expected lesions to export. {lost or 'None is accepted or kept by Δ.'}",
            "Accept a candidate, or lower the Δ threshold; an empty segmentation is not written.",
        )
    _check_signature(options.signature, lesions)
    labels = label_map(case, lesions)
    _check_same_ct(source.study.volume, labels, lesions)
    files: list[Path] = []
    if options.pseudonym is not None:
        source = pseudonymised(source, options.pseudonym)
        meter.phase("write", 50, len(source.datasets))
        for n, dataset in enumerate(source.datasets, 1):
            files.append(_save(dataset, folder, f"ct/ct{n:04d}.dcm"))
            meter.step()
    settings = _settings(case)
    meter.phase("write", 100, 2 + len(lesions))
    with lenient():
        made = objects.segmentation(source, labels, lesions, settings)
        files.append(_save(made, folder, "seg.dcm"))
        meter.step()
        document = objects.report(source, made, lesions, settings, options.signature)
        files.append(_save(document, folder, "sr.dcm"))
        meter.step()
        for n, one in enumerate(_key_images(source, labels, lesions), 1):
            files.append(_save(one, folder, f"key-{n:02d}.dcm"))
            meter.step()
    return Exported(lesions, tuple(files), (*source.study.warnings, *([lost] if lost else [])))


def _key_images(source: Source, labels: Volume, lesions: Sequence[Lesion]) -> Iterator[Any]:
    """Yield a secondary capture for each lesion; its header says what its pixels show."""
    hd = need("highdicom")
    series = hd.UID()
    for lesion in lesions:
        picture = key_picture(source.study.volume, labels, lesion, len(lesions))
        capture = hd.sc.SCImage.from_ref_dataset(
            ref_dataset=source.datasets[0],
            pixel_array=picture,
            photometric_interpretation="RGB",
            bits_allocated=8,
            coordinate_system="PATIENT",
            series_instance_uid=series,
            series_number=objects.series_number("key"),
            sop_instance_uid=hd.UID(),
            instance_number=lesion.number,
            manufacturer=objects.MAKER,
            patient_orientation=("L", "P"),
        )
        capture.SeriesDescription = f"HideSeek key images ({objects.RESEARCH})"
        capture.ImageComments = f"{lesion.label}; {objects.RESEARCH}"
        capture.BodyPartExamined = "SPINE"
        if "Laterality" in capture:
            del capture.Laterality  # the spine has none, and then it may not be given
        capture.BurnedInAnnotation = "NO"  # of the patient: the text in the picture names nobody
        capture.SoftwareVersions = VERSION
        yield capture


def _check_signature(signature: Signature, lesions: Sequence[Lesion]) -> None:
    if not signature.signed:
        return
    if not signature.reader or not signature.organization:
        raise InputError(
            "A signed report needs the reader's name and organization.",
            "Give --reader 'Family^Given' and --organization.",
        )
    waiting = [one.label for one in lesions if one.state == "not reviewed"]
    if waiting:
        raise InputError(
            f"A signed report holds reviewed lesions only, but {len(waiting)} are not reviewed: "
            f"{', '.join(waiting[:4])}.",
            "Accept or reject each, or leave the signature out.",
        )


def _check_same_ct(ct: Volume, labels: Volume, lesions: Sequence[Lesion]) -> None:
    """Refuse a study whose bone under the lesions is not what was analysed."""
    off = []
    for lesion in lesions:
        index = np.argwhere(labels.data == lesion.number)
        place = np.rint(ct.ijk(labels.ras(index))).astype(int)
        inside = ((place >= 0) & (place < ct.shape)).all(axis=1)
        if inside.mean() < 0.9:
            off.append(np.inf)
            continue
        hu = ct.data[tuple(place[inside].T)].astype(float)
        off.append(abs(float(hu.mean()) - lesion.candidate.mean_hu))
    if float(np.median(off)) > _MAX_HU_OFF:
        raise InputError(
            "The study is not the CT that the result was made of: the lesions lie outside it, or "
            f"their mean HU differs by {np.median(off):.0f}.",
            "Give the study (and --series) that was analysed.",
        )


def _settings(case: StoredCase) -> dict[str, str]:
    model = case.provenance.get("model", {})
    shown = {name: str(case.options[name]) for name in _SHOWN_SETTINGS if name in case.options}
    name, digest = str(model.get("name", "")), str(model.get("hash", ""))
    return {"model": name, "model_sha256": digest[:16], **shown}


def _save(dataset: Any, folder: Path, name: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return Path(name)
