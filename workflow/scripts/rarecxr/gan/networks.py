"""Generator and critic of the progressive GAN (Karras et al. 2018, appendix A.1)."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from rarecxr.gan.layers import (
    EqualizedConv2d,
    EqualizedLinear,
    blend,
    downscale,
    fades,
    leaky_,
    leaky_pixel_norm_,
    minibatch_stddev,
    pixel_norm,
    upscale,
    widened,
)


def feature_maps(resolution: int, fmap_base: int, fmap_max: int) -> int:
    """Feature maps at the end of the generator's block of `resolution`.

    min(fmap_base / 2^stage, fmap_max) with stage 1 at 4x4, 2 at 8x8 and so on. `resolution`
    2 gives the width of the critic's last hidden layer.
    """
    stage = int(math.log2(resolution)) - 1
    return max(1, min(fmap_base // 2**stage, fmap_max))


def resolutions_to(resolution: int) -> list[int]:
    """4, 8, … up to `resolution`."""
    return [2**power for power in range(2, int(math.log2(resolution)) + 1)]


class Generator(nn.Module):
    """Latents (and labels) to grey images in [-1, 1], nearly: the output is not clipped.

    Latents and labels are joined and normalised together, then grow from 4x4 by blocks of
    two 3x3 convolutions, each with leaky ReLU and pixel norm. Every resolution has a layer
    of its own to grey, so that the network can be used at any of them.

    Args:
        resolution: side of the largest images, a power of two from 4.
        latent_size: number of latents.
        label_size: number of labels, 0 for none.
        fmap_base: see `feature_maps`.
        fmap_max: see `feature_maps`.
    """

    def __init__(self, resolution, latent_size=512, label_size=0, fmap_base=8192, fmap_max=512):
        super().__init__()
        self.resolution = resolution
        self.latent_size = latent_size
        self.label_size = label_size

        def width(side):
            return feature_maps(side, fmap_base, fmap_max)

        # A gain of sqrt(2)/4 rather than sqrt(2): as in the paper's own code, whose weights
        # for this layer are scaled as if each of its 16 places had a fan-in of its own.
        self.first = EqualizedLinear(
            latent_size + label_size, width(4) * 16, gain=2**0.5 / 4, bias=False
        )
        self.first_bias = nn.Parameter(torch.zeros(width(4)))
        self.first_conv = EqualizedConv2d(width(4), width(4), 3)
        sides = resolutions_to(resolution)
        self.blocks = nn.ModuleDict(
            {
                str(side): nn.ModuleList(
                    [
                        EqualizedConv2d(width(side // 2), width(side), 3, resample="up"),
                        EqualizedConv2d(width(side), width(side), 3),
                    ]
                )
                for side in sides[1:]
            }
        )
        self.to_grey = nn.ModuleDict(
            {str(side): EqualizedConv2d(width(side), 1, 1, gain=1) for side in sides}
        )

    def forward(
        self,
        latents: Tensor,
        labels: Tensor | None = None,
        resolution: int | None = None,
        alpha: float | Tensor = 1.0,
        dtype: torch.dtype = torch.float32,
    ) -> Tensor:
        """Images at `resolution` (default: the largest).

        Args:
            latents: (N, latent_size) float32, normal; their length does not matter.
            labels: (N, label_size) float32 in [0, 1], for a generator with labels.
            resolution: side of the images, at most the network's.
            alpha: share of the newest block from 0 (none of it: the images of the resolution
                below, upscaled) to 1; a tensor () in place of a number below 1.
            dtype: the type that the convolutions compute in.

        Returns:
            (N, 1, resolution, resolution) float32.
        """
        resolution = resolution or self.resolution
        x = latents if labels is None else torch.cat([latents, labels], dim=1)
        x = self.first(pixel_norm(x)).view(len(x), -1, 4, 4)
        x = x.to(dtype).contiguous(memory_format=torch.channels_last)
        x = leaky_pixel_norm_(x + self.first_bias.to(dtype).view(1, -1, 1, 1))
        x = self.first_conv(x, leaky_pixel_norm_)
        before = x
        for side in resolutions_to(resolution)[1:]:
            before = x
            for conv in self.blocks[str(side)]:
                x = conv(x, leaky_pixel_norm_)
        image = widened(self.to_grey[str(resolution)](x))
        if fades(alpha):
            old = upscale(widened(self.to_grey[str(resolution // 2)](before)))
            image = blend(old, image, alpha)
        return image


class Critic(nn.Module):
    """Grey images to one unbounded score each, and to label logits where it has labels.

    The mirror image of `Generator`: per resolution two 3x3 convolutions, the second of which
    also halves the size; then minibatch standard deviation, a convolution and two fully
    connected layers at 4x4. No normalisation.

    Args:
        resolution: side of the largest images, a power of two from 4.
        label_size: number of label logits, 0 for none.
        fmap_base: see `feature_maps`.
        fmap_max: see `feature_maps`.
        group_size: see `minibatch_stddev`.
    """

    def __init__(self, resolution, label_size=0, fmap_base=8192, fmap_max=512, group_size=4):
        super().__init__()
        self.resolution = resolution
        self.label_size = label_size
        self.group_size = group_size

        def width(side):
            return feature_maps(side, fmap_base, fmap_max)

        sides = resolutions_to(resolution)
        self.from_grey = nn.ModuleDict(
            {str(side): EqualizedConv2d(1, width(side), 1) for side in sides}
        )
        self.blocks = nn.ModuleDict(
            {
                str(side): nn.ModuleList(
                    [
                        EqualizedConv2d(width(side), width(side), 3),
                        EqualizedConv2d(width(side), width(side // 2), 3, resample="down"),
                    ]
                )
                for side in sides[1:]
            }
        )
        self.last_conv = EqualizedConv2d(width(4) + 1, width(4), 3)
        self.last_hidden = EqualizedLinear(width(4) * 16, width(2))
        self.last = EqualizedLinear(width(2), 1 + label_size, gain=1)

    def forward(
        self,
        images: Tensor,
        alpha: float | Tensor = 1.0,
        dtype: torch.dtype = torch.float32,
        parts: int = 1,
    ) -> tuple[Tensor, Tensor | None]:
        """Scores (N,) and label logits (N, label_size) or None, both float32.

        Args:
            images: (N, 1, R, R) with R any resolution that the network has.
            alpha: share of the block of R from 0 (the images are halved and that is all) to 1; a
                tensor () in place of a number below 1.
            dtype: the type that the convolutions compute in.
            parts: number of minibatches, of one size, that `images` consists of: each has
                minibatch standard deviations of its own.
        """
        resolution = images.shape[-1]
        images = images.to(dtype).contiguous(memory_format=torch.channels_last)
        x = self.from_grey[str(resolution)](images, leaky_)
        for side in reversed(resolutions_to(resolution)[1:]):
            for conv in self.blocks[str(side)]:
                x = conv(x, leaky_)
            if side == resolution and fades(alpha):
                old = self.from_grey[str(side // 2)](downscale(images), leaky_)
                x = blend(old, x, alpha)
        x = torch.cat([minibatch_stddev(part, self.group_size) for part in x.chunk(parts)])
        x = self.last_conv(x, leaky_)
        x = leaky_(self.last_hidden(widened(x).flatten(1)))
        x = self.last(x)
        return x[:, 0], x[:, 1:] if self.label_size else None


def build_networks(
    settings: Mapping[str, Any], label_size: int = 0, seed: int = 0
) -> tuple[Generator, Critic]:
    """A generator and a critic with the weights that `seed` gives, on the CPU, in float32.

    Args:
        settings: of the section `gan`: resolution, latent_size, fmap_base, fmap_max and
            group_size are used.
        label_size: number of labels, 0 without conditioning.
        seed: of the initial weights. The global random state is left as it was.
    """
    widths = {"fmap_base": settings["fmap_base"], "fmap_max": settings["fmap_max"]}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        generator = Generator(settings["resolution"], settings["latent_size"], label_size, **widths)
        critic = Critic(
            settings["resolution"], label_size, group_size=settings["group_size"], **widths
        )
    return generator, critic
