"""Files that are either whole or not there, and their digests."""

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

# What helps against a file that is not as it should be; the end of many messages.
REMEDY = (
    "remove the file and run the workflow again, which then makes it anew; "
    "a file from elsewhere must be copied again"
)


def readable(path: str | os.PathLike) -> Path:
    """A path to a file that holds something, so that reading it gives sensible errors.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is empty, or is no regular file.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file; {REMEDY}")
    if not path.is_file():
        raise ValueError(f"{path}: a folder or a device, where a file is expected")
    if path.stat().st_size == 0:
        raise ValueError(f"{path}: an empty file; {REMEDY}")
    return path


@contextlib.contextmanager
def written_whole(path: str | os.PathLike) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends.

    A reader sees the old file, no file or the whole new one, never a part of it. If the
    block raises, what it wrote is removed and `path` stays as it was. The block may
    write a file or a folder; a folder replaces an older one of the same name.

    Yields:
        The temporary path. It keeps the suffix, so that libraries that choose a format
        by it do what they would do with `path`.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    _remove(temporary)
    try:
        yield temporary
        if temporary.is_dir() and path.is_dir():
            shutil.rmtree(path)
        os.replace(temporary, path)
    finally:
        _remove(temporary)


def sha256(path: str | os.PathLike) -> str:
    """The SHA-256 digest of a file's content, as 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
