"""Grey levels and the range that networks see."""

import torch
from torch import Tensor


def to_unit(images: Tensor) -> Tensor:
    """Grey levels 0 to 255 of any type as float32 in [-1, 1]."""
    return images.float() / 127.5 - 1


def to_uint8(images: Tensor) -> Tensor:
    """Values in about [-1, 1] as grey levels, uint8, rounded and clipped."""
    return (images * 127.5 + 127.5).round().clamp(0, 255).to(torch.uint8)
