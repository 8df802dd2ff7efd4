"""Hide-and-Seek scores: how much malignancy one candidate carries when the others are hidden.

A composite shows some candidates as they are and replaces all others by the healthy image
(Atad et al. 2025, eq. 2). It may be projected back to the data manifold before it is encoded:

- "none": encode the composite as it is.
- "same-noise": invert it under its own z and render it under the same z (the paper). In the limit
  of exact solvers this changes nothing.
- "original-noise": render its z with the original slice's x_T.
- "partial": invert it under the original slice's z as far as `partial_depth` and render it from
  there under its own z.

With p the malignancy of the original, and composites named by what they show, Δ is one of

- "probability": (p_only − p_target) / (p − p_target), eq. 3, with p_target of eq. 1's edit;
- "logit": the same in logits;
- "floor": (p_only − p_none) / (p − p_none): the floor is measured, not assumed;
- "logit-floor": the same in logits;
- "pair": ½[(l_only − l_none) + (l_all − l_without)] / (l_all − l_none): the candidate alone and
  the candidate as the last one added, so that redundant candidates share their evidence;
- "shapley": the mean of l(S and the candidate) − l(S) over random sets S of the others, over
  l_all − l_none.

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
    averaged over the slices scored with its area as weight."""

    delta: float
    p_hide: float


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
    present = [frozenset(int(n) for n in np.unique(plane) if n) for plane in planes]
    slices = {number: _slices_of(number, labels, options) for number in wanted}
    needed: set[Composite] = set()
    for number, areas in slices.items():
        for k in areas:
            needed.update(_composites(number, k, present[k], options))
    composites = sorted(needed, key=_order)
    hidden = np.array([suspected[k] & ~np.isin(planes[k], list(s)) for k, s in composites])
    logits = _composite_logits(network, classifier, edit, composites, hidden, options)
    return {
        number: _score(number, areas, present, logits, edit, classifier, options)
        for number, areas in slices.items()
    }


def score_steps(labels: NDArray[np.uint16], options: Options) -> int:
    """Network steps that `score_candidates` takes at most, for progress."""
    shown = 0
    for plane in np.moveaxis(labels, 2, 0):
        count = len(np.unique(plane[plane > 0]))
        per_candidate = {"pair": 2, "shapley": 2 * options.subsets + 1}.get(options.delta, 1)
        shown += count * per_candidate + 2
    rounds = {
        "none": 1,
        "same-noise": 2 + options.invert_steps + options.render_steps,
        "original-noise": 2 + options.render_steps,
        "partial": 2 + 2 * options.invert_steps,
    }
    return shown * rounds[options.projection]


def _slices_of(number: int, labels: NDArray[np.uint16], options: Options) -> dict[int, int]:
    """Slice index -> area in px of the slices a candidate is scored on, largest first."""
    areas = (labels == number).sum(axis=(0, 1))
    order = np.argsort(-areas, kind="stable")
    crossing = [int(k) for k in order if areas[k] > 0]
    if options.score_slices > 0:
        crossing = crossing[: options.score_slices]
    return {k: int(areas[k]) for k in crossing}


def _subsets(number: int, k: int, others: frozenset[int], options: Options) -> list[frozenset[int]]:
    """Random sets of the other candidates: as in a random order of all, those before this one."""
    rng = np.random.default_rng([options.seed, number, k])
    ordered = sorted(others)
    sets = []
    for _ in range(options.subsets):
        size = int(rng.integers(len(ordered) + 1))
        sets.append(frozenset(int(n) for n in rng.permutation(ordered)[:size]))
    return sets


def _composites(
    number: int, k: int, present: frozenset[int], options: Options
) -> Iterable[Composite]:
    """The composites that one candidate's Δ on slice k needs."""
    alone = frozenset({number})
    yield k, alone
    if options.delta in ("floor", "logit-floor", "pair", "shapley"):
        yield k, frozenset()
    if options.delta in ("pair", "shapley"):
        yield k, present
    if options.delta == "pair":
        yield k, present - alone
    if options.delta == "shapley":
        for subset in _subsets(number, k, present - alone, options):
            yield k, subset
            yield k, subset | alone


def _order(composite: Composite) -> tuple[int, list[int]]:
    return composite[0], sorted(composite[1])


def _composite_logits(
    network: Network,
    classifier: LatentClassifier,
    edit: HealthyEdit,
    composites: list[Composite],
    hidden: BoolArray,
    options: Options,
) -> dict[Composite, float]:
    """Make, project and encode composites with hidden: (M, 64, 64); returns the logit of each."""
    if not composites:
        return {}
    base, healthy = edit.base(options), edit.healthy
    index = torch.tensor([k for k, _ in composites])
    images = torch.where(torch.from_numpy(hidden)[:, None], healthy[index], base[index])
    z = _projected(network, images, edit.x_T[index], edit.z[index], options)
    return dict(zip(composites, classifier.logit(z).tolist(), strict=True))


def _projected(
    network: Network, images: Tensor, x_t: Tensor, z_original: Tensor, options: Options
) -> Tensor:
    """Latents of the composites after the projection of `options`."""
    z = network.encode(images)
    if options.projection == "none":
        return z
    if options.projection == "same-noise":
        images = network.render(network.invert(images, z), z)
    elif options.projection == "original-noise":
        images = network.render(x_t, z)
    else:
        depth = options.partial_depth
        images = network.render(network.invert(images, z_original, depth), z, depth)
    return network.encode(images)


def _score(
    number: int,
    areas: dict[int, int],
    present: list[frozenset[int]],
    logits: dict[Composite, float],
    edit: HealthyEdit,
    classifier: LatentClassifier,
    options: Options,
) -> Score:
    """Δ and p_hide of one candidate from the logits of its composites."""
    if not areas:
        return Score(0.0, 0.0)
    alone = frozenset({number})
    total = sum(areas.values())
    gained = available = p_hide = 0.0
    for k, area in areas.items():
        share = area / total
        only = logits[k, alone]
        p_hide += share * float(expit(only))
        # What Δ = 1 stands for: never less than a vertebra that counts as malignant.
        whole = float(edit.logits[k])
        if options.min_evidence > 0:
            whole = max(whole, float(logit(options.min_evidence)))
        if options.delta in ("probability", "logit"):
            floor = float(edit.target_logits[k])
        else:
            floor = logits[k, frozenset()]
        if options.delta in ("probability", "floor"):
            gain = float(expit(only) - expit(floor))
            available += share * float(expit(whole) - expit(floor))
        else:
            gain = only - floor
            available += share * (whole - floor)
        if options.delta == "pair":
            last = logits[k, present[k]] - logits[k, present[k] - alone]
            gain = 0.5 * (gain + last)
        elif options.delta == "shapley":
            sets = _subsets(number, k, present[k] - alone, options)
            gain = float(np.mean([logits[k, s | alone] - logits[k, s] for s in sets]))
        gained += share * gain
    # Where hiding everything does not lower p there is no evidence to share out.
    # Where it hardly lowers p, the quotient of two small numbers would say anything.
    in_logits = options.delta not in ("probability", "floor")
    least = (LEAST_LOGITS if in_logits else LEAST_P) if options.min_evidence > 0 else 0.0
    delta = gained / (max(available, least) + EPSILON) if available > 0 else 0.0
    return Score(delta, p_hide)
