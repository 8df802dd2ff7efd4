"""From masks to lesion instances: connected components per polarity, with size rules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hideseek_backend.errors import OptionError

Connectivity = Literal["faces", "full"]

LYTIC = 1
BLASTIC = 2
POLARITIES: dict[str, int] = {"lytic": LYTIC, "blastic": BLASTIC}


@dataclass(frozen=True)
class InstancePair:
    """Instances of one polarity on one grid, before matching.

    reference, prediction: int32 arrays of one shape; 0 background, 1..n instances.
    ignored_references, ignored_predictions: how many components the size rules took out.
    """

    reference: NDArray[np.int32]
    prediction: NDArray[np.int32]
    ignored_references: int = 0
    ignored_predictions: int = 0


def label_components(
    mask: NDArray[np.bool_], connectivity: Connectivity = "full"
) -> tuple[NDArray[np.int32], int]:
    """Label the connected components of a 2D or 3D mask.

    connectivity: "faces" (4 neighbours in 2D, 6 in 3D) or "full" (8 and 26).
    Returns (labels int32 of the mask's shape, number of components).
    Raises OptionError for another connectivity.
    """
    if connectivity not in ("faces", "full"):
        raise OptionError(
            f"Connectivity must be 'faces' or 'full', got {connectivity!r}.", "Choose one of both."
        )
    rank = mask.ndim if connectivity == "full" else 1
    structure = ndimage.generate_binary_structure(mask.ndim, rank)
    labels = np.zeros(mask.shape, dtype=np.int32)
    count = ndimage.label(mask, structure=structure, output=labels)
    return labels, int(count)


def drop_small(
    labels: NDArray[np.int32], min_voxels: int
) -> tuple[NDArray[np.int32], NDArray[np.bool_], int]:
    """Take out components of fewer than `min_voxels` voxels and number the rest 1..n.

    Returns (labels, mask of the voxels taken out, number of components taken out).
    """
    sizes = np.bincount(labels.ravel())
    keep = sizes >= max(min_voxels, 1)
    keep[0] = False
    numbers = np.zeros(len(sizes), dtype=np.int32)
    numbers[keep] = np.arange(1, int(keep.sum()) + 1, dtype=np.int32)
    dropped = (labels > 0) & ~keep[labels]
    return numbers[labels], dropped, int((~keep[1:] & (sizes[1:] > 0)).sum())


def pair_instances(
    prediction: NDArray[np.bool_],
    reference: NDArray[np.bool_],
    *,
    connectivity: Connectivity = "full",
    min_reference: int = 0,
    min_prediction: int = 0,
) -> InstancePair:
    """Label both masks and apply the size rules.

    min_prediction, min_reference: voxels; smaller components are taken out. A predicted
    component that overlaps only references taken out is taken out with them: what a reader
    was not asked to mark is neither missed nor false.
    """
    reference_labels, _ = label_components(reference, connectivity)
    prediction_labels, _ = label_components(prediction, connectivity)
    reference_labels, dropped, n_references = drop_small(reference_labels, min_reference)
    prediction_labels, _, n_predictions = drop_small(prediction_labels, min_prediction)
    if dropped.any():
        touches_dropped = np.unique(prediction_labels[dropped])
        touches_kept = np.unique(prediction_labels[reference_labels > 0])
        out = np.setdiff1d(touches_dropped[touches_dropped > 0], touches_kept)
        if out.size:
            prediction_labels = np.where(np.isin(prediction_labels, out), 0, prediction_labels)
            prediction_labels, _, _ = drop_small(prediction_labels.astype(np.int32), 0)
            n_predictions += int(out.size)
    return InstancePair(reference_labels, prediction_labels, n_references, n_predictions)


def phenotype_of(truth: NDArray[np.integer], min_voxels: int = 1) -> str:
    """Name a unit by its truth: "healthy", "lytic", "blastic" or "mixed".

    truth: label map, 1 lytic, 2 blastic. min_voxels: a polarity with fewer voxels is absent.
    """
    lytic = int((truth == LYTIC).sum()) >= min_voxels
    blastic = int((truth == BLASTIC).sum()) >= min_voxels
    if lytic and blastic:
        return "mixed"
    return "lytic" if lytic else "blastic" if blastic else "healthy"
