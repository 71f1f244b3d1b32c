"""Losses of the GAN, each as named terms that are summed and logged."""

import torch
import torch.nn.functional as F
from torch import Tensor

from rarecxr.gan.layers import widened
from rarecxr.gan.second_gradients import second_gradients


def critic_terms(real: Tensor, fake: Tensor, loss: str, drift: float) -> dict[str, Tensor]:
    """The critic's loss on scores of real and fake images, without gradient penalty.

    "wgan-gp": mean(fake) - mean(real) (Arjovsky et al. 2017, arXiv 1701.07875), and
    drift * mean(real^2), which keeps the scores near zero (Karras et al. 2018, appendix A.1).
    "r1": the non-saturating loss, softplus(fake) + softplus(-real) (Goodfellow et al. 2014).

    Args:
        real: (N,) float32 scores.
        fake: (N,) float32 scores.
        loss: "wgan-gp" or "r1".
        drift: weight of the drift term.

    Returns:
        Terms to be summed, 0-dimensional: critic, and drift with "wgan-gp".
    """
    if loss == "r1":
        return {"critic": F.softplus(fake).mean() + F.softplus(-real).mean()}
    return {"critic": fake.mean() - real.mean(), "drift": drift * real.square().mean()}


def generator_loss(fake: Tensor, loss: str) -> Tensor:
    """The generator's loss on scores of its images: -mean(fake), or softplus(-fake) for "r1"."""
    return F.softplus(-fake).mean() if loss == "r1" else -fake.mean()


def wgan_penalty(critic, real: Tensor, fake: Tensor, mix: Tensor) -> Tensor:
    """Mean over the images of (norm of the critic's gradient - 1)^2.

    The gradient is taken at images between real and fake ones (Gulrajani et al. 2017,
    arXiv 1704.00028). It is differentiable: its own gradient trains the critic.

    Args:
        critic: images (N, 1, R, R) to scores (N,).
        real: (N, 1, R, R).
        fake: (N, 1, R, R).
        mix: (N, 1, 1, 1) in [0, 1]: share of the fake image in each mixture.
    """
    mixed = torch.lerp(real, fake, mix).detach().requires_grad_(True)
    return (gradient_squares(critic, mixed).sqrt() - 1).square().mean()


def r1_penalty(critic, real: Tensor) -> Tensor:
    """Half the mean squared norm of the critic's gradient at real images.

    Mescheder et al. 2018 (arXiv 1801.04406), equation 9, without gamma.

    Args:
        critic: images (N, 1, R, R) to scores (N,).
        real: (N, 1, R, R).
    """
    real = real.detach().requires_grad_(True)
    return gradient_squares(critic, real).mean() / 2


def gradient_squares(critic, images: Tensor) -> Tensor:
    """Squared norm of each score's gradient in its image, (N,) float32, differentiable.

    With minibatch standard deviation an image's score depends on the others of its group
    too; as in the paper's code the gradient is that of the sum of scores.
    """
    if _by_formula(images):
        with second_gradients() as within:
            scores = critic(images)
            within.inputs_only = True
            (gradient,) = torch.autograd.grad(scores.sum(), images, create_graph=True)
            within.inputs_only = False
    else:
        (gradient,) = torch.autograd.grad(critic(images).sum(), images, create_graph=True)
    # Far from zero the root's own gradient is finite, at zero it is not.
    return widened(gradient).square().sum(dim=(1, 2, 3)) + 1e-16


def _by_formula(images: Tensor) -> bool:
    """Whether convolutions are differentiated twice by `rarecxr.gan.second_gradients`."""
    return images.is_cuda
