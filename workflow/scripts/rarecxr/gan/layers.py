"""Layers of the progressive GAN (Karras et al. 2018, arXiv 1710.10196)."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rarecxr.gan import fused, second_gradients
from rarecxr.gan.fused import EPSILON, SLOPE


class EqualizedConv2d(nn.Module):
    """Convolution that scales its weights when it runs, not when it is built.

    Weights start as N(0, 1) and are multiplied by gain / sqrt(fan_in) at every call, so
    that Adam moves all layers at one relative speed (section 4.1). The bias is not scaled.
    The weights are cast to the input's type after scaling: they are kept in float32.

    With `resample` the convolution and a change of size are one: "up" doubles each pixel,
    then convolves; "down" convolves, then takes the mean of 2x2 pixels. Both are exact, as a
    single 4x4 kernel of summed weights with stride 2, at 4/9 of the multiplications.

    Shapes: (N, in_channels, H, W) -> (N, out_channels, H, W), (…, 2H, 2W) or (…, H/2, W/2).

    Raises:
        ValueError: an even `kernel_size`; a `resample` that is none of None, "up" and "down",
            or one with a kernel other than 3x3.
    """

    def __init__(self, in_channels, out_channels, kernel_size, gain=2**0.5, resample=None):
        super().__init__()
        if kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd, got {kernel_size}")
        if resample not in (None, "up", "down"):
            raise ValueError(f'resample must be None, "up" or "down", got {resample!r}')
        if resample and kernel_size != 3:
            raise ValueError(f"resample needs a 3x3 kernel, got {kernel_size}")
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.scale = gain / math.sqrt(in_channels * kernel_size**2)
        self.padding = kernel_size // 2
        self.resample = resample
        if resample:
            # A transposed convolution applies its kernel from the other side.
            sums = _sums_of_pixels().flip(0) if resample == "up" else _sums_of_pixels()
            self.register_buffer("sums", sums, persistent=False)

    def forward(self, x: Tensor, activation: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """Convolve `x` in its own type; then `leaky_` or `leaky_pixel_norm_`, if asked for."""
        if x.shape[1] == 1:
            # With one channel both layouts are the same bytes; cuDNN and oneDNN would take the
            # other one, which all layers behind this one would then have.
            x = x.reshape(len(x), *x.shape[2:], 1).permute(0, 3, 1, 2)
        within = second_gradients.current()
        if activation is not None and within is None:
            norm = activation is leaky_pixel_norm_
            if fused.possible(x, len(self.bias), norm):
                return fused.activate_(self._convolve(x, None), self.bias, norm)
        bias = self.bias.to(x.dtype)
        if within is None:
            y = self._convolve(x, bias)
        else:
            y = self._convolve(x, None, within) + bias.view(1, -1, 1, 1)
        return y if activation is None else activation(y)

    def _convolve(
        self, x: Tensor, bias: Tensor | None, within: second_gradients.Pass | None = None
    ) -> Tensor:
        if self.resample == "up":
            weight = merged_kernel(self.weight, self.sums * self.scale).transpose(0, 1)
            return F.conv_transpose2d(x, weight.to(x.dtype), bias, stride=2, padding=1)
        if self.resample is None:
            weight, stride, padding = self.weight * self.scale, 1, self.padding
        else:
            weight, stride, padding = merged_kernel(self.weight, self.sums * (self.scale / 4)), 2, 1
        if within is not None:
            return second_gradients.convolve(x, weight.to(x.dtype), stride, padding, within)
        return F.conv2d(x, weight.to(x.dtype), bias, stride, padding)


def merged_kernel(weight: Tensor, sums: Tensor) -> Tensor:
    """The 4x4 kernel whose pixels are sums of those of a 3x3 kernel.

    One product of matrices reads and writes the weights once, in the order of channels last.

    Args:
        weight: (out, in, 3, 3).
        sums: (16, 9), what each pixel of the 4x4 kernel has of each one of `weight`.

    Returns:
        (out, in, 4, 4), channels last in memory.
    """
    out_channels, in_channels = weight.shape[:2]
    pixels = weight.permute(0, 2, 3, 1).reshape(out_channels, 9, in_channels)
    return (sums @ pixels).view(out_channels, 4, 4, in_channels).permute(0, 3, 1, 2)


def _sums_of_pixels() -> Tensor:
    """(16, 9) float32: `merged_kernel` convolves with `weight`, then sums 2x2 pixels."""
    along = F.pad(torch.eye(3), (0, 0, 0, 1)) + F.pad(torch.eye(3), (0, 0, 1, 0))
    return torch.kron(along, along)


class EqualizedLinear(nn.Module):
    """Fully connected layer with weights scaled as in `EqualizedConv2d`.

    The generator's first layer is without bias here: it has one for each feature map, not for
    each output, and adds it after reshaping.

    Shapes: (N, in_features) -> (N, out_features).
    """

    def __init__(self, in_features, out_features, gain=2**0.5, bias=True):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_features, in_features))
        self.bias = nn.Parameter(torch.zeros(out_features)) if bias else None
        self.scale = gain / math.sqrt(in_features)

    def forward(self, x: Tensor) -> Tensor:
        """Multiply `x` in its own type."""
        bias = None if self.bias is None else self.bias.to(x.dtype)
        return F.linear(x, (self.weight * self.scale).to(x.dtype), bias)


def blend(old: Tensor, new: Tensor, alpha: float | Tensor) -> Tensor:
    """`new` as it fades in: (1 - alpha) old + alpha new, computed in float32 at least.

    Args:
        old: images or feature maps, of any shape.
        new: of the same shape and type.
        alpha: from 0 to 1; a number, or a tensor () of float32 on the device, which a CUDA graph
            reads anew at each launch.
    """
    if not isinstance(alpha, Tensor):
        return torch.lerp(old, new, alpha)
    kind = torch.promote_types(new.dtype, alpha.dtype)
    return torch.lerp(old.to(kind), new.to(kind), alpha.to(kind)).to(new.dtype)


def fades(alpha: float | Tensor) -> bool:
    """Whether a block is not fully in. A tensor is given during fades alone."""
    return isinstance(alpha, Tensor) or alpha < 1


def leaky_(x: Tensor) -> Tensor:
    """Leaky ReLU with slope 0.2, in the place of `x`: a convolution's output is needed once."""
    return F.leaky_relu_(x, SLOPE)


def pixel_norm(x: Tensor, epsilon: float = EPSILON) -> Tensor:
    """Each pixel's feature vector scaled to a mean square of 1 (section 4.2).

    Shapes: (N, C, …) -> the same.
    """
    return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + epsilon)


def leaky_pixel_norm_(x: Tensor) -> Tensor:
    """`pixel_norm(leaky_(x))` in the place of `x`, with a gradient of its own.

    It keeps the result, which the next convolution keeps anyway, and one number per pixel, instead
    of five intermediate tensors. Its gradient cannot be differentiated again.

    Shapes: (N, C, H, W) -> the same.
    """
    return _LeakyPixelNorm.apply(x)


class _LeakyPixelNorm(torch.autograd.Function):
    """With y = s r and r = 1 / sqrt(mean(s^2) + epsilon): ds = r (dy - y mean(y dy))."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        x = F.leaky_relu_(x, SLOPE)
        scale = _channel_mean(x * x).add_(EPSILON).rsqrt_()
        x.mul_(scale)
        ctx.mark_dirty(x)
        ctx.save_for_backward(x, scale)
        return x

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient: Tensor) -> Tensor:
        y, scale = ctx.saved_tensors
        inner = torch.addcmul(gradient, y, _channel_mean(gradient * y), value=-1).mul_(scale)
        # The scale is positive, so y has the sign of the leaky ReLU's input.
        return torch.ops.aten.leaky_relu_backward(inner, y, SLOPE, True)


def _channel_mean(x: Tensor) -> Tensor:
    """Mean over the channels, (N, 1, H, W), or (N, C, H, W) with the same number C times.

    In bfloat16 on the CPU a product with a (N, 1, H, W) tensor is not vectorised below 32
    channels and costs more than the convolutions. There a 1x1 convolution spreads the mean.
    """
    channels = x.shape[1]
    if x.device.type == "cpu" and x.dtype == torch.bfloat16 and channels < 32:
        return F.conv2d(x, x.new_full((channels, channels, 1, 1), 1 / channels))
    return x.mean(dim=1, keepdim=True)


def minibatch_stddev(x: Tensor, group_size: int = 4) -> Tensor:
    """`x` and one more feature map: how much the images of a group differ (section 3).

    The standard deviation of each feature at each place over the group, averaged to one
    number per group. Images i, i + N/g, i + 2N/g, … make a group; a minibatch that is smaller
    than `group_size` is one group. Computed in float32 at least.

    Shapes: (N, C, H, W) -> (N, C + 1, H, W).

    Raises:
        ValueError: N is no multiple of the group's size.
    """
    size = len(x)
    group = min(group_size, size)
    if size % group:
        raise ValueError(f"a minibatch of {size} does not divide into groups of {group}")
    grouped = widened(x).reshape(group, size // group, *x.shape[1:])
    deviation = (grouped.var(dim=0, unbiased=False) + 1e-8).sqrt().mean(dim=(1, 2, 3))
    plane = deviation.repeat(group).view(size, 1, 1, 1).expand(-1, 1, *x.shape[2:])
    return torch.cat([x, plane.to(x.dtype)], dim=1)


def widened(x: Tensor) -> Tensor:
    """`x` in float32 if its type is shorter, else as it is."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def upscale(x: Tensor, factor: int = 2) -> Tensor:
    """Each pixel as a square of factor x factor pixels."""
    return F.interpolate(x, scale_factor=factor, mode="nearest")


def downscale(x: Tensor) -> Tensor:
    """The mean of each 2x2 pixels."""
    return F.avg_pool2d(x, 2)
