"""How probable lytic and blastic disease each are, read from the latent.

Two logistic regressions on scaled latents, of vertebra-level phenotype labels. They take the place
of the patient-level label that the paper assumes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from hideseek_backend.errors import ModelError

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PolarityHead:
    """weight: (2, d) and bias: (2,), rows as `candidates.POLARITIES`.

    Raises ModelError when the shapes do not fit or a value is not finite.
    """

    weight: FloatArray
    bias: FloatArray

    def __post_init__(self) -> None:
        weight = np.array(self.weight, dtype=np.float64)
        bias = np.array(self.bias, dtype=np.float64)
        if weight.ndim != 2 or len(weight) != 2 or bias.shape != (2,):
            raise ModelError(
                f"Expected a polarity head of (2, d) and (2,), got {weight.shape}, {bias.shape}.",
                "Fetch the model again, or fit its classifier again.",
            )
        if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
            raise ModelError(
                "Expected finite numbers in the model's polarity head.", "Fetch the model again."
            )
        object.__setattr__(self, "weight", weight)
        object.__setattr__(self, "bias", bias)

    def presence(self, scaled: FloatArray) -> FloatArray:
        """Return the probability of each polarity: (B, 2) from scaled latents: (B, d)."""
        return np.asarray(expit(scaled @ self.weight.T + self.bias), dtype=np.float64)
