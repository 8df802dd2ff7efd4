"""MedSAM with a box prompt around the vertebral body (weights given by path).

The checkpoint is MedSAM's official vit_b; the network is that of the package `segment_anything`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from hideseek_backend.errors import ModelError
from hideseek_backend.optional import import_optional
from hideseek_lab.benchmark.baselines.common import ANY, to_unit

#: side of MedSAM's input, and pixels of 0.8 mm by which the body's box is made loose
_SIDE = 1024
_LOOSE_PX = 4
_INSTALL = "pip install git+https://github.com/facebookresearch/segment-anything.git"


class MedSam:
    """MedSAM on single slices."""

    def __init__(self, checkpoint: Path, device: str = "cpu") -> None:
        """Load the checkpoint: a plain state dict of tensors.

        Raises MissingDependencyError without segment_anything, ModelError for a file that is
        absent or does not fit.
        """
        package = import_optional("segment_anything", "The MedSAM baseline", _INSTALL)
        if not checkpoint.is_file():
            raise ModelError(
                f"No MedSAM checkpoint at {checkpoint}.", "Give the path of medsam_vit_b.pth."
            )
        self._device = torch.device(device)
        self._network: Any = package.sam_model_registry["vit_b"]()
        try:
            state = torch.load(checkpoint, map_location="cpu", weights_only=True)
            self._network.load_state_dict(state)
        except (RuntimeError, KeyError, TypeError, ValueError, OSError) as error:
            raise ModelError(
                f"{checkpoint} is no MedSAM vit_b checkpoint ({type(error).__name__}).",
                "Give the official medsam_vit_b.pth.",
            ) from error
        self._network.to(self._device).eval()

    @torch.inference_mode()
    def labels(self, hu: NDArray[np.int16], body: NDArray[np.bool_]) -> NDArray[np.uint8]:
        """Segment a slice hu: (64, 64) prompted by the loose box of its body: (64, 64)."""
        labels = np.zeros(hu.shape, dtype=np.uint8)
        if not body.any():
            return labels
        image = torch.from_numpy(to_unit(hu))[None, None].to(self._device)
        image = F.interpolate(image, (_SIDE, _SIDE), mode="bicubic", align_corners=False)
        low, high = image.amin(), image.amax()
        image = ((image - low) / (high - low).clamp_min(1e-8)).expand(-1, 3, -1, -1)
        embedding = self._network.image_encoder(image)
        box = self._box(body).to(self._device)
        sparse, dense = self._network.prompt_encoder(points=None, boxes=box, masks=None)
        logits, _ = self._network.mask_decoder(
            image_embeddings=embedding,
            image_pe=self._network.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=False,
        )
        full = F.interpolate(logits, hu.shape, mode="bilinear", align_corners=False)
        labels[(full[0, 0] > 0).cpu().numpy()] = ANY
        return labels

    @staticmethod
    def _box(body: NDArray[np.bool_]) -> Tensor:
        """(1, 1, 4): x0, y0, x1, y1 in MedSAM's pixels; x runs along axis 1 of the slice."""
        rows, columns = np.nonzero(body)
        scale = _SIDE / np.array(body.shape)
        y0, x0 = rows.min() - _LOOSE_PX, columns.min() - _LOOSE_PX
        y1, x1 = rows.max() + 1 + _LOOSE_PX, columns.max() + 1 + _LOOSE_PX
        box = np.array([x0 * scale[1], y0 * scale[0], x1 * scale[1], y1 * scale[0]])
        return torch.from_numpy(np.clip(box, 0, _SIDE).astype(np.float32))[None, None]
