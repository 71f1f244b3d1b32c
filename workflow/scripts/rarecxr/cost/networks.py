"""Operations, parameters and activations of networks, counted without computing anything."""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from rarecxr.classifier.networks import build
from rarecxr.gan.networks import build_networks
from rarecxr.study.configuration.gan import GanSettings


class ClassifierSize(NamedTuple):
    """Of one image: floating-point operations of a pass forward, numbers that its layers give."""

    operations: float
    parameters: int
    activations: int


class GanSize(NamedTuple):
    """Likewise of generator and critic together, and of the generator alone.

    In `activations` the critic counts three times: for real images, for generated ones, and for
    the generator's step.
    """

    operations: float
    generator_operations: float
    parameters: int
    activations: int


@cache
def classifier_size(architecture: str, resolution: int) -> ClassifierSize:
    """The size of a network of the section `classifier` or `features`, with 14 outputs."""
    with torch.device("meta"):
        network = build(architecture, 14, resolution, 0).eval()
        operations, activations = _counted([network], lambda: network(_images(3, resolution)))
    return ClassifierSize(operations, _parameters(network), activations[0])


def gan_size(settings: GanSettings, resolution: int) -> GanSize:
    """The size of a PGGAN that has grown to `resolution`."""
    keys = ("resolution", "latent_size", "fmap_base", "fmap_max", "group_size")
    return _gan_size(tuple((key, getattr(settings, key)) for key in keys), resolution)


@cache
def _gan_size(settings: tuple[tuple[str, int], ...], resolution: int) -> GanSize:
    with torch.device("meta"):
        generator, critic = build_networks(dict(settings))
        latents = torch.zeros(1, generator.latent_size)
        drawn, (first, _) = _counted(
            [generator, critic], lambda: generator(latents, resolution=resolution)
        )
        judged, (_, second) = _counted([generator, critic], lambda: critic(_images(1, resolution)))
    return GanSize(
        drawn + judged, drawn, _parameters(generator) + _parameters(critic), first + 3 * second
    )


def _images(channels: int, resolution: int) -> Tensor:
    return torch.zeros(1, channels, resolution, resolution)


def _parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def _counted(networks: list[nn.Module], run: Callable[[], object]) -> tuple[float, list[int]]:
    """Operations of a call, and the numbers that each network's layers give in it."""
    activations = [0] * len(networks)

    def count(place: int) -> Callable:
        def hook(layer: nn.Module, given: object, result: object) -> None:
            if isinstance(result, Tensor):
                activations[place] += result.numel()

        return hook

    hooks = [
        layer.register_forward_hook(count(place))
        for place, network in enumerate(networks)
        for layer in network.modules()
        if not list(layer.children())
    ]
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        run()
    for hook in hooks:
        hook.remove()
    return float(counter.get_total_flops()), activations
