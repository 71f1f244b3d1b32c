"""Tensors and plain values as bytes, the same bytes for the same values."""

import io
from typing import Any

import torch


def to_bytes(content: Any) -> bytes:
    """`content` as `torch.save` writes it, but without the file's name in it."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def from_bytes(payload: bytes) -> Any:
    """What `to_bytes` was given, with tensors on the CPU. Nothing is unpickled but plain values."""
    return torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
