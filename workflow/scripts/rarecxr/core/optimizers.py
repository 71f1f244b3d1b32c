"""Adam in one fused operation a step, on a GPU in a form that a CUDA graph can hold.

There the learning rate is a tensor (`rarecxr.core.cuda_graphs`): a graph would keep a number as it
was when it was recorded. States hold it as a number.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor


def make_adam(
    parameters: Iterable[Tensor], device: torch.device, lr: float = 1e-3, **options: Any
) -> torch.optim.Adam:
    """Adam over parameters of one device, with further options of `torch.optim.Adam`."""
    on_gpu = device.type == "cuda"
    rate = torch.tensor(lr, dtype=torch.float32, device=device) if on_gpu else lr
    return torch.optim.Adam(parameters, rate, fused=True, capturable=on_gpu, **options)


def set_rate(optimizer: torch.optim.Adam, rate: float) -> None:
    """Give all parameters another learning rate."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


def adam_state(optimizer: torch.optim.Adam) -> dict[str, Any]:
    """`optimizer.state_dict()` with numbers for learning rates."""
    state = optimizer.state_dict()
    for group in state["param_groups"]:
        group["lr"] = float(group["lr"])
    return state


def load_adam(optimizer: torch.optim.Adam, state: dict[str, Any]) -> None:
    """Go on from `adam_state()`; learning rates stay in the tensors that they are in."""
    before = [(group["lr"], group["capturable"]) for group in optimizer.param_groups]
    optimizer.load_state_dict(state)
    for group, (rate, capturable) in zip(optimizer.param_groups, before, strict=True):
        saved = float(group["lr"])
        if isinstance(rate, Tensor):
            group["lr"] = rate.fill_(saved)
        group["capturable"] = capturable
