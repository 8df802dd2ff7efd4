"""The segmentation (SEG) and the structured report (SR, TID 1500) of a case."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hideseek_backend.dicom import coding
from hideseek_backend.dicom.lesions import Lesion
from hideseek_backend.dicom.needs import need
from hideseek_backend.dicom.study import Source
from hideseek_backend.volumes.planes import sampled_on
from hideseek_backend.volumes.volume import Volume
from hideseek_backend.wire.codes import COLORS
from hideseek_backend.wire.version import VERSION

MAKER = "HideSeek"
RESEARCH = "research use only"
_REJECTED_COLOR = (150, 150, 150)
_SERIES_NUMBERS = {"seg": 9300, "sr": 9301, "key": 9302}


@dataclass(frozen=True)
class Signature:
    """Who looked at it. signed: the reader answers for the report (then organization is needed)."""

    reader: str = ""
    organization: str = ""
    signed: bool = False


def series_number(kind: str) -> int:
    """Series number of "seg", "sr" or "key": high, so that it sorts behind the images."""
    return _SERIES_NUMBERS[kind]


def segmentation(
    source: Source, labels: Volume, lesions: Sequence[Lesion], settings: dict[str, str]
) -> Any:
    """Return a BINARY segmentation with one segment a lesion.

    labels: segment numbers on the grid of the analysis; each pixel of a source slice takes the
    nearest voxel, by the slice's own position. settings: of the algorithm, name -> value.
    """
    hd = need("highdicom")
    codes = need("pydicom.sr.codedict").codes
    frames = np.stack([sampled_on(labels, plane) for plane in source.planes])
    algorithm = hd.AlgorithmIdentificationSequence(
        name=MAKER,
        version=VERSION,
        family=codes.DCM.ArtificialIntelligence,
        parameters=settings,
    )
    made = hd.seg.Segmentation(
        source_images=list(source.datasets),
        pixel_array=frames,
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[_segment(hd, lesion, algorithm) for lesion in lesions],
        series_instance_uid=hd.UID(),
        series_number=series_number("seg"),
        sop_instance_uid=hd.UID(),
        instance_number=1,
        manufacturer=MAKER,
        manufacturer_model_name=MAKER,
        software_versions=VERSION,
        device_serial_number="0",
        series_description=f"HideSeek lesions ({RESEARCH})",
        content_label="LESIONS",
        content_description="Lytic and blastic lesion candidates",
        omit_empty_frames=True,
    )
    for item, lesion in zip(made.SegmentSequence, lesions, strict=True):
        kind = item.SegmentedPropertyTypeCodeSequence[0]
        modifier = coding.concept(coding.PHENOTYPES[lesion.candidate.polarity])
        kind.SegmentedPropertyTypeModifierCodeSequence = [modifier]
    coding.declare_private_scheme(made)
    return made


def _segment(hd: Any, lesion: Lesion, algorithm: Any) -> Any:
    by_hand = lesion.candidate.source == "reader" or lesion.state != "not reviewed"
    kinds = hd.seg.SegmentAlgorithmTypeValues
    rgb = tuple(round(255 * c) for c in COLORS[lesion.candidate.polarity])
    return hd.seg.SegmentDescription(
        segment_number=lesion.number,
        segment_label=lesion.label,
        segmented_property_category=coding.concept(coding.ABNORMAL),
        segmented_property_type=coding.concept(coding.finding(lesion.state)),
        algorithm_type=kinds.SEMIAUTOMATIC if by_hand else kinds.AUTOMATIC,
        algorithm_identification=algorithm,
        tracking_uid=lesion.tracking_uid,
        tracking_id=_tracking_id(lesion),
        anatomic_regions=[coding.site(lesion.candidate.vertebra)],
        display_color=hd.color.CIELabColor.from_rgb(
            *(_REJECTED_COLOR if lesion.state == "rejected" else rgb)
        ),
    )


def report(
    source: Source,
    made: Any,
    lesions: Sequence[Lesion],
    settings: dict[str, str],
    signature: Signature,
) -> Any:
    """Return a Comprehensive 3D SR with the measurements of each segment of `made` (TID 1500).

    Volume and mean HU, Δ, the vertebra's probability and that without the lesion, phenotype and
    review state.
    """
    hd = need("highdicom")
    codes = need("pydicom.sr.codedict").codes
    algorithm = hd.sr.AlgorithmIdentification(
        name=MAKER, version=VERSION, parameters=[f"{k}={v}" for k, v in settings.items()]
    )
    person = None
    if signature.reader:
        person = hd.sr.ObserverContext(
            observer_type=codes.DCM.Person,
            observer_identifying_attributes=hd.sr.PersonObserverIdentifyingAttributes(
                name=signature.reader
            ),
        )
    context = hd.sr.ObservationContext(
        observer_person_context=person,
        observer_device_context=hd.sr.ObserverContext(
            observer_type=codes.DCM.Device,
            observer_identifying_attributes=hd.sr.DeviceObserverIdentifyingAttributes(
                uid=hd.UID(), name=MAKER, manufacturer_name=MAKER, model_name=MAKER
            ),
        ),
    )
    content = hd.sr.MeasurementReport(
        observation_context=context,
        procedure_reported=coding.concept(coding.CT),
        imaging_measurements=[_group(hd, codes, one, made, algorithm) for one in lesions],
        title=codes.DCM.ImagingMeasurementReport,
    )
    signed = {}
    if signature.signed:
        signed = {
            "verifying_observer_name": signature.reader,
            "verifying_organization": signature.organization,
        }
    document = hd.sr.Comprehensive3DSR(
        evidence=[*source.datasets, made],
        content=content,
        series_instance_uid=hd.UID(),
        series_number=series_number("sr"),
        sop_instance_uid=hd.UID(),
        instance_number=1,
        manufacturer=MAKER,
        is_complete=True,
        is_final=signature.signed,
        is_verified=signature.signed,
        series_description=f"HideSeek measurements ({RESEARCH})",
        **signed,
    )
    coding.declare_private_scheme(document)
    return document


def _group(hd: Any, codes: Any, lesion: Lesion, made: Any, algorithm: Any) -> Any:
    c = lesion.candidate

    def measured(
        code: tuple[str, str, str], value: float, unit: Any, derivation: Any = None
    ) -> Any:
        return hd.sr.Measurement(
            name=coding.concept(code),
            value=float(value),
            unit=unit,
            derivation=derivation,
            algorithm_id=algorithm,
        )

    units = codes.UCUM
    values = [
        measured(coding.VOLUME, round(c.volume_mm3, 1), units.CubicMillimeter),
        measured(
            coding.ATTENUATION,
            round(c.mean_hu, 1),
            units.HounsfieldUnit,
            coding.concept(coding.MEAN),
        ),
    ]
    if np.isfinite(c.delta):
        values.append(measured(coding.DELTA, round(c.delta, 4), units.NoUnits))
    if c.p_without is not None:
        without = round(100 * c.p_without, 2)
        values.append(measured(coding.P_WITHOUT, without, units.Percent))
    if np.isfinite(lesion.vertebra.p_malignant):
        percent = round(100 * lesion.vertebra.p_malignant, 2)
        values.append(measured(coding.PROBABILITY, percent, units.Percent))
    words = [
        hd.sr.QualitativeEvaluation(coding.concept(name), coding.concept(value))
        for name, value in (
            (coding.PHENOTYPE, coding.PHENOTYPES[c.polarity]),
            (coding.REVIEW, coding.STATES[lesion.state]),
        )
    ]
    return hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=hd.sr.TrackingIdentifier(
            uid=lesion.tracking_uid, identifier=_tracking_id(lesion)
        ),
        referenced_segment=hd.sr.ReferencedSegment.from_segmentation(
            made, segment_number=lesion.number
        ),
        finding_type=coding.concept(coding.finding(lesion.state)),
        finding_category=coding.concept(coding.ABNORMAL),
        finding_sites=[hd.sr.FindingSite(anatomic_location=coding.site(c.vertebra))],
        algorithm_id=algorithm,
        measurements=values,
        qualitative_evaluations=words,
    )


def _tracking_id(lesion: Lesion) -> str:
    """The same over reviews: a verdict changes, the lesion does not."""
    c = lesion.candidate
    return f"{c.vertebra} {c.polarity} {c.number}"
