"""Which device to compute on."""

import torch


def choose_device(name: str) -> torch.device:
    """The device for "auto", "cpu" or "cuda"; "auto" is a GPU where there is one.

    Raises:
        ValueError: "cuda" where PyTorch sees no GPU.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("gan.device is cuda, but PyTorch sees no GPU; give auto or cpu")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)
