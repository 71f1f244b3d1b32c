"""Losses by hand, and their gradients against finite differences."""

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss

from rarecxr.gan import losses, second_gradients
from rarecxr.gan.losses import (
    critic_terms,
    generator_loss,
    gradient_squares,
    r1_penalty,
    wgan_penalty,
)
from rarecxr.gan.networks import build_networks

REAL = torch.tensor([1.0, 3.0])
FAKE = torch.tensor([-2.0, 0.5])


@pytest.fixture
def critic():
    sizes = {"resolution": 8, "latent_size": 4, "fmap_base": 16, "fmap_max": 4, "group_size": 2}
    network = build_networks(sizes, seed=3)[1].double()
    return lambda images: network(images, dtype=torch.float64)[0], network


@pytest.fixture
def images():
    random = torch.Generator().manual_seed(0)
    return [torch.randn(4, 1, 8, 8, generator=random, dtype=torch.float64) for _ in range(2)]


def numeric_squares(critic, images, step=1e-6):
    """Squared norms of the gradient of the sum of scores, by central differences."""
    gradient = torch.zeros_like(images)
    flat, out = images.flatten(), gradient.flatten()
    for place in range(len(flat)):
        for sign in (1, -1):
            moved = flat.clone()
            moved[place] += sign * step
            out[place] += sign * critic(moved.view_as(images)).sum().detach() / (2 * step)
    return out.view_as(images).square().sum(dim=(1, 2, 3))


def test_wgan_terms_by_hand():
    terms = critic_terms(REAL, FAKE, "wgan-gp", drift=0.001)
    assert terms["critic"].item() == pytest.approx(-0.75 - 2)
    assert terms["drift"].item() == pytest.approx(0.001 * (1 + 9) / 2)
    assert generator_loss(FAKE, "wgan-gp").item() == pytest.approx(0.75)


def test_non_saturating_terms_by_hand():
    """The critic's is the cross-entropy with real as 1, fake as 0; the generator's, fake as 1."""
    scores = torch.cat([REAL, FAKE]).numpy().astype(float)
    probabilities = 1 / (1 + np.exp(-scores))
    terms = critic_terms(REAL, FAKE, "r1", drift=0.001)
    assert set(terms) == {"critic"}
    assert terms["critic"].item() == pytest.approx(2 * log_loss([1, 1, 0, 0], probabilities))
    wanted = -np.log(probabilities[2:]).mean()
    assert generator_loss(FAKE, "r1").item() == pytest.approx(wanted, rel=1e-6)


def test_the_gradient_of_the_scores_is_that_of_finite_differences(critic, images):
    score, _ = critic
    x = images[0].requires_grad_()
    found = gradient_squares(score, x).detach()
    torch.testing.assert_close(found, numeric_squares(score, x.detach()), rtol=1e-5, atol=1e-12)


def test_the_wgan_penalty_is_that_of_finite_differences_at_the_mixtures(critic, images):
    score, _ = critic
    real, fake = images
    mix = torch.tensor([0.0, 0.25, 0.5, 1.0], dtype=torch.float64).view(4, 1, 1, 1)
    squares = numeric_squares(score, mix * fake + (1 - mix) * real)
    wanted = ((squares.sqrt() - 1) ** 2).mean()
    torch.testing.assert_close(
        wgan_penalty(score, real, fake, mix).detach(), wanted, rtol=1e-5, atol=0
    )


def test_the_r1_penalty_is_half_the_mean_square_at_real_images(critic, images):
    score, _ = critic
    wanted = numeric_squares(score, images[0]).mean() / 2
    torch.testing.assert_close(r1_penalty(score, images[0]).detach(), wanted, rtol=1e-5, atol=0)


@pytest.mark.parametrize("name", ["blocks.8.1.weight", "last_conv.weight", "from_grey.8.weight"])
def test_the_penalty_trains_the_critic_by_its_true_gradient(critic, images, name):
    score, network = critic
    mix = torch.full((4, 1, 1, 1), 0.3, dtype=torch.float64)
    weight = network.get_parameter(name)
    wgan_penalty(score, *images, mix).backward()
    direction = torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)).double()
    found = (weight.grad * direction).sum().item()
    values = []
    with torch.no_grad():
        for step in (1e-5, -1e-5):
            weight += step * direction
            with torch.enable_grad():
                values.append(wgan_penalty(score, *images, mix).item())
            weight -= step * direction
    assert found == pytest.approx((values[0] - values[1]) / 2e-5, rel=1e-4)


def test_the_penalty_of_a_flat_critic_has_a_finite_gradient():
    flat = torch.nn.Linear(64, 1)
    torch.nn.init.zeros_(flat.weight)
    images = torch.zeros(2, 1, 8, 8)
    penalty = wgan_penalty(
        lambda x: flat(x.flatten(1))[:, 0], images, images, torch.zeros(2, 1, 1, 1)
    )
    penalty.backward()
    assert penalty.item() == pytest.approx(1, abs=1e-6)
    assert torch.isfinite(flat.weight.grad).all()


def test_the_penalty_in_bfloat16_is_near_that_in_float32(images):
    sizes = {"resolution": 8, "latent_size": 4, "fmap_base": 256, "fmap_max": 64, "group_size": 4}
    network = build_networks(sizes, seed=3)[1]
    real, fake = (image.float() for image in images)
    mix = torch.full((4, 1, 1, 1), 0.3)
    results = []
    for dtype in (torch.float32, torch.bfloat16):
        network.zero_grad()
        penalty = wgan_penalty(lambda x: network(x, dtype=dtype)[0], real, fake, mix)  # noqa: B023
        penalty.backward()
        results.append((penalty.item(), network.blocks["8"][1].weight.grad.flatten()))
    assert results[1][0] == pytest.approx(results[0][0], rel=0.05)
    assert torch.cosine_similarity(results[0][1], results[1][1], dim=0) > 0.99


@pytest.mark.parametrize("loss", ["wgan-gp", "r1"])
def test_penalties_by_way_of_a_gpu_have_the_same_gradients(critic, images, loss, monkeypatch):
    """Convolutions that are differentiated twice by formulas of their own."""
    score, network = critic
    mix = torch.linspace(0, 1, 4, dtype=torch.float64).view(-1, 1, 1, 1)
    found = []
    for by_formula in (False, True):
        monkeypatch.setattr(losses, "_by_formula", lambda images, answer=by_formula: answer)
        if loss == "r1":
            penalty = r1_penalty(score, images[0])
        else:
            penalty = wgan_penalty(score, *images, mix)
        gradients = torch.autograd.grad(penalty, list(network.parameters()), allow_unused=True)
        found.append([penalty, *gradients])
    given = [gradient is not None for gradient in found[0]]
    assert sum(given) > 8
    assert given == [gradient is not None for gradient in found[1]]
    for wanted, got in zip(*found, strict=True):
        if wanted is not None:
            torch.testing.assert_close(got, wanted, rtol=1e-9, atol=1e-12)


def test_the_first_gradient_of_a_penalty_costs_no_weight_gradient(critic, images, monkeypatch):
    asked = []
    gradients = second_gradients._gradients

    def watched(*arguments):
        asked.append(arguments[-1])
        return gradients(*arguments)

    monkeypatch.setattr(second_gradients, "_gradients", watched)
    monkeypatch.setattr(losses, "_by_formula", lambda images: True)
    penalty = r1_penalty(critic[0], images[0])
    assert set(asked) == {(True, False, False)}
    penalty.backward()
    assert (False, True, False) in asked
