"""Tensors and plain values as bytes and in files; nothing is ever unpickled but these."""

import io
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from rarecxr.core.files import REMEDY, intact


def to_bytes(content: Any) -> bytes:
    """`content` as `torch.save` writes it, but without the file's name in it.

    The same values give the same bytes.
    """
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def from_bytes(payload: bytes, name: str = "bytes", kind: str = "tensors") -> Any:
    """What `to_bytes` was given, with tensors on the CPU. Nothing is unpickled but plain values.

    Args:
        payload: the bytes.
        name: where they are from, for the message.
        kind: what they should be, for the message.

    Raises:
        ValueError: they are not what `to_bytes` gives, or hold Python objects.
    """
    return _loaded(io.BytesIO(payload), name, kind, REMEDY)


def read_tensor_file(path: str | os.PathLike, kind: str, remedy: str = REMEDY) -> Any:
    """What a file of `torch.save` holds, with tensors on the CPU.

    Args:
        path: the file.
        kind: what the file should be, as in "a generator file".
        remedy: what to do if it is not; the end of the message.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is empty, damaged or of another kind, or it holds Python objects, which
            could run code and are never loaded.
    """
    path = intact(path)
    try:
        # torch reads what the archive holds without a look at the checksums.
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                # torch compresses nothing: what unpacks to more than its bytes is no file of its.
                packed = [entry for entry in archive.infolist() if entry.compress_type]
                if packed:
                    raise ValueError(f"{packed[0].filename!r} in it is compressed")
                damaged = archive.testzip()
            if damaged is not None:
                raise ValueError(f"the checksum of {damaged!r} in it is wrong")
    except PermissionError:
        raise
    except Exception as error:
        # Whatever zipfile raises for damaged archives: its own errors, struct's, zlib's.
        raise ValueError(f"{path}: damaged, or not {kind} ({error}); {remedy}") from None
    return _loaded(path, path, kind, remedy)


def _loaded(file: Path | io.BytesIO, name: object, kind: str, remedy: str) -> Any:
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except PermissionError:
        raise
    except pickle.UnpicklingError:
        # What torch says here advises to load the file without protection.
        raise ValueError(
            f"{name}: not {kind}: it is damaged, or holds Python objects, which could run code and "
            f"are not loaded; {remedy}"
        ) from None
    except Exception as error:
        problem = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"{name}: damaged, or not {kind} ({problem}); {remedy}") from None
