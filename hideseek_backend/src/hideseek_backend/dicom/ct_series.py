"""Write a volume as a CT series: phantoms for teaching, for tests and for trying out a PACS."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np

from hideseek_backend.dicom.needs import need
from hideseek_backend.errors import GeometryError
from hideseek_backend.volumes.planes import LPS_TO_RAS
from hideseek_backend.volumes.volume import Volume

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
_EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"


def write_ct_series(
    volume: Volume,
    folder: Path,
    *,
    patient: str = "HIDESEEK-PHANTOM",
    accession: str = "HIDESEEK1",
    description: str = "HideSeek phantom, no patient",
) -> list[Path]:
    """Write a volume in HU as one classic CT series, a slice for each K; returns the files.

    Raises GeometryError for a sheared grid.
    """
    pydicom = need("pydicom")
    directions = volume.affine[:3, :3] / volume.spacing
    if np.abs(directions.T @ directions - np.eye(3)).max() > 1e-3:
        raise GeometryError("Expected a grid of right angles, got a sheared one.", "Resample it.")
    folder.mkdir(parents=True, exist_ok=True)
    uid = pydicom.uid.generate_uid
    study, series, frame = uid(prefix=None), uid(prefix=None), uid(prefix=None)
    now = datetime.now()
    stored = np.clip(np.rint(volume.data), -32768, 32767).astype("<i2")
    axes = directions * LPS_TO_RAS[:, None]
    files = []
    for k in range(volume.shape[2]):
        meta = pydicom.dataset.FileMetaDataset()
        meta.MediaStorageSOPClassUID = CT_IMAGE
        meta.MediaStorageSOPInstanceUID = uid(prefix=None)
        meta.TransferSyntaxUID = _EXPLICIT_LITTLE
        slice_ = pydicom.Dataset()
        slice_.file_meta = meta
        slice_.SOPClassUID, slice_.SOPInstanceUID = CT_IMAGE, meta.MediaStorageSOPInstanceUID
        slice_.StudyInstanceUID, slice_.SeriesInstanceUID = study, series
        slice_.FrameOfReferenceUID = frame
        slice_.PatientName, slice_.PatientID = patient, patient
        slice_.PatientBirthDate = slice_.PatientSex = slice_.ReferringPhysicianName = ""
        slice_.StudyDate = slice_.SeriesDate = slice_.ContentDate = now.strftime("%Y%m%d")
        slice_.StudyTime = slice_.SeriesTime = slice_.ContentTime = now.strftime("%H%M%S")
        slice_.StudyID, slice_.AccessionNumber = "1", accession
        slice_.StudyDescription = slice_.SeriesDescription = description
        slice_.Modality, slice_.Manufacturer = "CT", "HideSeek"
        slice_.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        slice_.SeriesNumber, slice_.InstanceNumber, slice_.AcquisitionNumber = 2, k + 1, 1
        slice_.PositionReferenceIndicator, slice_.BodyPartExamined = "", "SPINE"
        slice_.PatientPosition, slice_.KVP, slice_.ConvolutionKernel = "HFS", "120", "BONE"
        slice_.ImagePositionPatient = [
            f"{v:.10g}" for v in np.array(volume.ras((0, 0, k))) * LPS_TO_RAS
        ]
        slice_.ImageOrientationPatient = [f"{v:.10g}" for v in (*axes[:, 0], *axes[:, 1])]
        slice_.PixelSpacing = [f"{volume.spacing[1]:.10g}", f"{volume.spacing[0]:.10g}"]
        slice_.SliceThickness = f"{volume.spacing[2]:.10g}"
        slice_.SamplesPerPixel, slice_.PhotometricInterpretation = 1, "MONOCHROME2"
        slice_.Columns, slice_.Rows = volume.shape[:2]
        slice_.BitsAllocated = slice_.BitsStored = 16
        slice_.HighBit, slice_.PixelRepresentation = 15, 1
        slice_.RescaleIntercept, slice_.RescaleSlope, slice_.RescaleType = "0", "1", "HU"
        slice_.WindowCenter, slice_.WindowWidth = "350", "1200"
        slice_.PixelData = stored[:, :, k].T.tobytes()
        path = folder / f"ct{k + 1:04d}.dcm"
        slice_.save_as(path, enforce_file_format=True)
        files.append(path)
    return files
