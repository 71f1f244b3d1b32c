"""Worker processes: one for each further device of a training, started and ended by the first.

The job's own process is the first rank: it alone gets signals, logs, saves and writes. A worker
is a plain new process of this Python that calls one function (a process of `multiprocessing` would
run the script of a Snakemake job once more). It ends when its standard input is closed, so
that none is left behind however the first process ends, even by SIGKILL.
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
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch.distributed as dist

from rarecxr.gan.distributed import ProcessGroup, Rank, connect

_log = logging.getLogger(__name__)

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGURG)


class WorkerError(RuntimeError):
    """A worker process has died."""


@dataclass(frozen=True)
class WorkerTask:
    """What the process of a further device has to know to hold the same as the first: plain values.

    Attributes:
        images: path of the training set.
        base: path of the generator.pt to start from, or None.
        settings: the section `gan` as `Section.plain` has it.
        conditional: whether the GAN is conditioned on labels.
        seed: of weights, order and latents.
        threads: CPU threads of each process.
    """

    images: str
    base: str | None
    settings: dict[str, Any]
    conditional: bool
    seed: int
    threads: int


@contextlib.contextmanager
def start_workers(
    call: str,
    task: WorkerTask,
    group_size: int,
    world_size: int,
    folder: str | os.PathLike,
    grace_s: float = 60.0,
) -> Iterator[ProcessGroup]:
    """Start the workers of a training; yields the process group of the first rank.

    Args:
        call: Python code that a worker runs; the function that it calls begins with
            `begin_worker`.
        task: for `begin_worker`.
        group_size: see `ProcessGroup`.
        world_size: number of processes, this one included.
        folder: where the processes may meet by a file.
        grace_s: seconds that this process has to end by itself once a worker is dead, before it is
            ended: an exchange of a GPU with a dead process never returns.

    Raises:
        WorkerError: a worker has died, when the processes connect or within the block.
    """
    rendezvous = Path(folder) / "rendezvous"
    rendezvous.parent.mkdir(parents=True, exist_ok=True)
    rendezvous.unlink(missing_ok=True)
    first, *others = (
        Rank(str(rendezvous), group_size, number, world_size) for number in range(world_size)
    )
    processes, over = [], threading.Event()
    try:
        for rank in others:
            processes.append(_start_process(call, rank, task))
        watchdog = threading.Thread(
            target=_end_with_a_dead_worker, args=(processes, over, grace_s), daemon=True
        )
        watchdog.start()
        wait = functools.partial(_wait_for, processes)
        yield connect(first, wait)
    except RuntimeError as error:
        # Whatever an exchange with a dead process is called, this is its cause.
        if _dead(processes, within_s=5.0):
            raise WorkerError(_death_of(processes)) from error
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


def begin_worker() -> tuple[Rank, WorkerTask]:
    """Rank and task of this worker process, which from now on lives no longer than the first."""
    # A scheduler signals every process of a job; the first process decides what is done.
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    # The first process logs what is worth a line; errors come as tracebacks.
    logging.disable(logging.WARNING)
    rank, task = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_the_first, daemon=True).start()
    return Rank(**rank), WorkerTask(**task)


def end_worker() -> None:
    """Leave the process group, and stay until the first process is done with its workers."""
    dist.destroy_process_group()
    threading.Event().wait()


def _end_with_the_first() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


def _start_process(call: str, rank: Rank, task: WorkerTask) -> subprocess.Popen:
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "OMP_NUM_THREADS": str(task.threads),
    }
    # Signals are blocked in a new process until it ignores them: one that arrives in between would
    # end it.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        process = subprocess.Popen(  # noqa: S603 - this Python and a call of ours, no shell
            [sys.executable, "-c", call], stdin=subprocess.PIPE, env=environment
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    process.stdin.write(json.dumps([asdict(rank), asdict(task)]).encode() + b"\n")
    process.stdin.flush()
    return process


def _wait_for(processes: list[subprocess.Popen], is_present: Callable[[int], bool]) -> None:
    while not all(is_present(rank) for rank in range(1, len(processes) + 1)):
        if _dead(processes):
            raise WorkerError(_death_of(processes))
        time.sleep(0.02)


def _end_with_a_dead_worker(
    processes: list[subprocess.Popen], over: threading.Event, grace_s: float
) -> None:
    """End this process some time after a worker has died, if it has not ended by itself."""
    while not over.wait(min(1.0, grace_s)):
        if _dead(processes) and not over.wait(grace_s):
            _log.critical("%s", _death_of(processes))
            os._exit(1)


def _dead(processes: list[subprocess.Popen], within_s: float = 0.0) -> list[int]:
    """Ranks of the workers that have ended, or end within some seconds."""
    end = time.monotonic() + within_s
    while True:
        dead = [rank for rank, process in enumerate(processes, 1) if process.poll() is not None]
        if dead or time.monotonic() >= end:
            return dead
        time.sleep(0.05)


def _death_of(processes: list[subprocess.Popen]) -> str:
    rank = _dead(processes)[0]
    status = processes[rank - 1].returncode
    how = signal.Signals(-status).name if status < 0 else f"exit status {status}"
    return (
        f"the worker process of device {rank} has died ({how}); its own messages stand above in "
        "the log. The last resume file is kept: start again to go on from it. If it ran out of "
        "memory, give a smaller gan.batch_size, more memory to the job, or gan.devices 1"
    )
