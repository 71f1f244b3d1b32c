"""The classifier's loss: binary cross-entropy over the labels that are known."""

import torch
import torch.nn.functional as F


def masked_bce(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean binary cross-entropy over the labelled entries, as a scalar in float32.

    An entry whose label is NaN weighs nothing and sends no gradient. Without any labelled
    entry the loss is 0.

    Args:
        logits: (N, F), any floating type.
        labels: (N, F) in {0, 1, NaN}.
    """
    known = ~torch.isnan(labels)
    each = F.binary_cross_entropy_with_logits(
        logits.float(), torch.where(known, labels, 0.0), reduction="none"
    )
    return torch.where(known, each, 0.0).sum() / known.sum().clamp(min=1)
