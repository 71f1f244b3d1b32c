"""Adam, and the moving average of a network's weights."""

from typing import Any

import torch
from torch import Tensor, nn


class Adam:
    """Adam over a network's trained parameters, in one fused operation (arXiv 1412.6980).

    The same numbers as `torch.optim.Adam(fused=True)`, whose first use imports the compiler of
    PyTorch: seconds, which each short job would pay.

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
        self._mean = [torch.zeros_like(parameter) for parameter in self.parameters]
        self._square = [torch.zeros_like(parameter) for parameter in self.parameters]
        self._steps = [
            torch.zeros((), dtype=torch.float32, device=p.device) for p in self.parameters
        ]

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Change the parameters that have a gradient."""
        places = [place for place, p in enumerate(self.parameters) if p.grad is not None]
        steps = [self._steps[place] for place in places]
        torch._foreach_add_(steps, 1)
        torch._fused_adam_(
            [self.parameters[place] for place in places],
            [self.parameters[place].grad for place in places],
            [self._mean[place] for place in places],
            [self._square[place] for place in places],
            [],
            steps,
            lr=self.lr,
            beta1=self.beta1,
            beta2=self.beta2,
            weight_decay=0.0,
            eps=self.epsilon,
            amsgrad=False,
            maximize=False,
        )

    def state(self) -> dict[str, Any]:
        """The state by parameter, as tensors and plain values."""
        groups = {"mean": self._mean, "square": self._square, "steps": self._steps}
        return {
            group: dict(zip(self.names, tensors, strict=True)) for group, tensors in groups.items()
        }

    @torch.no_grad()
    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from `state()`."""
        for group, tensors in (
            ("mean", self._mean),
            ("square", self._square),
            ("steps", self._steps),
        ):
            for name, tensor in zip(self.names, tensors, strict=True):
                tensor.copy_(state[group][name])


@torch.no_grad()
def average_into(average: list[Tensor], weights: list[Tensor], decay: float) -> None:
    """Set each tensor of `average` to decay * itself + (1 - decay) * that of `weights`."""
    torch._foreach_lerp_(average, weights, 1 - decay)
