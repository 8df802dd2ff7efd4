"""Pictures of a case: slice and 3D views as Slicer's displayable managers draw them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from slicer_views import SliceView, ThreeDView, can_render, write_png

from HideSeekLib.case import lesions_view, views

_GAP = 6


def draw_case(app: Any, case: Any, folder: Path) -> list[Path]:
    """Write views.png (three slices and 3D at the lesion with the highest Δ) and evidence.png (CT,
    healthy edit, difference). Returns the files; none where off-screen drawing does not work."""
    if not can_render():
        print(
            "note: no off-screen OpenGL, so no pictures (apt-get install libegl1 libgl1-mesa-dri)"
        )
        return []
    slices = {
        name: SliceView(app, name, orientation, (480, 480))
        for name, orientation in (("Red", "Axial"), ("Yellow", "Sagittal"), ("Green", "Coronal"))
    }
    views.set_background(case)
    for view in slices.values():
        view.fit()
    kept = sorted((r for r in case.rows() if r.kept), key=lambda r: (-r.delta, -r.volume_mm3))
    if kept:
        views.show_candidate(case, kept[0].key)
        slices["Red"].zoom(110)
        slices["Green"].zoom(150)
        slices["Yellow"].zoom(150)
        views.jump_to(views.candidate_point(case, kept[0].key))
    lesions_view.show_surfaces(case.lesions, True)
    if case.nodes.vertebrae is not None:
        case.nodes.vertebrae.CreateClosedSurfaceRepresentation()
    space = ThreeDView(app, (480, 480))
    space.look_from((-0.8, 0.9, 0.15))
    red, yellow, green = (slices[name].render() for name in ("Red", "Yellow", "Green"))
    picture = _rows([[red, space.render()], [yellow, green]])
    written = [_write(picture, folder / "views.png")]
    if kept and case.nodes.healthy(kept[0].vertebra) is not None:
        written.append(_write(_evidence(case, kept[0], slices["Yellow"]), folder / "evidence.png"))
    views.clear_highlight(case)
    return written


def _evidence(case: Any, row: Any, view: SliceView) -> np.ndarray:
    """CT, CT with lesions, healthy edit and difference of one sagittal slice, side by side."""
    level = row.vertebra
    case.lesions.GetDisplayNode().SetVisibility(False)
    views.clear_highlight(case)
    view.zoom(70)
    views.jump_to(views.candidate_point(case, row.key))
    plain = view.render()
    case.lesions.GetDisplayNode().SetVisibility(True)
    lesions = view.render()
    case.lesions.GetDisplayNode().SetVisibility(False)
    views.fade(case, level, 1.0)
    healthy = view.render()
    views.show_difference(case, level, True, 0.8)
    difference = view.render()
    views.show_difference(case, level, False)
    case.lesions.GetDisplayNode().SetVisibility(True)
    return _rows([[plain, lesions, healthy, difference]])


def _rows(tiles: list[list[np.ndarray]]) -> np.ndarray:
    """Put pictures of one size side by side and one above the other, with a gap."""

    def padded(tile: np.ndarray) -> np.ndarray:
        return np.pad(tile, ((0, _GAP), (0, _GAP), (0, 0)), constant_values=255)

    return np.concatenate(
        [np.concatenate([padded(tile) for tile in row], axis=1) for row in tiles], axis=0
    )[:-_GAP, :-_GAP]


def _write(picture: np.ndarray, path: Path) -> Path:
    write_png(picture, path)
    return path
