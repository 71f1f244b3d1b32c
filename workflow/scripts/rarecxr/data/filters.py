"""Filters that make further training images out of few: blur, sharpening, minimum.

The follow-up study applied OpenCV's filters to 8-bit images. These give OpenCV's grey levels
to within one, in its arithmetic where that is needed: a Gaussian of 8-bit weights, rounded
once, and a sharpened image made from the rounded blur.
"""

import math
from collections.abc import Callable

import numpy as np
from scipy import ndimage

# The largest size and sigma: an image is not larger.
MAX_PX = 1024


def apply(images: np.ndarray, kind: str, **parameters: float) -> np.ndarray:
    """Filtered copies of images.

    Args:
        images: grey levels (N, H, W) uint8.
        kind: `gaussian` (size_px, sigma_px), `unsharp` (sigma_px, amount) or `minimum` (size_px).
        **parameters: what stands beside the kind.

    Returns:
        Grey levels (N, H, W) uint8.

    Raises:
        ValueError: no such kind, a parameter that it lacks or does not know, or a value that
            cannot be.
    """
    if images.dtype != np.uint8 or images.ndim != 3:
        raise ValueError(f"images must be (N, H, W) uint8, got {images.shape} {images.dtype}")
    if kind not in _FILTERS:
        raise ValueError(f"filter kind {kind!r} is not known; there are {', '.join(_FILTERS)}")
    function, names = _FILTERS[kind]
    if set(parameters) != set(names):
        raise ValueError(
            f"filter kind {kind} takes {' and '.join(names)}, got {sorted(parameters) or 'none'}"
        )
    return function(images, **parameters)


def gaussian(images: np.ndarray, size_px: int, sigma_px: float) -> np.ndarray:
    """Images (N, H, W) uint8 under a Gaussian of `size_px` x `size_px` pixels.

    The border is mirrored without repeating the outermost pixel.
    """
    weights = _gaussian_weights(_odd(size_px), _positive("sigma_px", sigma_px))
    sums = images.astype(np.int32)
    for axis in (1, 2):
        sums = ndimage.correlate1d(sums, weights, axis=axis, mode="mirror")
    # Both passes together have weights of 1 / 65536; halves are rounded up.
    return ((sums + (1 << 15)) >> 16).astype(np.uint8)


def unsharp(images: np.ndarray, sigma_px: float, amount: float) -> np.ndarray:
    """Images (N, H, W) uint8 plus `amount` times their difference from a blurred copy.

    The blur reaches three sigma on either side.
    """
    if not 0 <= amount < math.inf:
        raise ValueError(f"amount must be a number from 0 on, got {amount}")
    size_px = round(6 * _positive("sigma_px", sigma_px) + 1) | 1
    blurred = gaussian(images, size_px, sigma_px)
    sharp = (1 + amount) * images.astype(np.float32) - amount * blurred.astype(np.float32)
    return np.clip(np.rint(sharp), 0, 255).astype(np.uint8)


def minimum(images: np.ndarray, size_px: int) -> np.ndarray:
    """Images (N, H, W) uint8, each pixel the darkest of `size_px` x `size_px` within the image."""
    reach = _odd(size_px) // 2
    for axis in (1, 2):
        # White, which is never the darkest, beyond the border.
        around = [(reach, reach) if each == axis else (0, 0) for each in range(3)]
        images = np.pad(images, around, constant_values=255)
        # The darkest of two neighbours, of four, of eight, and so on up to the whole size.
        width = 1
        while width < size_px:
            step = min(width, size_px - width)
            before = images[_part(axis, 0, images.shape[axis] - step)]
            images = np.minimum(before, images[_part(axis, step, None)])
            width += step
    return images


_FILTERS: dict[str, tuple[Callable, tuple[str, ...]]] = {
    "gaussian": (gaussian, ("size_px", "sigma_px")),
    "unsharp": (unsharp, ("sigma_px", "amount")),
    "minimum": (minimum, ("size_px",)),
}


def _gaussian_weights(size_px: int, sigma_px: float) -> np.ndarray:
    """A sampled Gaussian as whole numbers (size_px,) that sum to 256.

    From the outside in, what rounding takes from one weight is given to the next.
    """
    offsets = np.arange(size_px) - size_px // 2
    exact = np.exp(-0.5 * (offsets / sigma_px) ** 2)
    exact *= 256 / exact.sum()
    weights = np.zeros(size_px, np.int32)
    carried = 0.0
    for i in range(size_px // 2):
        weights[i] = weights[-1 - i] = round(exact[i] + carried)
        carried += exact[i] - weights[i]
    weights[size_px // 2] = 256 - weights.sum()
    return weights


def _part(axis: int, first: int, last: int | None) -> tuple[slice, ...]:
    """An index of `first` to `last` along one axis, all along those before it."""
    return (slice(None),) * axis + (slice(first, last),)


def _odd(size_px: int) -> int:
    if size_px not in range(1, MAX_PX + 1, 2):
        raise ValueError(f"size_px must be an odd whole number from 1 to {MAX_PX}, got {size_px}")
    return int(size_px)


def _positive(name: str, value: float) -> float:
    if not 0 < value <= MAX_PX:
        raise ValueError(f"{name} must be above 0, at most {MAX_PX}, got {value}")
    return value
