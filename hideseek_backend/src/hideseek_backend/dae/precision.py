"""Half precision and channels-last weights where they pay; solver states stay float32."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import nn


def faster_precision(dae: Any, device: torch.device) -> torch.dtype | None:
    """Return the half precision that pays for `dae` on `device`, None for float32.

    GPUs take float16, as the reference does. Processors that multiply bfloat16 natively take it
    for "edm" networks alone: a noise prediction is multiplied by σ, up to 157, on its way to the
    image, and with it what bfloat16 rounds.
    """
    if device.type == "cuda":
        return torch.float16
    config = getattr(dae, "config", None)
    if device.type == "cpu" and getattr(config, "parametrization", "") == "edm":
        return torch.bfloat16 if multiplies_bfloat16() else None
    return None


def arrange(dae: nn.Module, *, channels_last: bool) -> None:
    """Lay out the convolutions' weights channels-last, which is faster, or as they were loaded.

    As loaded they are the reference's: the kernels differ, and so do last digits. Rearranging costs
    one copy, and nothing when unchanged. Graphs made before hold the old weights and are dropped.
    """
    layout = torch.channels_last if channels_last else torch.contiguous_format
    if all(p.is_contiguous(memory_format=layout) for p in dae.parameters() if p.ndim == 4):
        return
    dae.to(memory_format=layout)  # type: ignore[call-overload]
    graphed = getattr(dae, "graphed", None)
    if graphed is not None:
        graphed.reset()


@lru_cache
def multiplies_bfloat16() -> bool:
    """Whether the processor has bfloat16 instructions; torch has no public way to ask."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="ignore")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags
