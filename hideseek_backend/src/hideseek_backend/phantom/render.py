"""Paint a whole anatomy on a canvas, back to front."""

from __future__ import annotations

from collections.abc import Callable

from .canvas import Canvas
from .spine import Patient, VertebraFrame
from .surroundings import paint_surroundings
from .vertebra import Anatomy, paint_arch, paint_body


def paint(
    canvas: Canvas,
    patient: Patient,
    spine: tuple[VertebraFrame, ...],
    anatomies: tuple[Anatomy, ...],
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Paint soft tissue, then all arches, then all bodies. progress: called with (done, total)."""
    total = 2 * len(anatomies) + 1
    paint_surroundings(canvas, patient, spine)
    steps = [(paint_arch, a) for a in anatomies] + [(paint_body, a) for a in anatomies]
    for done, (step, anatomy) in enumerate(steps, start=1):
        if progress:
            progress(done, total)
        step(canvas, patient, anatomy)
    if progress:
        progress(total, total)
