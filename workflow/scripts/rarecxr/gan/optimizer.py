"""Adam, and the moving average of a network's weights."""

from typing import Any

import torch
from torch import Tensor, nn


class Adam:
    """Adam over a network's trained parameters, in one fused operation (arXiv 1412.6980).

    The same numbers as `torch.optim.Adam(fused=True)`, whose first use imports the compiler of
    PyTorch: seconds, which each short job would pay. With beta1 0, the published value, the mean
    of the gradient is the gradient, so none is kept.

    Args:
        network: its parameters that require a gradient now are trained.
        lr: learning rate; may be changed at any time.
        beta1: decay of the mean of the gradient.
        beta2: decay of the mean of its square.
        epsilon: added to the root of the latter.
    """

    def __init__(self, network: nn.Module, lr: float, beta1: float, beta2: float, epsilon: float):
        named = [(name, p) for name, p in network.named_parameters() if p.requires_grad]
        self.names = [name for name, _ in named]
        self.parameters = [parameter for _, parameter in named]
        self.lr, self.beta1, self.beta2, self.epsilon = lr, beta1, beta2, epsilon
        self._state = {
            "square": [torch.zeros_like(parameter) for parameter in self.parameters],
            "steps": [
                torch.zeros((), dtype=torch.float32, device=p.device) for p in self.parameters
            ],
        }
        if beta1:
            self._state["mean"] = [torch.zeros_like(parameter) for parameter in self.parameters]

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Change the parameters that have a gradient, and forget the gradients."""
        places = [place for place, p in enumerate(self.parameters) if p.grad is not None]
        gradients = [self.parameters[place].grad for place in places]
        state = {name: [kept[place] for place in places] for name, kept in self._state.items()}
        torch._foreach_add_(state["steps"], 1)
        torch._fused_adam_(
            [self.parameters[place] for place in places],
            gradients,
            # With beta1 0 it would be written over by the gradient, which is there already.
            state.get("mean", gradients),
            state["square"],
            [],
            state["steps"],
            lr=self.lr,
            beta1=self.beta1,
            beta2=self.beta2,
            weight_decay=0.0,
            eps=self.epsilon,
            amsgrad=False,
            maximize=False,
        )
        # The other network's step need not find them in its memory.
        self.zero_grad()

    def state(self) -> dict[str, Any]:
        """The state by parameter, as tensors and plain values."""
        return {
            name: dict(zip(self.names, kept, strict=True)) for name, kept in self._state.items()
        }

    @torch.no_grad()
    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from `state()`."""
        for name, kept in self._state.items():
            for parameter, tensor in zip(self.names, kept, strict=True):
                tensor.copy_(state[name][parameter])


@torch.no_grad()
def average_into(average: list[Tensor], weights: list[Tensor], decay: float) -> None:
    """Set each tensor of `average` to decay * itself + (1 - decay) * that of `weights`."""
    torch._foreach_lerp_(average, weights, 1 - decay)
