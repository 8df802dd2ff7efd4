"""A study without its patient: only what is on a list is kept, and every uid is replaced."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import replace
from typing import Any

from hideseek_backend.dicom.needs import need
from hideseek_backend.dicom.study import Source

# What an image needs and nothing that names a person, place or date. A list of what may stay
# cannot forget a private attribute.
KEPT = (
    "SOPClassUID", "Modality", "ImageType", "Manufacturer", "SeriesNumber", "InstanceNumber",
    "AcquisitionNumber", "BodyPartExamined", "PatientPosition", "PatientSex", "KVP",
    "ConvolutionKernel", "SliceThickness", "ImagePositionPatient", "ImageOrientationPatient",
    "PixelSpacing", "SamplesPerPixel", "PhotometricInterpretation", "Rows", "Columns",
    "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "RescaleIntercept",
    "RescaleSlope",
    "RescaleType", "WindowCenter", "WindowWidth", "PixelPaddingValue", "NumberOfFrames",
    "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", "PixelData",
    "LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod",
)  # fmt: skip
_NEW_UIDS = ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")
_NESTED_KEPT = (
    "PlanePositionSequence", "PlaneOrientationSequence", "PixelMeasuresSequence",
    "PixelValueTransformationSequence", "FrameVOILUTSequence",
)  # fmt: skip


def pseudonymised(source: Source, name: str) -> Source:
    """Return the source for a patient called `name`, without dates, places and private attributes.

    Uids are replaced by digests with a random key that is not kept: within one call they stay
    consistent, and nobody can turn them back. Pixels are not looked at.
    """
    key = secrets.token_bytes(32)
    return replace(source, datasets=tuple(_clean(d, name, key) for d in source.datasets))


def _clean(dataset: Any, name: str, key: bytes) -> Any:
    pydicom = need("pydicom")
    clean = pydicom.Dataset()
    for keyword in KEPT:
        if keyword in dataset:
            clean.add(dataset[keyword])
    for keyword in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        for group in clean.get(keyword, []):
            for element in list(group):
                if element.keyword not in _NESTED_KEPT:
                    del group[element.tag]
    for keyword in _NEW_UIDS:
        uid = str(dataset.get(keyword, ""))
        digest = hashlib.sha256(key + uid.encode()).digest()[:16]
        setattr(clean, keyword, f"2.25.{int.from_bytes(digest, 'big')}")
    clean.PatientName = clean.PatientID = name
    for empty in (
        "PatientBirthDate", "StudyDate", "StudyTime", "AccessionNumber", "StudyID",
        "ReferringPhysicianName", "PositionReferenceIndicator",
    ):  # fmt: skip
        setattr(clean, empty, "")
    # Of a paired part the side would be asked for; the vertebrae have none.
    clean.BodyPartExamined = clean.get("BodyPartExamined") or "SPINE"
    if "PatientSex" not in clean:
        clean.PatientSex = ""
    clean.PatientIdentityRemoved = "YES"
    clean.DeidentificationMethod = "HideSeek: attributes on a list kept, uids replaced"
    meta = pydicom.dataset.FileMetaDataset()
    meta.MediaStorageSOPClassUID = clean.SOPClassUID
    meta.MediaStorageSOPInstanceUID = clean.SOPInstanceUID
    meta.TransferSyntaxUID = dataset.file_meta.TransferSyntaxUID
    clean.file_meta = meta
    return clean
