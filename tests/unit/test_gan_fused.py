"""Bias, leaky ReLU and pixel norm in one pass, against the same in float64.

The kernels run in Triton's interpreter here, which needs no GPU; test_cuda.py runs them on one.
"""

import logging
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from rarecxr.gan import fused
from rarecxr.gan.layers import EqualizedConv2d, leaky_, leaky_pixel_norm_

pytest.importorskip("triton")

SCRIPTS = Path(__file__).parents[2] / "workflow" / "scripts"
# Widths that fill a block and that do not; rows (4 x 37 x 5) that fill no program.
INTERPRETED = """
import torch
from rarecxr.gan import fused
cpu = torch.device("cpu")
for channels in (4, 12, 16, 129, 512):
    for norm in (False, True):
        for dtype in (torch.float32, torch.bfloat16):
            error = fused._relative_error(channels, dtype, norm, cpu)
            print(channels, norm, str(dtype)[6:], error)
"""


def test_results_and_gradients_are_those_of_pytorch():
    done = subprocess.run(
        [sys.executable, "-c", INTERPRETED],
        cwd=SCRIPTS,
        env={**os.environ, "TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    assert len(rows) == 20
    for *case, dtype, error in rows:
        assert float(error) < {"float32": 1e-6, "bfloat16": 0.01}[dtype], case


def pretend(is_cuda=True, dtype=torch.bfloat16):
    return SimpleNamespace(is_cuda=is_cuda, dtype=dtype, device=torch.device("cpu"))


def test_kernels_that_fail_or_differ_are_not_used(monkeypatch, caplog):
    monkeypatch.delenv(fused.SWITCH, raising=False)

    def failing(*about):
        raise RuntimeError("no C compiler")

    for error, words in ((failing, "no C compiler"), (lambda *about: 0.3, "relative error of 0.3")):
        fused._agrees.cache_clear()
        caplog.clear()
        monkeypatch.setattr(fused, "_relative_error", error)
        with caplog.at_level(logging.WARNING):
            assert not fused.possible(pretend(), 16, True)
            assert not fused.possible(pretend(), 16, True)
        assert caplog.text.count(words) == 1
    fused._agrees.cache_clear()
    monkeypatch.setattr(fused, "_relative_error", lambda *about: 0.001)
    assert fused.possible(pretend(), 16, True)
    assert not fused.possible(pretend(is_cuda=False), 16, True)
    assert not fused.possible(pretend(dtype=torch.float64), 16, True)
    monkeypatch.setenv(fused.SWITCH, "0")
    assert not fused.possible(pretend(), 16, True)
    fused._agrees.cache_clear()


@pytest.mark.parametrize("activation", [leaky_, leaky_pixel_norm_])
@pytest.mark.parametrize("resample", [None, "up", "down"])
def test_a_layer_gives_the_same_by_either_way(activation, resample, monkeypatch):
    """A layer whose fused operations are PyTorch's own: what it hands to them is right."""
    torch.manual_seed(0)
    layer = EqualizedConv2d(4, 6, 3, resample=resample)
    layer.bias.data.normal_()
    x = torch.randn(2, 4, 8, 8)
    wanted = layer(x, activation)
    monkeypatch.setattr(fused, "possible", lambda *about: True)
    monkeypatch.setattr(fused, "activate_", fused.reference)
    torch.testing.assert_close(layer(x, activation), wanted)
    torch.testing.assert_close(layer(x), layer._convolve(x, layer.bias))
