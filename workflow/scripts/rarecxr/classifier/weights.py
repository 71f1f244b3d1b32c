"""Pretrained weights: torchvision's own files, found on disk or fetched, and always checked."""

import logging
import os
import re
import socket
from pathlib import Path
from urllib.error import URLError
from urllib.parse import urlparse

import torch

from rarecxr.core.files import sha256
from rarecxr.core.tensors import read_tensor_file

log = logging.getLogger(__name__)

# torchvision writes the first digits of a file's SHA-256 into its name: densenet121-….pth.
_NAMED_DIGEST = re.compile(r"-([0-9a-f]{8,64})\.")
# DenseNet files of 2017 call a layer `norm.1` that has been called `norm1` since.
_OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12]\.)")
# A compute node behind a firewall would otherwise wait for minutes before it says so.
_PATIENCE_S = 30


def find_weights(
    architecture: str,
    weights: str,
    weights_dir: str | os.PathLike | None = None,
    fetch: bool = True,
) -> tuple[Path, str]:
    """The file of pretrained weights that a setting means, checked, and its SHA-256.

    `imagenet` is the default file that torchvision names for the architecture. It is looked
    for in `weights_dir`, then in torch.hub's folder, and fetched from torchvision's address
    if it lies in neither and `fetch` is true.

    Args:
        architecture: name of a torchvision classification model.
        weights: `imagenet`, or the path of a file.
        weights_dir: folder of weight files; None for torch.hub's own alone.
        fetch: whether a missing file may be fetched.

    Raises:
        FileNotFoundError: the file is not there and is not, or cannot be, fetched. The message says
            which file belongs where.
        ValueError: the file's content is not what its name says.
    """
    if weights != "imagenet":
        path = Path(weights)
        if not path.is_file():
            raise FileNotFoundError(
                f"classifier.weights: there is no file {weights}; give the path of a file of "
                "weights, imagenet for torchvision's, or null for none"
            )
        return path, _verified(path)

    # It takes a second to load.
    import torchvision

    url = torchvision.models.get_model_weights(architecture).DEFAULT.url
    name = Path(urlparse(url).path).name
    hub = Path(torch.hub.get_dir()) / "checkpoints"
    folders = [Path(weights_dir), hub] if weights_dir else [hub]
    for folder in folders:
        if (folder / name).is_file():
            return folder / name, _verified(folder / name)
    if not fetch:
        raise FileNotFoundError(
            f"{name} is not on this machine, and nothing is fetched here. Fetch {url} where there "
            f"is a network and put it at {folders[0] / name} (SHA-256 begins with {_digits(name)})"
        )
    return _fetch(url, folders[0] / name)


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a file of weights, by the names that torchvision gives them today.

    Raises:
        ValueError: the file holds anything but tensors by name.
    """
    tensors = read_tensor_file(
        path, "a file of weights", "give a model's state_dict, written by torch.save"
    )
    if isinstance(tensors, dict) and isinstance(tensors.get("state_dict"), dict):
        tensors = tensors["state_dict"]
    if not isinstance(tensors, dict) or not all(
        isinstance(value, torch.Tensor) for value in tensors.values()
    ):
        raise ValueError(f"{path}: holds no tensors by name; give a model's state_dict")
    return {_OLD_DENSENET.sub(r"\1\2", name): value for name, value in tensors.items()}


def _verified(path: Path) -> str:
    """The file's SHA-256, once it agrees with the digits in the file's name."""
    digest = sha256(path)
    expected = _digits(path.name)
    if not digest.startswith(expected):
        raise ValueError(
            f"{path}: its SHA-256 begins with {digest[: len(expected)]}, its name says "
            f"{expected}; the file is damaged or another one: remove it and fetch it again"
        )
    return digest


def _digits(name: str) -> str:
    found = _NAMED_DIGEST.search(name)
    return found.group(1) if found else ""


def _fetch(url: str, path: Path) -> tuple[Path, str]:
    path.parent.mkdir(parents=True, exist_ok=True)
    log.info("fetching %s to %s", url, path)
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_PATIENCE_S)
    try:
        torch.hub.download_url_to_file(url, str(path), _digits(path.name), progress=False)
    except (URLError, OSError, RuntimeError) as error:
        raise FileNotFoundError(
            f"classifier.weights: {path.name} is not on this machine and could not be fetched "
            f"({error}). Fetch {url} where there is a network, put it at {path} (SHA-256 begins "
            f"with {_digits(path.name)}), or set classifier.weights: null"
        ) from None
    finally:
        socket.setdefaulttimeout(before)
    return path, _verified(path)
