"""Files are whole or not there."""

import hashlib

import pytest

from rarecxr.core.files import sha256, written_whole


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
    assert [file.name for file in path.parent.iterdir()] == ["auc.csv"]


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
