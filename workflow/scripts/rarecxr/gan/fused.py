"""Bias, leaky ReLU and pixel norm in one pass over a convolution's output, on a GPU.

PyTorch makes a pass over the memory for each of them, and half a dozen for the gradient, which
together take as long as the convolutions. Triton, which comes with PyTorch for CUDA, makes
one of each. It compiles what it runs, for which it needs a C compiler on the machine; where it is
missing, fails, or gives other numbers than PyTorch, PyTorch's own operations are used.
"""

import contextlib
import functools
import logging
import os

import torch
import torch.nn.functional as F
from torch import Tensor

_log = logging.getLogger(__name__)

SLOPE = 0.2  # of the leaky ReLU
EPSILON = 1e-8  # of the pixel norm

# Set to 0 to have PyTorch's operations everywhere, for instance to compare their speed.
SWITCH = "RARECXR_FUSED"
_MAX_CHANNELS = 1024


def possible(x: Tensor, channels: int, norm: bool) -> bool:
    """Whether `activate_` can take a convolution's output of so many channels and the type of `x`.

    The first question for a width compiles its kernels and compares them with PyTorch's operations,
    which takes seconds.
    """
    return (
        x.is_cuda
        and x.dtype in (torch.bfloat16, torch.float32)
        and 2 <= channels <= _MAX_CHANNELS
        and os.environ.get(SWITCH, "1") != "0"
        and _agrees(channels, x.dtype, norm, x.device)
    )


def activate_(x: Tensor, bias: Tensor, norm: bool) -> Tensor:
    """The leaky ReLU of x + bias in the place of `x` and, with `norm`, each pixel's vector scaled.

    As `layers.leaky_` and `layers.leaky_pixel_norm_`, computed in float32 and rounded once. Its
    gradient cannot be differentiated again.

    Args:
        x: (N, C, H, W), channels last, a convolution's output without bias.
        bias: (C,) float32.
        norm: whether to take the pixel norm, too.
    """
    return _Activation.apply(x.contiguous(memory_format=torch.channels_last), bias, norm)


class _Activation(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, bias, norm):
        from rarecxr.gan import kernels

        with _on_device_of(x):
            scale = kernels.forward_(x, bias, norm)
        ctx.mark_dirty(x)
        ctx.save_for_backward(x, scale)
        return x

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient):
        from rarecxr.gan import kernels

        y, scale = ctx.saved_tensors
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        with _on_device_of(y):
            return *kernels.backward(gradient, y, scale), None


def _on_device_of(x: Tensor) -> contextlib.AbstractContextManager:
    """A block whose kernels run where `x` is: Triton takes the current device."""
    return torch.cuda.device(x.device) if x.is_cuda else contextlib.nullcontext()


def reference(x: Tensor, bias: Tensor, norm: bool) -> Tensor:
    """What `activate_` gives, by PyTorch's operations and not in place."""
    y = F.leaky_relu(x + bias.view(1, -1, 1, 1), SLOPE)
    return y * torch.rsqrt(y.square().mean(1, keepdim=True) + EPSILON) if norm else y


@functools.cache
def _agrees(channels: int, dtype: torch.dtype, norm: bool, device: torch.device) -> bool:
    """Whether kernels for this width run here and give what PyTorch gives."""
    try:
        with torch.inference_mode(False), torch.enable_grad():
            error = _relative_error(channels, dtype, norm, device)
        if not error < (0.02 if dtype == torch.bfloat16 else 1e-4):
            raise ArithmeticError(f"a relative error of {error:.2g}")
    except Exception as error:
        _log.warning(
            "bias, leaky ReLU and pixel norm are PyTorch's operations, which are slower: the fused "
            "ones failed for %d channels (%s: %s)",
            channels,
            type(error).__name__,
            (str(error).strip().splitlines() or [""])[-1],
        )
        return False
    return True


def _relative_error(channels, dtype, norm, device) -> float:
    """The largest one of result and gradients, against PyTorch's operations in float64."""
    # A generator of its own leaves the state of random numbers as it was.
    random = torch.Generator(device).manual_seed(channels)
    x, gradient = (
        torch.randn(4, channels, 37, 5, generator=random, device=device)
        .to(dtype)
        .contiguous(memory_format=torch.channels_last)
        for _ in range(2)
    )
    bias = torch.randn(channels, generator=random, device=device)
    results = []
    for function, kind in ((activate_, dtype), (reference, torch.float64)):
        inputs = x.to(kind, copy=True).requires_grad_(), bias.clone().requires_grad_()
        # Times one: a leaf must not be changed in place.
        y = function(inputs[0] * 1, inputs[1], norm)
        results.append([y, *torch.autograd.grad(y, inputs, gradient.to(kind))])
    return max(
        float((found.double() - wanted.double()).detach().norm() / wanted.detach().double().norm())
        for found, wanted in zip(*results, strict=True)
    )
