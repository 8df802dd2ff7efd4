"""Replay the network as a CUDA graph: one launch a call instead of a thousand.

A solve calls the same network dozens of times on a few slices, and a GPU then waits for Python
more than it computes. A captured graph repeats the launches without it. Batches are padded to a
few sizes, so that few graphs are kept; each is compared with the plain network when it is made,
and given up, for good, where it differs or cannot be captured.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

SIZES = (1, 2, 4, 8, 16, 32)
_TOLERANCE = 1e-2
"""Of the largest prediction: far above what half precision rounds, far below a wrong answer."""

Modulations = list[Tensor]
Forward = Callable[[Tensor, Modulations, Modulations], Tensor]
Replay = Callable[[], Tensor]
Capture = Callable[[Replay], Replay]
"""Record a function that reads and writes fixed tensors; returns what repeats it."""

_log = logging.getLogger(__name__)


def capture_cuda(function: Replay) -> Replay:
    """Record `function` as a CUDA graph, after the warm-up that its kernels' choice needs."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            function()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        output = function()

    def replay() -> Tensor:
        graph.replay()
        return output

    return replay


class GraphedForward:
    """`forward` of a network, replayed.

    forward: (x (B, C, H, W), time modulations (1, ...), z modulations (B, ...)) -> like x, without
    gradients. The result is a tensor of its own.
    """

    def __init__(self, forward: Forward, capture: Capture = capture_cuda) -> None:
        self._forward = forward
        self._capture = capture
        self._graphs: dict[tuple[object, ...], _Graph] = {}
        self.usable = True

    def __call__(self, x: Tensor, time: Modulations, z: Modulations) -> Tensor:
        size = next((s for s in SIZES if s >= len(x)), None)
        if not self.usable or size is None:
            return self._forward(x, time, z)
        inputs = [_padded(x, size), *(_padded(m, size) for m in z), *time]
        key = (*(t.shape for t in inputs), x.dtype, time[0].dtype, torch.is_autocast_enabled())
        graph = self._graphs.get(key)
        if graph is None:
            graph = self._made(inputs, len(z))
            if graph is None:
                return self._forward(x, time, z)
            self._graphs[key] = graph
        return graph(inputs)[: len(x)].clone()

    def reset(self) -> None:
        """Forget all graphs: the network's weights lie elsewhere now."""
        self._graphs.clear()

    def _made(self, inputs: Sequence[Tensor], z_count: int) -> _Graph | None:
        """Capture a graph for inputs of these shapes and check it; None where that fails."""
        expected = _split(self._forward, inputs, z_count)
        try:
            graph = _Graph(self._forward, self._capture, inputs, z_count)
            # Other numbers in between: a graph that did not read its inputs would pass otherwise.
            graph([torch.zeros_like(t) for t in inputs])
            error = (graph(inputs) - expected).abs().max()
            if bool(error <= _TOLERANCE * expected.abs().max().clamp_min(1e-6)):
                return graph
            reason = f"it differs by {float(error):.2g}"
        except RuntimeError as problem:  # CUDA reports everything this way
            reason = str(problem).splitlines()[0]
        _log.warning("CUDA graphs are not used on this machine: %s", reason)
        self.usable = False
        self._graphs.clear()
        return None


class _Graph:
    """One captured graph with its fixed inputs."""

    def __init__(
        self, forward: Forward, capture: Capture, inputs: Sequence[Tensor], z_count: int
    ) -> None:
        self._inputs = [t.clone() for t in inputs]
        self._replay = capture(lambda: _split(forward, self._inputs, z_count))

    def __call__(self, inputs: Sequence[Tensor]) -> Tensor:
        for fixed, given in zip(self._inputs, inputs, strict=True):
            fixed.copy_(given)
        return self._replay()


def _split(forward: Forward, inputs: Sequence[Tensor], z_count: int) -> Tensor:
    return forward(inputs[0], list(inputs[1 + z_count :]), list(inputs[1 : 1 + z_count]))


def _padded(tensor: Tensor, size: int) -> Tensor:
    """Repeat the last entry of the batch up to `size`; a batch of one for all stays one."""
    missing = size - len(tensor)
    if missing == 0:
        return tensor
    return torch.cat([tensor, tensor[-1:].expand(missing, *tensor.shape[1:])])
