"""Hide-and-Seek scores: how much malignancy one candidate carries when the others are hidden.

A composite shows some candidates as they are and replaces all others by the healthy image
(Atad et al. 2025, eq. 2). It may be projected back to the data manifold before it is encoded:

- "none": encode the composite as it is.
- "same-noise": invert it under its own z and render it under the same z (the paper). In the limit
  of exact solvers this changes nothing.

With p the malignancy of the original, l its logit, and composites named by what they show, Δ is

- "probability": (p_only − p_target) / (p − p_target), eq. 3, with p_target of eq. 1's edit;
- "logit-floor": (l_only − l_none) / (l − l_none): the floor is measured, not assumed.

Beside Δ stands p_without, c of the composite that hides this candidate alone. Where several
candidates each convince the classifier, every one has Δ near 1 and p_without near p: their evidence
is redundant. It is read from the composite as it is, whatever the projection.

Over several slices, numerator and denominator are first averaged with the candidate's area in
each slice as weight: a slice that is hardly malignant then hardly counts. On one slice this is
the plain ratio.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit
from torch import Tensor

from hideseek_backend.attribution.candidates import BoolArray, Candidates
from hideseek_backend.attribution.classifier import LatentClassifier, logit
from hideseek_backend.attribution.edit import HealthyEdit
from hideseek_backend.attribution.network import Network
from hideseek_backend.attribution.options import Options

EPSILON = 1e-8  # ε of eq. 3, the released code's value

# Least denominator of Δ with `min_evidence`: hiding everything should change at least this much.
LEAST_LOGITS = 0.5
LEAST_P = 0.05

Composite = tuple[int, frozenset[int]]
"""(slice index, numbers of the candidates shown in it); everything else suspected is hidden."""


@dataclass(frozen=True)
class Score:
    """delta: Δ as the options define it. p_hide: c of the composite that shows this candidate only,
    p_without: of the one that hides this candidate only, both averaged over the slices scored with
    its area as weight."""

    delta: float
    p_hide: float
    p_without: float = float("nan")


def score_candidates(
    network: Network,
    classifier: LatentClassifier,
    edit: HealthyEdit,
    candidates: Candidates,
    options: Options,
    *,
    wanted: Iterable[int] | None = None,
) -> dict[int, Score]:
    """Score candidates with all composites of all slices in one batch; {number: score}.

    edit: N slices. candidates: on the same N slices, both polarities. wanted: numbers to score,
    all by default; the others are hidden all the same. A candidate that is on none of the N
    slices scores Δ = 0 and p_hide = 0.
    """
    labels = candidates.labels
    if wanted is None:
        wanted = range(1, len(candidates) + 1)
    planes = np.moveaxis(labels, 2, 0)
    suspected = np.moveaxis(candidates.suspected, 2, 0)
    slices = {number: _slices_of(number, labels, options) for number in wanted}
    seen: set[Composite] = set()
    for number, areas in slices.items():
        for k in areas:
            seen.add((k, frozenset({number})))
            if options.delta == "logit-floor":
                seen.add((k, frozenset()))
    composites = sorted(seen, key=lambda composite: (composite[0], sorted(composite[1])))
    hidden = [suspected[k] & ~np.isin(planes[k], list(shown)) for k, shown in composites]
    without = [(k, number) for number, areas in slices.items() for k in areas]
    alone = [planes[k] == number for k, number in without]
    logits = _composite_logits(
        network, classifier, edit, [k for k, _ in composites], hidden, options, options.projection
    )
    logits_without = _composite_logits(
        network, classifier, edit, [k for k, _ in without], alone, options
    )
    p_without = dict(zip(without, expit(logits_without).tolist(), strict=True))
    by_composite = dict(zip(composites, logits.tolist(), strict=True))
    return {
        number: _score(number, areas, by_composite, p_without, edit, options)
        for number, areas in slices.items()
    }


def score_steps(labels: NDArray[np.uint16], options: Options) -> int:
    """Network steps that `score_candidates` takes at most, for progress."""
    present = [len(np.unique(plane[plane > 0])) for plane in np.moveaxis(labels, 2, 0)]
    composites = sum(count + (options.delta == "logit-floor") for count in present)
    steps = 1
    if options.projection == "same-noise":
        steps = 2 + options.invert_steps + options.render_steps
    return composites * steps + sum(present)


def _slices_of(number: int, labels: NDArray[np.uint16], options: Options) -> dict[int, int]:
    """Slice index -> area in px of the slices a candidate is scored on, largest first."""
    areas = (labels == number).sum(axis=(0, 1))
    order = np.argsort(-areas, kind="stable")
    crossing = [int(k) for k in order if areas[k] > 0]
    if options.score_slices > 0:
        crossing = crossing[: options.score_slices]
    return {k: int(areas[k]) for k in crossing}


def _composite_logits(
    network: Network,
    classifier: LatentClassifier,
    edit: HealthyEdit,
    slices: list[int],
    hidden: list[BoolArray],
    options: Options,
    projection: str = "none",
) -> NDArray[np.float64]:
    """Make, project and encode M composites with hidden: M × (64, 64); return their logits."""
    if not slices:
        return np.zeros(0)
    index = torch.tensor(slices)
    mask = torch.from_numpy(np.stack(hidden))[:, None]
    images = torch.where(mask, edit.healthy[index], edit.base(options)[index])
    return classifier.logit(_projected(network, images, projection))


def _projected(network: Network, images: Tensor, projection: str) -> Tensor:
    """Latents of the composites after the projection."""
    z = network.encode(images)
    if projection == "none":
        return z
    return network.encode(network.render(network.invert(images, z), z))


def _score(
    number: int,
    areas: dict[int, int],
    logits: dict[Composite, float],
    p_without: dict[tuple[int, int], float],
    edit: HealthyEdit,
    options: Options,
) -> Score:
    """Δ, p_hide and p_without of one candidate from its composites."""
    if not areas:
        return Score(0.0, 0.0)
    in_logits = options.delta == "logit-floor"
    total = sum(areas.values())
    gained = available = p_hide = without = 0.0
    for k, area in areas.items():
        share = area / total
        only = logits[k, frozenset({number})]
        p_hide += share * float(expit(only))
        without += share * p_without[k, number]
        # What Δ = 1 stands for: never less than a vertebra that counts as malignant.
        whole = float(edit.logits[k])
        if options.min_evidence > 0:
            whole = max(whole, float(logit(options.min_evidence)))
        if in_logits:
            floor = logits[k, frozenset()]
            gained += share * (only - floor)
            available += share * (whole - floor)
        else:
            floor = float(edit.target_logits[k])
            gained += share * float(expit(only) - expit(floor))
            available += share * float(expit(whole) - expit(floor))
    # Where hiding everything does not lower p there is no evidence to share out.
    # Where it hardly lowers p, the quotient of two small numbers would say anything.
    least = (LEAST_LOGITS if in_logits else LEAST_P) if options.min_evidence > 0 else 0.0
    delta = gained / (max(available, least) + EPSILON) if available > 0 else 0.0
    return Score(delta, p_hide, without)
