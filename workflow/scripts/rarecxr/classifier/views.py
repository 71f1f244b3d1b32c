"""Two random views of an image, for networks that learn to recognise it without any label."""

import torch

from rarecxr.classifier.transforms import transform
from rarecxr.core.devices import to_device
from rarecxr.core.warp import warp
from rarecxr.study.configuration.training import TransformSettings
from rarecxr.study.seeds import seed_for


def views(
    images: torch.Tensor, least: float, transforms: TransformSettings, key: tuple[int | str, ...]
) -> torch.Tensor:
    """Two views of each image: a random crop of it under random transforms, drawn independently.

    Args:
        images: (N, 1, H, W) in [0, 1].
        least: see `crop`.
        transforms: limits of the transforms, see `rarecxr.classifier.transforms.transform`.
        key: what the random numbers depend on.

    Returns:
        (2N, 1, H, W) in [0, 1]: one view of every image, then the other of every image.
    """
    seen = []
    for view in range(2):
        cropped = crop(images, least, seed_for(*key, view, "crop"))
        seen.append(transform(cropped, transforms, (seed_for(*key, view),)))
    return torch.cat(seen)


def crop(images: torch.Tensor, least: float, seed: int) -> torch.Tensor:
    """A square part of each image, enlarged to the image's size, bilinearly.

    Its side is drawn evenly from `least` to 1, as a share of the image's, and its place evenly from
    all places within the image. Proportions are kept, since the shape of the heart and the chest
    means something.

    Args:
        images: (N, 1, H, W) in [0, 1].
        least: smallest side; 1 for whole images.
        seed: of the random numbers.

    Returns:
        (N, 1, H, W) in [0, 1].
    """
    if least == 1:
        return images
    count = len(images)
    source = torch.Generator().manual_seed(seed)
    draws = to_device(torch.rand(3, count, generator=source), images.device)
    side = least + (1 - least) * draws[0]
    shift = (draws[1:] * 2 - 1) * (1 - side)
    # The border, since the outermost pixels of a crop at the edge reach half a pixel beyond it.
    nothing, upright = torch.zeros_like(side), torch.ones_like(side)
    return warp(images, side, nothing, shift.T, upright, "border")
