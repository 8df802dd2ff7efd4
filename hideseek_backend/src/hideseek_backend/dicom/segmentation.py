"""Vertebrae from a DICOM segmentation: by the code of each segment, then by its label."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hideseek_backend.dicom.headers import SEGMENTATIONS, read_header
from hideseek_backend.dicom.needs import lenient, need
from hideseek_backend.errors import InputError
from hideseek_backend.volumes.names import SegmentName
from hideseek_backend.volumes.volume import Volume
from hideseek_backend.wire.codes import level_of_entry

_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def is_segmentation(path: Path) -> bool:
    """Say whether a file is a DICOM segmentation, binary or label map."""
    header = read_header(path)
    return header is not None and header.sop_class in SEGMENTATIONS


def read_segmentation(path: Path) -> tuple[Volume, dict[int, SegmentName]]:
    """Read a segmentation as labels (I, J, K) on its own grid, and what each value is called.

    A segment with the code of a vertebra takes that level's name, whatever its label says.
    Raises InputError for fractional or unreadable segmentations and overlapping segments,
    MissingDependencyError without highdicom.
    """
    highdicom = need("highdicom")
    try:
        with lenient():
            segmentation = highdicom.seg.segread(path)
            kind = str(segmentation.SegmentationType)
            if kind == "FRACTIONAL":
                raise InputError(
                    f"Expected whole segments in {path.name}, got probabilities (fractional).",
                    "Export a binary segmentation.",
                )
            volume = segmentation.get_volume(combine_segments=True, skip_overlap_checks=False)
            described = {
                number: segmentation.get_segment_description(number)
                for number in segmentation.segment_numbers
                if number > 0
            }
    except InputError:
        raise
    except Exception as error:  # whatever a damaged object leads the parser to
        raise InputError(
            f"Expected a readable DICOM segmentation in {path.name}, but it is damaged, has "
            f"overlapping segments, or no regular grid ({type(error).__name__}).",
            "Export it again, or save it as .seg.nrrd (3D Slicer does).",
        ) from error
    # highdicom's axes are slices, rows, columns; its affine is to LPS.
    affine = _LPS_TO_RAS @ np.asarray(volume.affine, dtype=float)
    names = {int(number): _name(text) for number, text in described.items()}
    return Volume(np.asarray(volume.array), affine), names


def _name(description: Any) -> SegmentName:
    """The level of a segment that codes a vertebra, else its label.

    A region counts for a bone alone: a tumour in T12 has that region and is not the vertebra.
    """

    def triple(code: Any) -> str:
        return f"{code.scheme_designator}^{code.value}^{code.meaning}"

    kinds = [description.segmented_property_category, description.segmented_property_type]
    regions = getattr(description, "anatomic_regions", None) or [None]
    for region in regions:
        parts = ["", *map(triple, kinds), "", "", triple(region) if region is not None else "", ""]
        level = level_of_entry("~".join(parts))
        if level is not None:
            return SegmentName(name=level, identifier=level)
    return SegmentName(name=str(description.segment_label))
