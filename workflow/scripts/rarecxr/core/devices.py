"""Where a network runs and with how many bits it computes."""

import contextlib

import torch

from rarecxr.core.gpu_locks import take_gpus


def choose_device(device: str, number: int = 1) -> torch.device:
    """The device of a setting: `cpu`, `cuda`, or `auto` for CUDA where there is one.

    On a machine with more GPUs than this, `number` of them become this process's own.

    Raises:
        ValueError: CUDA is asked for and there is none.
    """
    if device != "cpu":
        take_gpus(number)
    available = torch.cuda.is_available()
    if device == "cuda" and not available:
        raise ValueError("device: got cuda, and torch sees no GPU here; give auto or cpu")
    return torch.device("cuda" if available and device != "cpu" else "cpu")


def choose_devices(device: str, count: int) -> list[torch.device]:
    """`count` devices of a setting as in `choose_device`: so many GPUs, or the CPU so many times.

    Raises:
        ValueError: there are fewer GPUs.
    """
    chosen = choose_device(device, count)
    if chosen.type == "cpu" or count == 1:
        return [chosen] * count
    visible = torch.cuda.device_count()
    if visible < count:
        raise ValueError(
            f"devices: got {count}, and torch sees {visible} GPU(s) here; give {visible} or fewer, "
            "or let the job have more"
        )
    return [torch.device("cuda", number) for number in range(count)]


def choose_precision(precision: str, device: torch.device) -> str:
    """The precision of a setting: `fp32`, `bf16`, or `auto` for bf16 where the device has it.

    A processor without bf16 instructions imitates them and is slower for it.
    """
    if precision != "auto":
        return precision
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        fast = torch.cpu._is_avx512_bf16_supported()
    return "bf16" if fast else "fp32"


def autocast(precision: str, device: torch.device) -> contextlib.AbstractContextManager:
    """A block in which a network computes in bf16 (weights and statistics stay float32)."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


def to_device(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """A copy of a CPU tensor on the device, without waiting for what the device still has to do."""
    if device.type == "cuda":
        # Only a copy from pinned memory leaves the host free.
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)
