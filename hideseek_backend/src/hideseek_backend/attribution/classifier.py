"""The malignancy classifier: logistic regression on standardised latents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logsumexp

from hideseek_backend.attribution.candidates import POLARITIES
from hideseek_backend.attribution.coverage import STORED as _COVERAGE_FIELDS
from hideseek_backend.attribution.coverage import Coverage
from hideseek_backend.attribution.healthy_prior import HealthyPrior
from hideseek_backend.attribution.polarity_head import PolarityHead
from hideseek_backend.attribution.stored import stored_array
from hideseek_backend.errors import ModelError, OptionError

FloatArray = NDArray[np.float64]

_PRIOR_FIELDS = ("healthy_mean", "malignant_mean", "gain")
_HEAD_FIELDS = ("polarity_weight", "polarity_bias")
_FIELDS = (
    "mean", "scale", "weight", "bias", "pattern", *_PRIOR_FIELDS, "drift", *_HEAD_FIELDS, "pooling",
    *_COVERAGE_FIELDS,
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class LatentClassifier:
    """c(z) = σ(w·a + b) with a = (z − mean) / scale (Atad et al. 2025, section 3).

    mean, scale, weight: (d,); weight and bias act on scaled latents.
    pattern: (d,) Σw, Σ the covariance of the scaled latents: how latents really change with the
        class (Haufe et al. 2014). None where the latents it was fitted on are not known.
    prior: what healthy and malignant latents look like; None likewise.
    head: how probable each polarity is; None where phenotypes were not labelled.
    pooling: (temperature, slope, offset) of `vertebra_logit`; None for the mean over slices.
    coverage: what the model has seen in training; None where that was not measured.

    Everything is float64, but for float32 latents, which are scaled in float32 as scikit-learn
    does. Latents may be arrays or tensors, (B, d); results are arrays.

    Raises ModelError when the shapes differ or a value is not usable.
    """

    mean: FloatArray
    scale: FloatArray
    weight: FloatArray
    bias: float
    pattern: FloatArray | None = None
    prior: HealthyPrior | None = None
    head: PolarityHead | None = None
    pooling: tuple[float, float, float] | None = None
    coverage: Coverage | None = None

    def __post_init__(self) -> None:
        for name in ("mean", "scale", "weight", "pattern"):
            value = getattr(self, name)
            if value is None and name == "pattern":
                continue
            array = stored_array(
                value, (np.size(self.weight),), f"classifier's {name}",
                "Fetch the model again, or fit its classifier again.",
            )  # fmt: skip
            object.__setattr__(self, name, array)
        if not (self.scale > 0).all() or not self.weight.any():
            raise ModelError(
                "Expected positive scales and a weight other than zero in the classifier.",
                "Fetch the model again, or fit its classifier again.",
            )
        object.__setattr__(self, "bias", float(self.bias))
        if self.pooling is not None:
            temperature, slope, _ = pooling = tuple(float(v) for v in self.pooling)
            if not np.isfinite(pooling).all() or temperature <= 0 or slope <= 0:
                raise ModelError(
                    f"Expected temperature and slope above 0 as the model's pooling, "
                    f"got {pooling}.",
                    "Fetch the model again.",
                )
            object.__setattr__(self, "pooling", pooling)

    @property
    def channels(self) -> int:
        """d, the length of a latent."""
        return int(self.weight.size)

    def scaled(self, z: Any) -> FloatArray:
        """Return a = (z − mean) / scale: (B, d)."""
        latents = _as_array(z)
        if str(getattr(z, "dtype", "")).endswith("float32"):
            single = latents.astype(np.float32) - self.mean.astype(np.float32)
            return (single / self.scale.astype(np.float32)).astype(np.float64)
        return (latents - self.mean) / self.scale

    def unscaled(self, a: FloatArray) -> FloatArray:
        """Return z = a · scale + mean: (B, d)."""
        return a * self.scale + self.mean

    def logit(self, z: Any) -> FloatArray:
        """Return log(p / (1 − p)): (B,)."""
        return np.asarray(self.scaled(z) @ self.weight + self.bias, dtype=np.float64)

    def probability(self, z: Any) -> FloatArray:
        """Return the malignancy probability p: (B,)."""
        return np.asarray(expit(self.logit(z)), dtype=np.float64)

    def pool(self, logits: ArrayLike) -> FloatArray:
        """Return (...) of a vertebra from the logits of its slices: (..., n).

        Without pooling the mean. With it T · log mean exp(l / T), which lies between the mean and
        the maximum: one slice that shows disease is enough, as the multiple-instance reading of a
        vertebra's label says.
        """
        values = np.asarray(logits, dtype=np.float64)
        if self.pooling is None:
            return np.asarray(values.mean(axis=-1))
        temperature = self.pooling[0]
        pooled = logsumexp(values / temperature, axis=-1) - np.log(values.shape[-1])
        return np.asarray(temperature * pooled, dtype=np.float64)

    def calibrated(self, slice_logits: ArrayLike) -> FloatArray:
        """Return log(p / (1 − p)) of vertebrae: (...) from the logits of their slices: (..., n).

        slope · pooled + offset (Platt 1999), where the model stores them.
        """
        pooled = self.pool(slice_logits)
        if self.pooling is None:
            return pooled
        _, slope, offset = self.pooling
        return np.asarray(slope * pooled + offset, dtype=np.float64)

    def vertebra_logit(self, z: Any) -> float:
        """Return the calibrated log(p / (1 − p)) of a vertebra from its slices' z: (n, d)."""
        return float(self.calibrated(self.logit(z)))

    def vertebra_presence(self, z: Any) -> FloatArray:
        """Return the probability of each polarity: (2,) in a vertebra from its z: (n, d)."""
        if self.pooling is None or self.head is None:
            return self.presence(_as_array(z).mean(axis=0, keepdims=True))[0]
        logits = self.scaled(z) @ self.head.weight.T + self.head.bias
        return np.asarray(expit(self.pool(logits.T)), dtype=np.float64)

    def move(self, z: Any, logit_change: ArrayLike, direction: str = "normal") -> FloatArray:
        """Shift latents so that their logits change by `logit_change`: (B,), and return z: (B, d).

        direction "normal" goes along the unit normal of the classifier (eq. 1): the distance is
        change / ‖w‖. "pattern" goes along Σw: a' = a + change · Σw / (wᵀΣw), the smallest change
        that follows how the data vary.

        Raises OptionError for "pattern" when this classifier has none.
        """
        vector = self._direction(direction)
        change = np.asarray(logit_change, dtype=np.float64)
        return self.unscaled(self.scaled(z) + change[:, None] * vector)

    def posterior(
        self, z: Any, weight: ArrayLike, passes: int = 1, sideways: ArrayLike | None = None
    ) -> FloatArray:
        """Return z: (B, d) moved by weight: (B,) in [0, 1] of the way to the healthy posterior.

        passes: how many times the posterior mean is taken, each time of the last one's result.
        sideways: (B,) how far from the middle (0) to the side (1) of the body each slice lies.
        Raises OptionError when this classifier has no prior.
        """
        if self.prior is None:
            raise OptionError(
                "Option direction: this model has no prior of healthy latents.",
                "Use direction 'normal' or 'pattern'.",
            )
        a = healthy = self.scaled(z)
        for _ in range(passes):
            healthy = self.prior.healthy(healthy, sideways)
        share = np.asarray(weight, dtype=np.float64)[:, None]
        return self.unscaled(a + share * (healthy - a))

    def presence(self, z: Any) -> FloatArray:
        """Return the probability of lytic and of blastic disease: (B, 2); all 1 without a head."""
        if self.head is None:
            return np.ones((len(z), len(POLARITIES)))
        return self.head.presence(self.scaled(z))

    def _direction(self, name: str) -> FloatArray:
        """The shift of scaled latents that raises the logit by one."""
        if name == "normal":
            # The reference adds this to ‖w‖; without it, float32 latents differ in the last bit.
            return self.weight / (np.linalg.norm(self.weight) + 1e-8) ** 2
        if self.pattern is None:
            raise OptionError(
                "Option direction: this model's classifier has no activation pattern.",
                "Use direction 'normal'.",
            )
        return self.pattern / (self.weight @ self.pattern)

    def tensors(self) -> dict[str, NDArray[np.float64]]:
        """Return the numbers as arrays by name, for storing; `from_tensors` reads them."""
        stored = {"mean": self.mean, "scale": self.scale, "weight": self.weight}
        stored["bias"] = np.array([self.bias])
        if self.pattern is not None:
            stored["pattern"] = self.pattern
        if self.prior is not None:
            stored.update({name: getattr(self.prior, name) for name in _PRIOR_FIELDS})
            if self.prior.drift is not None:
                stored["drift"] = self.prior.drift
        if self.head is not None:
            stored.update(polarity_weight=self.head.weight, polarity_bias=self.head.bias)
        if self.pooling is not None:
            stored["pooling"] = np.array(self.pooling)
        if self.coverage is not None:
            stored.update(self.coverage.tensors())
        return stored

    @classmethod
    def from_tensors(cls, stored: Mapping[str, Any]) -> LatentClassifier:
        """Read what `tensors` returned.

        Raises ModelError when a part is missing or unknown.
        """
        missing = sorted(set(_FIELDS[:4]) - set(stored))
        unknown = sorted(set(stored) - set(_FIELDS))
        if missing or unknown:
            raise ModelError(
                f"Expected the classifier's parts {', '.join(_FIELDS)}; "
                f"missing {missing or 'none'}, unknown {unknown or 'none'}.",
                "Fetch the model again.",
            )
        bias = float(np.asarray(stored["bias"], dtype=np.float64).reshape(-1)[0])
        pattern = stored.get("pattern")
        parts = _all_or_none(stored, _PRIOR_FIELDS)
        drift = None if stored.get("drift") is None else _as_array(stored["drift"])
        head = _all_or_none(stored, _HEAD_FIELDS)
        pooling = _as_array(stored["pooling"]).reshape(-1) if "pooling" in stored else None
        if pooling is not None and len(pooling) != 3:
            raise ModelError(
                f"Expected three numbers as the model's pooling, got {len(pooling)}.",
                "Fetch the model again.",
            )
        return cls(
            _as_array(stored["mean"]),
            _as_array(stored["scale"]),
            _as_array(stored["weight"]),
            bias,
            None if pattern is None else _as_array(pattern),
            HealthyPrior(parts[0], parts[1], parts[2], drift) if parts else None,
            PolarityHead(*head) if head else None,
            None if pooling is None else (pooling[0], pooling[1], pooling[2]),
            Coverage.from_tensors({k: _as_array(v) for k, v in stored.items()}),
        )


def _all_or_none(stored: Mapping[str, Any], names: Sequence[str]) -> list[FloatArray]:
    """The named parts, or nothing where none is there. Raises ModelError when some are missing."""
    parts = [_as_array(stored[name]) for name in names if name in stored]
    if parts and len(parts) < len(names):
        raise ModelError(
            f"Expected all of {', '.join(names)} in the classifier, or none.",
            "Fetch the model again.",
        )
    return parts


def logit(p: ArrayLike) -> FloatArray:
    """Return log(p / (1 − p))."""
    value = np.asarray(p, dtype=np.float64)
    return np.asarray(np.log(value) - np.log1p(-value), dtype=np.float64)


def _as_array(values: Any) -> FloatArray:
    """An array or a tensor on any device as float64."""
    if hasattr(values, "detach"):
        values = values.detach().cpu().double().numpy()
    return np.asarray(values, dtype=np.float64)
