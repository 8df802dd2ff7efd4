"""A study as it was exported: which series it holds, which one is analysed, and its voxels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from hideseek_backend.dicom import media
from hideseek_backend.dicom.headers import SEGMENTATIONS, Header, read_header
from hideseek_backend.dicom.needs import lenient, need
from hideseek_backend.errors import HideSeekError, InputError
from hideseek_backend.volumes.planes import Plane, stack, straightened
from hideseek_backend.volumes.volume import FloatArray, Volume
from hideseek_backend.wire.acquisition import Acquisition, acquired, is_for_bone

_LEAST_SLICES = 5
_PLAIN = frozenset(f"1.2.840.10008.1.2{end}" for end in ("", ".1", ".1.99", ".2"))
# Compressed syntaxes that the GDCM within SimpleITK decodes: RLE, JPEG lossless and lossy, JPEG-LS,
# JPEG 2000.
_DECODED = frozenset(
    f"1.2.840.10008.1.2.{end}"
    for end in ("5", *(f"4.{n}" for n in (50, 51, 57, 70, 80, 81, 90, 91)))
)


@dataclass(frozen=True, eq=False)
class Series:
    """One series of a study.

    number: from 1, in the order of `list_series`; what `--series` takes, or the uid. wrong: why it
    cannot be analysed, "" where it can. count: slices. headers: one a file.
    """

    number: int
    uid: str
    description: str
    modality: str
    kernel: str
    thickness_mm: float | None
    count: int
    view: str
    wrong: str
    headers: tuple[Header, ...] = field(repr=False)

    @property
    def bone(self) -> bool:
        """Whether kernel or description says that it was made for bone."""
        return is_for_bone(self.kernel, self.description)

    @property
    def scan(self) -> Acquisition:
        """How it was made."""
        first = self.headers[0]
        return acquired(
            kernel=self.kernel, description=self.description, agent=first.agent,
            phase=first.phase, thickness=self.thickness_mm, diameter=first.diameter, kvp=first.kvp,
        )  # fmt: skip

    def __str__(self) -> str:
        parts = [self.modality or "no modality", f"{self.count} slices"]
        if self.thickness_mm is not None:
            parts.append(f"{self.thickness_mm:g} mm")
        if self.kernel:
            parts.append(f"kernel {self.kernel}")
        return f"series {self.number} '{self.description or 'no name'}' ({', '.join(parts)})"


@dataclass(frozen=True, eq=False)
class Study:
    """A series in Hounsfield units with what it came from; warnings name no patient.

    volume: (columns, rows, slices). series: the one that was read. order: index into the frames of
    `series.headers` (file by file) of each slice of the stack as acquired. tilt_degrees: of the
    gantry, 0 where the slices were not tilted and the volume is as acquired.
    """

    volume: Volume
    series: Series
    order: tuple[int, ...]
    tilt_degrees: float
    warnings: tuple[str, ...]


def list_series(path: Path) -> tuple[Series, ...]:
    """Return the series of a folder, DICOMDIR, zip or file, CT first, then by number.

    Raises InputError where there is no DICOM, MissingDependencyError without pydicom.
    """
    with media.opened(path) as files:
        return _series_of(files)


def read_study(path: Path, series: str | None = None) -> Study:
    """Read one CT series of a study in HU; the thinnest one with a bone kernel where none is named.

    series: its uid, or its number in `list_series`. Slices of a tilted gantry are straightened.
    Raises InputError for several patients, a series that is absent or no CT in HU, unreadable
    slices; GeometryError for missing, doubled or uneven slices.
    """
    with media.opened(path) as files:
        found = _series_of(files)
        chosen, why = _choose(found, series, path.name)
        return _read(chosen, why, len(files) - sum(len(one.headers) for one in found))


@dataclass(frozen=True, eq=False)
class Source:
    """The slices that new objects refer to: the study, and their datasets as they were stored.

    datasets: one a slice in the order of the stack, or the one of an enhanced CT. planes: one a
    frame, in the order that an object with a frame for each of them takes.
    """

    study: Study
    datasets: tuple[Any, ...]
    planes: tuple[Plane, ...]


def read_source(
    path: media.StudyPath,
    series: str | None = None,
    *,
    shape: tuple[int, int, int],
    affine: FloatArray,
    pixels: bool = False,
) -> Source:
    """Read the series that a result on the grid (shape, affine) was made of.

    series: uid or number; else the CT series whose slices lie on that grid, else as in
    `read_study`. pixels: keep them in the datasets. Errors are those of `read_study`.
    """
    pydicom = need("pydicom")
    with media.opened(path) as files:
        found = _series_of(files)
        wanted = series if series is not None else _on_grid(found, shape, affine)
        chosen, why = _choose(found, wanted, media.shown(path))
        study = _read(chosen, why, 0)
        with lenient():
            stored = [
                pydicom.dcmread(header.path, force=True, stop_before_pixels=not pixels)
                for header in chosen.headers
            ]
    planes = [plane for header in chosen.headers for plane in header.planes if plane is not None]
    if chosen.headers[0].enhanced:
        if len(stored) > 1:
            raise InputError(
                f"Expected one enhanced CT in series {chosen.number}, got {len(stored)} files.",
                "Export to classic slices first; segmentations over several files are not written.",
            )
        return Source(study, tuple(stored), tuple(planes))
    return Source(
        study,
        tuple(stored[n] for n in study.order),
        tuple(planes[n] for n in study.order),
    )


def _on_grid(
    found: Sequence[Series], shape: tuple[int, int, int], affine: FloatArray
) -> str | None:
    """The uid of the only CT series with voxels where the grid has them, in whatever order."""
    fitting = []
    for one in found:
        if one.wrong:
            continue
        planes = [plane for header in one.headers for plane in header.planes]
        stacked = stack(planes, "it").affine
        step = np.linalg.inv(stacked) @ affine
        whole = np.rint(step)
        size = np.abs(whole[:3, :3]) @ np.array(shape)
        own = planes[0].size if planes[0] is not None else (0, 0)
        same = np.abs(step[:3, :3] - whole[:3, :3]).max() * max(shape) < 0.1
        if same and np.array_equal(size, (*own, len(planes))):
            fitting.append(one.uid)
    return fitting[0] if len(fitting) == 1 else None


def _series_of(files: Sequence[Path]) -> tuple[Series, ...]:
    headers: dict[str, dict[str, Header]] = {}
    for path in files:
        header = read_header(path)
        if header is not None:
            # The same object twice (a CD beside its copy) is one slice.
            headers.setdefault(header.series_uid, {}).setdefault(header.sop_uid, header)
    if not headers:
        raise InputError(
            "Expected DICOM images, but none of the DICOM files could be read.",
            "Export or copy the study again.",
        )
    groups = [tuple(own.values()) for own in headers.values()]
    groups.sort(
        key=lambda own: (own[0].modality != "CT", own[0].series_number or 0, own[0].series_uid)
    )
    return tuple(_describe(number, own) for number, own in enumerate(groups, 1))


def _describe(number: int, own: tuple[Header, ...]) -> Series:
    first = own[0]
    planes = [plane for header in own for plane in header.planes]
    known = [plane for plane in planes if plane is not None]
    return Series(
        number=number,
        uid=first.series_uid,
        description=first.description,
        modality=first.modality,
        kernel=first.kernel,
        thickness_mm=first.thickness,
        count=len(planes),
        view=known[0].view if known else "",
        wrong=_what_is_wrong(own),
        headers=own,
    )


def _what_is_wrong(own: tuple[Header, ...]) -> str:
    first = own[0]
    if first.sop_class in SEGMENTATIONS:
        return "a segmentation"
    if any(not header.has_pixels for header in own):
        return "no images (a report)"
    other = next((header.modality for header in own if header.modality != "CT"), None)
    if other is not None:
        return f"modality {other or 'unknown'}, not CT"
    if any(header.samples != 1 for header in own):
        return "colour, not CT numbers"
    if any(header.localizer for header in own):
        return "a localizer (scout view)"
    if first.units not in ("", "HU", "US"):  # US: unspecified
        return f"rescale type {first.units}, not Hounsfield units"
    cut = sum(header.short_by > 0 for header in own)
    if cut:
        return f"{cut} slices are cut short"
    if len({header.frame_uid for header in own}) > 1:
        return "slices of several frames of reference"
    if len({header.patient for header in own}) > 1:
        return "slices of several patients"
    try:
        stack([plane for header in own for plane in header.planes], "it")
    except HideSeekError as error:
        return error.message
    return ""


def _choose(found: Sequence[Series], asked: str | None, shown: str) -> tuple[Series, str]:
    """Return the series to read, and how it was chosen where there was a choice."""
    if asked is not None:
        named = [one for one in found if asked in (one.uid, str(one.number))]
        if not named:
            raise InputError(
                f"Expected a series {asked} in {shown}, got {'; '.join(map(str, found))}.",
                "Give the number or the uid that `hideseek dicom list` shows.",
            )
        if named[0].wrong:
            raise InputError(
                f"Expected a CT in {named[0]}, but: {named[0].wrong}",
                "Choose another series: `hideseek dicom list` shows them all.",
            )
        return named[0], ""
    usable = [one for one in found if not one.wrong and one.count >= _LEAST_SLICES]
    if not usable and len(found) == 1 and found[0].wrong.startswith("Expected"):
        # Where there is no choice, say what is wrong with the one there is.
        stack([p for header in found[0].headers for p in header.planes], shown)
    if not usable:
        lines = "; ".join(f"{one}: {one.wrong or 'too few slices'}" for one in found)
        raise InputError(
            f"Expected a CT series in {shown}, got none that can be used: {lines}.",
            "Export the CT with all its original slices.",
        )
    if len({one.headers[0].patient for one in usable}) > 1:
        raise InputError(
            f"Expected one patient in {shown}, got CT series of several.",
            "Give the folder of one study, or name a series with --series.",
        )
    best = min(usable, key=_rank)
    if len(usable) == 1:
        return best, ""
    others = ", ".join(str(one.number) for one in usable if one is not best)
    reason = "the thinnest with a bone kernel" if best.bone else "the thinnest; none is for bone"
    return best, f"Read {best}, {reason}; other CT series: {others} (--series takes one)."


def _rank(series: Series) -> tuple[bool, float, int, int]:
    thickness = series.thickness_mm if series.thickness_mm else np.inf
    return (not series.bone, float(thickness), -series.count, series.number)


def _read(series: Series, why: str, unreadable: int) -> Study:
    planes = [plane for header in series.headers for plane in header.planes]
    stacked = stack(planes, f"series {series.number}")
    frames = _frames(series)
    data = np.ascontiguousarray(frames[list(stacked.order)].transpose(2, 1, 0))
    volume = Volume(data, stacked.affine)
    warnings = [why] if why else []
    if stacked.tilt_degrees:
        volume = straightened(volume)
        warnings.append(
            f"The gantry was tilted by {stacked.tilt_degrees:.1f} degrees: the slices were "
            "resampled to a straight grid."
        )
    if unreadable:
        warnings.append(
            f"{unreadable} DICOM files belong to no readable series and were left out. Reports may "
            "be; damaged slices must be exported again."
        )
    return Study(volume, series, stacked.order, stacked.tilt_degrees, tuple(warnings))


def _frames(series: Series) -> NDArray[Any]:
    """Voxels in HU, (frames, rows, columns), in the order of the headers."""
    whole = np.concatenate([_voxels(header, series.number) for header in series.headers])
    return whole.astype(np.float32) if whole.dtype == np.float64 else whole


def _voxels(header: Header, series: int) -> NDArray[Any]:
    """Voxels in HU of one file, (frames, rows, columns)."""
    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(header.path))
    try:
        array = sitk.GetArrayFromImage(reader.Execute())
    except RuntimeError as error:
        _require_decoder(header.path, series)
        reason = str(error).strip().splitlines()[-1][:120]
        raise InputError(
            f"Expected readable slices in series {series}, but one is corrupt, cut short, or "
            f"compressed in a way that cannot be read ({reason}).",
            "Export or copy the series again, uncompressed where you can choose.",
        ) from error
    return np.asarray(array.reshape(-1, *array.shape[-2:]))


def _require_decoder(path: Path, series: int) -> None:
    """Raise InputError where it is the compression that GDCM does not know, not the file."""
    pydicom = need("pydicom")
    with lenient():
        syntax = pydicom.dcmread(path, stop_before_pixels=True, force=True).file_meta.get(
            "TransferSyntaxUID"
        )
    if syntax is None or syntax in _DECODED or syntax in _PLAIN:
        return
    raise InputError(
        f"Series {series} is compressed as {syntax.name}, which is not decoded here.",
        "Have the PACS send it uncompressed, or convert each file: python -m pip install pylibjpeg "
        "pylibjpeg-openjpeg pylibjpeg-libjpeg && pydicom decompress FILE.dcm PLAIN.dcm",
    )
