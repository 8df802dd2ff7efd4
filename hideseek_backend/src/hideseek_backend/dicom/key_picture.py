"""One lesion as a picture for a radiologist: CT axial and sagittal, healthy edit, difference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hideseek_backend.dicom.lesions import Lesion
from hideseek_backend.dicom.needs import need
from hideseek_backend.report.pixels import BLUE, BONE, NEUTRAL, RED
from hideseek_backend.volumes.volume import FloatArray, Volume
from hideseek_backend.wire.codes import COLORS
from hideseek_backend.wire.records import Evidence

PANEL = 448
"""Pixels along a side of each of the four pictures."""
TEXT_WIDTH = 380
HEADER = 52
GAP = 8
SIZE = (2 * PANEL + TEXT_WIDTH + 4 * GAP, 2 * PANEL + HEADER + 3 * GAP)  # width, height
_FIELD_MM = 64 * 0.8
_LEAST_DIFFERENCE = {"HU": 200.0, "model": 0.1}
_WHITE, _GREY, _AMBER = (235, 235, 235), (165, 165, 165), (255, 196, 64)

Picture = NDArray[np.uint8]


def key_picture(ct: Volume, labels: Volume, lesion: Lesion, count: int) -> Picture:
    """Return (height, width, 3) RGB uint8.

    ct: HU. labels: segment numbers on any grid. Axial pictures are seen from the feet (patient's
    right on the left), sagittal ones have anterior on the left; each is 51.2 mm wide.
    """
    image_module, draw_module = need("PIL.Image"), need("PIL.ImageDraw")
    canvas = image_module.new("RGB", SIZE, (0, 0, 0))
    draw = draw_module.Draw(canvas)
    colour = tuple(round(255 * c) for c in COLORS[lesion.candidate.polarity])
    colour = tuple(min(255, c + 40) for c in colour)  # on dark bone pictures
    draw.text((GAP, 10), lesion.label, font=_font(28, bold=True), fill=colour)
    _research_use(draw)
    places = [(GAP + x * (PANEL + GAP), HEADER + y * (PANEL + GAP)) for y in (0, 1) for x in (0, 1)]
    panels = _panels(ct, labels, lesion)
    for place, (picture, outline, words, corners) in zip(places, panels, strict=True):
        canvas.paste(image_module.fromarray(picture), place)
        if outline is not None:
            _outline(canvas, place, outline, colour)
        _marks(draw, place, words, corners)
    _text(draw, lesion, count)
    return np.asarray(canvas, dtype=np.uint8)


def _panels(ct: Volume, labels: Volume, lesion: Lesion) -> list[tuple[Picture, Any, str, Any]]:
    evidence = lesion.vertebra.evidence
    index = np.argwhere(labels.data == lesion.number)
    middle = labels.ras(index.mean(axis=0))
    # The lesion's largest axial cut, the largest of its sagittal slices in the evidence.
    heights = labels.ras(index)[:, 2]
    bins = np.round(heights - heights.min()).astype(int)
    middle[2] = heights.min() + np.bincount(bins).argmax()
    axial = _frame(middle, (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), flip=True)
    blank = np.zeros((PANEL, PANEL, 3), np.uint8)
    w = BONE.text
    out = [_ct_panel(ct, labels, lesion, axial, f"CT axial   {w}", ("R", "L", "A", "P"))]
    sagittal = ("A", "P", "S", "I")
    if evidence is None or evidence.labels is None:
        frame = _frame(middle, (0.0, -1.0, 0.0), (0.0, 0.0, 1.0))
        out.append(_ct_panel(ct, labels, lesion, frame, f"CT sagittal   {w}", sagittal))
        return [*out, (blank, None, "no healthy edit at hand", ()), (blank, None, "", ())]
    areas = (evidence.labels == lesion.candidate.number).sum(axis=(0, 1))
    n = int(areas.argmax())
    affine = evidence.affine.copy()
    affine[:3, 3] += affine[:3, 2] * evidence.slices[n]
    zoom = PANEL / evidence.image.shape[0]
    place = np.eye(4)
    # Pixel (x right, y down) of the picture -> crop index (p, s): s runs upwards.
    place[:2, :2] = np.diag([1 / zoom, -1 / zoom])
    place[0, 3] = 0.5 / zoom - 0.5
    place[1, 3] = evidence.image.shape[1] - 0.5 - 0.5 / zoom
    frame = affine @ place
    region = _enlarged((evidence.labels[:, :, n] == lesion.candidate.number).astype(float)) > 0.5
    picture = _ct_panel(ct, labels, lesion, frame, "", sagittal)[0]
    out.append((picture, region, f"CT sagittal   {w}", sagittal))
    out.append(_edit_panel(evidence, n, region, sagittal))
    limit = max(
        _LEAST_DIFFERENCE[evidence.unit],
        float(np.percentile(np.abs(evidence.difference[:, :, n]), 99.5)),
    )
    shown = np.clip(_enlarged(evidence.difference[:, :, n]) / limit, -1, 1)[..., None]
    mixed = NEUTRAL + np.abs(shown) ** 0.8 * (np.where(shown > 0, RED, BLUE) - NEUTRAL)
    unit = f"±{limit:.0f} HU" if evidence.unit == "HU" else f"±{limit:.2f} (model intensity)"
    words = f"Edit minus CT   {unit}"
    return [*out, (np.round(mixed).astype(np.uint8), region, words, sagittal)]


def _edit_panel(
    evidence: Evidence, n: int, region: NDArray[np.bool_], corners: Any
) -> tuple[Picture, Any, str, Any]:
    healthy = evidence.healthy[:, :, n]
    if evidence.unit == "HU":
        low, width = BONE.level - BONE.width / 2, BONE.width
    else:
        low, high = np.percentile(evidence.image[:, :, n], (0.5, 99.5))
        width = max(high - low, 1e-3)
    grey = np.clip((_enlarged(healthy) - low) / width, 0, 1) * 255
    picture = np.repeat(np.round(grey).astype(np.uint8)[..., None], 3, axis=2)
    return picture, region, "Healthy edit (made by the model)", corners


def _frame(centre: FloatArray, right: Any, up: Any, *, flip: bool = False) -> FloatArray:
    """Picture (x, y, 0, 1) -> RAS mm. flip: x runs towards the patient's left."""
    step = _FIELD_MM / PANEL
    matrix = np.eye(4)
    matrix[:3, 0] = np.array(right) * (-step if flip else step)
    matrix[:3, 1] = -np.array(up) * step
    matrix[:3, 2] = np.cross(matrix[:3, 0], matrix[:3, 1])
    matrix[:3, 3] = centre - matrix[:3, :2] @ np.full(2, (PANEL - 1) / 2)
    return matrix


def _ct_panel(
    ct: Volume, labels: Volume, lesion: Lesion, frame: FloatArray, words: str, corners: Any
) -> tuple[Picture, Any, str, Any]:
    hu = _sampled(ct.data, np.linalg.inv(ct.affine) @ frame, 1, -1024)
    # Half a voxel of smoothing: an outline in steps of 3 mm hides what it outlines.
    mask = (labels.data == lesion.number).astype(np.float32)
    region = _sampled(mask, np.linalg.inv(labels.affine) @ frame, 1, 0) > 0.5
    grey = np.clip((hu - (BONE.level - BONE.width / 2)) / BONE.width, 0, 1) * 255
    return np.repeat(np.round(grey).astype(np.uint8)[..., None], 3, axis=2), region, words, corners


def _sampled(data: NDArray[Any], matrix: FloatArray, order: int, outside: float) -> NDArray[Any]:
    y, x = np.mgrid[:PANEL, :PANEL].astype(float)
    points = [matrix[n, 0] * x + matrix[n, 1] * y + matrix[n, 3] for n in range(3)]
    low = [max(0, int(np.floor(p.min())) - 1) for p in points]
    high = [int(np.ceil(p.max())) + 2 for p in points]
    part = np.asarray(data[tuple(slice(a, max(a, b)) for a, b in zip(low, high, strict=True))])
    if not part.size:
        return np.full((PANEL, PANEL), outside, np.float32)
    moved = [p - a for p, a in zip(points, low, strict=True)]
    sampled = ndimage.map_coordinates(
        part.astype(np.float32), moved, order=order, mode="constant", cval=outside
    )
    return np.asarray(sampled)


def _enlarged(values: NDArray[Any]) -> NDArray[Any]:
    """A slice (posterior, superior) as picture rows and columns, PANEL pixels wide."""
    shown = values.T[::-1].astype(np.float32)
    return np.asarray(
        ndimage.zoom(shown, PANEL / shown.shape[0], order=1, mode="nearest", grid_mode=True)
    )


def _outline(canvas: Any, place: tuple[int, int], region: NDArray[np.bool_], colour: Any) -> None:
    """Two pixels around the lesion, outside it, so that nothing of it is covered."""
    rim = ndimage.binary_dilation(region, iterations=2) & ~region
    pixels = np.asarray(canvas).copy()
    x, y = place
    pixels[y : y + PANEL, x : x + PANEL][rim] = colour
    canvas.paste(need("PIL.Image").fromarray(pixels), (0, 0))


def _marks(draw: Any, place: tuple[int, int], words: str, corners: Any) -> None:
    x, y = place
    draw.text((x + 6, y + PANEL - 24), words, font=_font(16), fill=_WHITE, **_EDGE)
    spots = ((x + 6, y + PANEL // 2), (x + PANEL - 20, y + PANEL // 2), (x + PANEL // 2, y + 4))
    for letter, spot in zip(corners, spots, strict=False):
        draw.text(spot, letter, font=_font(20, bold=True), fill=_AMBER, **_EDGE)
    if corners:
        length = round(PANEL * 10 / _FIELD_MM)
        end = (x + PANEL - 12, y + PANEL - 12)
        draw.line([(end[0] - length, end[1]), end], fill=_WHITE, width=2)
        draw.text((end[0] - length, end[1] - 22), "10 mm", font=_font(14), fill=_WHITE, **_EDGE)


_EDGE: dict[str, Any] = {"stroke_width": 2, "stroke_fill": (0, 0, 0)}


def _text(draw: Any, lesion: Lesion, count: int) -> None:
    c, v = lesion.candidate, lesion.vertebra
    volume = f"{c.volume_mm3 / 1000:.2f} mL" if c.volume_mm3 >= 1000 else f"{c.volume_mm3:.0f} mm³"
    rows = [
        ("Level", c.vertebra),
        ("Type", {"lytic": "osteolytic", "blastic": "osteoblastic"}[c.polarity]),
        ("Volume", volume),
        ("Mean HU", f"{c.mean_hu:.0f}"),
        ("Δ", f"{c.delta:.2f}" if np.isfinite(c.delta) else "–"),
        (f"p({c.vertebra})", _probability(v.p_malignant)),
        ("Review", lesion.state),
        ("Lesion", f"{lesion.number} of {count}"),
    ]
    x, y = 2 * PANEL + 3 * GAP + 8, HEADER + 6
    for name, value in rows:
        draw.text((x, y), name, font=_font(22), fill=_GREY)
        draw.text((x + 116, y), value, font=_font(24, bold=True), fill=_WHITE)
        y += 42
    # Only one slice was looked at: its slab is not the lesion.
    one_slice = ("Volume: of one slice only, not of the lesion.",) if len(c.slices) == 1 else ()
    notes = (
        *one_slice,
        "Δ: share of the evidence for malignancy",
        "that this candidate explains; no probability.",
        f"p({c.vertebra}): the model's score of the vertebra.",
        "Outline: the candidate, drawn outside it.",
    )
    y += 24
    for line in notes:
        draw.text((x, y), line, font=_font(15), fill=_GREY)
        y += 24


def _probability(p: float) -> str:
    if not np.isfinite(p):
        return "–"
    return "> 0.99" if p > 0.995 else "< 0.01" if p < 0.005 else f"{p:.2f}"


def _research_use(draw: Any) -> None:
    words = "HideSeek · RESEARCH USE ONLY · not for diagnosis"
    font = _font(20, bold=True)
    draw.text(
        (SIZE[0] - GAP - draw.textlength(words, font=font), 14), words, font=font, fill=_AMBER
    )


def _font(size: int, bold: bool = False) -> Any:
    # Pillow's own font has no Δ; matplotlib brings DejaVu.
    folder = Path(need("matplotlib").get_data_path(), "fonts", "ttf")
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return need("PIL.ImageFont").truetype(str(folder / name), size)
