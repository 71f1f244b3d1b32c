"""Label-preserving random transforms of a batch of X-rays, all images at once on their device."""

import math

import torch

from rarecxr.core.devices import to_device
from rarecxr.core.warp import warp
from rarecxr.study.configuration.training import TransformSettings
from rarecxr.study.seeds import seed_for


def transform(
    images: torch.Tensor, settings: TransformSettings, key: tuple[int, ...]
) -> torch.Tensor:
    """Every image under its own random change of place and grey levels.

    First a similarity: rotation about the centre by up to `rotation_deg`, a shift by up to
    `shift` of the side along each axis, a zoom by a factor of up to 1 + `scale` either way (even on
    a log scale), and with probability `flip` a left-right mirroring. It is resampled once,
    bilinearly; what comes from outside the image is black. Then grey levels: x becomes
    (x ** g - 0.5) * c + 0.5 + b, where log g is up to `gamma`, log c up to `contrast` and b up
    to `brightness` either way, with normal noise of standard deviation `noise` times a factor
    even in [0, 1]; the result is cut to [0, 1]. All are drawn evenly within their limits, and a
    limit of 0 switches its part off without changing what the others draw.

    Args:
        images: (N, 1, H, W) in [0, 1].
        settings: the limits.
        key: whole numbers that the random numbers depend on.

    Returns:
        (N, 1, H, W) in [0, 1].
    """
    n = len(images)
    source = torch.Generator().manual_seed(seed_for(*key, 0))
    draws = to_device(torch.rand(9, n, generator=source), images.device)
    angle, right, down, zoom, gamma, contrast, brightness = draws[:7] * 2 - 1
    mirrored, roughness = draws[7] < settings.flip, draws[8]

    if settings.rotation_deg or settings.shift or settings.scale or settings.flip:
        angle = angle * math.radians(settings.rotation_deg)
        zoom = torch.exp(-zoom * math.log1p(settings.scale))
        mirror = torch.where(mirrored, -1.0, 1.0)
        shift = torch.stack([right, down], 1) * 2 * settings.shift
        images = warp(images, zoom * angle.cos(), zoom * angle.sin(), shift, mirror, "zeros")

    def each(values):
        return values.view(n, 1, 1, 1)

    if settings.gamma:
        images = images.clamp(min=1e-6) ** each(torch.exp(gamma * settings.gamma))
    if settings.contrast or settings.brightness:
        factor = each(torch.exp(contrast * settings.contrast))
        images = (images - 0.5) * factor + 0.5 + each(brightness * settings.brightness)
    if settings.noise:
        source = torch.Generator(images.device).manual_seed(seed_for(*key, 1))
        grain = torch.randn(images.shape, generator=source, device=images.device)
        images = images + grain * each(roughness * settings.noise)
    return images.clamp(0, 1)
