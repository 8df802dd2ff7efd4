"""The arrays a phantom is painted on: attenuation, labels and lesion truth of one grid."""

from __future__ import annotations

import numpy as np

from .grid import Box, Frame, Grid, average_cells

SAMPLE_MM = 1.25  # larger voxels are averaged from sub-voxels: that is their partial volume


class Canvas:
    """HU on sub-voxels; labels and truth on the CT's grid, decided by mean coverage.

    coarse: the CT's grid; grid: the same with every voxel split into `factors` along its axes.
    hu: HU on `grid`, float32; vertebra, body: VerSe labels on `coarse`, uint8; truth: on `coarse`,
    uint8, 1 lytic, 2 blastic.
    """

    def __init__(self, coarse: Grid) -> None:
        self.coarse = coarse
        split = np.maximum(np.ceil(coarse.spacing / SAMPLE_MM - 1e-6), 1).astype(int)
        self.factors = (int(split[0]), int(split[1]), int(split[2]))
        self.grid = coarse.finer(self.factors)
        self.hu = np.zeros(self.grid.shape, np.float32)
        self.vertebra = np.zeros(coarse.shape, np.uint8)
        self.body = np.zeros(coarse.shape, np.uint8)
        self.truth = np.zeros(coarse.shape, np.uint8)

    def box(self, frame: Frame, low: np.ndarray, high: np.ndarray) -> Box | None:
        """Return the whole voxels that hold the local box [low, high] mm, as a box of `grid`."""
        return self.grid.box(frame, low, high, align=self.factors)

    def mark_vertebra(self, box: Box, cover: np.ndarray, label: int) -> None:
        """Label voxels of which more than half is covered. `box` comes from `Canvas.box`."""
        self.vertebra[self._coarse(box)][average_cells(cover, self.factors) > 0.5] = label

    def mark_body(self, box: Box, cover: np.ndarray, label: int) -> None:
        """Label body voxels of which more than half is covered."""
        self.body[self._coarse(box)][average_cells(cover, self.factors) > 0.5] = label

    def mark_truth(
        self, box: Box, cover: np.ndarray, lytic: np.ndarray, blastic: np.ndarray
    ) -> None:
        """Write one body's lesion truth: where the lytic or the blastic fraction exceeds one half.

        What an overlapping neighbour left inside this body's cover is not this body's.
        """
        target = self.truth[self._coarse(box)]
        target[average_cells(cover, self.factors) > 0.5] = 0
        if not (lytic.any() or blastic.any()):
            return
        target[average_cells(lytic, self.factors) > 0.5] = 1
        target[average_cells(blastic, self.factors) > 0.5] = 2

    def attenuation(self) -> np.ndarray:
        """Return the mean HU of every voxel of `coarse`, float32."""
        return average_cells(self.hu, self.factors)

    def _coarse(self, box: Box) -> Box:
        i, j, k = (slice(s.start // n, s.stop // n) for s, n in zip(box, self.factors, strict=True))
        return (i, j, k)
