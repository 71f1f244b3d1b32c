"""The file of a trained generator, generator.pt, and its networks."""

import os
from typing import Any

import torch

from rarecxr.core.files import REMEDY, written_whole
from rarecxr.core.tensors import read_tensor_file, to_bytes
from rarecxr.gan.networks import Critic, Generator, build_networks

FORMAT = 1

_PARTS = {"generator", "critic", "settings", "provenance"}


def write_checkpoint(
    path: str | os.PathLike,
    generator: torch.nn.Module,
    critic: torch.nn.Module,
    settings: dict[str, Any],
    provenance: dict[str, Any],
) -> None:
    """Write generator.pt: the averaged generator and the critic, whole or not at all.

    `settings` are those of the section `gan` and `label_size`. The same networks give the same
    bytes.
    """
    content = {
        "format": FORMAT,
        "generator": _state(generator),
        "critic": _state(critic),
        "settings": settings,
        "provenance": provenance,
    }
    with written_whole(path) as temporary:
        temporary.write_bytes(to_bytes(content))


def read_checkpoint(path: str | os.PathLike) -> dict[str, Any]:
    """The content of a generator.pt, on the CPU. Nothing is unpickled but plain values.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is no generator.pt of this format, or is damaged.
    """
    content = read_tensor_file(path, "a generator file")
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError(f"{path}: not a generator file of format {FORMAT}; {REMEDY}")
    missing = sorted(_PARTS - set(content))
    if missing:
        raise ValueError(f"{path}: a generator file without {', '.join(missing)}; {REMEDY}")
    return content


def networks_from(content: dict[str, Any]) -> tuple[Generator, Critic]:
    """The networks that a generator.pt holds, in float32 on the CPU.

    Raises:
        ValueError: the weights are not those of networks with these settings.
    """
    settings = content["settings"]
    generator, critic = build_networks(settings, settings["label_size"])
    try:
        generator.load_state_dict(content["generator"])
        critic.load_state_dict(content["critic"])
    except RuntimeError as error:
        raise ValueError(
            f"a generator file whose weights do not fit its settings ({error}); {REMEDY}"
        ) from None
    return generator, critic


def _state(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    state = {}
    for name, tensor in network.state_dict().items():
        # A new tensor, since sides of length 1 may keep other strides through `contiguous`.
        state[name] = torch.empty(tensor.shape, dtype=torch.float32).copy_(tensor.detach())
    return state
