"""Adam in one fused operation a step, on a GPU in a form that a CUDA graph can hold.

There the learning rate is a tensor (`rarecxr.core.cuda_graphs`): a graph would keep a number as it
was when it was recorded. States hold it as a number. On a CPU weights are read in the order in
which they lie in memory.
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
    kind = torch.optim.Adam if on_gpu else _AdamInMemoryOrder
    return kind(parameters, rate, fused=True, capturable=on_gpu, **options)


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


class _AdamInMemoryOrder(torch.optim.Adam):
    """Adam whose fused operation meets every tensor as a contiguous one.

    PyTorch's for CPUs copies weights whose channels come last, with their gradients and moments,
    into the other order and back at each step: a seventh of the time of a step of ResNet-18 at 32
    pixels. The operation is the same for every weight by itself, in any order. (A gradient in
    another order than its weight is taken for one in the same, in PyTorch 2.11; here it is not.)
    """

    def _init_group(self, group, parameters, gradients, *tensors):
        result = super()._init_group(group, parameters, gradients, *tensors)
        is_last = [_is_channels_last(parameter) for parameter in parameters]
        for those in (parameters, gradients, *tensors):
            # Beside tensors of weights: steps, which are numbers, and lists that are not used.
            if those and those[0].dim():
                those[:] = [
                    tensor.permute(0, 2, 3, 1) if last else tensor
                    for tensor, last in zip(those, is_last, strict=True)
                ]
        gradients[:] = [gradient.contiguous() for gradient in gradients]
        return result


def _is_channels_last(tensor: Tensor) -> bool:
    return tensor.dim() == 4 and (
        tensor.is_contiguous(memory_format=torch.channels_last) and not tensor.is_contiguous()
    )
