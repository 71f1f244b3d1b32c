"""A change of position of a batch of images: each image has its own."""

import torch
import torch.nn.functional as F
from torch import Tensor


def warp(
    images: Tensor, cosine: Tensor, sine: Tensor, shift: Tensor, mirror: Tensor, padding_mode: str
) -> Tensor:
    """Images under a similarity each, resampled bilinearly; differentiable in the images.

    The pixel at (x, y) comes from
    (mirror cosine x - sine y, mirror sine x + cosine y) + shift, in coordinates from -1 to 1 with
    the image's centre at 0, so that a side is 2 long. `cosine` and `sine` are those of the
    angle, divided by the magnification.

    Args:
        images: (N, 1, H, W), any floating type.
        cosine: (N,).
        sine: (N,).
        shift: (N, 2), along x and y.
        mirror: (N,), -1 to exchange left and right, else 1.
        padding_mode: what is outside of an image, as in `torch.nn.functional.grid_sample`.
    """
    rows = [
        torch.stack([mirror * cosine, -sine, shift[:, 0]], dim=1),
        torch.stack([mirror * sine, cosine, shift[:, 1]], dim=1),
    ]
    matrices = torch.stack(rows, dim=1).to(images.dtype)
    grid = F.affine_grid(matrices, list(images.shape), align_corners=False)
    return F.grid_sample(
        images, grid, mode="bilinear", padding_mode=padding_mode, align_corners=False
    )
