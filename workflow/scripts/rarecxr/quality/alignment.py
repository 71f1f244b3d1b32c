"""How much two generators make of the same latent vectors: the same chest, or any other one."""

from dataclasses import dataclass

import numpy as np

from rarecxr.quality.feature_spaces import Space


@dataclass(frozen=True)
class Alignment:
    """Correlation between the images of two generators.

    Attributes:
        pairs: mean correlation of two images of one latent vector, -1 to 1.
        others: the same of images of two different latent vectors, about 0. Where `pairs` is no
            larger, nothing is aligned.
        images: number of pairs.
    """

    pairs: float
    others: float
    images: int


def measure_alignment(
    first: np.ndarray, second: np.ndarray, space: Space | None = None
) -> Alignment:
    """How alike images of the same latent vectors are, beside images of different ones.

    What all images of a generator share (its mean image or mean feature) is taken off first, so
    that generators of one view are not alike merely because every chest is in the middle.

    Args:
        first: (N, H, H) uint8, images of one generator.
        second: (N, H, H) uint8, of another one, row by row from the same latent vectors.
        space: the feature space to compare in; None for the pixels themselves.

    Returns:
        An `Alignment`. The other pairs are all N (N - 1) of two different rows.

    Raises:
        ValueError: the shapes differ, or there are fewer than two images.
    """
    if first.shape != second.shape or len(first) < 2:
        raise ValueError(
            f"pairs of images are needed, two or more; got {first.shape} and {second.shape}"
        )
    rows = [_unit(images if space is None else space(images)) for images in (first, second)]
    correlation = rows[0] @ rows[1].T
    count = len(first)
    pairs = float(np.trace(correlation))
    others = (float(correlation.sum()) - pairs) / (count * (count - 1))
    return Alignment(pairs / count, others, count)


def _unit(images):
    """(N, D) float64: rows without the mean over all, each with mean 0 and length 1."""
    rows = np.asarray(images, np.float64).reshape(len(images), -1)
    rows = rows - rows.mean(axis=0)
    rows -= rows.mean(axis=1, keepdims=True)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    # An image that is the mean itself correlates with nothing.
    return np.divide(rows, length, out=np.zeros_like(rows), where=length > 0)
