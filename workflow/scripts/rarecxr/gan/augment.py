"""Adaptive discriminator augmentation for X-rays (Karras et al. 2020, arXiv 2006.06676)."""

import math
from typing import Any

import torch
from torch import Tensor

from rarecxr.core.warp import warp
from rarecxr.gan.distributed import ProcessGroup
from rarecxr.study.configuration.gan import AdaSettings


class AdaptiveAugment:
    """Transforms of what the critic sees, real and generated alike, with a strength that adapts.

    Each transform is applied to each image with probability p. p rises while the critic is too
    sure of the real training images (it overfits) and falls while it is not: the sign of
    its scores on real images, averaged, is held at the target (section 3.1 of the paper). Since
    generated images go through the same transforms, and these leave enough images as they are
    (p stays below 1), the generator learns unchanged images (section 2.2).

    The transforms stay within what a patient's position and an exposure can be: rotation, scale,
    shift, brightness, contrast; flips only where asked for, since the heart has a side. All are
    differentiable in the images. Nothing waits for the device.

    Args:
        settings: see `AdaSettings`.
        device: where the images are.

    Attributes:
        p: 0-dimensional float32 tensor on the device, the probability of each transform.
        group: the processes that share the minibatches; this one alone unless set.
    """

    def __init__(self, settings: AdaSettings, device: torch.device):
        self.settings = settings
        self.group = ProcessGroup(group_size=1)
        self.p = torch.tensor(settings.start_p, dtype=torch.float32, device=device)
        self._signs = torch.zeros((), dtype=torch.float32, device=device)

    def __call__(self, images: Tensor, random: torch.Generator) -> Tensor:
        """This rank's images (N, 1, R, R) transformed; the gradient flows through."""
        return self._intensity(self._geometry(images, random), random)

    def adapt(self, real_scores: Tensor, fake_scores: Tensor, loss: str, moves: bool) -> None:
        """Count one step of the critic, and move p where an interval is over.

        For the Wasserstein loss, whose scores have no zero of their own, the sign is taken
        from the middle between the mean real and the mean generated score: ours, not the paper's.

        Args:
            real_scores: (N,), those of all ranks.
            fake_scores: (N,), likewise.
            loss: "wgan-gp" or "r1".
            moves: whether this is the last step of `settings.interval` of them.
        """
        zero = 0.0 if loss == "r1" else (real_scores.mean() + fake_scores.mean()) / 2
        self._signs.add_((real_scores.detach() - zero).sign().mean().detach())
        if moves:
            interval = self.settings.interval
            change = len(real_scores) * interval / (1000 * self.settings.kimg)
            direction = (self._signs / interval - self.settings.target).sign()
            # In its place, where a CUDA graph finds it.
            self.p.add_(direction * change).clamp_(0, self.settings.max_p)
            self._signs.zero_()

    def state(self) -> dict[str, Any]:
        """Plain values for a resume file."""
        return {"p": float(self.p), "signs": float(self._signs)}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from `state()`."""
        self.p.fill_(state["p"])
        self._signs.fill_(state["signs"])

    def _geometry(self, images: Tensor, random: torch.Generator) -> Tensor:
        settings, count = self.settings, len(images)
        angle = self._sample(count, math.radians(settings.rotation_deg), random)
        scale = torch.exp(self._sample(count, math.log1p(settings.scale), random))
        # In units of half the image's side, as `warp` has them.
        shift_x = self._sample(count, 2 * settings.shift, random)
        shift_y = self._sample(count, 2 * settings.shift, random)
        side = torch.ones_like(angle)
        if settings.flip:
            side = torch.where(self._chosen(count, random) & self._coin(count, random), -1.0, 1.0)
        cosine, sine = torch.cos(angle) / scale, torch.sin(angle) / scale
        shift = torch.stack([shift_x, shift_y], dim=1)
        moved = warp(images, cosine, sine, shift, side, "reflection")
        # An image without any transform stays as it is to the bit.
        same = (angle == 0) & (scale == 1) & (shift_x == 0) & (shift_y == 0) & (side == 1)
        return torch.where(same.view(-1, 1, 1, 1), images, moved)

    def _intensity(self, images: Tensor, random: torch.Generator) -> Tensor:
        count = len(images)
        contrast = self._sample(count, math.log1p(self.settings.contrast), random).exp()
        # Grey levels go from -1 to 1, so the whole range is 2.
        brightness = self._sample(count, 2 * self.settings.brightness, random)
        return images * contrast.view(-1, 1, 1, 1) + brightness.view(-1, 1, 1, 1)

    def _sample(self, count: int, limit: float, random: torch.Generator) -> Tensor:
        """Uniform in ±limit with probability p, else 0; (count,)."""
        value = self._uniform(count, random) * 2 - 1
        return torch.where(self._chosen(count, random), value * limit, 0.0)

    def _chosen(self, count: int, random: torch.Generator) -> Tensor:
        return self._uniform(count, random) < self.p

    def _coin(self, count: int, random: torch.Generator) -> Tensor:
        return self._uniform(count, random) < 0.5

    def _uniform(self, count: int, random: torch.Generator) -> Tensor:
        """Numbers in [0, 1) for this rank's images, from those of all ranks; (count,)."""
        total = count * self.group.world_size
        return self.group.shard(torch.rand(total, generator=random, device=self.p.device))
