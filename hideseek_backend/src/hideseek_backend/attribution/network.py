"""Run the autoencoder on many slices: in chunks, counted, and stoppable between solver steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn

from hideseek_backend.attribution.options import Options, SolverName
from hideseek_backend.attribution.threads import side_by_side
from hideseek_backend.dae.precision import arrange, faster_precision
from hideseek_backend.progress import Meter
from hideseek_backend.volumes.crops import CROP_SIZE


class Autoencoder(Protocol):
    """What the method needs of a diffusion autoencoder; see `dae.DiffusionAutoencoder`."""

    def encode(self, images: Tensor) -> Tensor: ...

    def invert(
        self,
        images: Tensor,
        z: Tensor,
        steps: int | None = None,
        *,
        solver: SolverName = ...,
        half: torch.dtype | None = ...,
        callback: Callable[[int, int], None] | None = ...,
    ) -> Tensor: ...

    def render(
        self,
        x_T: Tensor,
        z: Tensor,
        steps: int | None = None,
        *,
        solver: SolverName = ...,
        half: torch.dtype | None = ...,
        callback: Callable[[int, int], None] | None = ...,
    ) -> Tensor: ...


# On a processor: more slices at once are hardly faster, and slow to notice a cancel; a large
# network takes them one by one.
_CPU_SLICES = 20
_CPU_LOAD = 160_000_000  # slices times parameters of one step: about a second
_WORTH_TWO = 8  # slices from which two threads with a half each are faster than both with all


class Network:
    """The autoencoder's three operations on any number of slices.

    Images and x_T are (N, 1, 64, 64) float32 on the CPU, in model intensity; z is (N, d). At most
    `options.max_batch` slices go through at once, and on a processor fewer: there several chunks
    are at work side by side, on one of torch's threads each. Each solver step counts one step a
    slice on `meter`, which raises Cancelled between two of them.
    """

    def __init__(
        self, dae: Autoencoder, device: torch.device | str, options: Options, meter: Meter
    ) -> None:
        self._dae = dae
        self._device = torch.device(device)
        self._half = faster_precision(dae, self._device) if options.precision == "auto" else None
        self._options = options
        self.meter = meter
        self._batch = options.max_batch
        if isinstance(dae, nn.Module):
            # The reference protocol is run as its authors do, to the last digit.
            arrange(dae, channels_last=options.solver == "multistep")
        if self._device.type == "cpu" and isinstance(dae, nn.Module):
            parameters = sum(p.numel() for p in dae.parameters())
            slices = max(1, min(_CPU_SLICES, _CPU_LOAD // max(1, parameters)))
            self._batch = min(self._batch, slices)

    def encode(self, images: Tensor) -> Tensor:
        """Return z: (N, d)."""

        def encode(chunk: Tensor) -> Tensor:
            self.meter.step(len(chunk))
            return self._dae.encode(chunk)

        return self._chunked(encode, images)

    def invert(self, images: Tensor, z: Tensor) -> Tensor:
        """Return x_T of images under z."""
        options = self._options

        def invert(chunk: Tensor, code: Tensor) -> Tensor:
            return self._dae.invert(
                chunk,
                code,
                options.invert_steps,
                solver=options.solver,
                half=self._half,
                callback=self._counter(len(chunk)),
            )

        return self._chunked(invert, images, z)

    def render(self, x_t: Tensor, z: Tensor) -> Tensor:
        """Return the images that x_T and z stand for."""
        options = self._options

        def render(chunk: Tensor, code: Tensor) -> Tensor:
            return self._dae.render(
                chunk,
                code,
                options.render_steps,
                solver=options.solver,
                half=self._half,
                callback=self._counter(len(chunk)),
            )

        return self._chunked(render, x_t, z)

    def expected(self, z: Tensor) -> Tensor:
        """Return the images that the network expects from z alone: one step from no x_T at all."""

        def expect(code: Tensor) -> Tensor:
            self.meter.step(len(code))
            x_t = torch.zeros(len(code), 1, CROP_SIZE, CROP_SIZE, device=code.device)
            return self._dae.render(x_t, code, 1, half=self._half)

        return self._chunked(expect, z)

    def _counter(self, slices: int) -> Callable[[int, int], None]:
        def count(_done: int, _steps: int) -> None:
            self.meter.step(slices)

        return count

    def _chunked(self, operation: Callable[..., Tensor], *arrays: Tensor) -> Tensor:
        def run(start: int) -> Tensor:
            stop = start + size
            chunk = [a[start:stop].to(self._device, torch.float32) for a in arrays]
            self.meter.check()
            with torch.inference_mode():
                return operation(*chunk).float().cpu()

        count = len(arrays[0])
        chunks = -(-count // self._batch)
        # The reference protocol has all threads on one chunk, as its authors run it: sums are
        # split among them, and round accordingly.
        beside = self._device.type == "cpu" and self._options.solver == "multistep"
        threads = torch.get_num_threads() if beside else 1
        if beside and count >= _WORTH_TWO:
            # Whatever the number of threads: it may not decide how results round.
            chunks += chunks % 2
        size = -(-count // chunks)
        return torch.cat(side_by_side(run, range(0, count, size), threads))
