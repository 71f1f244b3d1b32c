"""A GAN's training images: on the device, at every resolution, in an order fixed by a seed."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from rarecxr.core.devices import to_device
from rarecxr.core.order import EndlessPermutation
from rarecxr.data.image_file import ImageFile
from rarecxr.gan.labels import read_labels
from rarecxr.gan.layers import downscale, upscale
from rarecxr.gan.pixels import to_unit


class TrainingImages:
    """Training images at all resolutions, as uint8, drawn by position.

    The i-th image that a run sees is a function of the seed and i alone: the images are
    shuffled anew for every pass, and each pass shows every image once. A minibatch that is
    larger than the training set spans several passes, so it holds images more than once.

    Attributes:
        count: number of images, N.
        labels: (N, L) float32 on the device; L is 0 without labels.
        label_names: the labels' L names.
        levels: by resolution the images: a tensor (N, 1, R, R) on the device, or an array of
            the same shape in a file.
    """

    def __init__(
        self,
        levels: dict[int, Tensor | np.ndarray],
        labels: np.ndarray,
        label_names: list[str],
        device: torch.device,
        seed: int,
    ):
        self.levels = levels
        self.count = len(labels)
        self.label_names = label_names
        self.device = device
        self.labels = torch.from_numpy(labels).to(device)
        self._order = EndlessPermutation(self.count, seed)

    def positions(self, first: int, count: int) -> np.ndarray:
        """Which images are shown as number `first` to `first + count - 1` of a run, (count,)."""
        return self._order.read(first, first + count)

    def batch(self, first: int, count: int, resolution: int, alpha: float = 1.0) -> Tensor:
        """Images number `first` to `first + count - 1` of a run, faded as the networks are.

        Returns:
            (count, 1, resolution, resolution) float32 in [-1, 1]. With `alpha` below 1 they are
            alpha * image + (1 - alpha) * image halved and doubled (Karras et al. 2018,
            section 2).
        """
        x = to_unit(self.pick(self.positions(first, count), resolution))
        if alpha < 1:
            x = torch.lerp(upscale(downscale(x)), x, alpha)
        return x

    def pick(self, positions: np.ndarray, resolution: int) -> Tensor:
        """Images by their position in the training set, (count, 1, R, R) uint8 on the device."""
        level = self.levels[resolution]
        if isinstance(level, Tensor):
            return level[self._index(positions)]
        return to_device(torch.from_numpy(level[positions]), self.device)

    def batch_labels(self, first: int, count: int) -> Tensor:
        """The labels of the same images, (count, L) float32."""
        return self.labels[self._index(self.positions(first, count))]

    def _index(self, positions: np.ndarray) -> Tensor:
        return to_device(torch.from_numpy(positions), self.device)


@contextlib.contextmanager
def training_images(
    path: str | os.PathLike,
    resolution: int,
    start_resolution: int,
    device: torch.device,
    seed: int,
    folder: str | os.PathLike,
    pixel_memory_mib: float = 8192,
) -> Iterator[TrainingImages]:
    """The images of a training set, checked, at every resolution.

    Args:
        path: training_set.h5 with `images` (N, R, R) uint8 and, for a conditional GAN, what
            `read_labels` reads.
        resolution: the R that is wanted.
        start_resolution: the smallest resolution that is wanted.
        device: where the images are wanted.
        seed: of their order.
        folder: where the images are kept, as files that are mapped into memory, if they are too
            large for the device. The files are removed at the end.
        pixel_memory_mib: size of the images of all resolutions up to which they are kept on
            the device.

    Raises:
        ValueError: another resolution or type, fewer than two images, or only equal images.
    """
    sides = [resolution]
    while sides[-1] > start_resolution:
        sides.append(sides[-1] // 2)
    with contextlib.ExitStack() as stack:
        images = ImageFile(path)
        _check(images, resolution)
        count = len(images)
        if sum(count * side**2 for side in sides) <= pixel_memory_mib * 2**20:
            levels = {
                side: torch.empty((count, 1, side, side), dtype=torch.uint8, device=device)
                for side in sides
            }
        else:
            levels = {
                side: stack.enter_context(_mapped(Path(folder), (count, 1, side, side)))
                for side in sides
            }
        _fill(images, levels)
        labels, names = np.zeros((count, 0), np.float32), []
        if "labels" in images.columns:
            labels, names = read_labels(path)
        yield TrainingImages(levels, labels, names, device, seed)


def label_vectors(labels: Tensor, count: int, random: torch.Generator) -> Tensor:
    """Label vectors of `count` randomly drawn real images, NaN as 0, (count, L)."""
    rows = torch.randint(len(labels), (count,), generator=random, device=labels.device)
    return labels[rows].nan_to_num(0.0)


def halved(images: Tensor) -> Tensor:
    """(N, 1, H, W) uint8 to (N, 1, H/2, W/2) uint8: means of 2x2 pixels, rounded."""
    return F.avg_pool2d(images.float(), 2).round().to(torch.uint8)


def _check(images: ImageFile, resolution: int) -> None:
    if images.resolution != resolution:
        raise ValueError(
            f"{images.path}: images are {images.resolution}x{images.resolution} pixels, "
            f"gan.resolution is {resolution}; make the training set again at this resolution"
        )
    if len(images) < 2:
        raise ValueError(
            f"{images.path}: holds {len(images)} image(s); a GAN needs two or more different ones. "
            "Raise dataset.min_positive_patients or leave this finding or fraction out"
        )


def _fill(images: ImageFile, levels: dict) -> None:
    """Read the images once, in order, and write them at every resolution."""
    first, differ, begin = images.read([0])[0], False, 0
    for block in images.batches():
        differ = differ or bool((block != first).any())
        scaled = torch.from_numpy(block).unsqueeze(1)
        for side, level in levels.items():
            if side < scaled.shape[-1]:
                scaled = halved(scaled)
            if isinstance(level, Tensor):
                level[begin : begin + len(block)] = scaled.to(level.device)
            else:
                level[begin : begin + len(block)] = scaled.numpy()
        begin += len(block)
    if not differ:
        raise ValueError(
            f"{images.path}: all {len(images)} images are equal, so there is nothing to learn; "
            "look at the pixel cache and the filters"
        )


@contextlib.contextmanager
def _mapped(folder: Path, shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    """A new uint8 array in a file of its own, which is removed at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"images_{shape[-1]}px.npy"
    path.unlink(missing_ok=True)
    try:
        yield np.lib.format.open_memmap(path, "w+", np.uint8, shape)
    finally:
        path.unlink(missing_ok=True)
