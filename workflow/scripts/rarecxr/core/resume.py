"""Resume files: a long run that is killed at any moment goes on where it last saved.

A run's state lies in a folder of its own that no rule declares as its output: Snakemake removes
the declared outputs of a job that failed, and this folder stays for the next attempt. It stays
after success too. A job that got SIGTERM counts as failed whatever it does and loses its outputs;
the next attempt writes them again from the last state. `clean_states` removes what is done.
"""

import contextlib
import fcntl
import hashlib
import json
import logging
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from rarecxr.core.tensors import from_bytes, to_bytes

_log = logging.getLogger(__name__)

FORMAT = "rarecxr resume 2"
SLOTS = ("resume_0.pt", "resume_1.pt")

# What is read of a file at a time, in bytes.
_BLOCK = 1 << 24


class ResumeStore:
    """The resume files of one run, locked while the block lasts, and the signals that ask to save.

    Two generations are kept, written in turn, each under another name first and then moved, with
    a checksum. What a file belongs to (settings, code and data) is its identity: a file of another
    identity is never used, and never overwritten either but moved aside.

    Within the block signals are seen between two steps: SIGTERM and SIGURG (a scheduler's warning)
    ask to save and go on, since ending by itself would turn a requeue into a failure. SIGINT asks
    to save and end; a second one ends at once, as it does without us. Outside the main thread,
    where Python takes no signals, there is the interval alone.

    Args:
        folder: made if it is not there.
        identity: digest of all that the run's result depends on.
        interval_s: seconds of work that a lost machine may cost.
        lock_wait_s: how long to wait for another process that holds the folder. After a
            requeue the predecessor may have half a minute left.

    Attributes:
        scratch: folder for files that are needed during the block alone.

    Raises:
        TimeoutError: the folder is still locked after `lock_wait_s`.
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        identity: str,
        interval_s: float,
        lock_wait_s: float = 120.0,
    ):
        self.folder = Path(folder)
        self.scratch = self.folder / "scratch"
        self.identity = identity
        self.interval_s = interval_s
        self.lock_wait_s = lock_wait_s
        self._asked: signal.Signals | None = None
        self._generation = 0

    def __enter__(self) -> "ResumeStore":
        with contextlib.ExitStack() as stack:
            stack.enter_context(
                _handled({signal.SIGTERM: self._warned, signal.SIGURG: self._warned})
            )
            # The lock first: an interrupt while we wait for it ends the process as usual.
            stack.enter_context(_locked(self.folder, self.lock_wait_s))
            stack.enter_context(_handled({signal.SIGINT: self._interrupted}))
            for left_over in self.folder.glob("*.writing"):
                left_over.unlink()
            shutil.rmtree(self.scratch, ignore_errors=True)
            stack.callback(shutil.rmtree, self.scratch, ignore_errors=True)
            self._block = stack.pop_all()
        self._saved = time.monotonic()
        return self

    def __exit__(self, *exception) -> None:
        self._block.close()

    def due(self) -> bool:
        """Whether to save now: a signal asked for it, or the last time is long ago."""
        return self._asked is not None or time.monotonic() - self._saved >= self.interval_s

    def save(self, content: Any, progress: int, finished: bool = False) -> None:
        """Write `content` as the newest generation, in the place of the oldest.

        Args:
            content: tensors and plain values.
            progress: tells the newer generation from the older.
            finished: True if nothing is left to do but to write the outputs. The older
                generation is removed then.

        Raises:
            KeyboardInterrupt: SIGINT had asked to end; the content is saved.
        """
        asked, self._asked = self._asked, None
        payload = to_bytes(content)
        header = _header(self.identity, progress, finished, payload)
        path = self.folder / SLOTS[self._generation % 2]
        temporary = path.with_suffix(".writing")
        with open(temporary, "wb") as file:
            file.write(header)
            file.write(payload)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        self._generation += 1
        self._saved = time.monotonic()
        if finished:
            (self.folder / SLOTS[self._generation % 2]).unlink(missing_ok=True)
        if asked is not None:
            _log.warning("%s: the state is saved", asked.name)
        if asked == signal.SIGINT:
            raise KeyboardInterrupt

    def load(self) -> Any | None:
        """The newest content that is whole and of this identity, or None.

        A damaged file is reported and removed. Files of another identity are reported, and the
        newest one is kept beside ours as refused_….pt, so that going back to the old settings also
        goes back to their progress. Of several other identities the last one is kept.
        """
        own, others = [], []
        for path, header in _whole_files(self.folder):
            (own if header["identity"] == self.identity else others).append((path, header))
        # The newest last: it is what stays, wherever this is interrupted.
        for path, header in sorted(others, key=lambda entry: entry[1]["progress"]):
            if path.name in SLOTS:
                aside = path.with_name(f"refused_{header['identity'][:16]}.pt")
                _log.warning(
                    "%s belongs to other settings, code or data: not used, kept as %s",
                    path,
                    aside.name,
                )
                os.replace(path, aside)
        refused = set(self.folder.glob("refused_*.pt")) - {path for path, _ in own}
        for path in sorted(refused, key=lambda path: path.stat().st_mtime)[:-1]:
            path.unlink()
        if not own:
            return None
        newest, _ = max(own, key=lambda entry: (entry[1]["progress"], entry[0].name))
        if newest.name not in SLOTS:
            os.replace(newest, self.folder / SLOTS[0])
            newest = self.folder / SLOTS[0]
        # The next save goes to the other slot: the file just read stays until it is whole.
        self._generation = 1 - SLOTS.index(newest.name)
        with open(newest, "rb") as file:
            file.readline()
            return from_bytes(file.read())

    # Handlers only take note: the log may be in the middle of a line.

    def _warned(self, number: int, frame: Any) -> None:
        if self._asked != signal.SIGINT:
            self._asked = signal.Signals(number)

    def _interrupted(self, number: int, frame: Any) -> None:
        if self._asked == signal.SIGINT:
            raise KeyboardInterrupt
        self._asked = signal.Signals(number)


def clean_states(states: Mapping[str, Iterable[str]]) -> None:
    """Remove the resume files of trainings that are done; the log says which, and what was kept.

    A training is done when its newest resume file says so, all its outputs are there and written
    after it, and no process has its folder locked. Other files in a folder stay.

    Args:
        states: by folder of resume files the training's outputs.
    """
    for state, outputs in states.items():
        folder = Path(state)
        try:
            with _locked(folder, wait_s=0):
                reason = _needed(folder, outputs)
                if reason is None:
                    for path in [*folder.glob("*.pt"), *folder.glob("*.writing")]:
                        path.unlink()
                    shutil.rmtree(folder / "scratch", ignore_errors=True)
                    # Last, and while it is ours: who waits for it sees that it is gone.
                    (folder / "lock").unlink()
        except TimeoutError:
            reason = "a process trains here"
        _log.info("%s: %s", folder, "removed" if reason is None else f"kept, {reason}")
        while reason is None and folder.exists() and not any(folder.iterdir()):
            folder.rmdir()
            folder = folder.parent


def _needed(folder: Path, outputs: Iterable[str]) -> str | None:
    """Why the resume files of a folder have to stay, or None."""
    slots = [entry for entry in _whole_files(folder) if entry[0].name in SLOTS]
    if not slots:
        return None
    newest, header = max(slots, key=lambda entry: entry[1]["progress"])
    if not header["finished"]:
        return f"the training is not over at {header['progress']} images"
    for path in map(Path, outputs):
        if not path.exists():
            return f"there is no {path}"
        if path.stat().st_mtime < newest.stat().st_mtime:
            return f"{path} is older"
    return None


@contextlib.contextmanager
def _locked(folder: Path, wait_s: float) -> Iterator[None]:
    """The folder in this process's hands alone.

    Raises:
        TimeoutError: another process still has it after `wait_s`.
    """
    path = folder / "lock"
    end = time.monotonic() + wait_s
    told = False
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        with open(path, "a", encoding="utf-8") as lock:
            if _taken(lock, path):
                yield
                return
        if time.monotonic() >= end:
            raise TimeoutError(
                f"{folder}: another process trains here and still did after {wait_s:.0f} s; "
                "wait for it or end it, then start again"
            )
        if not told:
            _log.warning("%s is locked by another process: waiting", folder)
            told = True
        time.sleep(0.2)


def _taken(lock: IO, path: Path) -> bool:
    """Whether the lock is ours now. A file that was removed meanwhile keeps nobody out."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(lock.fileno()), path.stat())
    except (BlockingIOError, FileNotFoundError):
        return False


@contextlib.contextmanager
def _handled(handlers: Mapping[int, Any]) -> Iterator[None]:
    """Signal handlers that are in place inside the block, in the main thread alone."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _header(identity: str, progress: int, finished: bool, payload: bytes) -> bytes:
    fields = {
        "format": FORMAT,
        "identity": identity,
        "progress": progress,
        "finished": finished,
    }
    digest = _begun_checksum(fields)
    digest.update(payload)
    fields["sha256"] = digest.hexdigest()
    return json.dumps(fields, sort_keys=True).encode() + b"\n"


def _begun_checksum(fields: Mapping[str, Any]):
    """The checksum of a header without its checksum; the payload is to be added."""
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode())


def _whole_files(folder: Path) -> list[tuple[Path, dict[str, Any]]]:
    """Path and header of every resume file that is whole; a damaged one is reported and removed."""
    found = []
    for path in sorted(folder.glob("*.pt")):
        try:
            found.append((path, _read_header(path)))
        except ValueError as error:
            _log.warning("%s is damaged (%s): not used", path, error)
            path.unlink()
    return found


def _read_header(path: Path) -> dict[str, Any]:
    """The header of a file whose checksum is right.

    Raises:
        ValueError: the file is damaged.
    """
    with open(path, "rb") as file:
        try:
            header = json.loads(file.readline())
            checksum = header.pop("sha256")
            wanted = header["format"] == FORMAT
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise ValueError("its first line is no header") from error
        if not wanted:
            raise ValueError(f"its format is not {FORMAT!r}")
        digest = _begun_checksum(header)
        while block := file.read(_BLOCK):
            digest.update(block)
    if checksum != digest.hexdigest():
        raise ValueError("its checksum is wrong")
    return header
