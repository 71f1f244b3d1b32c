"""A GAN's training images: on the device, at every resolution, in an order fixed by a seed."""

import os

import h5py
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from rarecxr.gan.labels import read_labels
from rarecxr.gan.layers import downscale, upscale
from rarecxr.gan.pixels import to_unit

# Images that are scaled down at a time while the pyramid is built.
_BLOCK = 1024


def read_training_set(
    path: str | os.PathLike, resolution: int
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Images and labels of a training set, checked.

    Args:
        path: training_set.h5 with `images` (N, R, R) uint8 and, for a conditional GAN, what
            `read_labels` reads.
        resolution: the R that is wanted.

    Returns:
        images (N, R, R) uint8, labels (N, L) float32, and the labels' L names; L is 0 where the
        file has no labels.

    Raises:
        ValueError: another resolution or type, fewer than two images, or only equal images.
    """
    with h5py.File(path) as file:
        data = file["images"]
        if data.dtype != np.uint8 or data.ndim != 3:
            raise ValueError(
                f"{path}: images are {data.dtype} of shape {data.shape}; "
                "uint8 of (N, R, R) is wanted"
            )
        if data.shape[1:] != (resolution, resolution):
            raise ValueError(
                f"{path}: images are {data.shape[1]}x{data.shape[2]} pixels, gan.resolution is "
                f"{resolution}; make the training set again at this resolution"
            )
        images = data[:]
        has_labels = "labels" in file
    if len(images) < 2:
        raise ValueError(
            f"{path}: holds {len(images)} image(s); a GAN needs at least two different ones. "
            "Raise dataset.min_positive_patients or leave this finding or fraction out"
        )
    if (images == images[0]).all():
        raise ValueError(
            f"{path}: all {len(images)} images are equal, so there is nothing to learn; "
            "look at the pixel cache and the filters"
        )
    if not has_labels:
        return images, np.zeros((len(images), 0), np.float32), []
    labels, names = read_labels(path)
    if len(labels) != len(images):
        raise ValueError(f"{path}: {len(labels)} rows of labels for {len(images)} images")
    return images, labels, names


class TrainingImages:
    """Training images at all resolutions, as uint8 on the device, drawn by position.

    The i-th image that a run sees is a function of the seed and i alone: the images are
    shuffled anew for every pass, and each pass shows every image once. A minibatch that is
    larger than the training set spans several passes, so it holds images more than once.

    Args:
        images: (N, R, R) uint8.
        labels: (N, L) float32, L may be 0.
        start_resolution: the smallest resolution that is wanted.
        device: where the images are kept.
        seed: of the order.
    """

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        start_resolution: int,
        device: torch.device,
        seed: int,
    ):
        self.device = device
        self.seed = seed
        self.count = len(images)
        self.labels = torch.from_numpy(labels).to(device)
        largest = torch.from_numpy(images)
        self.levels = {images.shape[-1]: largest.unsqueeze(1).to(device)}
        side = images.shape[-1] // 2
        while side >= start_resolution:
            self.levels[side] = _halved(self.levels[2 * side])
            side //= 2
        self._pass, self._order = -1, np.zeros(0, np.int64)

    def positions(self, first: int, count: int) -> Tensor:
        """Which images are shown as number `first` to `first + count - 1` of a run, (count,)."""
        parts, position = [], first
        while position < first + count:
            number, offset = divmod(position, self.count)
            if number != self._pass:
                self._pass = number
                self._order = np.random.default_rng([self.seed, number]).permutation(self.count)
            part = self._order[offset : offset + first + count - position]
            parts.append(part)
            position += len(part)
        return torch.from_numpy(np.concatenate(parts)).to(self.device, non_blocking=True)

    def batch(self, first: int, count: int, resolution: int, alpha: float = 1.0) -> Tensor:
        """Images number `first` to `first + count - 1` of a run, faded as the networks are.

        Returns:
            (count, 1, resolution, resolution) float32 in [-1, 1]. With `alpha` below 1 they are
            alpha * image + (1 - alpha) * image halved and doubled (Karras et al. 2018,
            section 2).
        """
        x = to_unit(self.levels[resolution][self.positions(first, count)])
        if alpha < 1:
            x = torch.lerp(upscale(downscale(x)), x, alpha)
        return x

    def batch_labels(self, first: int, count: int) -> Tensor:
        """The labels of the same images, (count, L) float32."""
        return self.labels[self.positions(first, count)]


def label_vectors(labels: Tensor, count: int, random: torch.Generator) -> Tensor:
    """Label vectors of `count` randomly drawn real images, NaN as 0, (count, L)."""
    rows = torch.randint(len(labels), (count,), generator=random, device=labels.device)
    return labels[rows].nan_to_num(0.0)


def _halved(images: Tensor) -> Tensor:
    """(N, 1, H, W) uint8 to (N, 1, H/2, W/2) uint8: means of 2x2 pixels, rounded."""
    blocks = [F.avg_pool2d(block.float(), 2).round() for block in images.split(_BLOCK)]
    return torch.cat([block.to(torch.uint8) for block in blocks])
