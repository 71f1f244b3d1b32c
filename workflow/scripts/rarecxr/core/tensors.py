"""Tensors and plain values as bytes and in files; nothing is ever unpickled but these."""

import io
import os
import pickle
from pathlib import Path
from typing import Any

import torch

# What helps against a file that is not as it should be.
REMEDY = "remove the file and run the workflow again, which makes it anew"


def to_bytes(content: Any) -> bytes:
    """`content` as `torch.save` writes it, but without the file's name in it.

    The same values give the same bytes.
    """
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def from_bytes(payload: bytes) -> Any:
    """What `to_bytes` was given, with tensors on the CPU. Nothing is unpickled but plain values."""
    return torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)


def read_tensor_file(path: str | os.PathLike, kind: str) -> Any:
    """What a file of `torch.save` holds, with tensors on the CPU.

    Args:
        path: the file.
        kind: what the file should be, as in "a generator file".

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is empty, damaged or of another kind, or it holds Python objects, which
            could run code and are never loaded.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file, where {kind} is expected; {REMEDY}")
    if not path.is_file():
        raise ValueError(f"{path}: a folder or a device, where {kind} is expected; {REMEDY}")
    if path.stat().st_size == 0:
        raise ValueError(f"{path}: an empty file, where {kind} is expected; {REMEDY}")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        # What torch says here advises to load the file without protection.
        raise ValueError(
            f"{path}: not {kind}: it is damaged, or holds Python objects, which could run code and "
            f"are not loaded; {REMEDY}"
        ) from None
    except Exception as error:
        problem = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"{path}: damaged, or not {kind} ({problem}); {REMEDY}") from None
