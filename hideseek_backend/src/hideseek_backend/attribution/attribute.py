"""Algorithm 1 of Atad et al. 2025: edit the slices healthy, find what changed, hide and seek.

Everything that runs the method runs this: the analysis of a vertebra, the benchmarks of quality and
speed, and the comparison with the authors' notebook.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from hideseek_backend.attribution.candidates import (
    Candidates,
    find_candidates,
    numbered_on,
    reaching,
)
from hideseek_backend.attribution.classifier import LatentClassifier
from hideseek_backend.attribution.edit import HealthyEdit, edit_steps, healthy_edit
from hideseek_backend.attribution.intensity import IntensityMap
from hideseek_backend.attribution.network import Network
from hideseek_backend.attribution.options import Options
from hideseek_backend.attribution.scoring import Score, score_candidates, score_steps

Wanted = Callable[[Candidates], Iterable[int]]
"""Chooses the numbers of the candidates to score; the others are hidden all the same."""

Finder = Callable[[HealthyEdit], Candidates]
"""Says what is suspected on an edited stack."""


@dataclass(frozen=True, eq=False)
class Stack:
    """N sagittal slices, ready for the network.

    images: (N, 1, 64, 64) float32 in the model's intensity. hu: (64, 64, N) float32.
    body: (64, 64, N) bool, where a candidate may lie; False outside the field of view.
    sideways: (N,) how far from the middle (0) to the side (1) of its body each slice lies; empty
        where all are central.
    bodies: how many adjacent slices each body has, in order; empty for one body. Candidates never
        cross from one body to the next.
    """

    images: Tensor
    hu: NDArray[np.float32]
    body: NDArray[np.bool_]
    sideways: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    bodies: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Attribution:
    """What the method found on a stack: the edit, the candidates (64, 64, N) and their scores."""

    edit: HealthyEdit
    candidates: Candidates
    scores: dict[int, Score]


def attribute(
    network: Network,
    classifier: LatentClassifier,
    intensity: IntensityMap,
    stack: Stack,
    options: Options,
    *,
    wanted: Wanted | None = None,
    find: Finder | None = None,
) -> Attribution:
    """Edit, find and score (algorithm 1) on any slices.

    intensity: of the stack's images. wanted: which candidates are scored; those of
    `options.polarity` by default. find: by default what the healthy edit changed. Progress of the
    stages "edit" and "score" goes to the network's meter, from where it stands to 60 and to 95 of
    100.

    Raises Cancelled.
    """
    sideways = stack.sideways if stack.sideways.size else np.zeros(len(stack.images))
    network.meter.phase("edit", 60, edit_steps(len(stack.images), options))
    edit = healthy_edit(
        network, classifier, stack.images, options, sideways=sideways, body=stack.body
    )
    found = find(edit) if find else _find(edit, intensity, stack, sideways, options)
    chosen = list((wanted or _of_polarity(options))(found))
    network.meter.phase("score", 95, score_steps(found.labels, options))
    scores = score_candidates(network, classifier, edit, found, options, wanted=chosen)
    return Attribution(edit, found, scores)


def _find(
    edit: HealthyEdit,
    intensity: IntensityMap,
    stack: Stack,
    sideways: NDArray[np.float64],
    options: Options,
) -> Candidates:
    """Candidates of each body on its own slices, numbered through the stack."""
    difference, images = edit.difference(options), stack.images[:, 0].numpy()
    parts, first = [], 0
    for count in stack.bodies or (len(images),):
        own = slice(first, first + count)
        first += count
        body = stack.body[:, :, own]
        least = intensity.least(options.min_contrast, stack.hu[:, :, own], images[own], body)
        ceiling = np.inf
        if options.lytic_ceiling > 0:
            ceiling = intensity.least(options.lytic_ceiling, stack.hu[:, :, own], images[own], body)
        found = find_candidates(
            difference[:, :, own], body, options, min_residual=least, lytic_ceiling=ceiling
        )
        if options.reach < 1 and count > 1:
            found = reaching(found, np.flatnonzero(sideways[own] <= options.reach).tolist())
        parts.append(found)
    return numbered_on(parts)


def _of_polarity(options: Options) -> Wanted:
    def wanted(found: Candidates) -> list[int]:
        return [
            number
            for number, kind in enumerate(found.polarities, 1)
            if options.polarity in (kind, "auto", "both")
        ]

    return wanted
