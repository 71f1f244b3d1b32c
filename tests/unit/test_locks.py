"""One holder at a time, with the file system's locks and without."""

import errno
import fcntl
import json
import os
import signal
import time

import no_locks
import pytest
from interruptions import child

from rarecxr.core import locks
from rarecxr.core.locks import LockLost, locked
from rarecxr.core.resume import ResumeStore

BUSY = "another process is here"


@pytest.fixture(params=[None, *no_locks.ERRORS], ids=lambda error: errno.errorcode.get(error))
def file_system(request, monkeypatch):
    """Locks of the file system, or none: then flock fails with this number."""
    if request.param:

        def flock(*_):
            raise OSError(request.param, os.strerror(request.param))

        monkeypatch.setattr(fcntl, "flock", flock)
    monkeypatch.setattr(locks, "BEAT_S", 0.05)
    monkeypatch.setattr(locks, "GONE_S", 0.5)
    return request.param


def take(path, wait_s=10.0):
    return locked(path, wait_s, BUSY)


def hold(path, seconds):
    with take(path):
        path.with_name("held").touch()
        time.sleep(seconds)


def held_elsewhere(path, seconds):
    process = child(hold, path, seconds)
    end = time.monotonic() + 20
    while not path.with_name("held").exists():
        assert time.monotonic() < end
        time.sleep(0.01)
    return process


def test_it_is_free_again_afterwards(file_system, tmp_path):
    for _ in range(2):
        with take(tmp_path / "new/lock", 0) as lock:
            lock.check()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["lock"]


def test_a_second_process_waits_and_then_gives_up(file_system, tmp_path):
    process = held_elsewhere(tmp_path / "lock", 60)
    try:
        with pytest.raises(TimeoutError, match=BUSY) as error, take(tmp_path / "lock", 1.5):
            pass
        assert ("remove" in str(error.value)) == bool(file_system)
    finally:
        process.kill()
        process.join()


def test_a_second_process_gets_it_when_the_first_ends(file_system, tmp_path):
    process = held_elsewhere(tmp_path / "lock", 0.5)
    with take(tmp_path / "lock"):
        pass
    process.join()


def test_a_killed_holder_does_not_keep_it(file_system, tmp_path):
    process = held_elsewhere(tmp_path / "lock", 60)
    process.kill()
    process.join()
    with take(tmp_path / "lock", 5):
        pass


@pytest.fixture
def without_locks(monkeypatch):
    def flock(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    monkeypatch.setattr(locks, "BEAT_S", 0.05)
    monkeypatch.setattr(locks, "GONE_S", 0.5)


def test_a_holder_on_another_machine_is_waited_for_until_it_is_silent(without_locks, tmp_path):
    owner = tmp_path / "lock.owner"
    owner.write_text(
        json.dumps({"host": "elsewhere", "boot": "", "space": "", "pid": 1}), encoding="utf-8"
    )
    with pytest.raises(TimeoutError), take(tmp_path / "lock", 0.3):
        pass
    begin = time.monotonic()
    with take(tmp_path / "lock", 5):
        assert time.monotonic() - begin >= 0.5
        assert "elsewhere" not in owner.read_text(encoding="utf-8")


def test_who_stood_still_for_long_notices_that_it_was_replaced(without_locks, tmp_path):
    store = ResumeStore(tmp_path, "a", 1000)
    with store:
        store.save({"number": 1}, 1)
        # Another machine took this process for dead.
        (tmp_path / "lock.owner").write_text("another holder", encoding="utf-8")
        with pytest.raises(LockLost, match="so another one goes on in its place"):
            store.save({"number": 2}, 2)
    # What is the other one's stays.
    assert (tmp_path / "lock.owner").read_text(encoding="utf-8") == "another holder"


def test_a_standing_process_is_replaced_and_a_beating_one_is_not(without_locks, tmp_path):
    process = held_elsewhere(tmp_path / "lock", 60)
    try:
        with pytest.raises(TimeoutError), take(tmp_path / "lock", 1.5):
            pass
        os.kill(process.pid, signal.SIGSTOP)
        with take(tmp_path / "lock", 10):
            pass
    finally:
        process.kill()
        process.join()


def test_a_newer_holder_is_not_thrown_out_for_an_older_one(without_locks, tmp_path, monkeypatch):
    owner = tmp_path / "lock.owner"
    owner.write_text("silent for long", encoding="utf-8")
    rename = os.rename

    def late(source, target):
        owner.write_text("quicker", encoding="utf-8")
        rename(source, target)

    monkeypatch.setattr(os, "rename", late)
    monkeypatch.setattr(locks, "GONE_S", 0)
    with pytest.raises(TimeoutError), take(tmp_path / "lock", 0):
        pass
    assert owner.read_text(encoding="utf-8") == "quicker"


def test_other_errors_are_not_taken_for_missing_locks(tmp_path, monkeypatch):
    def flock(*_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(OSError, match="Input/output error"), take(tmp_path / "lock", 0):
        pass


def _resume(folder, error):
    no_locks.take_locks_away(error)
    handle = os.open(folder, os.O_RDONLY)
    with pytest.raises(OSError, match=os.strerror(error)):
        fcntl.flock(handle, fcntl.LOCK_EX)
    with ResumeStore(folder / "state", "a", 1000) as store:
        found = store.load()
        store.save({"number": 1 + (found["number"] if found else 0)}, 1)


@pytest.mark.skipif(not no_locks.available(), reason="needs Linux on x86-64 or ARM")
@pytest.mark.parametrize("error", no_locks.ERRORS, ids=errno.errorcode.get)
def test_a_kernel_without_locks_keeps_nobody_from_resuming(tmp_path, error):
    for _ in range(2):
        process = child(_resume, tmp_path, error)
        process.join(60)
        assert process.exitcode == 0
    with ResumeStore(tmp_path / "state", "a", 1000) as store:
        assert store.load() == {"number": 2}
