"""How a change enters a real scan: partial volume, point spread, cortex, noise.

A change acts on the structure of the scan (its HU without noise and finest texture). What it adds
is averaged over the thickness of a slice, blurred by the scanner's point spread and added to the
image itself, so that the scanner's noise stays. Where bone goes, its fine texture goes with it and
only noise is left. Every insertion, malignant, benign or null, takes this way: how it was made
says nothing about what it is.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hideseek_lab.insertion.site import Field, Site, structure


class Change(ABC):
    """Something that alters bone.

    breaks_cortex: it takes the outer shell of the body with it. outside: it may reach beyond the
    body.
    """

    @property
    def breaks_cortex(self) -> bool:
        return False

    @property
    def outside(self) -> bool:
        return False

    @abstractmethod
    def on(self, hu: Field, site: Site, x: Field, y: Field, z: Field) -> tuple[Field, Field, Field]:
        """Return the structure HU with the change at local points (mm), and the shares in [0, 1]
        of destroyed and of grown bone."""


@dataclass(frozen=True, eq=False)
class Shown:
    """hu: the whole block (I, J, K) with the change; lytic, blastic: shares in the site's box."""

    hu: Field
    lytic: Field
    blastic: Field


def apply_changes(
    hu: Field, site: Site, changes: Sequence[Change], rng: np.random.Generator
) -> Shown:
    """Apply changes one after the other to a block's HU (I, J, K), which stays as it is."""
    image = hu[site.where]
    smooth = structure(image, site.spacing)
    shell = float(rng.uniform(0.6, 1.6))
    intact = np.clip(site.depth / np.float32(shell), 0, 1)
    eased = 0.9 * np.clip((site.depth + 2.0) / np.float32(2.0), 0, 1) + 0.1 * intact
    added = np.zeros_like(image)
    lytic, blastic = np.zeros_like(image), np.zeros_like(image)
    offsets = site.sub_slices()
    for offset in offsets:
        dx, dy, dz = offset.astype(np.float32)
        x, y, z = site.x + dx, site.y + dy, site.z + dz
        changed = smooth
        part_lytic, part_blastic = np.zeros_like(image), np.zeros_like(image)
        for change in changes:
            after, own_lytic, own_blastic = change.on(changed, site, x, y, z)
            reach = eased if change.breaks_cortex else intact
            if change.outside:
                reach = np.ones_like(image)
            changed = changed + (after - changed) * reach
            part_lytic = np.maximum(part_lytic * (1 - own_blastic), own_lytic * reach)
            part_blastic = np.maximum(part_blastic * (1 - own_lytic), own_blastic * reach)
        added += (changed - smooth) / np.float32(len(offsets))
        lytic += part_lytic / np.float32(len(offsets))
        blastic += part_blastic / np.float32(len(offsets))
    fine = image - smooth
    left = 1 - (1 - site.noise_share) * lytic - 0.4 * (1 - site.noise_share) * blastic
    out = hu.copy()
    kept = fine * site.point_spread(left.astype(np.float32))
    out[site.where] = smooth + kept + site.point_spread(added, float(rng.uniform(0.35, 0.65)))
    return Shown(out, lytic, blastic)
