"""Layers against formulas in numpy, float64."""

import math

import numpy as np
import pytest
import torch

from rarecxr.gan.layers import (
    EqualizedConv2d,
    EqualizedLinear,
    downscale,
    leaky_pixel_norm_,
    minibatch_stddev,
    pixel_norm,
    upscale,
)


def correlate(x, weight, bias):
    """3x3 or 1x1 convolution with zero borders by plain loops over the kernel, float64."""
    size = weight.shape[-1]
    pad = size // 2
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    height, width = x.shape[2:]
    y = np.zeros((len(x), len(weight), height, width))
    for row in range(size):
        for column in range(size):
            window = padded[:, :, row : row + height, column : column + width]
            y += np.einsum("nchw,oc->nohw", window, weight[:, :, row, column])
    return y + bias[None, :, None, None]


def relative_error(found, wanted):
    return np.abs(found - wanted).max() / np.abs(wanted).max()


def as_numpy(tensor):
    return tensor.detach().double().numpy()


@pytest.mark.parametrize("kernel_size", [1, 3])
def test_a_convolution_scales_its_weights_and_not_its_bias(kernel_size):
    torch.manual_seed(0)
    layer = EqualizedConv2d(5, 7, kernel_size, gain=1.3)
    torch.nn.init.normal_(layer.bias)
    x = torch.randn(2, 5, 8, 8)
    weight = as_numpy(layer.weight) * 1.3 / math.sqrt(5 * kernel_size**2)
    wanted = correlate(as_numpy(x), weight, as_numpy(layer.bias))
    assert relative_error(as_numpy(layer(x)), wanted) < 1e-5


def test_an_upscaling_convolution_doubles_pixels_then_convolves():
    torch.manual_seed(0)
    layer = EqualizedConv2d(4, 3, 3, resample="up")
    torch.nn.init.normal_(layer.bias)
    x = torch.randn(2, 4, 6, 6)
    doubled = as_numpy(x).repeat(2, axis=2).repeat(2, axis=3)
    weight = as_numpy(layer.weight) * math.sqrt(2 / (4 * 9))
    assert (
        relative_error(as_numpy(layer(x)), correlate(doubled, weight, as_numpy(layer.bias))) < 1e-5
    )


def test_a_downscaling_convolution_convolves_then_averages():
    torch.manual_seed(0)
    layer = EqualizedConv2d(4, 3, 3, resample="down")
    torch.nn.init.normal_(layer.bias)
    x = torch.randn(2, 4, 6, 6)
    weight = as_numpy(layer.weight) * math.sqrt(2 / (4 * 9))
    whole = correlate(as_numpy(x), weight, as_numpy(layer.bias))
    wanted = whole.reshape(2, 3, 3, 2, 3, 2).mean(axis=(3, 5))
    assert relative_error(as_numpy(layer(x)), wanted) < 1e-5


@pytest.mark.parametrize("resample", ["up", "down"])
def test_a_resampling_convolution_stores_weights_and_bias_alone(resample):
    """Checkpoints of layers that have more would not load into those that have not."""
    assert list(EqualizedConv2d(4, 3, 3, resample=resample).state_dict()) == ["weight", "bias"]


def test_a_convolution_keeps_the_scale_of_its_input():
    torch.manual_seed(0)
    layer = EqualizedConv2d(64, 64, kernel_size=3, gain=1)
    y = layer(torch.randn(8, 64, 32, 32))[:, :, 1:-1, 1:-1]  # borders see zeros
    assert y.std().item() == pytest.approx(1, rel=0.05)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"kernel_size": 4}, "odd, got 4"),
        ({"kernel_size": 3, "resample": "double"}, "got 'double'"),
        ({"kernel_size": 1, "resample": "up"}, "3x3 kernel, got 1"),
    ],
)
def test_an_impossible_convolution_is_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        EqualizedConv2d(2, 2, **arguments)


def test_a_linear_layer_scales_its_weights_and_not_its_bias():
    torch.manual_seed(0)
    layer = EqualizedLinear(20, 6, gain=0.7)
    torch.nn.init.normal_(layer.bias)
    x = torch.randn(3, 20)
    wanted = as_numpy(x) @ as_numpy(layer.weight).T * 0.7 / math.sqrt(20) + as_numpy(layer.bias)
    assert relative_error(as_numpy(layer(x)), wanted) < 1e-5


def test_pixel_norm_gives_each_pixel_a_mean_square_of_one():
    x = torch.randn(2, 8, 4, 4, generator=torch.Generator().manual_seed(0))
    values = as_numpy(x)
    wanted = values / np.sqrt((values**2).mean(axis=1, keepdims=True) + 1e-8)
    assert relative_error(as_numpy(pixel_norm(x)), wanted) < 1e-5


def test_leaky_pixel_norm_is_both_and_has_their_gradient():
    random = torch.Generator().manual_seed(0)
    x = torch.randn(2, 8, 4, 4, generator=random, dtype=torch.float64).requires_grad_()
    weights = torch.randn(2, 8, 4, 4, generator=random, dtype=torch.float64)

    wanted = pixel_norm(torch.nn.functional.leaky_relu(x, 0.2))
    (wanted_gradient,) = torch.autograd.grad((wanted * weights).sum(), x)
    found = leaky_pixel_norm_(x + 0)
    (found_gradient,) = torch.autograd.grad((found * weights).sum(), x)

    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(found_gradient, wanted_gradient, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("channels", [8, 64])
def test_leaky_pixel_norm_in_bfloat16_is_the_same_but_for_rounding(channels):
    """Below 32 channels the mean is taken another way."""
    random = torch.Generator().manual_seed(0)
    x = torch.randn(2, channels, 4, 4, generator=random).bfloat16()
    weights = torch.randn(2, channels, 4, 4, generator=random).bfloat16()
    results = []
    for dtype in (torch.bfloat16, torch.float64):
        entry = x.to(dtype).requires_grad_()
        y = leaky_pixel_norm_(entry + 0)
        (gradient,) = torch.autograd.grad((y * weights.to(dtype)).sum(), entry)
        results.append((as_numpy(y), as_numpy(gradient)))
    for found, wanted in zip(*results, strict=True):
        assert np.abs(found - wanted).max() / np.abs(wanted).max() < 0.02


def test_minibatch_stddev_measures_each_group_of_strided_images():
    x = torch.randn(8, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    y = as_numpy(minibatch_stddev(x, group_size=4))
    values = as_numpy(x)
    np.testing.assert_array_equal(y[:, :3], values)
    for group in ([0, 2, 4, 6], [1, 3, 5, 7]):
        wanted = np.sqrt(values[group].var(axis=0) + 1e-8).mean()
        np.testing.assert_allclose(y[group, 3], wanted, rtol=1e-6)


def test_minibatch_stddev_of_few_images_is_one_group():
    x = torch.randn(3, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    wanted = np.sqrt(as_numpy(x).var(axis=0) + 1e-8).mean()
    np.testing.assert_allclose(as_numpy(minibatch_stddev(x))[:, 2], wanted, rtol=1e-6)


def test_minibatch_stddev_refuses_groups_that_do_not_fit():
    with pytest.raises(ValueError, match="6 does not divide into groups of 4"):
        minibatch_stddev(torch.zeros(6, 1, 4, 4))


def test_halving_undoes_doubling():
    x = torch.randn(2, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    doubled = upscale(x)
    np.testing.assert_array_equal(doubled.numpy(), x.numpy().repeat(2, axis=2).repeat(2, axis=3))
    torch.testing.assert_close(downscale(doubled), x)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_layers_behind_the_grey_images_have_the_networks_layout(dtype):
    layer = EqualizedConv2d(1, 8, 1).to(memory_format=torch.channels_last)
    features = layer(torch.zeros(4, 1, 16, 16, dtype=dtype))
    assert features.is_contiguous(memory_format=torch.channels_last)
