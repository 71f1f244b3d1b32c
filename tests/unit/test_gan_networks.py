"""The networks: sizes as published, and what fading in may not change."""

import math

import numpy as np
import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx

from rarecxr.gan.layers import blend, downscale, upscale
from rarecxr.gan.networks import Critic, Generator, build_networks, feature_maps

TINY = {"resolution": 16, "latent_size": 8, "fmap_base": 64, "fmap_max": 8, "group_size": 4}


def parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


def conv(in_maps, out_maps, size=3):
    return in_maps * out_maps * size**2 + out_maps


@pytest.fixture
def tiny():
    return build_networks(TINY, seed=1)


@pytest.fixture
def latents():
    return torch.randn(8, 8, generator=torch.Generator().manual_seed(0))


def test_the_256_pixel_generator_with_14_labels_has_the_published_number_of_parameters():
    assert parameters(Generator(256, label_size=14)) == 23_153_991


def test_the_256_pixel_generator_without_labels_has_the_published_number_of_parameters():
    assert parameters(Generator(256)) == 23_039_303


def test_each_layer_has_the_published_size():
    """Appendix A, table 2, for one grey channel: maps 512 up to 32x32, then 256, 128, 64."""
    generator, critic = Generator(256), Critic(256)
    assert parameters(generator.first) + generator.first_bias.numel() == 512 * 8192 + 512
    assert parameters(generator.first_conv) == conv(512, 512)
    widths = {8: (512, 512), 16: (512, 512), 32: (512, 512), 64: (512, 256), 128: (256, 128)}
    for side, (before, after) in (widths | {256: (128, 64)}).items():
        up = generator.blocks[str(side)]
        assert [parameters(layer) for layer in up] == [conv(before, after), conv(after, after)]
        down = critic.blocks[str(side)]
        assert [parameters(layer) for layer in down] == [conv(after, after), conv(after, before)]
        assert parameters(generator.to_grey[str(side)]) == conv(after, 1, 1)
        assert parameters(critic.from_grey[str(side)]) == conv(1, after, 1)
    assert parameters(critic.last_conv) == conv(513, 512)
    assert parameters(critic.last_hidden) == 8192 * 512 + 512
    assert parameters(critic.last) == 512 + 1


def test_a_conditional_critic_has_one_more_output_for_each_label():
    assert parameters(Critic(8, label_size=14)) - parameters(Critic(8)) == 14 * 513


def test_feature_maps_halve_with_each_resolution_from_fmap_max():
    sides = [4, 8, 16, 32, 64, 128, 256, 512]
    assert [feature_maps(side, 8192, 512) for side in sides] == [512] * 4 + [256, 128, 64, 32]
    assert [feature_maps(side, 64, 16) for side in sides[:4]] == [16, 16, 8, 4]


@pytest.mark.parametrize("resolution", [8, 16])
def test_a_generator_with_the_new_block_faded_out_is_the_old_one_upscaled(
    tiny, latents, resolution
):
    generator, _ = tiny
    new = generator(latents, resolution=resolution, alpha=0.0)
    old = generator(latents, resolution=resolution // 2)
    torch.testing.assert_close(new, upscale(old), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("resolution", [8, 16])
def test_a_critic_with_the_new_block_faded_out_is_the_old_one_on_halved_images(
    tiny, latents, resolution
):
    generator, critic = tiny
    images = generator(latents, resolution=resolution)
    new, _ = critic(images, alpha=0.0)
    old, _ = critic(downscale(images))
    torch.testing.assert_close(new, old, rtol=1e-5, atol=1e-6)


def test_half_faded_images_lie_half_way(tiny, latents):
    generator, _ = tiny
    old, half, new = (generator(latents, alpha=alpha) for alpha in (0.0, 0.5, 1.0))
    torch.testing.assert_close(half, (old + new) / 2, rtol=1e-5, atol=1e-5)


def test_a_fade_changes_the_critic_only_through_the_newest_block(tiny, latents):
    """At alpha 0 the newest block gets no gradient, at alpha 1 the old entry gets none."""
    generator, critic = tiny
    images = generator(latents).detach()
    critic(images, alpha=0.0)[0].sum().backward()
    assert not any(p.grad.abs().sum() for p in critic.blocks["16"].parameters())
    critic.zero_grad()
    critic(images, alpha=1.0)[0].sum().backward()
    assert all(p.grad is None for p in critic.from_grey["8"].parameters())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.99])
def test_a_share_in_a_tensor_blends_as_a_number_does(dtype, alpha):
    """In bf16 a share itself would have three digits at most."""
    found = []
    for share in (alpha, torch.tensor(alpha)):
        random = torch.Generator().manual_seed(4)
        old, new = (torch.randn(64, generator=random).to(dtype).requires_grad_() for _ in range(2))
        y = blend(old, new, share)
        assert y.dtype == dtype
        y.square().sum().backward()
        found.append((y, old.grad, new.grad))
    for number, tensor in zip(*found, strict=True):
        torch.testing.assert_close(
            tensor, number, rtol=1e-6 if dtype != torch.bfloat16 else 8e-3, atol=1e-6
        )


def test_a_recording_of_a_fade_holds_for_every_share(tiny, latents):
    """As a CUDA graph does, it keeps what was a number when it was made."""
    generator, critic = tiny
    images = generator(latents).detach()

    def both(share):
        return generator(latents, alpha=share), critic(images, alpha=share)[0]

    recorded = make_fx(both)(torch.tensor(0.2))
    for share in (0.2, 0.7):
        for found, wanted in zip(recorded(torch.tensor(share)), both(share), strict=True):
            torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)


def test_images_do_not_depend_on_the_length_of_the_latents(tiny, latents):
    generator, _ = tiny
    torch.testing.assert_close(generator(latents), generator(latents * 7), rtol=1e-4, atol=1e-5)


def test_two_minibatches_in_one_pass_are_scored_as_two(tiny, latents):
    generator, critic = tiny
    one = generator(latents).detach()
    two = one.flip(3) * 2
    together, _ = critic(torch.cat([one, two]), parts=2)
    apart = torch.cat([critic(one)[0], critic(two)[0]])
    torch.testing.assert_close(together, apart, rtol=1e-5, atol=1e-6)


def test_labels_change_the_images_and_the_critic_gives_their_logits():
    generator, critic = build_networks(TINY, label_size=3)
    latents = torch.randn(4, 8, generator=torch.Generator().manual_seed(0))
    images = [generator(latents, torch.eye(3)[[label] * 4]) for label in (0, 1)]
    assert not torch.allclose(*images, atol=1e-3)
    scores, logits = critic(images[0])
    assert scores.shape == (4,)
    assert logits.shape == (4, 3)


def test_weights_are_standard_normal_and_a_function_of_the_seed():
    first, again, other = (build_networks(TINY, seed=seed)[0] for seed in (1, 1, 2))
    weight = first.first.weight.detach().numpy()
    np.testing.assert_array_equal(weight, again.first.weight.detach().numpy())
    assert not np.array_equal(weight, other.first.weight.detach().numpy())
    assert weight.std() == pytest.approx(1, abs=0.1)


def test_building_networks_leaves_the_global_random_state():
    torch.manual_seed(5)
    wanted = torch.rand(1)
    torch.manual_seed(5)
    build_networks(TINY, seed=1)
    assert torch.equal(torch.rand(1), wanted)


# Half of the distance from 1 to the next number: what one rounding to 8 bits may change.
UNIT_ROUNDOFF = torch.finfo(torch.bfloat16).eps / 2


def relative_error(coarse, exact):
    """Length of the difference over the length of `exact`; single pixels near 0 say nothing."""
    return ((coarse - exact).norm() / exact.norm()).item()


def test_bfloat16_costs_no_more_than_its_roundings(tiny, latents):
    """Independent roundings add up as the root of their number, whichever processor makes them.

    A layer of the generator rounds its weights, the convolution, the bias, the leaky ReLU, and in
    the pixel norm the square, its mean, the scale and the product; one of the critic, without
    norm, rounds its weights, the convolution and the leaky ReLU, and the images before.
    """
    generator, critic = tiny
    exact = generator(latents)
    coarse = generator(latents, dtype=torch.bfloat16)
    assert coarse.dtype == torch.float32
    # At 16x16: the first layer, a convolution, two blocks of two, and the layer to grey.
    bound = math.sqrt(8 * 7) * UNIT_ROUNDOFF
    assert UNIT_ROUNDOFF / 2 < relative_error(coarse, exact) < bound
    scores, coarse_scores = (
        critic(exact, dtype=dtype)[0] for dtype in (torch.float32, torch.bfloat16)
    )
    # From grey, two blocks of two, and the last convolution; the two layers after it are float32.
    bound = math.sqrt(1 + 3 * 6) * UNIT_ROUNDOFF
    assert UNIT_ROUNDOFF / 2 < relative_error(coarse_scores, scores) < bound
