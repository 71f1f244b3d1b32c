"""Convolutions whose gradient is differentiated again, for the gradient penalties on a GPU.

PyTorch takes the weights' gradient of a convolution's gradient by a convolution with a kernel as
large as the image, in another memory layout: on a GPU that costs several times the rest of a step.
It is the ordinary weight gradient of the same convolution with other tensors in their places, and
is written so here.
"""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class Pass:
    """One evaluation of a network whose gradient is differentiated.

    Attributes:
        inputs_only: set while the first gradient is taken, which is that of the images: no work
            for the weights.
    """

    inputs_only = False


_pass: ContextVar[Pass | None] = ContextVar("pass", default=None)


def current() -> Pass | None:
    """What to give to `convolve`, or None where convolutions are the ordinary ones."""
    return _pass.get()


@contextlib.contextmanager
def second_gradients() -> Iterator[Pass]:
    """A block in which the critic is evaluated on images whose gradient is to be differentiated."""
    started = Pass()
    token = _pass.set(started)
    try:
        yield started
    finally:
        _pass.reset(token)


def convolve(x: Tensor, weight: Tensor, stride: int, padding: int, within: Pass) -> Tensor:
    """`torch.nn.functional.conv2d`, to be differentiated twice: for the images, then for all.

    Shapes: (N, in, H, W), (out, in, k, k) -> (N, out, H', W').
    """
    return _Convolution.apply(x, weight, stride, padding, within)


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, stride, padding, within):
        ctx.save_for_backward(x, weight)
        ctx.form, ctx.within = (stride, padding), within
        return torch.nn.functional.conv2d(x, weight, None, stride, padding)

    @staticmethod
    def backward(ctx, gradient):
        x, weight = ctx.saved_tensors
        of_x = of_weight = None
        if ctx.needs_input_grad[0]:
            of_x = _InputGradient.apply(gradient, x.detach(), weight, *ctx.form)
        if ctx.needs_input_grad[1] and not ctx.within.inputs_only:
            of_weight = _gradients(gradient, x, weight, *ctx.form, (False, True, False))[1]
        return of_x, of_weight, None, None, None


class _InputGradient(torch.autograd.Function):
    """The gradient of a convolution in its input: linear in the output's gradient and the weight.

    Of the input itself only the shape counts.
    """

    @staticmethod
    def forward(ctx, gradient, x, weight, stride, padding):
        ctx.save_for_backward(gradient, weight)
        ctx.form = stride, padding
        return _gradients(gradient, x, weight, stride, padding, (True, False, False))[0]

    @staticmethod
    @once_differentiable
    def backward(ctx, second):
        gradient, weight = ctx.saved_tensors
        of_gradient = torch.nn.functional.conv2d(second, weight, None, *ctx.form)
        of_weight = _gradients(gradient, second, weight, *ctx.form, (False, True, False))[1]
        return of_gradient, None, of_weight, None, None


def _gradients(gradient, x, weight, stride, padding, wanted):
    form = [stride, stride], [padding, padding], [1, 1], False, [0, 0], 1
    return torch.ops.aten.convolution_backward(gradient, x, weight, None, *form, wanted)
