"""The kernels of `rarecxr.gan.fused`, in Triton: imported where they are used alone.

A tensor (N, C, H, W) with channels last is a matrix of N H W rows of C channels. A program takes
whole rows, computes in float32 and sums a bias's gradient over its rows; the programs' sums are
added up in one order, so that results repeat to the bit.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from rarecxr.gan.fused import EPSILON, SLOPE

# Numbers of one step of a program, and its steps.
_TILE = 4096
_STEPS = 8


def forward_(x: Tensor, bias: Tensor, norm: bool) -> Tensor | None:
    """Bias, leaky ReLU and, with `norm`, pixel norm in the place of `x`; the norm's scales (P,)."""
    rows, channels, block, tile = _sizes(x)
    scale = torch.empty(rows, dtype=torch.float32, device=x.device) if norm else None
    _forward[(triton.cdiv(rows, tile),)](
        x, bias, x if scale is None else scale, rows, channels, norm, tile, block, SLOPE, EPSILON
    )
    return scale


def backward(gradient: Tensor, y: Tensor, scale: Tensor | None) -> tuple[Tensor, Tensor]:
    """Gradients of x, like `y`, and of the bias, (C,) float32, from that of the result `y`."""
    rows, channels, block, tile = _sizes(y)
    of_x = torch.empty_like(y)
    programs = triton.cdiv(rows, tile * _STEPS)
    sums = torch.empty((programs, channels), dtype=torch.float32, device=y.device)
    _backward[(programs,)](
        gradient, y, y if scale is None else scale, of_x, sums, rows, channels,
        scale is not None, tile, block, _STEPS, SLOPE,
    )  # fmt: skip
    return of_x, sums.sum(0)


def _sizes(x: Tensor) -> tuple[int, int, int, int]:
    channels = x.shape[1]
    block = triton.next_power_of_2(channels)
    return x.numel() // channels, channels, block, max(1, _TILE // block)


@triton.jit
def _forward(
    x,
    bias,
    scale,
    rows,
    channels,
    NORM: tl.constexpr,
    TILE: tl.constexpr,
    BLOCK: tl.constexpr,
    SLOPE: tl.constexpr,
    EPSILON: tl.constexpr,
):
    # Tensors may have more than 2^31 numbers.
    row = tl.program_id(0).to(tl.int64) * TILE + tl.arange(0, TILE)
    channel = tl.arange(0, BLOCK)
    inside = (row < rows)[:, None] & (channel < channels)[None, :]
    place = row[:, None] * channels + channel[None, :]
    shift = tl.load(bias + channel, channel < channels, 0.0).to(tl.float32)
    y = tl.load(x + place, inside, 0.0).to(tl.float32) + shift[None, :]
    y = tl.where(y > 0, y, y * SLOPE)
    if NORM:
        factor = 1 / tl.sqrt(tl.sum(y * y, 1) / channels + EPSILON)
        tl.store(scale + row, factor, row < rows)
        y = y * factor[:, None]
    tl.store(x + place, y.to(x.dtype.element_ty), inside)


@triton.jit
def _backward(
    gradient,
    result,
    scale,
    of_x,
    sums,
    rows,
    channels,
    NORM: tl.constexpr,
    TILE: tl.constexpr,
    BLOCK: tl.constexpr,
    STEPS: tl.constexpr,
    SLOPE: tl.constexpr,
):
    channel = tl.arange(0, BLOCK)
    total = tl.zeros((BLOCK,), tl.float32)
    for step in range(STEPS):
        row = (tl.program_id(0).to(tl.int64) * STEPS + step) * TILE + tl.arange(0, TILE)
        inside = (row < rows)[:, None] & (channel < channels)[None, :]
        place = row[:, None] * channels + channel[None, :]
        y = tl.load(result + place, inside, 0.0).to(tl.float32)
        g = tl.load(gradient + place, inside, 0.0).to(tl.float32)
        if NORM:
            # y = s r with r = 1 / sqrt(mean(s^2) + epsilon): ds = r (dy - y mean(y dy)).
            factor = tl.load(scale + row, row < rows, 0.0)
            g = (g - y * (tl.sum(y * g, 1) / channels)[:, None]) * factor[:, None]
        # The scale is positive, so y has the sign of the leaky ReLU's input.
        g = tl.where(y > 0, g, g * SLOPE)
        tl.store(of_x + place, g.to(of_x.dtype.element_ty), inside)
        total += tl.sum(g, 0)
    tl.store(sums + tl.program_id(0) * channels + channel, total, channel < channels)
