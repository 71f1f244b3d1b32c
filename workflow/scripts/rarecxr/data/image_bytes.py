"""The bytes of one image file; what is no regular file of a sane size is never opened."""

import os
import stat

from rarecxr.data.decode import Unreadable

# The largest image file that is read, in bytes: 16-bit samples of the most pixels that are decoded.
MAX_BYTES = 1 << 28

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def look_at(path: str | os.PathLike) -> None:
    """See that a path leads to a regular file of a size that is read, without opening it.

    Raises:
        Unreadable: there is no such file, it is something else (a folder, named pipe, socket or
            device), it is too large, or it cannot be reached.
    """
    try:
        _refuse(os.stat(path))
    except (OSError, ValueError) as error:
        raise Unreadable(_reason(error)) from None


def read_bytes(path: str | os.PathLike) -> bytes:
    """The content of an image file.

    Raises:
        Unreadable: as for `look_at`, or the file cannot be read.
    """
    look_at(path)
    try:
        # Whatever took the file's place in between: neither opening nor reading it waits.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(handle, "rb") as file:
            found = os.fstat(handle)
            _refuse(found)
            # A buffer of this size is taken at once.
            return file.read(found.st_size)
    except (OSError, ValueError) as error:
        raise Unreadable(_reason(error)) from None


def _refuse(found: os.stat_result) -> None:
    kind = stat.S_IFMT(found.st_mode)
    if kind != stat.S_IFREG:
        raise Unreadable(f"{_KINDS.get(kind, 'something')}, not a file")
    if found.st_size > MAX_BYTES:
        raise Unreadable(f"a file of {found.st_size} bytes; up to {MAX_BYTES} are read")


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, FileNotFoundError):
        return "missing"
    if isinstance(error, OSError):
        return f"cannot be read: {error.strerror}"
    # os.stat says this of a null character, and of text that the file system cannot encode.
    return f"its path is no file's name: {error}"
