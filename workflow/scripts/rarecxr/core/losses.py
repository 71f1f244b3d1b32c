"""Losses that several networks share."""

import torch
import torch.nn.functional as F
from torch import Tensor


def masked_bce(
    logits: Tensor,
    labels: Tensor,
    known: Tensor | float | None = None,
    weights: Tensor | None = None,
) -> Tensor:
    """Mean binary cross-entropy over the labels that are known, as a scalar in float32 at least.

    A label that is NaN weighs nothing and sends no gradient. Without any known label the loss
    is 0.

    Args:
        logits: (N, L), any floating type.
        labels: (N, L) in [0, 1] or NaN.
        known: what the sum is divided by; None for the number of known labels (`count_known`).
        weights: (N,) above 0, what an image's labels count. The sum is then divided by the weights
            of all known labels (`known` is not used), so that equal weights change nothing.
    """
    mask = ~torch.isnan(labels)
    each = F.binary_cross_entropy_with_logits(
        logits.float(), torch.where(mask, labels, 0.0), reduction="none"
    )
    if weights is not None:
        counted = torch.where(mask, weights[:, None], 0.0)
        # Without any known label all weights are 0, and so is the loss.
        total = torch.where(mask, counted * each, 0.0).sum()
        return total / torch.where(mask.any(), counted.sum(), 1.0)
    total = torch.where(mask, each, 0.0).sum()
    return total / (count_known(labels) if known is None else known)


def count_known(labels: Tensor) -> Tensor:
    """How many labels are not NaN, at least 1."""
    return (~torch.isnan(labels)).sum().clamp(min=1)
