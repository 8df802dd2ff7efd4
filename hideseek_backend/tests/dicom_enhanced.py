"""A true Enhanced CT Image object by the standard's module table (PS3.3 A.38.1): all in one file.

Its frames are in any order and their positions alone say where they belong, as scanners write it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from hideseek_backend.volumes.planes import LPS_TO_RAS
from hideseek_backend.volumes.volume import Volume

ENHANCED = "1.2.840.10008.5.1.4.1.1.2.1"
_INTERCEPT = -1024


def _item(**values: object) -> Dataset:
    item = Dataset()
    for name, value in values.items():
        setattr(item, name, value)
    return item


def _code(code: object) -> Dataset:
    return _item(
        CodeValue=code.value, CodingSchemeDesignator=code.scheme_designator,
        CodeMeaning=code.meaning,
    )  # fmt: skip


def write_enhanced_ct(volume: Volume, path: Path, order: np.ndarray | None = None) -> None:
    """Write HU (I, J, K) as one Enhanced CT; order: of the slices K among the frames."""
    order = np.arange(volume.shape[2]) if order is None else order
    axes = volume.affine[:3, :3] / volume.spacing * LPS_TO_RAS[:, None]
    shared = _item(
        PixelMeasuresSequence=[
            _item(
                SliceThickness=f"{volume.spacing[2]:.6g}",
                SpacingBetweenSlices=f"{volume.spacing[2]:.6g}",
                PixelSpacing=[f"{volume.spacing[1]:.6g}", f"{volume.spacing[0]:.6g}"],
            )
        ],
        PlaneOrientationSequence=[
            _item(ImageOrientationPatient=[f"{v:.10g}" for v in (*axes[:, 0], *axes[:, 1])])
        ],
        FrameAnatomySequence=[
            _item(FrameLaterality="U", AnatomicRegionSequence=[_code(codes.SCT.Spine)])
        ],
        CTImageFrameTypeSequence=[
            _item(
                FrameType=["ORIGINAL", "PRIMARY", "VOLUME", "NONE"], PixelPresentation="MONOCHROME",
                VolumetricProperties="VOLUME", VolumeBasedCalculationTechnique="NONE",
            )
        ],
        CTAcquisitionTypeSequence=[
            _item(AcquisitionType="SPIRAL", ConstantVolumeFlag="NO", FluoroscopyFlag="NO")
        ],
        CTAcquisitionDetailsSequence=[
            _item(
                RotationDirection="CW", RevolutionTime=0.5, SingleCollimationWidth=0.6,
                TotalCollimationWidth=38.4, TableHeight=150.0, GantryDetectorTilt=0.0,
                DataCollectionDiameter=500.0,
            )
        ],
        CTTableDynamicsSequence=[
            _item(TableSpeed=40.0, TableFeedPerRotation=20.0, SpiralPitchFactor=0.6)
        ],
        CTGeometrySequence=[
            _item(DistanceSourceToDetector=1085.6, DistanceSourceToDataCollectionCenter=595.0)
        ],
        CTReconstructionSequence=[
            _item(
                ReconstructionAlgorithm="FILTER_BACK_PROJ", ConvolutionKernel=["Br59"],
                ConvolutionKernelGroup="BONE", ReconstructionDiameter=200.0,
                ReconstructionPixelSpacing=[float(volume.spacing[1]), float(volume.spacing[0])],
                ImageFilter="NONE", ReconstructionAngle=360.0,
            )
        ],
        CTExposureSequence=[
            _item(
                ExposureTimeInms=500.0, XRayTubeCurrentInmA=200.0, ExposureInmAs=100.0,
                ExposureModulationType=["NONE"], CTDIvol=8.0,
                CTDIPhantomTypeCodeSequence=[
                    _item(CodeValue="113691", CodingSchemeDesignator="DCM",
                          CodeMeaning="IEC Body Dosimetry Phantom")
                ],
            )
        ],
        CTXRayDetailsSequence=[
            _item(KVP="120", FocalSpots=[1.2], FilterType="FLAT", FilterMaterial=["ALUMINUM"],
                  CalciumScoringMassFactorPatient=1.0)
        ],
        PixelValueTransformationSequence=[
            _item(RescaleIntercept=str(_INTERCEPT), RescaleSlope="1", RescaleType="HU")
        ],
        IrradiationEventIdentificationSequence=[_item(IrradiationEventUID=generate_uid())],
    )  # fmt: skip
    frames = []
    for k in order:
        place = np.array(volume.ras((0, 0, int(k)))) * LPS_TO_RAS
        frames.append(
            _item(
                FrameContentSequence=[
                    _item(
                        FrameReferenceDateTime="20260102101010",
                        FrameAcquisitionDateTime="20260102101010", FrameAcquisitionDuration=500.0,
                        DimensionIndexValues=[1, int(k) + 1], StackID="1",
                        InStackPositionNumber=int(k) + 1, FrameAcquisitionNumber=1,
                    )
                ],
                PlanePositionSequence=[
                    _item(ImagePositionPatient=[f"{v:.10g}" for v in place])
                ],
                CTPositionSequence=[
                    _item(
                        TablePosition=float(place[2]), DataCollectionCenterPatient=place.tolist(),
                        ReconstructionTargetCenterPatient=place.tolist(),
                    )
                ],
            )
        )  # fmt: skip
    organisation = generate_uid()
    dimensions = [
        _item(DimensionOrganizationUID=organisation, DimensionIndexPointer=tag,
              FunctionalGroupPointer=0x00209111)
        for tag in (0x00209056, 0x00209057)
    ]  # fmt: skip
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = ENHANCED
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    stored = (np.rint(volume.data) - _INTERCEPT).astype("<u2")[:, :, order]
    image = _item(
        SOPClassUID=ENHANCED, SOPInstanceUID=meta.MediaStorageSOPInstanceUID,
        StudyInstanceUID=generate_uid(), SeriesInstanceUID=generate_uid(),
        FrameOfReferenceUID=generate_uid(), PositionReferenceIndicator="",
        PatientName="Doe^Jane", PatientID="DOE1", PatientBirthDate="", PatientSex="F",
        StudyID="1", AccessionNumber="ACC77", ReferringPhysicianName="",
        StudyDate="20260102", StudyTime="101010", SeriesDate="20260102", SeriesTime="101010",
        ContentDate="20260102", ContentTime="101010", AcquisitionDateTime="20260102101010",
        AcquisitionDuration=500.0, Modality="CT", SeriesNumber=3, InstanceNumber=1,
        AcquisitionNumber=1, SeriesDescription="bone", PatientPosition="HFS",
        Manufacturer="HideSeek tests", ManufacturerModelName="made", DeviceSerialNumber="1",
        SoftwareVersions="1", ImageType=["ORIGINAL", "PRIMARY", "VOLUME", "NONE"],
        PixelPresentation="MONOCHROME", VolumetricProperties="VOLUME",
        VolumeBasedCalculationTechnique="NONE", ContentQualification="PRODUCT",
        MultienergyCTAcquisition="NO", AcquisitionContextSequence=[],
        BurnedInAnnotation="NO", LossyImageCompression="00", PresentationLUTShape="IDENTITY",
        DimensionOrganizationSequence=[_item(DimensionOrganizationUID=organisation)],
        DimensionIndexSequence=dimensions, SharedFunctionalGroupsSequence=[shared],
        PerFrameFunctionalGroupsSequence=frames, NumberOfFrames=len(order),
        Columns=volume.shape[0], Rows=volume.shape[1], SamplesPerPixel=1,
        PhotometricInterpretation="MONOCHROME2", BitsAllocated=16, BitsStored=16, HighBit=15,
        PixelRepresentation=0, PixelData=stored.transpose(2, 1, 0).tobytes(),
    )  # fmt: skip
    image.file_meta = meta
    pydicom.dcmwrite(path, image, enforce_file_format=True)
