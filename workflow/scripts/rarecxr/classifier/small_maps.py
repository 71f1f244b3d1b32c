"""Convolutions of small feature maps as products of matrices, for training on a processor.

The last blocks of a network see maps of 4, 2 or 1 pixels a side where its images are small, through
kernels of a million weights. oneDNN, PyTorch's library for convolutions on CPUs, then spends its
time on the weights: it brings them, and their gradients, into another order at each step, kernel
rows that only ever meet padding among them. One product of matrices (the patches of the map, side
by side, times the weights; Chellapilla et al. 2006, High Performance Convolutional Neural Networks
for Document Processing, section 3) does without, and leaves those rows out.
"""

import functools
import math

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import linear, pad

# A map is small where the layer has at least this many output channels for each of its places.
# Chosen by time: below it, convolutions were as fast (fp32 and bf16, with AVX2, AVX-512 and AMX).
_CHANNELS_A_PLACE = 32
# Kernels of one pixel need no patches: up to this many places the product was never slower.
_PLACES_1X1 = 16


def use_products(network: nn.Module) -> nn.Module:
    """The same network, whose convolutions multiply matrices where maps are small, on a CPU.

    Layers keep their names, weights and settings; `state_dict` and copies are as before. Results
    differ by rounding. On other devices nothing changes.
    """
    for layer in network.modules():
        # Layers of other classes, as those that were changed already, compute in ways of their own.
        if type(layer) is nn.Conv2d and _is_plain(layer):
            layer.__class__ = _Convolution
    return network


def _is_plain(layer: nn.Conv2d) -> bool:
    return (
        layer.groups == 1
        and layer.dilation == (1, 1)
        and layer.padding_mode == "zeros"
        and not isinstance(layer.padding, str)
    )


class _Convolution(nn.Conv2d):
    """A convolution that is one product of matrices where its map is small, on a CPU."""

    def _conv_forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if x.device.type != "cpu" or x.dim() != 4:
            return super()._conv_forward(x, weight, bias)
        axes = [
            _axis(*sizes)
            for sizes in zip(x.shape[2:], self.kernel_size, self.stride, self.padding, strict=True)
        ]
        places = [axis.places for axis in axes]
        pointwise = self.kernel_size == self.stride == (1, 1) and self.padding == (0, 0)
        few = max(self.out_channels // _CHANNELS_A_PLACE, _PLACES_1X1 if pointwise else 0)
        if min(places) < 1 or math.prod(places) > few:
            return super()._conv_forward(x, weight, bias)
        if torch.is_autocast_enabled("cpu"):
            x = x.to(torch.get_autocast_dtype("cpu"))
        if pointwise:
            # As a matrix: of maps of 1 pixel PyTorch would make a product for each image.
            rows = x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])
            y = linear(rows, weight.flatten(1).to(x.dtype))
            y = y.view(len(x), *places, -1).permute(0, 3, 1, 2)
        else:
            y = _Product.apply(x, weight, *axes)
        return y if bias is None else y + bias.to(y.dtype).view(-1, 1, 1)


class _Axis:
    """One axis of a convolution: which part of the kernel ever meets the map, and where.

    Attributes:
        places: length of the output.
        first, last: the part of the kernel, as bounds of a slice.
        before, after: pixels of padding that this part reaches; negative where it leaves pixels of
            the map out.
    """

    def __init__(self, size: int, kernel: int, stride: int, padding: int):
        self.size, self.stride = size, stride
        self.places = (size + 2 * padding - kernel) // stride + 1
        starts = [place * stride - padding for place in range(self.places)]
        met = [tap for tap in range(kernel) if any(0 <= start + tap < size for start in starts)]
        self.first, self.last = (met[0], met[-1] + 1) if met else (0, kernel)
        self.taps = self.last - self.first
        self.before = padding - self.first
        self.after = (self.places - 1) * stride + self.taps - self.before - size

    def under(self, tap: int) -> slice:
        """The pixels of the padded map that one row of the part meets, one for each place."""
        return slice(tap, tap + (self.places - 1) * self.stride + 1, self.stride)


@functools.cache
def _axis(size: int, kernel: int, stride: int, padding: int) -> _Axis:
    return _Axis(size, kernel, stride, padding)


class _Product(torch.autograd.Function):
    """(N, C, H, W) and (O, C, kernel, kernel) -> (N, O, places, places), channels last in memory.

    The weights are rounded to the type of the images; their gradient has their own.
    """

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, rows: _Axis, columns: _Axis) -> Tensor:
        count, channels = x.shape[:2]
        x = x.permute(0, 2, 3, 1)
        x = pad(x, (0, 0, columns.before, columns.after, rows.before, rows.after))
        x = x.contiguous()
        by_image, by_row, by_column, by_channel = x.stride()
        patches = x.as_strided(
            (count, rows.places, columns.places, rows.taps, columns.taps, channels),
            (
                by_image,
                by_row * rows.stride,
                by_column * columns.stride,
                by_row,
                by_column,
                by_channel,
            ),
        ).reshape(count * rows.places * columns.places, -1)
        part = weight.permute(0, 2, 3, 1)[:, rows.first : rows.last, columns.first : columns.last]
        matrix = part.to(x.dtype).reshape(len(weight), -1)
        ctx.save_for_backward(patches, matrix)
        ctx.axes, ctx.weight = (rows, columns), (weight.shape, weight.dtype)
        y = patches @ matrix.t()
        return y.view(count, rows.places, columns.places, -1).permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx, y: Tensor):
        patches, matrix = ctx.saved_tensors
        rows, columns = ctx.axes
        (outputs, channels, *kernel), weight_type = ctx.weight
        count = len(y)
        y = y.permute(0, 2, 3, 1).reshape(-1, outputs)
        x = weight = None
        if ctx.needs_input_grad[0]:
            parts = (y @ matrix).view(
                count, rows.places, columns.places, rows.taps, columns.taps, channels
            )
            # Wide enough for the pixels that the kernel leaves out.
            height, width = (
                axis.before + axis.size + max(axis.after, 0) for axis in (rows, columns)
            )
            x = parts.new_zeros(count, height, width, channels)
            for i in range(rows.taps):
                for j in range(columns.taps):
                    x[:, rows.under(i), columns.under(j)] += parts[:, :, :, i, j]
            x = x[:, rows.before :, columns.before :][:, : rows.size, : columns.size]
            x = x.permute(0, 3, 1, 2)
        if ctx.needs_input_grad[1]:
            weight = y.new_zeros(outputs, *kernel, channels, dtype=weight_type)
            weight[:, rows.first : rows.last, columns.first : columns.last] = (
                y.t() @ patches
            ).view(outputs, rows.taps, columns.taps, channels)
            weight = weight.permute(0, 3, 1, 2)
        return x, weight, None, None
