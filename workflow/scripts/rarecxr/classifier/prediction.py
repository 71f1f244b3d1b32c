"""Logits of a trained network for images."""

import os
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import nn

from rarecxr.classifier.networks import build, network_input
from rarecxr.core.devices import autocast, choose_device
from rarecxr.core.files import REMEDY
from rarecxr.core.tensors import read_tensor_file

# Images of one step. Without gradients the memory is small whatever the resolution.
BATCH = 64


def read_model(path: str | os.PathLike) -> tuple[nn.Module, dict[str, Any]]:
    """A trained network, on the CPU and ready to predict, and all else that its file says.

    Returns:
        The network, and findings (names of its outputs in order), architecture, settings and
        provenance.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is of another format, or is damaged.
    """
    file = read_tensor_file(path, "a classifier file")
    if not isinstance(file, dict) or file.get("format") != 1:
        raise ValueError(f"{path}: not a classifier file of format 1; {REMEDY}")
    missing = sorted({"state_dict", "architecture", "findings", "settings"} - set(file))
    if missing:
        raise ValueError(f"{path}: a classifier file without {', '.join(missing)}; {REMEDY}")
    state = file.pop("state_dict")
    try:
        network = build(
            file["architecture"], len(file["findings"]), file["settings"]["resolution"], seed=0
        )
        network.load_state_dict(state)
    except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
        problem = str(error).splitlines()[0]
        raise ValueError(
            f"{path}: a classifier file whose weights do not fit its settings ({problem}); {REMEDY}"
        ) from None
    return network.to(memory_format=torch.channels_last).eval(), file


def predict_logits(
    network: nn.Module,
    batches: Iterable[torch.Tensor],
    architecture: str,
    precision: str,
    device: torch.device,
) -> torch.Tensor:
    """Logits (N, F) float32 on the CPU, for batches (n, 1, R, R) in [0, 1] on the device."""
    network.eval()
    found = []
    with torch.inference_mode(), autocast(precision, device):
        for images in batches:
            found.append(network(network_input(images, architecture)).float())
    return torch.cat(found).cpu()


def predict(
    path: str | os.PathLike, images: np.ndarray, device: str = "auto", precision: str = "fp32"
) -> np.ndarray:
    """Logits of a stored network, one column for each of its findings.

    Their sigmoid is a probability. Logits are given because they keep the order of images whose
    probabilities round to the same number.

    Args:
        path: a model.pt.
        images: (N, R, R) uint8 at the network's resolution.
        device: cpu, cuda or auto.
        precision: fp32 or bf16.

    Returns:
        (N, F) float32.
    """
    network, about = read_model(path)
    where = choose_device(device)
    pixels = torch.from_numpy(np.ascontiguousarray(images))
    batches = (block.to(where).unsqueeze(1).float().div_(255) for block in pixels.split(BATCH))
    network = network.to(where)
    return predict_logits(network, batches, about["architecture"], precision, where).numpy()
