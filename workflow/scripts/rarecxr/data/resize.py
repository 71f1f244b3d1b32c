"""Resizing by area: an output pixel is the mean of the input that it covers."""

import functools
import math

import numpy as np
from scipy import sparse

# Samples of a block up to which its dense matrix is the quicker one.
_SHORT = 16


@functools.lru_cache(maxsize=64)
def coverage(length: int, size: int) -> sparse.csr_array:
    """Weights that average `length` samples into `size`, as a matrix (size, length).

    Row i covers the interval [i, i + 1) * length / size. A sample that is in it by a part
    counts by that part, so every row sums to 1 for any two lengths, also when `size` is the
    larger one. (Pillow's `Image.BOX` takes a sample as a whole or not at all: from 320 to 256
    pixels every fourth output pixel would then weigh twice as much of the image as its
    neighbours.)
    """
    # In units of 1 / size of a sample, all edges are whole numbers.
    rows, columns, weights = [], [], []
    for row in range(size):
        begin, end = row * length, (row + 1) * length
        samples = np.arange(begin // size, -(-end // size))
        covered = np.minimum((samples + 1) * size, end) - np.maximum(samples * size, begin)
        rows.append(np.full(len(samples), row))
        columns.append(samples)
        weights.append(covered / length)
    triplets = (np.concatenate(weights), (np.concatenate(rows), np.concatenate(columns)))
    return sparse.csr_array(triplets, shape=(size, length), dtype=np.float32)


@functools.lru_cache(maxsize=64)
def repeated_coverage(length: int, size: int) -> np.ndarray:
    """The block (b, a) that `coverage` consists of: a samples become b, over and over.

    From 320 to 256 these are 5 and 4: samples 5 to 9 are averaged by the weights of samples 0 to 4.
    """
    blocks = math.gcd(length, size)
    return coverage(length // blocks, size // blocks).toarray()


def resize_area(image: np.ndarray, size: int, side: int | None = None) -> np.ndarray:
    """One grey image (H, W), resized to (size, size) by area, as float32 in the input's range.

    With `side`, which is at least H and W, the image is taken as the middle of a black square of
    that side. The square itself is never made: black adds nothing to a mean.
    """
    image = image.astype(np.float32)
    height, width = image.shape
    if side is None and max(_block(length, size) for length in image.shape) <= _SHORT:
        # Products of small dense matrices take half the time of those of sparse ones.
        down, across = repeated_coverage(height, size), repeated_coverage(width, size)
        rows = (down @ image.reshape(-1, down.shape[1], width)).reshape(size, width)
        return (rows.reshape(-1, across.shape[1]) @ across.T).reshape(size, size)
    down, across = coverage(side or height, size), coverage(side or width, size)
    if side is not None:
        above, before = (side - height) // 2, (side - width) // 2
        down, across = down[:, above : above + height], across[:, before : before + width]
    return (across @ np.ascontiguousarray((down @ image).T)).T


def _block(length: int, size: int) -> int:
    return length // math.gcd(length, size)


def reduce_area(images: np.ndarray, resolution: int) -> np.ndarray:
    """Images (N, R, R) uint8 at a resolution that divides R, each pixel the rounded mean.

    Halves are rounded to the even grey level, as `numpy.rint` does.

    Raises:
        ValueError: `resolution` is not R divided by a whole number.
    """
    count, height, width = images.shape
    factor, rest = divmod(height, resolution)
    if rest or height != width:
        raise ValueError(
            f"images of {height} x {width} pixels cannot be averaged to {resolution} pixels: "
            f"the resolution must be {height} divided by a whole number"
        )
    if factor == 1:
        return images
    blocks = images.reshape(count, resolution, factor, resolution, factor)
    sums = blocks.sum(axis=4, dtype=np.uint32).sum(axis=2, dtype=np.uint32)
    return np.rint(sums / factor**2).astype(np.uint8)
