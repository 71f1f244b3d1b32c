"""Files that are either whole or not there, and their digests."""

import contextlib
import functools
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


# Kinds of file whose digest is noted beside them when they are written. HDF5 files hold theirs
# (`rarecxr.core.hdf5`), pictures are not computed with.
_NOTED = frozenset({".csv", ".json", ".npz", ".parquet", ".pt"})


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


def intact(path: str | os.PathLike) -> Path:
    """A path to a file whose content is what was written, as far as its digest is noted.

    The digest is compared once for each file and state of it. A file without a noted digest, as
    from another program or copied alone, is taken as it is.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is empty, is no regular file, or has changed since it was written.
    """
    path = readable(path)
    found, noted = path.stat(), digest_file(path)
    if noted.is_file():
        state = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
        _compare(path, state, noted.read_bytes())
    return path


def digest_file(path: str | os.PathLike) -> Path:
    """Where the digest of a file is noted: beside it, hidden, in the format of `sha256sum`."""
    path = Path(path)
    return path.with_name(f".{path.name}.sha256")


@contextlib.contextmanager
def written_whole(path: str | os.PathLike, noted: bool = True) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends.

    A reader sees the old file, no file or the whole new one, never a part of it. If the
    block raises, what it wrote is removed and `path` stays as it was. The block may
    write a file or a folder; a folder replaces an older one of the same name. What an
    earlier process left there when it was killed is removed.

    The digest of a table, of JSON, arrays and tensors is noted beside the file, for `intact`.

    Args:
        path: the file or folder to write.
        noted: False for files whose digest is never compared.

    Yields:
        The temporary path. It keeps the suffix, so that libraries that choose a format
        by it do what they would do with `path`.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    _remove(temporary)
    for left_over in _left_over(path):
        _remove(left_over)
    try:
        yield temporary
        if temporary.is_dir() and path.is_dir():
            shutil.rmtree(path)
        # Away before the file changes and back after it: whenever this is interrupted, there is no
        # digest or the right one.
        digest_file(path).unlink(missing_ok=True)
        line = _line(path.name, sha256(temporary)) if noted and path.suffix in _NOTED else None
        os.replace(temporary, path)
        if line is not None:
            with written_whole(digest_file(path), noted=False) as beside:
                beside.write_bytes(line)
    finally:
        _remove(temporary)


def sha256(path: str | os.PathLike) -> str:
    """The SHA-256 digest of a file's content, as 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _line(name: str, digest: str) -> bytes:
    return f"{digest}  {name}\n".encode()


@functools.lru_cache(maxsize=4096)
def _compare(path: Path, state: tuple[int, ...], noted: bytes) -> None:
    found = sha256(path)
    # A copy under another name keeps its digest, whatever name stands beside it.
    wanted = noted.split(b" ")[0].decode(errors="replace")
    if found != wanted:
        raise ValueError(
            f"{path}: damaged, or changed since it was written: its SHA-256 is {found[:12]}…, and "
            f"{digest_file(path).name} beside it says {wanted[:12]}…; {REMEDY}"
        )


def _left_over(path: Path) -> Iterator[Path]:
    """Temporary files beside `path` of processes that this machine does not have any more."""
    begin, end = f".{path.stem}.", path.suffix
    for entry in os.scandir(path.parent):
        number = entry.name.removeprefix(begin).removesuffix(end)
        if f"{begin}{number}{end}" == entry.name and number.isdecimal() and not _runs(int(number)):
            yield Path(entry)


def _runs(number: int) -> bool:
    try:
        os.kill(number, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
