"""HDF5 files, opened so that a damaged or hostile one is refused by name."""

import contextlib
import functools
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from rarecxr.core.files import REMEDY, readable

# The beginning of a file, in bytes, and what it says of the program that wrote it.
_SEAL_BYTES = 512
_MARK = "rarecxr"
# What is read for a digest at a time, in bytes.
_BLOCK_BYTES = 1 << 22

# How the messages of the HDF5 library begin; an error of other code within a block is not its.
_HDF5_MESSAGES = (
    "Can't",
    "Link visitation failed",
    "Object visitation failed",
    "Unable to",
    "Unspecified error in H5",
)


@contextlib.contextmanager
def open_hdf5(path: str | os.PathLike) -> Iterator[h5py.File]:
    """An HDF5 file that is open for reading, for the time of a `with` block.

    All that is read must be in the file itself: links to other files, datasets that are stored
    in or mapped to other files and soft links are refused, since a file that a user was given
    could otherwise deliver the content of any file that the user may read.

    Files are opened without a lock, which some file systems do not have. None is needed: this
    workflow writes files under another name and moves them when they are whole.

    The file is compared with the digest that it was sealed with before the HDF5 library sees any of
    it, which can crash on damaged files.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is no HDF5 file, is damaged, or refers to data outside of itself; also
            for what the HDF5 library raises within the block, such as a missing dataset or a
            part that cannot be decompressed.
    """
    path = readable(path)
    checked_content(path)
    try:
        with _opened(path) as file:
            yield file
    except PermissionError:
        raise
    except (KeyError, OSError, RuntimeError) as error:
        message = str(error.args[0]) if error.args else ""
        if not message.startswith(_HDF5_MESSAGES):
            raise
        raise ValueError(
            f"{path}: damaged, or not an HDF5 file of the expected kind ({message}); {REMEDY}"
        ) from error


def _opened(path: Path) -> h5py.File:
    """The file, once it is seen that it holds all of its data."""
    file = None
    try:
        file = h5py.File(path, "r", locking=False)
        reference = _reference(file)
    except PermissionError:
        raise
    except Exception as error:
        # Wherever the damage is, the library may stumble over it in ways of its own.
        if file:
            file.close()
        raise ValueError(
            f"{path}: damaged, or not an HDF5 file of the expected kind ({error}); {REMEDY}"
        ) from error
    if reference:
        file.close()
        name, kind = reference
        raise ValueError(
            f"{path}: {name!r} is {kind}. Such a file could read any other file of this machine "
            "and is refused; use a file that holds all of its data (h5repack, or a copy that reads "
            "and writes each dataset)"
        )
    return file


@contextlib.contextmanager
def create_hdf5(path: str | os.PathLike) -> Iterator[h5py.File]:
    """A new HDF5 file that is open for writing, without a lock, for the time of a `with` block.

    An older file of this name is overwritten: give a path from `written_whole`. At the end the
    file is sealed: its first 512 bytes, which HDF5 leaves to its users, hold a digest of the rest.
    """
    with h5py.File(path, "w", locking=False, userblock_size=_SEAL_BYTES) as file:
        yield file
    seal(path)


def checked_content(path: str | os.PathLike) -> str:
    """SHA-256 that stands for all of a file's content, once it is seen to be what was written.

    The images are left out where they lie in one stretch of the file: whoever writes such images
    gives each a checksum, so that reading a few of them does not take reading all.

    Raises:
        ValueError: the file is damaged, or none that `create_hdf5` has written.
    """
    path = Path(path)
    found = path.stat()
    return _checked(path, (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns))


def read_attributes(file: h5py.File) -> dict[str, Any]:
    """All attributes as plain values; nested ones are JSON text."""
    return {
        name: value.item() if isinstance(value, np.generic) else value
        for name, value in sorted(file.attrs.items())
    }


def seal(path: str | os.PathLike) -> None:
    """Write into a file's beginning the digest that `checked_content` compares."""
    with h5py.File(path, "r", locking=False) as file:
        images = file.get("images")
        # Undefined for what is in chunks or in other files, and no number for nothing.
        offset = images.id.get_offset() if isinstance(images, h5py.Dataset) else None
        left_out = [offset, images.nbytes] if offset is not None and images.size else []
    line = {"file": _MARK, "left_out": left_out, "sha256": _digest(path, left_out)}
    with open(path, "r+b") as raw:
        raw.write(json.dumps(line).encode().ljust(_SEAL_BYTES - 1) + b"\n")


@functools.lru_cache(maxsize=1024)
def _checked(path: Path, state: tuple[int, ...]) -> str:
    """Once for each file and `state` of it: the digest of a large file takes seconds."""
    try:
        with open(path, "rb") as raw:
            line = json.loads(raw.read(_SEAL_BYTES))
        noted, left_out = str(line["sha256"]), [int(number) for number in line["left_out"]]
        right = line["file"] == _MARK and len(left_out) in (0, 2) and min(left_out, default=0) >= 0
    except (ValueError, KeyError, TypeError):
        right = False
    if not right:
        raise ValueError(
            f"{path}: its beginning is not that of an HDF5 file of this workflow, which holds a "
            f"digest of the rest: it is damaged, or was written by something else; {REMEDY}"
        )
    if noted != _digest(path, left_out):
        raise ValueError(f"{path}: damaged: its content is not what was written; {REMEDY}")
    return noted


def _digest(path: str | os.PathLike, left_out: list[int]) -> str:
    """SHA-256 of all bytes after the seal but those `left_out` (offset and number, or nothing)."""
    begin, count = left_out or (_SEAL_BYTES, 0)
    digest = hashlib.sha256(json.dumps(left_out).encode())
    with open(path, "rb") as raw:
        end = raw.seek(0, os.SEEK_END)
        for start, stop in ((_SEAL_BYTES, begin), (begin + count, end)):
            raw.seek(start)
            while start < stop and (block := raw.read(min(_BLOCK_BYTES, stop - start))):
                digest.update(block)
                start += len(block)
    return digest.hexdigest()


def _reference(file: h5py.File) -> tuple[str, str] | None:
    """Name and kind of what lets a file deliver data that is not in it, if there is anything."""
    kinds = {h5py.h5l.TYPE_SOFT: "a soft link", h5py.h5l.TYPE_EXTERNAL: "a link to another file"}
    found: list[tuple[str, str]] = []

    def look(name: bytes, info: h5py.h5l.LinkInfo) -> None:
        # Hard links are followed, each object once; no other link is.
        text = name.decode(errors="replace")
        if info.type != h5py.h5l.TYPE_HARD:
            found.append((text, kinds.get(info.type, "a link of an unknown kind")))
            return
        item = file[name]
        if isinstance(item, h5py.Dataset):
            if item.is_virtual:
                found.append((text, "a dataset that is mapped to other files"))
            elif item.external:
                found.append((text, "a dataset that is stored in other files"))

    file.id.links.visit(look, info=True)
    return found[0] if found else None
