"""The healthy edit: what each slice would look like if the classifier called it healthy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import expit
from torch import Tensor

from hideseek_backend.attribution.classifier import LatentClassifier, logit
from hideseek_backend.attribution.network import Network
from hideseek_backend.attribution.options import Options

# Logits: an edit this close to the target is not worth another rendering.
_TOLERANCE = 0.05
# The edit's weight falls from 1 to 0 within some two thirds of the margin on either side of it.
_EDGE = 5.0


@dataclass(frozen=True, eq=False)
class HealthyEdit:
    """N slices and their healthy counterparts.

    images, healthy: (N, 1, 64, 64) float32, model intensity. x_T: the same shape; NaN for slices
    that were not inverted. reconstruction: the same shape; the images themselves where the options
    do not ask for it. z, z_healthy: (N, d), before and after the edit.
    logits: (N,) of z; target_logits: (N,) of z_healthy after the first edit, eq. 1's goal;
    realised_logits: (N,) of the healthy images, encoded again.
    """

    images: Tensor
    x_T: Tensor
    reconstruction: Tensor
    healthy: Tensor
    z: Tensor
    z_healthy: Tensor
    logits: NDArray[np.float64]
    target_logits: NDArray[np.float64]
    realised_logits: NDArray[np.float64]

    def base(self, options: Options) -> Tensor:
        """The images that the residual and the composites are made from."""
        return self.images if options.residual_against == "image" else self.reconstruction

    def difference(self, options: Options) -> NDArray[np.float32]:
        """Healthy minus base: (64, 64, N) float32, model intensity; positive where bone returns."""
        residual = (self.healthy - self.base(options))[:, 0].numpy()
        return np.moveaxis(residual, 0, 2)


def healthy_edit(
    network: Network,
    classifier: LatentClassifier,
    images: Tensor,
    options: Options,
    *,
    sideways: NDArray[np.float64] | None = None,
    body: NDArray[np.bool_] | None = None,
) -> HealthyEdit:
    """Edit slices towards `options.p_target` and render them (Atad et al. 2025, eq. 1).

    images: (N, 1, 64, 64) float32, model intensity. The edit moves the scaled latent along
    `options.direction` (or to the posterior mean) and renders it with the original's x_T. Slices
    already below the target are not moved, because a move would make them *more* malignant: their
    healthy image is the base itself, and the network is not asked.

    While the healthy image, encoded again, is above the target and rounds are left, the latent is
    moved on by what is lacking; the round whose image scored lowest is kept, slice by slice.

    sideways: (N,) how far from the middle (0) to the side (1) of the body each slice lies; all in
    the middle by default. body: (64, 64, N), which `options.edit_margin` is about; without it the
    whole picture is edited.
    """
    if sideways is None:
        sideways = np.zeros(len(images))
    z = network.encode(images)
    logits = classifier.logit(z)
    change = np.minimum(float(logit(options.p_target)) - logits, 0.0)
    target = logits + change

    z_healthy = _moved(classifier, z, change, sideways, options)
    target_logits = classifier.logit(z_healthy)
    moved = np.flatnonzero(change < 0)
    rebuilt = np.arange(len(images) if options.residual_against == "reconstruction" else 0)
    edited, again = torch.from_numpy(moved), torch.from_numpy(rebuilt)
    x_t, reconstruction, realised = torch.full_like(images, torch.nan), images, logits.copy()
    inverted = again if len(again) else edited
    where = None if body is None else near_body(body, options.edit_margin)
    healthy = images.clone()
    if len(inverted):
        x_t[inverted] = network.invert(images[inverted], z[inverted])
        # Both in one batch: two slices take little longer than one.
        rendered = network.render(
            torch.cat([x_t[again], x_t[edited]]), torch.cat([z[again], z_healthy[edited]])
        )
        if len(again):
            reconstruction = rendered[: len(again)]
            healthy = reconstruction.clone()
        healthy[edited] = _healed(healthy[edited], rendered[len(again) :], where, edited)
        realised[inverted.numpy()] = classifier.logit(network.encode(healthy[inverted]))

    latest, latest_logits, change = z_healthy.clone(), realised.copy(), change.copy()
    for _ in range(options.edit_rounds - 1):
        short = moved[latest_logits[moved] > target[moved] + _TOLERANCE]
        if not short.size:
            break
        index = torch.from_numpy(short)
        change[short] += (target - latest_logits)[short]
        source = latest if options.direction == "posterior" else z
        latest[index] = _moved(classifier, source[index], change[short], sideways[short], options)
        base = (reconstruction if len(again) else images)[index]
        images_again = _healed(base, network.render(x_t[index], latest[index]), where, index)
        latest_logits[short] = classifier.logit(network.encode(images_again))
        better = torch.from_numpy(latest_logits[short] < realised[short])
        chosen = index[better]
        healthy[chosen] = images_again[better]
        z_healthy[chosen] = latest[chosen]
        realised[chosen.numpy()] = latest_logits[chosen.numpy()]
    return HealthyEdit(
        images, x_t, reconstruction, healthy, z, z_healthy, logits, target_logits, realised
    )


def near_body(body: NDArray[np.bool_], margin: int) -> Tensor | None:
    """Weights (N, 1, 64, 64) in [0, 1] of the edit: 1 in the body (64, 64, N) and a little beyond.

    margin: px from the body at which the weight is one half; None for the whole picture (0).
    """
    if margin == 0:
        return None
    planes = np.moveaxis(body, 2, 0)
    away = np.stack([ndimage.distance_transform_edt(~p) if p.any() else 0 * p for p in planes])
    weights = expit((margin - away) / (margin / _EDGE))
    return torch.from_numpy(weights.astype(np.float32))[:, None]


def _healed(base: Tensor, rendered: Tensor, where: Tensor | None, index: Tensor) -> Tensor:
    """The rendered slices near their bodies, and the base further away."""
    return rendered if where is None else base + where[index] * (rendered - base)


def edit_steps(slices: int, options: Options) -> int:
    """Network steps that `healthy_edit` takes at most, for progress."""
    images = options.edit_rounds + (options.residual_against == "reconstruction")
    rendering = images * options.render_steps
    return slices * (1 + options.invert_steps + rendering + options.edit_rounds)


def _moved(
    classifier: LatentClassifier,
    z: Tensor,
    change: NDArray[np.float64],
    sideways: NDArray[np.float64],
    options: Options,
) -> Tensor:
    if options.direction == "posterior":
        # Whole from the threshold on; a forced vertebra below it is held to be healthy in part.
        weight = np.minimum(classifier.probability(z) / options.p_threshold, 1.0) * (change < 0)
        moved = classifier.posterior(z, weight, options.posterior_passes, sideways)
    else:
        moved = classifier.move(z, change, options.direction)
    return torch.from_numpy(moved.astype(np.float32))
