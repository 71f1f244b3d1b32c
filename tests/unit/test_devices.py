"""Devices and precisions that settings name."""

import pytest
import torch

from rarecxr.core import devices
from rarecxr.core.devices import choose_device, choose_devices, choose_precision


@pytest.fixture
def gpus(monkeypatch):
    """A function that pretends so many GPUs."""

    # Which of a real machine's GPUs are ours is tested elsewhere.
    monkeypatch.setattr(devices, "take_gpus", lambda number: None)

    def pretend(count):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)

    return pretend


def test_auto_is_a_gpu_where_there_is_one(gpus):
    gpus(0)
    assert choose_device("auto").type == "cpu"
    gpus(1)
    assert choose_device("auto").type == "cuda"
    assert choose_device("cpu").type == "cpu"


def test_a_gpu_that_is_not_there_is_an_error(gpus):
    gpus(0)
    with pytest.raises(ValueError, match="device: got cuda, and torch sees no GPU"):
        choose_device("cuda")


def test_several_devices_are_the_first_gpus(gpus):
    gpus(3)
    assert choose_devices("auto", 2) == [torch.device("cuda:0"), torch.device("cuda:1")]
    assert choose_devices("cpu", 2) == [torch.device("cpu")] * 2


def test_fewer_gpus_than_asked_for_are_an_error(gpus):
    gpus(2)
    with pytest.raises(ValueError, match=r"devices: got 4, and torch sees 2 GPU\(s\) here"):
        choose_devices("auto", 4)


def test_a_precision_that_is_named_is_taken():
    assert choose_precision("fp32", torch.device("cpu")) == "fp32"
    assert choose_precision("auto", torch.device("cpu")) in ("fp32", "bf16")
