"""The arrays a phantom is painted on: attenuation, labels and lesion truth of one grid."""

from __future__ import annotations

import numpy as np

from .grid import Box, Grid, average_slices

SLICE_SAMPLE_MM = 1.2  # thicker slices are averaged from sub-slices: the partial volume of a slice


class Canvas:
    """HU on sub-slices; labels and truth on the coarse grid, decided by mean coverage.

    coarse: the CT's grid; grid: the same with `factor` sub-slices per slice.
    hu: (I, J, K factor) float32; vertebra, body: (I, J, K) uint8 VerSe labels;
    truth: (I, J, K) uint8, 1 lytic, 2 blastic.
    """

    def __init__(self, coarse: Grid) -> None:
        self.coarse = coarse
        self.factor = max(1, int(np.ceil(coarse.spacing[2] / SLICE_SAMPLE_MM - 1e-6)))
        self.grid = coarse.finer(self.factor)
        self.hu = np.zeros(self.grid.shape, np.float32)
        self.vertebra = np.zeros(coarse.shape, np.uint8)
        self.body = np.zeros(coarse.shape, np.uint8)
        self.truth = np.zeros(coarse.shape, np.uint8)

    def _coarse_box(self, box: Box) -> Box:
        n = self.factor
        return (box[0], box[1], slice(box[2].start // n, box[2].stop // n))

    def mark_vertebra(self, box: Box, cover: np.ndarray, label: int) -> None:
        """Label voxels of which more than half is covered. `box` is aligned to the slices."""
        mean = average_slices(cover, self.factor)
        self.vertebra[self._coarse_box(box)][mean > 0.5] = label

    def mark_body(self, box: Box, cover: np.ndarray, label: int) -> None:
        """Label body voxels of which more than half is covered."""
        mean = average_slices(cover, self.factor)
        self.body[self._coarse_box(box)][mean > 0.5] = label

    def mark_truth(self, box: Box, lytic: np.ndarray, blastic: np.ndarray) -> None:
        """Write lesion truth: where the lytic or the blastic fraction exceeds one half."""
        if not (lytic.any() or blastic.any()):
            return
        target = self.truth[self._coarse_box(box)]
        target[average_slices(lytic, self.factor) > 0.5] = 1
        target[average_slices(blastic, self.factor) > 0.5] = 2

    def attenuation(self) -> np.ndarray:
        """Return the HU per voxel, averaged over the slice thickness: (I, J, K) float32."""
        return average_slices(self.hu, self.factor)
