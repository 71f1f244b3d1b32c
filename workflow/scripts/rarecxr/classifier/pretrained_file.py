"""The file of a network that was pretrained on images without labels, `unlabelled/…/model.pt`."""

import os
from collections.abc import Mapping
from typing import Any

from torch import nn

from rarecxr.core.files import written_whole
from rarecxr.core.provenance import TRAINED_ON
from rarecxr.core.tensors import read_tensor_file, to_bytes


def write_pretrained(
    path: str | os.PathLike, network: nn.Module, architecture: str, about: Mapping[str, Any]
) -> None:
    """Write a network as a file of weights (`rarecxr.classifier.weights.read_weights`).

    Args:
        path: the file.
        network: its last layer is of no use to others.
        architecture: its name.
        about: what else the file says: settings, provenance and `trained_on`, number and digest of
            the images, as plain values.
    """
    weights = network.state_dict()
    content = {
        "format": 1,
        "state_dict": {name: value.cpu().contiguous() for name, value in weights.items()},
        "architecture": architecture,
        **about,
    }
    with written_whole(path) as temporary:
        temporary.write_bytes(to_bytes(content))


def unlabelled_images(path: str | os.PathLike, study: str, seed: int) -> int:
    """Number of images that a network was pretrained on, once it is seen to be of a study and seed.

    Raises:
        ValueError: it is no such file, or of another study or seed.
    """
    about = read_tensor_file(path, "a pretrained network")
    for name, wanted in (("study", study), ("seed", seed)):
        found = about.get("provenance", {}).get(name)
        if found != wanted:
            raise ValueError(
                f"{path}: its {name} is {found!r}, this run needs {wanted!r}; "
                "remove the file and run the workflow again"
            )
    return about[TRAINED_ON]["images"]
