"""GPUs of this machine for one job: its own ones, which no other job of ours has.

A scheduler such as SLURM shows a job the GPUs that it was given. Where there is no scheduler
(Snakemake on one machine counts the GPUs of all jobs together, but assigns none), a job takes as
many as it asks for by a lock for each GPU, and sees no others.
"""

import contextlib
import fcntl
import logging
import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import IO

from rarecxr.core.locks import WITHOUT_LOCKS

log = logging.getLogger(__name__)

# Locks of this process, held until it ends, however it ends.
_held: list[IO] = []


def take_gpus(number: int, folder: str | os.PathLike | None = None, wait_s: float = 1.0) -> None:
    """Make `number` GPUs this process's own, waiting for them if need be.

    Has to come before CUDA is first used in this process, since it sets CUDA_VISIBLE_DEVICES.
    Where no more GPUs are visible than asked for, they are used as they are.

    Args:
        number: how many.
        folder: where the lock files lie; None for one in the folder for temporary files, for each
            user. Jobs that are to keep clear of one another need the same.
        wait_s: seconds between two looks while all are taken.

    Raises:
        ValueError: the folder's file system has no locks.
    """
    if _held or "SLURM_JOB_ID" in os.environ:
        return
    names = visible_gpus()
    if len(names) <= number:
        return
    place = Path(folder or Path(tempfile.gettempdir()) / f"rarecxr-gpus-{os.getuid()}")
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    warned = False
    while True:
        try:
            taken = _take(names, number, place)
        except OSError as error:
            if error.errno not in WITHOUT_LOCKS:
                raise
            raise ValueError(
                f"{place}: this file system has no locks ({error.strerror}), by which jobs of this "
                "machine assign its GPUs; set TMPDIR to a folder on a local disk, or "
                "CUDA_VISIBLE_DEVICES to the GPUs of this job"
            ) from None
        if taken:
            break
        if not warned:
            log.info("all of %d GPUs are taken: waiting for %d", len(names), number)
            warned = True
        time.sleep(wait_s)
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(taken)
    log.info("uses GPU %s", ", ".join(taken))


def visible_gpus() -> list[str]:
    """Numbers or UUIDs of the GPUs that CUDA would see, without starting CUDA."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name.strip() for name in visible.split(",") if name.strip()]
    command = ["nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader"]
    try:
        listed = subprocess.run(  # noqa: S603 - a fixed command, no shell
            command, capture_output=True, text=True, check=True, timeout=60, encoding="utf-8"
        )
    except (OSError, subprocess.SubprocessError):
        return []
    return listed.stdout.split()


def _take(names: list[str], number: int, folder: Path) -> list[str]:
    """Names of `number` GPUs whose locks are held from now on; none if fewer are free."""
    with contextlib.ExitStack() as stack:
        # One looks at a time, or two that want several would each hold what the other lacks.
        queue = stack.enter_context(open(folder / "queue", "w", encoding="utf-8"))
        fcntl.flock(queue, fcntl.LOCK_EX)
        locks, free = stack.enter_context(contextlib.ExitStack()), []
        for name in names:
            file = locks.enter_context(
                open(folder / f"{name.replace('/', '_')}.lock", "w", encoding="utf-8")
            )
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            free.append((name, file))
            if len(free) == number:
                locks.pop_all()
                _held.extend(file for _, file in free)
                return [name for name, _ in free]
    return []
