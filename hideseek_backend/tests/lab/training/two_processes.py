"""A process of `torchrun` that trains a tiny network and writes its weights; a test starts two."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch

from hideseek_lab.training.distributed import replicas
from hideseek_lab.training.loop import Batch, train
from hideseek_lab.training.presets import TINY

CONFIG = replace(TINY.train, steps=6, batch=8, label_images=4, encoder_steps=2, bag=2)


def batches(step: int) -> Iterator[Batch]:
    """Vertebrae of two slices, some of whose labels nobody knows; the same in every process."""
    while True:
        generator = torch.Generator().manual_seed(step)
        images = torch.rand(12, 1, 64, 64, generator=generator)
        labels = torch.tensor([[1.0, math.nan, 1.0], [0.0, 0.0, 0.0]] * 3)
        yield Batch(images, labels)
        step += 1


def main(folder: Path) -> None:
    """Train in `folder`, then go on from what was saved; the first process saves."""
    torch.set_num_threads(1)
    with replicas(torch.device("cpu")) as (own, device):
        own.check(batch=CONFIG.batch, label_images=CONFIG.label_images, bag=CONFIG.bag)
        for steps in (CONFIG.steps, CONFIG.steps + 3):
            longer = replace(CONFIG, steps=steps)
            train(longer, batches, folder, device=device, save_every=3, replicas=own)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
