"""Resume files: whole, of this run, and in one process's hands."""

import multiprocessing
import os
import signal
import time

import pytest
import torch

from rarecxr.gan.resume import SLOTS, ResumeStore, watched_signals


def content(number):
    return {"number": number, "tensor": torch.full((100,), float(number))}


def saved(folder, numbers, identity="a"):
    with ResumeStore(folder, identity) as store:
        store.load()
        for number in numbers:
            store.save(content(number), number)


def loaded(folder, identity="a"):
    with ResumeStore(folder, identity) as store:
        found = store.load()
    return None if found is None else found["number"]


def test_nothing_is_found_at_first(tmp_path):
    assert loaded(tmp_path / "new" / "folder") is None


def test_the_newest_generation_is_found_and_two_are_kept(tmp_path):
    saved(tmp_path, [1, 2, 3])
    assert loaded(tmp_path) == 3
    assert sorted(path.name for path in tmp_path.glob("*.pt")) == sorted(SLOTS)


def test_a_new_process_overwrites_the_older_generation(tmp_path):
    saved(tmp_path, [1, 2])
    saved(tmp_path, [3])
    (tmp_path / SLOTS[0]).unlink()
    assert loaded(tmp_path) == 2


@pytest.mark.parametrize("where", [0, 10, 300, -1])
def test_a_damaged_file_gives_way_to_the_older_one(tmp_path, caplog, where):
    saved(tmp_path, [1, 2])
    newest = tmp_path / SLOTS[1]
    damaged = bytearray(newest.read_bytes())
    damaged[where] ^= 1
    newest.write_bytes(damaged)
    assert loaded(tmp_path) == 1
    assert "damaged" in caplog.text


@pytest.mark.parametrize("length", [0, 50, 500])
def test_a_file_cut_short_gives_way_to_the_older_one(tmp_path, caplog, length):
    saved(tmp_path, [1, 2])
    newest = tmp_path / SLOTS[1]
    newest.write_bytes(newest.read_bytes()[:length])
    assert loaded(tmp_path) == 1
    assert str(newest) in caplog.text


def test_damaged_files_alone_are_as_none(tmp_path):
    saved(tmp_path, [1])
    (tmp_path / SLOTS[0]).write_bytes(b"no resume file")
    assert loaded(tmp_path) is None


def test_another_identity_is_refused_with_a_warning_and_kept(tmp_path, caplog):
    saved(tmp_path, [1, 2], identity="a")
    assert loaded(tmp_path, identity="b") is None
    assert "other settings, code or data" in caplog.text
    saved(tmp_path, [1], identity="b")
    assert loaded(tmp_path, identity="b") == 1


def test_going_back_to_the_old_identity_goes_back_to_its_progress(tmp_path):
    saved(tmp_path, [1, 2], identity="a")
    saved(tmp_path, [1], identity="b")
    assert loaded(tmp_path, identity="a") == 2
    saved(tmp_path, [3], identity="a")
    assert loaded(tmp_path, identity="a") == 3


def test_what_a_killed_process_was_writing_is_removed(tmp_path):
    saved(tmp_path, [1])
    (tmp_path / "resume_1.writing").write_bytes(b"half a fi")
    assert loaded(tmp_path) == 1
    assert not list(tmp_path.glob("*.writing"))


def _hold(folder, held, seconds):
    with ResumeStore(folder, "a"):
        held.set()
        time.sleep(seconds)


def held_elsewhere(folder, seconds):
    context = multiprocessing.get_context("fork")
    held = context.Event()
    process = context.Process(target=_hold, args=(folder, held, seconds))
    process.start()
    assert held.wait(10)
    return process


def test_a_second_process_is_refused_after_a_while(tmp_path):
    process = held_elsewhere(tmp_path, 30)
    try:
        with pytest.raises(TimeoutError, match="another process trains here"):
            ResumeStore(tmp_path, "a", lock_wait_s=0.3).__enter__()
    finally:
        process.kill()
        process.join()


def test_a_second_process_takes_over_when_the_first_ends(tmp_path):
    process = held_elsewhere(tmp_path, 0.5)
    with ResumeStore(tmp_path, "a", lock_wait_s=10) as store:
        assert store.load() is None
    process.join()


@pytest.mark.parametrize(
    ("number", "end"), [(signal.SIGTERM, False), (signal.SIGURG, False), (signal.SIGINT, True)]
)
def test_signals_ask_to_save_and_only_an_interrupt_asks_to_end(number, end):
    before = signal.getsignal(number)
    with watched_signals() as signals:
        assert (signals.save, signals.end) == (False, False)
        os.kill(os.getpid(), number)
        assert (signals.save, signals.end) == (True, end)
    assert signal.getsignal(number) == before


def test_a_second_interrupt_ends_at_once():
    with watched_signals() as signals, pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
        assert signals.end
        os.kill(os.getpid(), signal.SIGINT)
