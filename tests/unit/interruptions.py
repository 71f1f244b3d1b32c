"""Runs that are killed at random moments, for the tests of both trainings."""

import fcntl
import multiprocessing
import os
import random
import signal
import time


def child(function, *arguments, **keywords):
    """A process that calls `function` and ends without any clean-up."""
    process = multiprocessing.get_context("fork").Process(
        target=_call, args=(function, arguments, keywords)
    )
    process.start()
    return process


def _call(function, arguments, keywords):
    os.environ["OMP_NUM_THREADS"] = "1"
    function(*arguments, **keywords)
    os._exit(0)


def wait_until_locked(state, process, within_s=120):
    """Wait until `process` holds the lock of a folder of resume files, however slow the machine."""
    end = time.monotonic() + within_s
    while not _locked(state / "lock"):
        assert process.is_alive(), "it ended without having taken the lock"
        assert time.monotonic() < end, "it did not take the lock"
        time.sleep(0.05)


def _locked(path):
    try:
        with open(path, encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def run_under_kills(state, begin, kills=10, longest_s=0.3):
    """Start a run again and again, kill it at random moments, and let it end after `kills` of them.

    Args:
        state: its folder of resume files.
        begin: starts it and returns the process.
        kills: that hit it while it runs.
        longest_s: a life's length, at most.
    """
    chance, count = random.Random(0), 0
    while True:
        process = begin()
        process.join(120 if count >= kills else chance.uniform(0.02, longest_s))
        if not process.is_alive():
            assert process.exitcode == 0
            if count >= kills:
                return
            # It was too fast: the rest of the kills hit a run that begins anew.
            for path in state.glob("*.pt"):
                path.unlink()
            continue
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        # It may have ended by itself between the look and the kill.
        assert process.exitcode in (0, -signal.SIGKILL)
        count += process.exitcode == -signal.SIGKILL
