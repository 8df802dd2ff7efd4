"""Lytic, blastic or mixed: decided per vertebra from what was kept, without a patient's label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hideseek_backend.attribution.candidates import POLARITIES, Polarity
from hideseek_backend.attribution.options import Options


def phenotype_of(
    polarities: Sequence[Polarity],
    areas: Sequence[int],
    deltas: Sequence[float],
    options: Options,
    presence: Sequence[float] = (1.0, 1.0),
) -> tuple[str | None, frozenset[Polarity]]:
    """Return the phenotype ("lytic", "blastic", "mixed" or None) and the polarities it keeps.

    polarities, areas (voxels) and deltas: of all candidates, in one order. Only those with
    Δ ≥ tau count, each by its area times Δ (at most 1): by area and not by contrast, because
    blastic bone differs from marrow by several times more HU than a lytic focus does.

    With polarity "auto" a polarity below `options.mixed_fraction` of the sum is taken as a
    by-product of the edit and dropped; so is one whose `presence` (the model's probabilities of
    lytic and of blastic disease) is below `options.min_presence`, unless the other's is lower
    still. Otherwise the choice itself says what is kept.

    The phenotype is named after the polarities that are kept. With `options.name_presence` it is
    the model's instead, where it holds disease of either polarity probable: the more probable one,
    and the other from that probability on. The latent of several slices sees foci that no
    candidate shows.
    """
    weight: Mapping[Polarity, float] = {
        polarity: float(
            sum(
                area * min(delta, 1.0)
                for kind, area, delta in zip(polarities, areas, deltas, strict=True)
                if kind == polarity and delta >= options.tau and delta > 0
            )
        )
        for polarity in POLARITIES
    }
    total = sum(weight.values())
    allowed = {
        "lytic": frozenset[Polarity]({"lytic"}),
        "blastic": frozenset[Polarity]({"blastic"}),
    }.get(options.polarity, frozenset(POLARITIES))
    if options.polarity == "auto" and total > 0:
        allowed = frozenset(p for p in POLARITIES if weight[p] >= options.mixed_fraction * total)
    if options.polarity == "auto":
        probable = dict(zip(POLARITIES, presence, strict=True))
        least = min(options.min_presence, max(presence))
        allowed = frozenset(p for p in allowed if probable[p] >= least)
    found = sorted(p for p in allowed if weight[p] > 0)
    if options.polarity == "auto" and options.name_presence > 0 and max(presence) >= 0.5:
        least = min(options.name_presence, max(presence))
        found = sorted(p for p in POLARITIES if probable[p] >= least)
    if not found:
        return None, allowed
    return (found[0] if len(found) == 1 else "mixed"), allowed
