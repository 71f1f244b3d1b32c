"""What a long run needs to go on where it was stopped: a lock, a warning and a resume file."""

import fcntl
import logging
import os
import shutil
import signal
import threading
import time
from pathlib import Path
from typing import Any

import torch

from rarecxr.files import written_whole

log = logging.getLogger(__name__)

# Seconds of work that a lost machine may cost.
SAVE_INTERVAL_S = 120.0


class ResumeState:
    """The resume file of one run, in a folder that no rule declares as its output.

    Snakemake removes the declared outputs of a job that failed; this file stays, and the next
    attempt goes on from it. Within the block the folder is locked, since a job that was pushed
    out may live half a minute beside its successor, and SIGTERM (time limit, preemption,
    cancelling) and SIGURG (the warning before a time limit) ask for a save at the next step
    instead of ending the process.

    When the block ends well, the folder is removed, unless a signal came: the job then counts as
    failed whatever it does, its outputs are deleted, and the next attempt writes them again
    from the state in no time.

    Args:
        folder: made if it is not there.
        identity: digest of all that the run depends on. The state of another run is ignored.

    Attributes:
        scratch: folder for files that are needed during the block alone.
    """

    def __init__(self, folder: str | os.PathLike, identity: str):
        self.folder = Path(folder)
        self.file = self.folder / "resume.pt"
        self.scratch = self.folder / "scratch"
        self.identity = identity
        self.warned = self.was_warned = False
        self.saved = time.monotonic()

    def __enter__(self) -> "ResumeState":
        self.folder.mkdir(parents=True, exist_ok=True)
        self.lock = open(self.folder / "lock", "w")
        fcntl.flock(self.lock, fcntl.LOCK_EX)
        self.handlers = {}
        # Handlers can be set by the main thread alone; elsewhere the interval has to do.
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGURG):
                self.handlers[number] = signal.signal(number, self._warn)
        return self

    def __exit__(self, *exception) -> None:
        for number, handler in self.handlers.items():
            signal.signal(number, handler)
        shutil.rmtree(self.scratch, ignore_errors=True)
        if exception[0] is None and not self.was_warned:
            shutil.rmtree(self.folder)
        self.lock.close()

    def load(self) -> dict[str, Any] | None:
        """What was saved last, with tensors on the CPU; None if this run has saved nothing."""
        if not self.file.exists():
            return None
        state = torch.load(self.file, map_location="cpu", weights_only=True)
        if state["identity"] != self.identity:
            log.warning("%s is of other settings, data or code: starting anew", self.file)
            return None
        return state["values"]

    def due(self) -> bool:
        """Whether to save now: a signal asked for it, or the last time is long ago."""
        return self.warned or time.monotonic() - self.saved >= SAVE_INTERVAL_S

    def save(self, values: dict[str, Any]) -> None:
        """Save plain values and tensors, whole or not at all."""
        self.warned = False
        with written_whole(self.file) as temporary, open(temporary, "wb") as file:
            torch.save({"identity": self.identity, "values": values}, file)
        self.saved = time.monotonic()

    def _warn(self, number: int, frame: Any) -> None:
        log.warning("%s: saving the state and going on", signal.Signals(number).name)
        self.warned = self.was_warned = True
