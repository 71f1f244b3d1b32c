"""Helper processes: one for each further device of a training, started and ended by the first.

The job's own process is the first rank: it alone gets signals, logs, saves and writes. A helper
is a plain new process of this Python that calls one function (a process of `multiprocessing` would
run the script of a Snakemake job once more). It ends when its standard input is closed, so
that none is left behind however the first process ends, by SIGKILL too.
"""

import contextlib
import functools
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch.distributed as dist

from rarecxr.gan.distributed import Ranks, connected

_log = logging.getLogger(__name__)

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGURG)
# Seconds that the first process has to end by itself once a helper is dead, before it is ended: a
# GPU's exchange with a dead process never returns.
_GRACE_S = 60.0


class HelperError(RuntimeError):
    """A helper process has died."""


@contextlib.contextmanager
def helped(
    call: str, task: dict[str, Any], group_size: int, count: int, folder: str | os.PathLike
) -> Iterator[Ranks]:
    """Helpers at work: the first rank of `count`, which is connected with all others.

    Args:
        call: Python code that a helper runs; what it calls begins with `begin_helping`.
        task: plain values for `begin_helping`.
        group_size: see `Ranks`.
        count: number of processes, this one included.
        folder: where the processes may meet by a file.

    Raises:
        HelperError: a helper has died, when the processes connect or within the block.
    """
    meeting_place = Path(folder) / "meeting_place"
    meeting_place.parent.mkdir(parents=True, exist_ok=True)
    meeting_place.unlink(missing_ok=True)
    task = {**task, "meeting_place": str(meeting_place), "count": count, "group_size": group_size}
    processes, over = [], threading.Event()
    try:
        for rank in range(1, count):
            processes.append(_started(call, {**task, "rank": rank}))
        threading.Thread(target=_watch, args=(processes, over), daemon=True).start()
        yield connected(
            meeting_place, group_size, 0, count, functools.partial(_wait_for, processes)
        )
    except RuntimeError as error:
        # Whatever an exchange with a dead process is called, this is its cause.
        if _dead(processes, within_s=5.0):
            raise HelperError(_what_died(processes)) from error
        raise
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()
        over.set()
        for process in processes:
            process.stdin.close()
        for process in processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def begin_helping() -> dict[str, Any]:
    """The task of this helper process, which from now on lives no longer than the first process.

    Returns:
        The task, with rank, count, group_size and meeting_place, for `connected`.
    """
    # A scheduler signals every process of a job; what is to be done is up to the first one.
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    # What is worth a line in the log is the first process's to say; errors come as tracebacks.
    logging.disable(logging.WARNING)
    task = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_the_first, daemon=True).start()
    return task


def end_helping() -> None:
    """Part from the other ranks, and stay until the first process is done with them."""
    dist.destroy_process_group()
    threading.Event().wait()


def _end_with_the_first() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


def _started(call: str, task: dict[str, Any]) -> subprocess.Popen:
    threads = str(task["threads"])
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "OMP_NUM_THREADS": threads,
    }
    # Signals are blocked in a new process until it ignores them, or one that comes meanwhile
    # would end it.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        process = subprocess.Popen(
            [sys.executable, "-c", call], stdin=subprocess.PIPE, env=environment
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    process.stdin.write(json.dumps(task).encode() + b"\n")
    process.stdin.flush()
    return process


def _wait_for(processes: list[subprocess.Popen], has_come: Callable[[int], bool]) -> None:
    while not all(has_come(rank) for rank in range(1, len(processes) + 1)):
        if _dead(processes):
            raise HelperError(_what_died(processes))
        time.sleep(0.02)


def _watch(processes: list[subprocess.Popen], over: threading.Event) -> None:
    """End this process some time after a helper has died, if it has not ended by itself."""
    while not over.wait(1.0):
        if _dead(processes) and not over.wait(_GRACE_S):
            _log.critical("%s", _what_died(processes))
            os._exit(1)


def _dead(processes: list[subprocess.Popen], within_s: float = 0.0) -> list[int]:
    """Ranks of the helpers that have ended, or end within some seconds."""
    end = time.monotonic() + within_s
    while True:
        dead = [rank for rank, process in enumerate(processes, 1) if process.poll() is not None]
        if dead or time.monotonic() >= end:
            return dead
        time.sleep(0.05)


def _what_died(processes: list[subprocess.Popen]) -> str:
    rank = _dead(processes)[0]
    status = processes[rank - 1].returncode
    how = signal.Signals(-status).name if status < 0 else f"exit status {status}"
    return (
        f"the helper process of device {rank} has died ({how}); what it said stands above in the "
        "log. The last resume file is kept: start again to go on from it. If it ran out of memory, "
        "give a smaller gan.minibatch, more memory to the job, or gan.devices 1"
    )
