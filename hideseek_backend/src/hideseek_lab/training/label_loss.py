"""The loss on vertebra-level labels, of which a single slice is only weak evidence."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def label_loss(
    logits: Tensor, labels: Tensor, known: Tensor | None = None, slices: int = 1
) -> Tensor:
    """Binary cross-entropy of a vertebra's labels, given several of its slices.

    logits, labels: (B, C), labels in {0, 1}. known: (B, C) in {0, 1}, 0 where nobody has said;
    those count as no loss. slices: so many consecutive rows are slices of one vertebra.

    What is absent from a vertebra is absent from each of its slices: the loss is their mean. What
    is present need not show on every slice: the vertebra's probability comes from the mean odds of
    its slices, as it does when a scan is screened, and one slice that shows the lesion is enough
    (multiple-instance learning; log-mean-exp pooling of Pinheiro and Collobert 2015).
    """
    each = logits.unflatten(0, (-1, slices)).float()
    present = labels.unflatten(0, (-1, slices))[:, 0]
    pooled = torch.logsumexp(each, dim=1) - math.log(slices)
    loss = torch.where(present > 0.5, F.softplus(-pooled), F.softplus(each).mean(dim=1))
    if known is not None:
        loss = loss * known.unflatten(0, (-1, slices))[:, 0]
    return loss.mean()
