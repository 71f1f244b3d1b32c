"""Feature spaces, by name: what a distance between images is measured in.

None of them has seen the test set, and none is downloaded when a job runs.
"""

from collections.abc import Callable

import numpy as np
import torch
import torchvision
from torch.nn import functional as F

_SPACES: dict[str, Callable[[np.ndarray, torch.device], np.ndarray]] = {}


def extract(space: str, images: np.ndarray, device: torch.device) -> np.ndarray:
    """Features of grey images in the feature space `space`.

    Args:
        space: `random` or `pixels`.
        images: (N, H, W) uint8.
        device: where to compute.

    Returns:
        (N, D) float32.

    Raises:
        ValueError: there is no such space.
    """
    if space not in _SPACES:
        raise ValueError(f"feature space: got {space!r}; takes one of {', '.join(sorted(_SPACES))}")
    return _SPACES[space](images, device)


def _named(function):
    _SPACES[function.__name__.removeprefix("_")] = function
    return function


@_named
def _random(images, device):
    """The convolutions of a VGG16 with random weights, averaged over each image: D = 512.

    Where images are far from ImageNet's, random embeddings rank generators more soundly than
    pretrained ones (Naeem et al. 2020, arXiv 2002.09797, section 4.2), and they have seen no
    image at all. Grey goes into all three channels.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = torchvision.models.vgg16(weights=None).features
    network = network.to(device).eval()
    return _in_batches(images, device, lambda x: network(_prepared(x)).mean(dim=(2, 3)))


@_named
def _pixels(images, device):
    """The image itself, reduced to 16x16 and in [-1, 1]: D = 256. Sees layout, not texture."""
    return _in_batches(
        images, device, lambda x: F.adaptive_avg_pool2d(x / 127.5 - 1, 16).flatten(1)
    )


def _prepared(x):
    """Three channels at 64 px or more, so that five poolings leave something to average."""
    x = x / 127.5 - 1
    if x.shape[-1] < 64:
        x = F.interpolate(x, size=64, mode="bilinear")
    return x.expand(-1, 3, -1, -1)


@torch.inference_mode()
def _in_batches(images, device, function, size=64):
    if not len(images):
        raise ValueError("no images to take features of")
    parts = []
    for start in range(0, len(images), size):
        x = torch.from_numpy(images[start : start + size]).to(device).unsqueeze(1).float()
        parts.append(function(x).float().cpu().numpy())
    return np.concatenate(parts)
