"""A network that remembers: sweeps over options repeat most of its operations."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from hideseek_backend.attribution.network import Autoencoder, Network
from hideseek_backend.attribution.options import Options
from hideseek_backend.progress import Meter


class Memory:
    """Results of network operations by the content of their inputs, one slice at a time.

    limit_mb: when full, the oldest results go first. One memory serves one set of weights.
    """

    def __init__(self, limit_mb: float = 2000.0) -> None:
        self._kept: dict[bytes, Tensor] = {}
        self._limit = limit_mb * 2**20
        self._size = 0
        self.hits = 0
        self.misses = 0

    def rows(self, name: str, operation: Callable[..., Tensor], *arrays: Tensor) -> Tensor:
        """Return operation(*arrays), computing only the rows not met before.

        name: of the operation with every setting that changes its result.
        """
        keys = [_key(name, [array[row] for array in arrays]) for row in range(len(arrays[0]))]
        new = {key: row for row, key in enumerate(keys) if key not in self._kept}
        self.hits += len(keys) - len(new)
        self.misses += len(new)
        found = {key: self._kept[key] for key in keys if key in self._kept}
        if new:
            index = torch.tensor(list(new.values()))
            for key, result in zip(new, operation(*(a[index] for a in arrays)), strict=True):
                found[key] = result.clone()
                self._keep(key, found[key])
        return torch.stack([found[key] for key in keys])

    def _keep(self, key: bytes, result: Tensor) -> None:
        self._kept[key] = result
        self._size += result.numel() * result.element_size()
        while self._size > self._limit and len(self._kept) > 1:
            oldest = next(iter(self._kept))
            dropped = self._kept.pop(oldest)
            self._size -= dropped.numel() * dropped.element_size()


class RememberingNetwork(Network):
    """As Network, with results taken from a memory where it has them."""

    def __init__(
        self, dae: Autoencoder, device: Any, options: Options, meter: Meter, memory: Memory
    ) -> None:
        super().__init__(dae, device, options, meter)
        self._memory = memory
        self._settings = options

    def encode(self, images: Tensor) -> Tensor:
        return self._memory.rows("encode", super().encode, images)

    def invert(self, images: Tensor, z: Tensor) -> Tensor:
        options = self._settings
        name = f"invert {options.solver} {options.invert_steps}"
        return self._memory.rows(name, super().invert, images, z)

    def render(self, x_t: Tensor, z: Tensor) -> Tensor:
        options = self._settings
        name = f"render {options.solver} {options.render_steps}"
        return self._memory.rows(name, super().render, x_t, z)


def _key(name: str, parts: list[Tensor]) -> bytes:
    digest = hashlib.blake2b(name.encode(), digest_size=16)
    for part in parts:
        digest.update(part.contiguous().numpy().tobytes())
    return digest.digest()
