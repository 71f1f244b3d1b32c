"""A lock that one process at a time holds, on any file system.

Where the file system has locks, it is one of those (`flock`), which ends with its process however
that ends. Network file systems may have none. There the lock is a file beside it, which its holder
touches every few seconds: who waits takes it over when it is not touched any more.
"""

import contextlib
import errno
import fcntl
import json
import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

log = logging.getLogger(__name__)

# What flock says where there are no locks: NFS without its lock service, Lustre without -o flock,
# and file systems in user space.
WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)

# Seconds between two signs of life of a holder without a real lock, and without one of them after
# which it counts as gone. Both are measured by one machine's own clock.
BEAT_S = 10.0
GONE_S = 60.0
# Seconds between two looks of a process that waits.
_LOOK_S = 0.2


class LockLost(RuntimeError):
    """Another process has taken this one for dead and the lock for itself."""


class Lock:
    """A lock that is held.

    Attributes:
        owner: the file that stands for it where the file system has no locks, else None.
    """

    def __init__(self, owner: Path | None = None, token: bytes = b""):
        self.owner, self._token = owner, token

    def check(self) -> None:
        """See that the lock is still ours.

        Raises:
            LockLost: it was taken over while this process stood still.
        """
        if self.owner is not None and _content(self.owner) != self._token:
            raise LockLost(
                f"{self.owner}: this process gave no sign of life for {GONE_S:.0f} s, so another "
                "one goes on in its place; nothing is lost"
            )


@contextlib.contextmanager
def locked(path: str | os.PathLike, wait_s: float, busy: str) -> Iterator[Lock]:
    """The lock `path` in this process's hands alone, for the time of a `with` block.

    Args:
        path: file that is locked, made with its folder if it is not there. It may be removed
            by its holder.
        wait_s: how long to wait for another process that holds it.
        busy: what the error says of it, as in "another process trains here".

    Raises:
        TimeoutError: another process still holds it after `wait_s`.
    """
    path = Path(path)
    owner = path.with_name(f"{path.name}.owner")
    end = time.monotonic() + wait_s
    watch = _Watch(owner)
    warned = False
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            file = stack.enter_context(open(path, "ab"))
            try:
                held = Lock() if _flocked(file, path) else None
            except OSError as error:
                if error.errno not in WITHOUT_LOCKS:
                    raise
                held = stack.enter_context(_owned(owner, watch, error))
            if held:
                yield held
                return
        if time.monotonic() >= end:
            hint = f"; if it is long gone, remove {owner}" if owner.exists() else ""
            raise TimeoutError(
                f"{path.parent}: {busy} and still did after {wait_s:.0f} s; "
                f"wait for it or end it, then start again{hint}"
            )
        if not warned:
            log.warning("%s is locked by another process: waiting", path.parent)
            warned = True
        time.sleep(_LOOK_S)


def _flocked(file: IO, path: Path) -> bool:
    """Whether the lock is ours now. A file that was removed meanwhile excludes no other process.

    Raises:
        OSError: the file system has no locks.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except (BlockingIOError, FileNotFoundError):
        return False


@contextlib.contextmanager
def _owned(owner: Path, watch: "_Watch", reason: OSError) -> Iterator[Lock | None]:
    """The lock by a file that only one process can make; None if another one has it."""
    token = json.dumps({**_place(), "pid": os.getpid(), "token": secrets.token_hex(16)}).encode()
    watch.remove_if_gone()
    try:
        handle = os.open(owner, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        yield None
        return
    with os.fdopen(handle, "wb") as file:
        file.write(token)
    log.warning(
        "%s: this file system has no locks (%s); the file %s is used instead",
        owner.parent,
        reason.strerror,
        owner.name,
    )
    ended = threading.Event()
    beating = threading.Thread(target=_beat, args=(owner, ended), daemon=True)
    beating.start()
    try:
        yield Lock(owner, token)
    finally:
        ended.set()
        beating.join()
        if _content(owner) == token:
            owner.unlink(missing_ok=True)


def _beat(owner: Path, ended: threading.Event) -> None:
    while not ended.wait(BEAT_S):
        # A failure shows when the state is saved next, by `Lock.check`.
        with contextlib.suppress(OSError):
            os.utime(owner)


class _Watch:
    """What a waiting process sees of a holder that has no real lock."""

    def __init__(self, owner: Path):
        self.owner = owner
        self._seen: tuple[bytes | None, int] = (None, 0)
        self._since = 0.0

    def remove_if_gone(self) -> None:
        """Remove the holder's file if the holder has ended without doing so."""
        try:
            # Opened, and not only looked at: so a network file system asks its server.
            with open(self.owner, "rb") as file:
                seen = file.read(), os.fstat(file.fileno()).st_mtime_ns
        except FileNotFoundError:
            return
        if seen != self._seen:
            self._seen, self._since = seen, time.monotonic()
        if time.monotonic() - self._since < GONE_S and not _ended_here(seen[0]):
            return
        log.warning("%s: its process gives no sign of life any more: taken over", self.owner)
        aside = self.owner.with_name(f"{self.owner.name}.{secrets.token_hex(8)}")
        with contextlib.suppress(FileNotFoundError):
            os.rename(self.owner, aside)
            if _content(aside) != seen[0]:
                # Somebody else was quicker and holds it now.
                with contextlib.suppress(FileExistsError):
                    os.link(aside, self.owner)
            aside.unlink()


def _ended_here(token: bytes) -> bool:
    """Whether the holder was a process of this machine that is no more."""
    try:
        holder = json.loads(token)
        here = holder.items() >= _place().items()
        os.kill(holder["pid"], 0)
    except ProcessLookupError:
        return here
    except (ValueError, TypeError, KeyError, AttributeError, OSError):
        # Half written, or another user's.
        pass
    return False


def _place() -> dict[str, str]:
    """Where process numbers mean the same: the machine since its start, and the container."""
    place = {"host": socket.gethostname(), "boot": "", "space": ""}
    with contextlib.suppress(OSError):
        place["boot"] = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
        place["space"] = os.readlink("/proc/self/ns/pid")
    return place


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
