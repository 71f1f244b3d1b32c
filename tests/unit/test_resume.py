"""Resume files: whole, of this run, and in one process's hands."""

import io
import os
import signal
import time

import pytest
import torch
from interruptions import child

from rarecxr.core import job_log, resume
from rarecxr.core.resume import SLOTS, ResumeStore, clean_states


def content(number):
    return {"number": number, "tensor": torch.full((100,), float(number))}


def opened(folder, identity="a", interval_s=1000, lock_wait_s=10):
    return ResumeStore(folder, identity, interval_s, lock_wait_s)


def saved(folder, numbers, identity="a", finished=False):
    with opened(folder, identity) as store:
        store.load()
        for number in numbers:
            store.save(content(number), number, finished)


def loaded(folder, identity="a"):
    with opened(folder, identity) as store:
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


def test_what_is_not_used_is_said_at_the_terminal_too(tmp_path, monkeypatch):
    """Days of work begin anew: nobody looks for that in a job's log."""
    screen = io.StringIO()
    monkeypatch.setattr(job_log, "_screen", screen)
    saved(tmp_path, [1], identity="a")
    assert loaded(tmp_path, identity="b") is None
    (line,) = screen.getvalue().splitlines()
    assert f"WARNING: {tmp_path / SLOTS[0]} belongs to other settings, code or data: not" in line
    assert line.endswith(".pt; this training begins anew")
    # With a state of its own nothing is lost, and it does not say so.
    saved(tmp_path, [1], identity="b")
    loaded(tmp_path, identity="a")
    assert "begins anew" not in screen.getvalue().splitlines()[-1]
    (tmp_path / SLOTS[0]).write_bytes(b"damaged")
    loaded(tmp_path, identity="a")
    assert "is damaged (its first line is no header): not used" in screen.getvalue()


@pytest.mark.parametrize("numbers", [[1], [1, 2], [1, 2, 3]])
def test_going_back_to_the_old_identity_goes_back_to_its_progress(tmp_path, numbers):
    saved(tmp_path, [1, 2], identity="a")
    saved(tmp_path, numbers, identity="b")
    assert loaded(tmp_path, identity="a") == 2
    # What was found is whole on the disk too, and what was refused is not lost.
    assert loaded(tmp_path, identity="a") == 2
    assert loaded(tmp_path, identity="b") == numbers[-1]
    assert loaded(tmp_path, identity="a") == 2
    saved(tmp_path, [3], identity="a")
    assert loaded(tmp_path, identity="a") == 3


def test_of_many_identities_all_are_kept_and_each_goes_on_where_it_was(tmp_path, caplog):
    caplog.set_level("INFO")
    for number, identity in enumerate("abcdefg"):
        saved(tmp_path, [1, 2 + number], identity)
    assert "6 states (" in caplog.text
    assert "stay until `snakemake clean_states`" in caplog.text
    for number, identity in list(enumerate("abcdefg"))[::-1] * 2:
        assert loaded(tmp_path, identity) == 2 + number
    assert len(list(tmp_path.glob("*.pt"))) == 7


def test_going_to_and_fro_between_settings_loses_nothing(tmp_path):
    saved(tmp_path, [1, 2], "a", finished=True)
    saved(tmp_path, [1], "b")
    assert loaded(tmp_path, "a") == 2
    assert loaded(tmp_path, "c") is None
    saved(tmp_path, [1, 2, 3], "c")
    assert loaded(tmp_path, "a") == 2
    assert loaded(tmp_path, "b") == 1
    assert loaded(tmp_path, "c") == 3


def test_a_state_of_another_format_is_kept(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("rarecxr.core.resume.FORMAT", "rarecxr resume 3")
    saved(tmp_path, [1, 2])
    monkeypatch.undo()
    assert loaded(tmp_path) is None
    assert "its format is 'rarecxr resume 3', not 'rarecxr resume 2'" in caplog.text
    saved(tmp_path, [7])
    monkeypatch.setattr("rarecxr.core.resume.FORMAT", "rarecxr resume 3")
    assert loaded(tmp_path) == 2


@pytest.mark.parametrize("moves", [1, 2])
def test_a_kill_while_refused_files_are_moved_loses_nothing(tmp_path, monkeypatch, moves):
    saved(tmp_path, [1, 2], identity="a")
    left = [moves - 1]
    replace = os.replace

    def dying(*paths):
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        replace(*paths)

    monkeypatch.setattr(os, "replace", dying)
    with pytest.raises(KeyboardInterrupt):
        loaded(tmp_path, identity="b")
    monkeypatch.setattr(os, "replace", replace)
    assert loaded(tmp_path, identity="b") is None
    assert loaded(tmp_path, identity="a") == 2


def test_what_a_killed_process_was_writing_is_removed(tmp_path):
    saved(tmp_path, [1])
    (tmp_path / "resume_1.writing").write_bytes(b"half a fi")
    assert loaded(tmp_path) == 1
    assert not list(tmp_path.glob("*.writing"))


def test_scratch_files_are_gone_before_and_after(tmp_path):
    (tmp_path / "scratch").mkdir()
    (tmp_path / "scratch/left_over").touch()
    with opened(tmp_path) as store:
        assert not store.scratch.exists()
        store.scratch.mkdir()
        (store.scratch / "new").touch()
    assert not store.scratch.exists()


def test_a_save_is_due_when_the_interval_is_over(tmp_path, monkeypatch):
    now = 100.0
    monkeypatch.setattr(resume.time, "monotonic", lambda: now)
    with opened(tmp_path, interval_s=5) as store:
        store.save(content(1), 1)
        now = 104.9
        assert not store.due()
        now = 105.0
        assert store.due()
        store.save(content(2), 2)
        assert not store.due()


# One process at a time


def _hold(folder, seconds):
    with opened(folder):
        (folder / "held").touch()
        time.sleep(seconds)


def held_elsewhere(folder, seconds):
    process = child(_hold, folder, seconds)
    end = time.monotonic() + 120
    while not (folder / "held").exists():
        assert time.monotonic() < end
        time.sleep(0.01)
    return process


def test_a_second_process_is_refused_after_a_while(tmp_path):
    process = held_elsewhere(tmp_path, 600)
    try:
        with pytest.raises(TimeoutError, match="another process trains here"):
            opened(tmp_path, lock_wait_s=0.3).__enter__()
    finally:
        process.kill()
        process.join()


def test_a_second_process_takes_over_when_the_first_ends(tmp_path):
    process = held_elsewhere(tmp_path, 0.5)
    with opened(tmp_path) as store:
        assert store.load() is None
    process.join()


# Signals


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGURG])
def test_a_warning_asks_to_save_and_go_on(tmp_path, number):
    before = signal.getsignal(number)
    with opened(tmp_path) as store:
        assert not store.due()
        os.kill(os.getpid(), number)
        assert store.due()
        store.save(content(1), 1)
        assert not store.due()
    assert signal.getsignal(number) == before
    assert loaded(tmp_path) == 1


def test_an_interrupt_asks_to_save_and_end(tmp_path):
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), opened(tmp_path) as store:
        os.kill(os.getpid(), signal.SIGINT)
        assert store.due()
        store.save(content(1), 1)
    assert signal.getsignal(signal.SIGINT) == before
    assert loaded(tmp_path) == 1


def test_an_interrupt_is_not_forgotten_for_a_warning(tmp_path):
    with pytest.raises(KeyboardInterrupt), opened(tmp_path) as store:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        store.save(content(1), 1)


def test_a_second_interrupt_ends_at_once(tmp_path):
    with opened(tmp_path) as store, pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
        assert store.due()
        os.kill(os.getpid(), signal.SIGINT)


def test_an_interrupt_while_it_waits_for_the_lock_ends_at_once(tmp_path):
    process = held_elsewhere(tmp_path, 600)
    waiting = child(_hold, tmp_path, 0)
    try:
        time.sleep(0.5)
        os.kill(waiting.pid, signal.SIGINT)
        waiting.join(120)
        assert waiting.exitcode == 1
    finally:
        process.kill()
        process.join()


# Clean-up


@pytest.fixture
def output(tmp_path):
    """Where a finished training has its output."""
    return tmp_path / "generator.pt"


def test_a_finished_state_goes_when_the_outputs_are_there(tmp_path, output, caplog):
    caplog.set_level("INFO")
    state = tmp_path / "state/gan/run"
    saved(state, [1, 2])
    saved(state, [3], finished=True)
    # The older generation is not needed any more.
    assert [path.name for path in state.glob("*.pt")] == [SLOTS[0]]
    output.touch()
    clean_states({str(state): [str(output)]})
    assert not (tmp_path / "state").exists()
    assert f"{state}: removed" in caplog.text


def test_states_of_other_settings_go_with_it_and_the_log_says_what_room_they_took(
    tmp_path, output, caplog
):
    caplog.set_level("INFO")
    state = tmp_path / "state"
    for identity in "abc":
        saved(state, [1], identity, finished=True)
    size = sum(path.stat().st_size for path in state.glob("refused_*.pt"))
    other = tmp_path / "unfinished"
    saved(other, [1], "a")
    saved(other, [1], "b")
    output.touch()
    caplog.clear()
    clean_states({str(state): [str(output)], str(other): [str(output)]})
    gone, kept = (record.getMessage() for record in caplog.records[-2:])
    assert (
        gone
        == f"{state} with 2 states ({size / 1e6:.1f} MB) of other settings, code or data: removed"
    )
    assert not state.exists()
    assert kept.endswith(
        "of other settings, code or data: kept, the training is not over at 1 images"
    )
    assert loaded(other, "a") == 1


def test_states_of_other_settings_stay_as_long_as_there_is_no_output(tmp_path, output):
    state = tmp_path / "state"
    saved(state, [1], "a")
    assert loaded(state, "b") is None
    clean_states({str(state): [str(output)]})
    assert loaded(state, "a") == 1


def test_what_others_left_in_a_state_folder_stays(tmp_path, output):
    state = tmp_path / "state"
    saved(state, [1], identity="a")
    saved(state, [1], identity="b", finished=True)
    (state / "tensorboard").mkdir()
    output.touch()
    clean_states({str(state): [str(output)]})
    assert [path.name for path in state.iterdir()] == ["tensorboard"]


@pytest.mark.parametrize(
    ("finished", "touched", "reason"),
    [(True, False, "there is no"), (False, True, "not over at 2 images")],
    ids=["no output", "unfinished"],
)
def test_a_state_that_is_needed_stays(tmp_path, output, caplog, finished, touched, reason):
    caplog.set_level("INFO")
    state = tmp_path / "state"
    saved(state, [2], finished=finished)
    if touched:
        output.touch()
    clean_states({str(state): [str(output)]})
    assert reason in caplog.text
    assert loaded(state) == 2


def test_a_state_newer_than_the_outputs_stays(tmp_path, output, caplog):
    caplog.set_level("INFO")
    output.touch()
    os.utime(output, (0, 0))
    saved(tmp_path / "state", [2], finished=True)
    clean_states({str(tmp_path / "state"): [str(output)]})
    assert "generator.pt is older" in caplog.text
    assert loaded(tmp_path / "state") == 2


def test_a_state_in_use_stays(tmp_path, output, caplog):
    caplog.set_level("INFO")
    saved(tmp_path / "state", [2], finished=True)
    output.touch()
    process = held_elsewhere(tmp_path / "state", 600)
    try:
        clean_states({str(tmp_path / "state"): [str(output)]})
    finally:
        process.kill()
        process.join()
    assert "a process trains here" in caplog.text
    assert loaded(tmp_path / "state") == 2


def test_who_waits_for_a_folder_that_is_removed_gets_the_new_one(tmp_path, output):
    """A lock on a file that is no longer there keeps nobody out."""
    state = tmp_path / "state"
    first = opened(state).__enter__()
    process = child(saved, state, [5])
    time.sleep(0.5)
    (state / "lock").unlink()
    first.__exit__()
    process.join(120)
    assert process.exitcode == 0
    assert loaded(state) == 5
