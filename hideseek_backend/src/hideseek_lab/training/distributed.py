"""Training in several processes that hold one model: torchrun and DistributedDataParallel."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import Tensor, nn
from torch import distributed as dist

from hideseek_backend.errors import DeviceError, OptionError

# The first process prepares the data while the others wait: hours, for a large set.
_PATIENCE = timedelta(days=2)


@dataclass(frozen=True)
class Replicas:
    """This process's place among those that train one model together.

    Every process draws the same batch and the same noise and takes its own part of it, so that the
    averaged gradient is the one that a single process would have.
    """

    rank: int = 0
    world: int = 1

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes."""
        return self.rank == 0

    def check(self, *, batch: int, label_images: int, bag: int) -> None:
        """Raise OptionError where a batch cannot be parted evenly, vertebra by vertebra."""
        if batch % self.world or (batch + label_images) % (self.world * bag):
            raise OptionError(
                f"A batch of {batch} and {label_images} label images cannot be parted among "
                f"{self.world} processes with {bag} slices a vertebra.",
                f"Use a number of processes that divides both {batch} and "
                f"{(batch + label_images) // bag} vertebrae.",
            )

    def part(self, values: Tensor) -> Tensor:
        """This process's share of (B, …)."""
        return values.chunk(self.world)[self.rank] if len(values) else values

    def wrap(self, module: nn.Module, *, unused: bool) -> nn.Module:
        """The module that averages gradients over processes; unused: some parameters get none."""
        if self.world == 1:
            return module
        return nn.parallel.DistributedDataParallel(module, find_unused_parameters=unused)

    def mean(self, value: float) -> float:
        """The mean of a figure over the processes."""
        if self.world == 1:
            return value
        total = torch.tensor([value], dtype=torch.float64, device=_backend_device())
        dist.all_reduce(total)
        return float(total.item()) / self.world

    def wait(self) -> None:
        """Go on when every process has come here."""
        if self.world > 1:
            dist.barrier()


ALONE = Replicas()


@contextmanager
def replicas(device: torch.device) -> Iterator[tuple[Replicas, torch.device]]:
    """Join the processes that `torchrun` started, if it did; give this one's place and device.

    Raises DeviceError where a machine has fewer GPUs than processes.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield ALONE, device
        return
    local = int(os.environ.get("LOCAL_RANK", "0"))
    if device.type == "cuda":
        if local >= torch.cuda.device_count():
            raise DeviceError(
                f"torchrun started process {local + 1} here, but the machine has "
                f"{torch.cuda.device_count()} GPU(s).",
                "Use --nproc-per-node with the number of GPUs, or --device cpu.",
            )
        device = torch.device("cuda", local)
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=_PATIENCE)
    try:
        yield Replicas(dist.get_rank(), world), device
    finally:
        dist.destroy_process_group()


def _backend_device() -> torch.device:
    return torch.device("cuda" if dist.get_backend() == "nccl" else "cpu")
