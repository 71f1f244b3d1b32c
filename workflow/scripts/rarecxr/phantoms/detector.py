"""From attenuation to the picture: scatter, quanta, detector blur, display curve, borders."""

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from rarecxr.phantoms.anatomy import Pose
from rarecxr.phantoms.geometry import Array, View

# Grey level of detector areas that collimation kept from all radiation.
BORDER_LEVEL = 3


def expose(attenuation: Array, view: View, pose: Pose, size: tuple[int, int]) -> np.ndarray:
    """The picture (rows, columns) = `size`, uint8, bright where much radiation was absorbed.

    Beer-Lambert transmission, then scattered radiation as a wide blur of what is
    transmitted, then quantum noise (Poisson, in its normal approximation: each pixel receives
    hundreds of quanta or more), a display curve set by the image's own percentiles, and
    collimation.

    Args:
        attenuation: (H, W) line integrals, dimensionless, on `view`'s canvas.
        view: the projection that made it.
        pose: how the image was taken.
        size: rows and columns of the picture, cut from the middle of the canvas.
    """
    attenuation = _turned(attenuation, pose.roll, size)
    # The detector's own blur and a pixel's aperture.
    sigma = np.hypot(pose.blur * view.scale, 0.4)
    attenuation = gaussian_filter(attenuation, sigma, truncate=3.0)
    primary = np.exp(-attenuation)
    received = primary + pose.scatter * 0.1 * _veil(primary, view)
    rng = np.random.default_rng(pose.noise_seed)
    noise = rng.standard_normal(size, np.float32)
    # Relative to open air; a pixel at lower resolution collects more quanta.
    quanta = pose.exposure * (320 / view.resolution) ** 2
    received += np.sqrt(received / quanta) * noise
    density = -np.log(np.maximum(received, 1e-4))
    picture = _display(density, pose)
    _collimate(picture, view, pose)
    return picture


def _turned(image: Array, angle: float, size: tuple[int, int]) -> Array:
    """The middle `size` of `image` turned by `angle` (radians) about its centre."""
    rows, columns = size
    cos, sin = np.cos(angle), np.sin(angle)
    cx, cy = (image.shape[1] - 1) / 2, (image.shape[0] - 1) / 2
    ox, oy = (columns - 1) / 2, (rows - 1) / 2
    # Output pixel (x, y) -> canvas point; Pillow's pixel centres lie at + 0.5.
    matrix = (cos, -sin, cx + 0.5 - cos * (ox + 0.5) + sin * (oy + 0.5))
    matrix += (sin, cos, cy + 0.5 - sin * (ox + 0.5) - cos * (oy + 0.5))
    turned = Image.fromarray(image).transform(
        (columns, rows), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR
    )
    return np.asarray(turned, dtype=np.float32)


def _veil(primary: Array, view: View) -> Array:
    """Scattered radiation: what is transmitted, blurred over some 4 cm."""
    factor = max(1, int(view.resolution / 40))
    rows, columns = primary.shape
    small = Image.fromarray(np.minimum(primary, 0.35)).resize(
        (max(columns // factor, 2), max(rows // factor, 2)), Image.Resampling.BOX
    )
    sigma = 4.0 * view.scale / factor
    wide = gaussian_filter(np.asarray(small, dtype=np.float32), sigma, truncate=2.5)
    return np.asarray(
        Image.fromarray(wide).resize((columns, rows), Image.Resampling.BILINEAR), dtype=np.float32
    )


def _display(density: Array, pose: Pose) -> np.ndarray:
    """Optical density to grey levels: a sigmoid between the body's own percentiles."""
    sample = density[::4, ::4].ravel()
    body = np.sort(sample[sample > 0.35])
    if body.size < 50:
        body = np.sort(sample)
    low, high = body[int(0.05 * body.size)], body[int(0.80 * body.size)]
    span = max(float(high - low), 0.2)
    grey = (density - low) / span
    grey = 1 / (1 + np.exp(-3.7 * pose.contrast * (grey - 0.50 + pose.brightness)))
    if pose.equalised:
        # Partly histogram-equalised, as many stored images are.
        knots = np.linspace(0, 1, 33)
        marks = body[np.minimum((knots * (body.size - 1)).astype(int), body.size - 1)]
        marks = np.maximum.accumulate(marks + 1e-5 * np.arange(33, dtype=np.float32))
        flat = np.interp(density, marks, 0.12 + 0.8 * knots).astype(np.float32)
        flat *= np.clip(density / marks[0], 0, 1) ** 2
        grey = (1 - pose.equalised) * grey + pose.equalised * flat
    return np.clip(grey * 252 + 2, 0, 255).astype(np.uint8)


def _collimate(picture: np.ndarray, view: View, pose: Pose) -> None:
    """Blacken the unexposed borders, in place."""
    left, right, top, bottom = (int(border * view.scale) for border in pose.borders)
    rows, columns = picture.shape
    picture[:, :left] = BORDER_LEVEL
    picture[:, columns - right :] = BORDER_LEVEL
    picture[:top] = BORDER_LEVEL
    picture[rows - bottom :] = BORDER_LEVEL
