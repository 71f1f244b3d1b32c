"""Resume files: a long run that is killed at any moment goes on where it last saved.

Two generations are kept, written in turn, each under another name first and then moved, with
a checksum. What a file belongs to (settings, code and data) is its identity: a file of another
identity is never used, and never overwritten either but moved aside once.
"""

import contextlib
import fcntl
import hashlib
import io
import json
import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from rarecxr.gan.checkpoint import to_bytes

_log = logging.getLogger(__name__)

FORMAT = "rarecxr resume 1"
SLOTS = ("resume_0.pt", "resume_1.pt")


class ResumeStore:
    """The resume files of one run in a folder of their own, locked while it is open.

    Args:
        folder: made if it is not there.
        identity: digest of all that the run's result depends on.
        lock_wait_s: how long to wait for another process that holds the folder. After a
            requeue the predecessor may have half a minute left.

    Raises:
        TimeoutError: the folder is still locked after `lock_wait_s`.
    """

    def __init__(self, folder: str | os.PathLike, identity: str, lock_wait_s: float = 120.0):
        self.folder = Path(folder)
        self.identity = identity
        self.lock_wait_s = lock_wait_s
        self._lock = None
        self._generation = 0

    def __enter__(self) -> "ResumeStore":
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = open(self.folder / "lock", "w")  # noqa: SIM115 (held until __exit__)
        end = time.monotonic() + self.lock_wait_s
        told = False
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= end:
                    self._lock.close()
                    raise TimeoutError(
                        f"{self.folder}: another process trains here and still did after "
                        f"{self.lock_wait_s:.0f} s; wait for it or end it, then start again"
                    ) from None
                if not told:
                    _log.warning("%s is locked by another process: waiting", self.folder)
                    told = True
                time.sleep(0.2)
        for left_over in self.folder.glob("*.writing"):
            left_over.unlink()
        return self

    def __exit__(self, *exception) -> None:
        self._lock.close()

    def save(self, content: Any, images: int) -> None:
        """Write `content` as the newest generation, in the place of the oldest.

        Args:
            content: tensors and plain values.
            images: progress, to tell the newer generation from the older.
        """
        payload = to_bytes(content)
        path = self.folder / SLOTS[self._generation % 2]
        temporary = path.with_suffix(".writing")
        with open(temporary, "wb") as file:
            file.write(_header(self.identity, images, payload))
            file.write(payload)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        self._generation += 1

    def load(self) -> Any | None:
        """The newest content that is whole and of this identity, or None.

        A damaged file is reported and passed over. Files of other identities are reported and
        moved aside, so that going back to the old settings also goes back to their progress.
        """
        found = []
        for path in sorted(self.folder.glob("*.pt")):
            try:
                header, payload = _read(path)
            except ValueError as error:
                _log.warning("%s is damaged (%s): not used", path, error)
                path.unlink()
                continue
            if header["identity"] == self.identity:
                found.append((header["images"], path, payload))
            elif path.name in SLOTS:
                _log.warning(
                    "%s belongs to other settings, code or data: not used, kept as refused_%s",
                    path,
                    path.name,
                )
                os.replace(path, path.with_name(f"refused_{path.name}"))
        if not found:
            return None
        _, newest, payload = max(found, key=lambda entry: (entry[0], entry[1].name))
        content = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
        if newest.name not in SLOTS:
            os.replace(newest, self.folder / SLOTS[0])
            newest = self.folder / SLOTS[0]
        # The next save goes to the other slot: the file just read stays until it is whole.
        self._generation = 1 - SLOTS.index(newest.name)
        return content


class Signals:
    """Asks of the outside world, seen between two steps.

    SIGTERM and SIGURG (a scheduler's warning) ask to save and go on: ending by itself would
    turn a requeue into a failure. SIGINT asks to save and end; a second one ends at once, as it
    does without us. Outside the main thread, where Python takes no signals, nothing is ever asked.
    """

    def __init__(self):
        self.save = False
        self.end = False

    def _warned(self, number, frame) -> None:
        self.save = True

    def _interrupted(self, number, frame) -> None:
        if self.end:
            raise KeyboardInterrupt
        self.save = self.end = True


@contextlib.contextmanager
def watched_signals() -> Iterator[Signals]:
    """`Signals` whose handlers are in place inside the block."""
    signals = Signals()
    if threading.current_thread() is not threading.main_thread():
        yield signals
        return
    handlers = {
        signal.SIGTERM: signals._warned,
        signal.SIGURG: signals._warned,
        signal.SIGINT: signals._interrupted,
    }
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _header(identity: str, images: int, payload: bytes) -> bytes:
    fields = {"format": FORMAT, "identity": identity, "images": images}
    fields["sha256"] = _checksum(fields, payload)
    return json.dumps(fields, sort_keys=True).encode() + b"\n"


def _checksum(fields: dict[str, Any], payload: bytes) -> str:
    digest = hashlib.sha256(json.dumps(fields, sort_keys=True).encode())
    digest.update(payload)
    return digest.hexdigest()


def _read(path: Path) -> tuple[dict[str, Any], bytes]:
    line, _, payload = path.read_bytes().partition(b"\n")
    try:
        header = json.loads(line)
        checksum = header.pop("sha256")
        wanted = header["format"] == FORMAT
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise ValueError("its first line is no header") from error
    if not wanted:
        raise ValueError(f"its format is not {FORMAT!r}")
    if checksum != _checksum(header, payload):
        raise ValueError("its checksum is wrong")
    return header, payload
