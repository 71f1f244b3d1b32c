"""Convolutions of small maps as products of matrices, against those of PyTorch."""

import copy
import itertools

import pytest
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from rarecxr.classifier.networks import build
from rarecxr.classifier.small_maps import use_products
from rarecxr.core.devices import autocast

GEOMETRIES = [
    (size, kernel, stride, padding)
    for size, kernel, stride, padding in itertools.product(
        (1, 2, 3, 4, 7), (1, 2, 3, 5), (1, 2, 3), (0, 1, 2, 3)
    )
    if size + 2 * padding >= kernel
]


def both(layer):
    """A layer as PyTorch computes it, and as we do."""
    return layer, use_products(copy.deepcopy(layer))


def is_product(y):
    """Whether the output of a layer without bias was a product of matrices."""
    return "Convolution" not in type(y.grad_fn).__name__


def outcome(layer, x):
    """Output, and gradients of images and parameters, for a fixed gradient of the output."""
    y = layer(x)
    upper = torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view(y.shape)
    return y, *torch.autograd.grad(y, (x, *layer.parameters()), upper)


def images(*shape, dtype=torch.float64):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=dtype)
    return x.contiguous(memory_format=torch.channels_last).requires_grad_()


@pytest.mark.parametrize("bias", [True, False])
def test_products_are_the_convolutions(bias):
    products = 0
    for size, kernel, stride, padding in GEOMETRIES:
        layer = nn.Conv2d(3, 512, kernel, stride, padding, bias=bias, dtype=torch.float64)
        theirs, ours = both(layer)
        x = images(2, 3, size, size)
        for a, b in zip(outcome(ours, x), outcome(theirs, x), strict=True):
            torch.testing.assert_close(a, b, msg=f"{size}, {kernel}, {stride}, {padding}")
        products += is_product(ours(x)) if not bias else 0
    # 512 channels are enough for 16 places: some maps of this list are larger.
    assert bias or 0 < products < len(GEOMETRIES)


def test_sides_kernels_strides_and_paddings_may_differ():
    layer = nn.Conv2d(3, 512, (3, 2), (2, 1), (1, 2), bias=False, dtype=torch.float64)
    theirs, ours = both(layer)
    x = images(2, 3, 2, 3)
    assert is_product(ours(x))
    for a, b in zip(outcome(ours, x), outcome(theirs, x), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize(
    ("channels", "kernel", "size", "product"),
    [
        (128, 3, 2, True),
        (127, 3, 2, False),
        (32, 3, 1, True),
        (31, 3, 1, False),
        (512, 3, 4, True),
        (256, 3, 4, False),
        (8, 1, 4, True),
        (8, 1, 5, False),
    ],
)
def test_only_small_maps_of_many_channels_are_products(channels, kernel, size, product):
    layer = use_products(nn.Conv2d(4, channels, kernel, padding=kernel // 2, bias=False))
    assert is_product(layer(torch.zeros(2, 4, size, size))) == product


@pytest.mark.parametrize(
    "options",
    [
        {"groups": 2},
        {"dilation": 2, "padding": 2},
        {"padding": "same"},
        {"padding": 1, "padding_mode": "reflect"},
    ],
)
def test_other_convolutions_stay_as_they_are(options):
    layer = nn.Conv2d(4, 512, 3, bias=False, **options)
    assert type(use_products(layer)) is nn.Conv2d


def test_what_a_kernel_cannot_fit_into_is_refused_as_by_pytorch():
    layer = use_products(nn.Conv2d(4, 512, 3))
    with pytest.raises(RuntimeError, match="Kernel size"):
        layer(torch.zeros(2, 4, 1, 1))


@pytest.mark.parametrize("kernel", [1, 3])
def test_in_bf16_products_and_gradients_have_the_types_of_convolutions(kernel):
    layer = nn.Conv2d(64, 512, kernel, padding=kernel // 2)
    theirs, ours = both(layer.to(memory_format=torch.channels_last))
    x = images(8, 64, 2, 2, dtype=torch.float32)
    results = []
    for one in (ours, theirs):
        with autocast("bf16", torch.device("cpu")):
            y = one(x)
        upper = torch.ones_like(y)
        results.append((y, *torch.autograd.grad(y, (x, one.weight, one.bias), upper)))
    for a, b in zip(*results, strict=True):
        assert a.dtype == b.dtype
        torch.testing.assert_close(a, b, rtol=0.05, atol=0.05)


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("size", [1, 2])
def test_all_images_are_in_one_product(kernel, size):
    """A product for each image takes a hundred times as long."""
    layer = nn.Conv2d(64, 512, kernel, padding=kernel // 2, bias=False)
    layer = use_products(layer.to(memory_format=torch.channels_last))
    x = images(8, 64, size, size, dtype=torch.float32)
    with profile(activities=[ProfilerActivity.CPU]) as seen, autocast("bf16", x.device):
        layer(x)
    counts = {event.key: event.count for event in seen.key_averages()}
    assert counts.get("aten::mm") == 1
    assert "aten::bmm" not in counts


def test_gradients_lie_in_memory_as_the_weights_do():
    """Else Adam would bring them into another order at each step."""
    layer = nn.Conv2d(8, 512, 3, padding=1, bias=False).to(memory_format=torch.channels_last)
    layer = use_products(layer)
    layer(torch.ones(2, 8, 2, 2)).sum().backward()
    assert layer.weight.grad.stride() == layer.weight.stride()


@pytest.mark.parametrize("architecture", ["resnet18", "densenet121", "vgg11"])
def test_networks_compute_what_torchvisions_do(architecture):
    import torchvision

    ours = build(architecture, 3, 64, seed=0).double().eval()
    theirs = torchvision.models.get_model(architecture, weights=None, num_classes=3).double().eval()
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    torch.testing.assert_close(ours(x), theirs(x))


def test_copies_compute_with_their_own_weights():
    """Averages of weights and the best epoch's are copies."""
    layer = use_products(nn.Conv2d(4, 512, 3, padding=1))
    other = copy.deepcopy(layer)
    with torch.no_grad():
        other.weight.zero_()
        other.bias.zero_()
    x = torch.ones(2, 4, 2, 2)
    assert not other(x).any()
    assert layer(x).any()


def test_second_gradients_are_refused():
    """Nothing here needs them; they must not be wrong in silence."""
    layer = use_products(nn.Conv2d(4, 512, 3, padding=1, bias=False))
    x = torch.ones(2, 4, 2, 2, requires_grad=True)
    (first,) = torch.autograd.grad(layer(x).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()
