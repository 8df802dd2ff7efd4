"""The healthy latent that a malignant one most probably came from.

Scaled latents of healthy vertebrae are taken as Gaussian, a_h ~ N(μ_h, Σ_h), and disease as an
independent displacement, a_m = a_h + d with d ~ N(μ_m − μ_h, Σ_m − Σ_h). Both Gaussians come from
vertebra-level labels alone. The posterior mean of a_h given a_m is the Wiener filter

    â_h = μ_h + Σ_h (Σ_h + Σ_d)⁻¹ (a_m − μ_m),   Σ_d the positive part of Σ_m − Σ_h.

Unlike a move along one direction, it takes disease out along every direction in which malignant
vertebrae vary more than healthy ones, and leaves the others, which hold anatomy, alone.

Both Gaussians are of central slices. Towards the sides of the body latents drift, further than any
disease moves them, because cortex comes into the slice; s(u), the mean drift of healthy slices at
the share u of the way from the middle to the side, is taken off before and put back after.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hideseek_backend.attribution.stored import stored_array

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class HealthyPrior:
    """healthy_mean, malignant_mean: (d,); gain: (d, d) Σ_h (Σ_h + Σ_d)⁻¹; on scaled latents.

    drift: (K, d) s(u) in the middle of each of K equal parts of the way from the middle of the body
        to its side, the first of them 0; None where it was not measured.

    Raises ModelError when the shapes do not fit or a value is not finite.
    """

    healthy_mean: FloatArray
    malignant_mean: FloatArray
    gain: FloatArray
    drift: FloatArray | None = None

    def __post_init__(self) -> None:
        d = np.size(self.healthy_mean)
        shapes = {"healthy_mean": (d,), "malignant_mean": (d,), "gain": (d, d)}
        if self.drift is not None:
            shapes["drift"] = (len(self.drift), d)
        for name, shape in shapes.items():
            array = stored_array(
                getattr(self, name), shape, f"model's {name}",
                "Fetch the model again, or fit its classifier again.",
            )  # fmt: skip
            object.__setattr__(self, name, array)

    def healthy(self, scaled: FloatArray, sideways: ArrayLike | None = None) -> FloatArray:
        """Return the posterior mean â_h: (B, d) of scaled latents: (B, d).

        sideways: (B,) how far from the middle (0) to the side (1) of the body each slice lies;
        the middle by default.
        """
        shift = self._drift_at(sideways)
        return self.healthy_mean + shift + (scaled - shift - self.malignant_mean) @ self.gain.T

    def _drift_at(self, sideways: ArrayLike | None) -> FloatArray:
        """s(u): (B, d), linear between the middles of the parts and constant beyond them."""
        if sideways is None or self.drift is None:
            return np.zeros(1)
        parts = len(self.drift)
        place = np.asarray(sideways, dtype=np.float64).clip(0, 1) * parts - 0.5
        place = place.clip(0, parts - 1)
        lower = np.minimum(place.astype(int), max(parts - 2, 0))
        upper = np.minimum(lower + 1, parts - 1)
        share = (place - lower)[:, None]
        return self.drift[lower] * (1 - share) + self.drift[upper] * share
