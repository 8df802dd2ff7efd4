"""One vertebra from CT block to measured candidates: crop, gate, attribute, measure."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit

from hideseek_backend.attribution.attribute import Stack, attribute
from hideseek_backend.attribution.classifier import LatentClassifier
from hideseek_backend.attribution.coverage import expected_of, picture_features
from hideseek_backend.attribution.edit import HealthyEdit
from hideseek_backend.attribution.intensity import IntensityMap
from hideseek_backend.attribution.lesions import (
    in_order_of_delta,
    kept_volume,
    labels_in_frame,
    labels_on_block,
    measured_candidates,
)
from hideseek_backend.attribution.network import Autoencoder, Network
from hideseek_backend.attribution.options import Options
from hideseek_backend.attribution.phenotype import phenotype_of
from hideseek_backend.attribution.results import SliceEvidence, VertebraResult
from hideseek_backend.attribution.threads import side_by_side
from hideseek_backend.errors import LabelError
from hideseek_backend.progress import CancelledCallback, Meter, ProgressCallback
from hideseek_backend.volumes.crops import (
    BodyCrop,
    CropFrame,
    VertebraBlock,
    VertebraCrop,
    crop_block,
    crop_body,
)
from hideseek_backend.volumes.heights import measure_heights
from hideseek_backend.wire.words import CUT, SCREENED, UNEXPLAINED, UNSEEN

# A sagittal slice with less of the body than this (26 mm²) shows nothing but cortex.
MIN_BODY_PX = 40

# Above this the healthy image still looks suspicious to the classifier.
NOT_REALISED_P = 0.2


class AnalysisModel(Protocol):
    """What the analysis needs of a model; see `models.Model`."""

    @property
    def intensity(self) -> IntensityMap: ...

    @property
    def dae(self) -> Autoencoder: ...

    @property
    def classifier(self) -> LatentClassifier: ...

    @property
    def device(self) -> torch.device: ...


def analyse_vertebra(
    model: AnalysisModel,
    block: VertebraBlock,
    options: Options,
    *,
    progress: ProgressCallback | None = None,
    cancelled: CancelledCallback | None = None,
) -> VertebraResult:
    """Find and score the candidates of one vertebra (Atad et al. 2025, algorithm 1).

    A vertebra with p below `options.p_threshold`, or cut by the field of view, is returned with
    its p and a reason, unless `options.force` is set. Out-of-body and padded pixels are never
    candidates. The block is not changed.

    progress runs from 0 to 100; cancelled is asked between network calls and solver steps.

    Raises Cancelled.
    """
    started = time.perf_counter()
    meter = Meter(progress, cancelled, block.level)
    network = Network(model.dae, model.device, options, meter)
    meter.phase("screen", 5, options.p_slices)
    outline = crop_body(block)
    warnings: list[str] = []
    reason = "no part of the body was measured"
    screened = screened_slices(outline, options)
    p, outside = float("nan"), ""
    if screened:
        shown = crop_block(block, screened, outline)
        seen = stack_of(model, shown, screened)
        [(latents, p, outside)] = _read(network, model.classifier, [block], [seen])
        reason = _why_not(p, block, options, warnings)
    result = replace(_unread(block), p_malignant=p, outside=outside, frame=outline.frame)
    if reason:
        return replace(result, reason=reason, seconds=time.perf_counter() - started)

    one_slice = options.slices == "central"
    slices = central_slices(outline, 1) if one_slice else _edited_slices(outline, warnings)
    crop = crop_block(block, slices, outline)
    stack = replace(stack_of(model, crop, slices), sideways=sideways_of(outline, slices))
    found = attribute(network, model.classifier, model.intensity, stack, options)
    p_healthy = _healthy_p(model.classifier, found.edit, slices, screened)
    if p_healthy > NOT_REALISED_P:
        warnings.append(
            f"The healthy edit was not realised: encoded again, the healthy image still has "
            f"p = {p_healthy:.2f}. Candidates and Δ are unreliable."
        )

    meter.phase("volumes", 100, 1)
    ordered, ordered_scores = in_order_of_delta(found.candidates, found.scores)
    areas = np.bincount(ordered.labels.ravel(), minlength=len(ordered) + 1)[1:]
    deltas = [score.delta for score in ordered_scores]
    presence = model.classifier.vertebra_presence(latents)
    phenotype, reported = phenotype_of(
        ordered.polarities, areas.tolist(), deltas, options, presence.tolist()
    )
    kept = [
        delta >= options.tau and polarity in reported
        for delta, polarity in zip(deltas, ordered.polarities, strict=True)
    ]
    unexplained = p >= options.p_threshold and not any(kept)
    in_frame = labels_in_frame(ordered.labels, slices, crop.frame)
    block_labels = labels_on_block(in_frame, crop.frame, block, one_slice=one_slice)
    candidates = measured_candidates(
        ordered, ordered_scores, kept, crop, slices, block, block_labels
    )
    meter.step()
    return replace(
        result,
        p_healthy_image=p_healthy,
        analysed=True,
        # What is kept must explain the flag, or the result says that nothing does.
        reason=UNEXPLAINED if unexplained else "",
        phenotype=None if unexplained else phenotype,
        candidates=candidates,
        evidence=_evidence(model, slices, stack, found.edit, in_frame),
        evidence_unit=model.intensity.unit,
        block_labels=block_labels,
        lytic_volume_mm3=kept_volume(candidates, "lytic"),
        blastic_volume_mm3=kept_volume(candidates, "blastic"),
        warnings=tuple(warnings),
        seconds=time.perf_counter() - started,
    )


def screen_vertebrae(
    model: AnalysisModel,
    blocks: Sequence[VertebraBlock],
    options: Options,
    *,
    progress: ProgressCallback | None = None,
    cancelled: CancelledCallback | None = None,
) -> list[VertebraResult]:
    """Return p of each block with the encoder alone, NaN where nothing was measured.

    With it comes what speaks against trusting p, and the heights of the body.

    Raises Cancelled.
    """
    meter = Meter(progress, cancelled)
    network = Network(model.dae, model.device, options, meter)
    # A block counts as much for its crop as for its latents, which are computed all in one.
    meter.phase("screen", 100, 2 * len(blocks) * options.p_slices)

    def prepared(block: VertebraBlock) -> tuple[VertebraResult, Stack | None]:
        outline = crop_body(block)
        screened = screened_slices(outline, options)
        result = replace(_unread(block), reason=CUT if block.cut else SCREENED)
        meter.step(options.p_slices)
        if not screened:
            return result, None
        return result, stack_of(model, crop_block(block, screened, outline), screened)

    made = side_by_side(prepared, blocks, torch.get_num_threads())
    shown = [(b, stack) for b, (_, stack) in zip(blocks, made, strict=True) if stack is not None]
    told = _read(network, model.classifier, [b for b, _ in shown], [s for _, s in shown])
    p_of = {block.level: (p, why) for (block, _), (_, p, why) in zip(shown, told, strict=True)}
    meter.phase("screen", 100, 1)
    unread = float("nan"), ""
    return [
        replace(result, p_malignant=p, outside=why)
        for result, (p, why) in ((r, p_of.get(r.level, unread)) for r, _ in made)
    ]


def _unread(block: VertebraBlock) -> VertebraResult:
    """What the masks say of a vertebra before its picture is looked at."""
    return VertebraResult(
        block.level,
        float("nan"),
        heights_mm=_heights(block),
        block_origin_ijk=block.origin_ijk,
        body_volume_mm3=block.body_volume_mm3,
    )


def _read(
    network: Network,
    classifier: LatentClassifier,
    blocks: Sequence[VertebraBlock],
    stacks: Sequence[Stack],
) -> list[tuple[torch.Tensor, float, str]]:
    """Of vertebrae with the slices to read: z (n, d), p, and why not to trust it, "" if nothing.

    All go through the network together.
    """
    if not stacks:
        return []
    latents = network.encode(torch.cat([stack.images for stack in stacks])).split(
        [len(stack.images) for stack in stacks]
    )
    p = [float(expit(classifier.vertebra_logit(z))) for z in latents]
    coverage = classifier.coverage
    if coverage is None:
        return [(z, own, "") for z, own in zip(latents, p, strict=True)]
    few = [z[expected_of(len(z))] for z in latents]
    expected = network.expected(torch.cat(few))[:, 0].split([len(z) for z in few])
    told = []
    for block, stack, z, own, picture in zip(blocks, stacks, latents, p, expected, strict=True):
        hu = np.moveaxis(stack.hu, 2, 0)
        features = picture_features(stack.images[:, 0].numpy(), picture.numpy(), hu)
        thickness = float(block.ct.spacing.max())
        unlike = coverage.unlike(classifier.scaled(z), features, thickness)
        told.append((z, own, UNSEEN if unlike else ""))
    return told


def _heights(block: VertebraBlock) -> tuple[float, float, float]:
    """Anterior, middle and posterior height of a block's body; NaN where it is cut or too small."""
    if block.cut:
        return (math.nan,) * 3
    # How much of the arch a block holds is up to who cut it; the crop's cube is always there.
    cube = np.round(block.ct.ijk(CropFrame.centred(block.centre_ras).corners_ras), 6)
    low, high = np.maximum(np.floor(cube.min(axis=0)), 0), np.ceil(cube.max(axis=0)) + 1
    within = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    arch = np.zeros_like(block.vertebra)
    arch[within] = block.vertebra[within]
    try:
        return measure_heights(block.body, block.ct.affine, vertebra=arch).mm
    except LabelError:
        return (math.nan,) * 3


def central_slices(crop: BodyCrop, count: int) -> tuple[int, ...]:
    """The `count` slices k nearest to the central one that show measured body, ascending."""
    shown: list[int] = np.count_nonzero(crop.body & crop.valid, axis=(0, 1)).tolist()
    measured = [k for k, area in zip(crop.slices, shown, strict=True) if area]
    middle = crop.central_slice
    return tuple(sorted(sorted(measured, key=lambda k: (abs(k - middle), k))[:count]))


def screened_slices(crop: BodyCrop, options: Options) -> tuple[int, ...]:
    """The slices k that p is read from, ascending: see `Options.p_slices` and `p_span`."""
    crossing = crossing_slices(crop) if options.p_span > 0 else []
    if not crossing:
        return central_slices(crop, options.p_slices)
    side = (1 - options.p_span) / 2 * (crossing[-1] - crossing[0])
    spread = np.linspace(crossing[0] + side, crossing[-1] - side, options.p_slices)
    return tuple(sorted(set(spread.round().astype(int).tolist()) & set(crop.slices)))


def crossing_slices(crop: BodyCrop) -> list[int]:
    """The slices k of a crop that show more of the body than its cortex."""
    measured = np.count_nonzero(crop.body & crop.valid, axis=(0, 1)).tolist()
    return [k for k, area in zip(crop.slices, measured, strict=True) if area >= MIN_BODY_PX]


def sideways_of(crop: BodyCrop, slices: Sequence[int]) -> NDArray[np.float64]:
    """How far from the middle (0) to the side (1) of the body the slices k lie: (n,).

    crop: of all slices.
    """
    crossing = crossing_slices(crop)
    if not crossing:
        return np.zeros(len(slices))
    middle = (crossing[0] + crossing[-1]) / 2
    half = (crossing[-1] - crossing[0] + 1) / 2
    return np.abs(np.asarray(slices) - middle) / half


def _why_not(p: float, block: VertebraBlock, options: Options, warnings: list[str]) -> str:
    """Why a vertebra is not analysed, "" if it is; what was forced becomes a warning."""
    if not np.isfinite(p):
        return "its p could not be computed"
    reasons = []
    if block.cut:
        reasons.append(CUT)
    if p < options.p_threshold:
        reasons.append(f"below p = {options.p_threshold:g}")
    if options.force:
        warnings.extend(f"Analysed although {reason}." for reason in reasons)
        return ""
    return reasons[0] if reasons else ""


def _edited_slices(crop: BodyCrop, warnings: list[str]) -> tuple[int, ...]:
    """The slices k that cross the body, without gaps, so that lesions link across slices."""
    crossing = crossing_slices(crop)
    if not crossing:
        return central_slices(crop, 1)
    if {crop.slices[0], crop.slices[-1]} & set(crossing):
        warnings.append("The body is wider than the crop of 51.2 mm; its sides were not analysed.")
    return tuple(range(crossing[0], crossing[-1] + 1))


def stack_of(model: AnalysisModel, crop: VertebraCrop, slices: Sequence[int]) -> Stack:
    """The slices k of a crop, ready for the network."""
    held = [crop.slices.index(k) for k in slices]
    hu, valid = crop.hu[:, :, held], crop.valid[:, :, held]
    first = np.ascontiguousarray(np.moveaxis(hu, 2, 0))
    images = model.intensity.to_intensity(first, np.ascontiguousarray(np.moveaxis(valid, 2, 0)))
    tensor = torch.as_tensor(images, dtype=torch.float32)[:, None]
    body = crop.body[:, :, held] & valid
    return Stack(tensor, hu, body)


def _healthy_p(
    classifier: LatentClassifier,
    edit: HealthyEdit,
    edited: Sequence[int],
    screened: Sequence[int],
) -> float:
    """p of the healthy images, encoded again: of the slices among those edited that p came from."""
    logits = [edit.realised_logits[i] for i, k in enumerate(edited) if k in screened]
    shown = logits if logits else list(edit.realised_logits)
    return float(expit(classifier.calibrated(shown)))


def _evidence(
    model: AnalysisModel,
    slices: Sequence[int],
    stack: Stack,
    edit: HealthyEdit,
    in_frame: NDArray[Any],
) -> tuple[SliceEvidence, ...]:
    """What was seen on each edited slice."""
    image, healthy = (
        model.intensity.shown(images[:, 0].numpy()) for images in (stack.images, edit.healthy)
    )
    return tuple(
        SliceEvidence(
            k,
            image[i],
            healthy[i],
            healthy[i] - image[i],
            in_frame[:, :, k],
            stack.body[:, :, i],
        )
        for i, k in enumerate(slices)
    )
