"""The worksheet as a page that a reader fills and signs, each suggestion beside its picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hideseek_backend.followup.timepoint import Timepoint
from hideseek_backend.report.html import template
from hideseek_backend.report.pixels import BONE, Window, grey_picture, outline
from hideseek_backend.report.summary import DISCLAIMER
from hideseek_backend.sins.measure import PATCHES, BodyFrame
from hideseek_backend.volumes.volume import FloatArray, inverse
from hideseek_backend.wire.records import Evidence
from hideseek_backend.wire.sins import ITEMS, Sheet


@dataclass(frozen=True)
class ItemPicture:
    """One picture (64 x 64 units) and what it shows.

    lesions: (polarity, SVG path); lines: (x1, y1, x2, y2); dots: (x, y).
    """

    picture: str
    caption: str
    lesions: tuple[tuple[str, str], ...] = ()
    lines: tuple[tuple[float, float, float, float], ...] = ()
    dots: tuple[tuple[float, float], ...] = ()


def worksheet_page(
    sheets: Sequence[Sheet], date: Timepoint, frames: Mapping[str, BodyFrame]
) -> str:
    """Return one HTML document for all sheets; it sums nothing before all is filled and signed."""
    shown = [(sheet, _pictures(sheet.level, date, frames)) for sheet in sheets]
    return template("sins.html").render(
        sheets=shown, items=ITEMS, disclaimer=DISCLAIMER,
        suggestions={s.level: {one.item: one for one in s.suggestions} for s in sheets},
    )  # fmt: skip


def _pictures(
    level: str, date: Timepoint, frames: Mapping[str, BodyFrame]
) -> dict[str, ItemPicture]:
    evidence = date.evidence.get(level)
    if evidence is None:
        return {}
    kinds = {f.candidate.number: f.candidate.polarity for f in date.of(level) if f.counts}
    image = evidence.image
    window = BONE if evidence.unit == "HU" else Window(0.5, 1.0, "model intensity")
    labels = evidence.labels if evidence.labels is not None else np.zeros(image.shape, np.uint16)
    lesion = np.isin(labels, list(kinds))
    frame = frames[level]
    middle = int(np.argmin(np.abs(np.array(evidence.slices) - _index(evidence, frame.centre)[2])))
    most = int(lesion.sum(axis=(0, 1)).argmax()) if lesion.any() else middle
    sagittal = grey_picture(image[:, :, middle], window)
    found = {
        "location": ItemPicture(sagittal, f"{level}, sagittal, through its middle"),
        "collapse": ItemPicture(
            sagittal, "anterior, middle, posterior height", lines=_height_lines(evidence, frame)
        ),
        "alignment": ItemPicture(
            sagittal, "posterior wall, this body and its neighbours",
            dots=tuple(
                _spot(evidence, f.wall(upper))
                for f in _beside(frames, level) for upper in (True, False)
            ),
        ),
        "lesion": ItemPicture(
            grey_picture(image[:, :, most], window), "largest section of the lesions",
            _paths(labels[:, :, most], kinds),
        ),
    }  # fmt: skip
    if len(evidence.slices) > 8:
        at = int(lesion.sum(axis=(0, 2)).argmax()) if lesion.any() else image.shape[1] // 2
        found["posterolateral"] = ItemPicture(
            grey_picture(_axial(image[:, at]), window), "axial, patient's right on the left",
            _paths(_axial(labels[:, at]), kinds),
        )  # fmt: skip
    return found


def _axial(plane: FloatArray) -> FloatArray:
    """An axial plane (posterior, right) turned for `grey_picture`: front up, right on the left."""
    room = 64 - plane.shape[1]
    wide = np.pad(plane, ((0, 0), (room // 2, room - room // 2)), constant_values=plane.min())
    return np.asarray(wide.T[::-1, ::-1])


def _paths(labels: FloatArray, kinds: Mapping[int, str]) -> tuple[tuple[str, str], ...]:
    return tuple((kind, outline(labels == n)) for n, kind in kinds.items() if (labels == n).any())


def _beside(frames: Mapping[str, BodyFrame], level: str) -> list[BodyFrame]:
    names = list(frames)
    n = names.index(level)
    return [frames[name] for name in names[max(n - 1, 0) : n + 2]]


def _height_lines(
    evidence: Evidence, frame: BodyFrame
) -> tuple[tuple[float, float, float, float], ...]:
    """The three heights, drawn where they are measured."""
    depth = frame.heights.depth_mm
    lines = []
    for name, height in zip(("anterior", "middle", "posterior"), frame.heights.mm, strict=True):
        y = (sum(PATCHES[name]) / 2 - 0.5) * depth
        ends = [
            np.array([0.0, y, side * height / 2]) @ frame.axes + frame.centre for side in (1, -1)
        ]
        lines.append((*_spot(evidence, ends[0]), *_spot(evidence, ends[1])))
    return tuple(lines)


def _index(evidence: Evidence, ras: FloatArray) -> FloatArray:
    to_index = inverse(evidence.affine)
    return np.asarray(to_index[:3, :3] @ ras + to_index[:3, 3])


def _spot(evidence: Evidence, ras: FloatArray) -> tuple[float, float]:
    """A point in a sagittal picture's coordinates."""
    p, s, _ = _index(evidence, ras)
    return round(float(p) + 0.5, 2), round(63.5 - float(s), 2)
