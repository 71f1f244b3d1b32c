"""HDF5 files, opened so that a damaged or hostile one is refused by name."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import h5py

# How the messages of the HDF5 library begin; an error of other code within a block is not its.
_HDF5_MESSAGES = ("Can't", "Unable to", "Unspecified error in H5")
_REMEDY = (
    "remove the file and run the workflow again, which then makes it anew; "
    "a file from elsewhere must be copied again"
)


@contextlib.contextmanager
def open_hdf5(path: str | os.PathLike) -> Iterator[h5py.File]:
    """An HDF5 file that is open for reading, for the time of a `with` block.

    All that is read must be in the file itself: links to other files, datasets that are stored
    in or mapped to other files and soft links are refused, since a file that a user was given
    could otherwise deliver the content of any file that the user may read.

    Files are opened without a lock, which some file systems do not have. None is needed: this
    workflow writes files under another name and moves them when they are whole.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is no HDF5 file, is damaged, or refers to data outside of itself; also
            for what the HDF5 library raises within the block, such as a missing dataset or a
            part that cannot be decompressed.
    """
    path = Path(path)
    if not path.is_file():
        if path.exists():
            raise ValueError(f"{path}: a folder or a device, where an HDF5 file is expected")
        raise FileNotFoundError(f"{path}: no such file; {_REMEDY}")
    if path.stat().st_size == 0:
        raise ValueError(f"{path}: an empty file, where an HDF5 file is expected; {_REMEDY}")
    try:
        with h5py.File(path, "r", locking=False) as file:
            _refuse_references(path, file)
            yield file
    except PermissionError:
        raise
    except (KeyError, OSError, RuntimeError) as error:
        message = str(error.args[0]) if error.args else ""
        if not message.startswith(_HDF5_MESSAGES):
            raise
        raise ValueError(
            f"{path}: damaged, or not an HDF5 file of the expected kind ({message}); {_REMEDY}"
        ) from error


@contextlib.contextmanager
def create_hdf5(path: str | os.PathLike) -> Iterator[h5py.File]:
    """A new HDF5 file that is open for writing, without a lock, for the time of a `with` block.

    An older file of this name is overwritten: give a path from `written_whole`.
    """
    with h5py.File(path, "w", locking=False) as file:
        yield file


def _refuse_references(path: Path, file: h5py.File) -> None:
    """Refuse whatever lets a file deliver data that is not in it."""
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
    if found:
        name, kind = found[0]
        raise ValueError(
            f"{path}: {name!r} is {kind}. Such a file could read any other file of this machine "
            "and is refused; use a file that holds all of its data (h5repack, or a copy that reads "
            "and writes each dataset)"
        )
