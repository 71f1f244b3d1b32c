"""Resume files: a long run that is killed at any moment goes on where it last saved.

A run's state is kept in a folder of its own that no rule declares as its output: Snakemake removes
the declared outputs of a job that failed, and this folder stays for the next attempt. It stays
after success too. A job that got SIGTERM counts as failed whatever it does and loses its outputs;
the next attempt writes them again from the last state. States of other settings stay beside it,
however many, so that going back to any of them goes back to its progress. Only `clean_states`
removes them.
"""

import contextlib
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
from typing import Any

from rarecxr.core.job_log import warn_loudly
from rarecxr.core.locks import Lock, locked

_log = logging.getLogger(__name__)

# How the formats of all versions begin, and this version's.
_FORMATS = "rarecxr resume "
FORMAT = f"{_FORMATS}2"
SLOTS = ("resume_0.pt", "resume_1.pt")

# What is read of a file at a time, in bytes.
_BLOCK = 1 << 24


class ResumeStore:
    """The resume files of one run, locked while the block lasts, and the signals that ask to save.

    Two generations are kept, written in turn, each under another name first and then moved, with
    a checksum. What a file belongs to (settings, code and data) is its identity: a file of another
    identity is never used, and never overwritten either but kept aside, one for each identity.

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
            self._lock = stack.enter_context(_locked(self.folder, self.lock_wait_s))
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
            LockLost: another process has taken over the folder.
        """
        self._lock.check()
        asked, self._asked = self._asked, None
        # Here and not above: who only removes resume files needs no PyTorch.
        from rarecxr.core.tensors import to_bytes

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

        A damaged file is reported and removed. Files of another identity, or of another version's
        format, are reported and kept beside ours as refused_….pt: the newest one of each identity,
        which is used again as soon as its settings, code and data are back.
        """
        from rarecxr.core.tensors import from_bytes

        own, others = [], []
        for path, header in _whole_files(self.folder):
            (own if header["identity"] == self.identity else others).append((path, header))
        # The newest last: it is what stays, wherever this is interrupted.
        for path, header in sorted(others, key=lambda entry: entry[1]["progress"]):
            if path.name in SLOTS:
                aside = path.with_name(f"refused_{header['identity'][:16]}.pt")
                warn_loudly(
                    f"{path} belongs to other settings, code or data: not used, kept as "
                    f"{aside.name}{'' if own else '; this training begins anew'}"
                )
                os.replace(path, aside)
        if refused := _refused(self.folder):
            _log.info(
                "%s: %s of other settings, code or data stay until `snakemake clean_states`",
                self.folder,
                _amount(refused),
            )
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
            return from_bytes(file.read(), str(newest), "the state of a training")

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
    after it, and no process has its folder locked. Its states of other settings go with it; the
    log says how many they were and what room they took. Other files in a folder stay.

    Args:
        states: by folder of resume files the training's outputs.
    """
    for state, outputs in states.items():
        folder = Path(state)
        if not folder.is_dir():
            continue
        refused = _refused(folder)
        others = f" with {_amount(refused)} of other settings, code or data" if refused else ""
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
        _log.info("%s%s: %s", folder, others, "removed" if reason is None else f"kept, {reason}")
        while reason is None and folder.exists() and not any(folder.iterdir()):
            folder.rmdir()
            folder = folder.parent


def _needed(folder: Path, outputs: Iterable[str]) -> str | None:
    """Why the resume files of a folder have to stay, or None."""
    if not any(folder.glob("*.pt")):
        return None
    slots = [entry for entry in _whole_files(folder) if entry[0].name in SLOTS]
    newest, header = max(slots, key=lambda entry: entry[1]["progress"], default=(None, None))
    if header and not header["finished"]:
        return f"the training is not over at {header['progress']} images"
    for path in map(Path, outputs):
        if not path.exists():
            return f"there is no {path}"
        if newest and path.stat().st_mtime < newest.stat().st_mtime:
            return f"{path} is older"
    return None


def _locked(folder: Path, wait_s: float) -> contextlib.AbstractContextManager[Lock]:
    return locked(folder / "lock", wait_s, "another process trains here")


def _refused(folder: Path) -> list[Path]:
    """States that do not belong to the settings, code and data of the folder's last training."""
    return sorted(folder.glob("refused_*.pt"))


def _amount(paths: list[Path]) -> str:
    size = sum(path.stat().st_size for path in paths)
    return f"{len(paths)} state{'s' if len(paths) > 1 else ''} ({size / 1e6:.1f} MB)"


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
    """Path and header of every resume file that is whole and of our format.

    A damaged one is reported and removed, one of another version's format is reported and kept.
    """
    found = []
    for path in sorted(folder.glob("*.pt")):
        try:
            found.append((path, _read_header(path)))
        except _OtherFormat as error:
            if path.name in SLOTS:
                aside = path.with_name(f"refused_{_name(path)}.pt")
                warn_loudly(f"{path}: {error}: not used, kept as {aside.name}")
                os.replace(path, aside)
        except ValueError as error:
            warn_loudly(f"{path} is damaged ({error}): not used")
            path.unlink()
    return found


class _OtherFormat(ValueError):
    """The file is a resume file of another version of this program."""


def _name(path: Path) -> str:
    """A name for a file of unknown content."""
    with open(path, "rb") as file:
        return hashlib.sha256(file.readline()).hexdigest()[:16]


def _read_header(path: Path) -> dict[str, Any]:
    """The header of a file whose checksum is right.

    Raises:
        _OtherFormat: another version wrote it.
        ValueError: the file is damaged.
    """
    with open(path, "rb") as file:
        try:
            header = json.loads(file.readline())
            checksum = header.pop("sha256")
            written = str(header["format"])
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise ValueError("its first line is no header") from error
        if written != FORMAT and written.startswith(_FORMATS):
            raise _OtherFormat(f"its format is {written!r}, not {FORMAT!r}")
        digest = _begun_checksum(header)
        while block := file.read(_BLOCK):
            digest.update(block)
    if checksum != digest.hexdigest():
        raise ValueError("its checksum is wrong")
    return header
