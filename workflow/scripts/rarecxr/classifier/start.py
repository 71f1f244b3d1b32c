"""What trainings of the classifier's network begin with: a device, a precision, a network."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from rarecxr.classifier.networks import build
from rarecxr.classifier.weights import find_weights
from rarecxr.core.devices import choose_device, choose_precision
from rarecxr.core.processor import use_processor
from rarecxr.study.configuration.classifier import NetworkSettings


def set_up(settings: NetworkSettings) -> tuple[torch.device, str]:
    """Device and precision to compute with, once PyTorch is set to them."""
    device = prepare(settings.threads, settings.device)
    return device, choose_precision(settings.precision, device)


def prepare(threads: int, device: str) -> torch.device:
    """The device of a setting (cpu, cuda or auto), once PyTorch is set to it."""
    use_processor(threads)
    chosen = choose_device(device)
    if chosen.type == "cuda":
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.benchmark = True
    return chosen


def starting_network(
    settings: NetworkSettings, outputs: int, seed: int
) -> tuple[nn.Module, dict[str, Any]]:
    """A network before its first step, and which weights it starts from.

    Args:
        settings: which network.
        outputs: number of its outputs.
        seed: seed of the random initialization, see `rarecxr.classifier.networks.build`.

    Returns:
        The network on the CPU, and `weights` and `weights_sha256`, name and digest of the file of
        weights or None.

    Raises:
        FileNotFoundError: pretrained weights cannot be had.
        ValueError: the weights are another architecture's.
    """
    path: Path | None = None
    sha256 = None
    if settings.weights is not None:
        path, sha256 = find_weights(settings.architecture, settings.weights, settings.weights_dir)
    network = build(settings.architecture, outputs, settings.resolution, seed, path)
    return network, {"weights": path.name if path else None, "weights_sha256": sha256}
