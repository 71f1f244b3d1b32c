"""Files are whole or not there."""

import hashlib
import os
import subprocess
import sys

import pytest

from rarecxr.core.files import digest_file, intact, sha256, written_whole


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path):
    path = tmp_path / "bank.h5"
    path.write_text("old", encoding="utf-8")
    with pytest.raises(RuntimeError), written_whole(path) as temporary:
        temporary.write_text("half", encoding="utf-8")
        raise RuntimeError
    assert path.read_text(encoding="utf-8") == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["bank.h5"]


def test_the_place_holds_the_old_file_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "sub" / "auc.csv"
    with written_whole(path) as temporary:
        temporary.write_text("new", encoding="utf-8")
        assert not path.exists()
        assert temporary.suffix == ".csv"
    assert path.read_text(encoding="utf-8") == "new"
    names = sorted(file.name for file in path.parent.iterdir())
    assert names == [".auc.csv.sha256", "auc.csv"]


def test_a_folder_replaces_a_folder(tmp_path):
    path = tmp_path / "train"
    path.mkdir()
    (path / "stale.jpg").touch()
    with written_whole(path) as temporary:
        temporary.mkdir()
        (temporary / "fresh.jpg").touch()
    assert [file.name for file in path.iterdir()] == ["fresh.jpg"]


def test_sha256_is_that_of_the_content(tmp_path):
    content = bytes(range(256)) * 5000
    (tmp_path / "x").write_bytes(content)
    assert sha256(tmp_path / "x") == hashlib.sha256(content).hexdigest()


def write(path, text):
    with written_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def test_a_noted_digest_is_what_sha256sum_writes_and_follows_the_file(tmp_path):
    path = tmp_path / "auc.csv"
    for text in ("old", "new"):
        write(path, text)
        line = digest_file(path).read_text(encoding="utf-8")
        assert line == f"{hashlib.sha256(text.encode()).hexdigest()}  auc.csv\n"
        assert intact(path) == path


def test_a_file_that_changed_since_it_was_written_is_refused_with_a_remedy(tmp_path):
    path = tmp_path / "auc.csv"
    write(path, "0.75")
    path.write_text("0.85", encoding="utf-8")
    with pytest.raises(ValueError, match=r"auc\.csv: damaged, or changed .*run the workflow again"):
        intact(path)
    write(path, "0.85")
    intact(path)


def test_a_write_that_is_cut_short_leaves_no_digest_of_other_content(tmp_path, monkeypatch):
    path = tmp_path / "auc.csv"
    write(path, "old")
    replace, calls = os.replace, []

    def killed(number):
        def step(*arguments):
            calls.append(arguments)
            if len(calls) == number:
                raise KeyboardInterrupt
            replace(*arguments)

        return step

    for number in (1, 2):
        calls.clear()
        monkeypatch.setattr(os, "replace", killed(number))
        with pytest.raises(KeyboardInterrupt):
            write(path, "new")
        monkeypatch.undo()
        assert not digest_file(path).exists()
        assert intact(path).read_text(encoding="utf-8") == ("old", "new")[number - 1]


def test_digests_are_not_noted_where_nobody_reads_them(tmp_path):
    write(tmp_path / "page.html", "<p>")
    with written_whole(tmp_path / "train.csv", noted=False) as temporary:
        temporary.touch()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["page.html", "train.csv"]


def test_what_a_killed_process_left_is_removed_by_the_next_that_writes_there(tmp_path):
    path = tmp_path / "bank.h5"
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    left = tmp_path / f".bank.{gone.pid}.h5"
    left.touch()
    # Those of a process that still runs, of another file, and what only looks like one.
    others = [f".bank.{os.getppid()}.h5", f".bank2.{gone.pid}.h5", ".bank.x.h5", ".bank.h5"]
    for name in others:
        (tmp_path / name).touch()
    write(path, "new")
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted([*others, "bank.h5"])
    folder = tmp_path / f".train.{gone.pid}"
    folder.mkdir()
    with written_whole(tmp_path / "train") as temporary:
        temporary.mkdir()
        assert not folder.exists()
