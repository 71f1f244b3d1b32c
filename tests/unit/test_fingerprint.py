import os
import shutil
import subprocess
import sys

import pandas as pd
import pytest
from dataset_files import cache, patients_of, write_images

from rarecxr.core.files import sha256
from rarecxr.data import fingerprint
from rarecxr.data.fingerprint import (
    file_states,
    image_fingerprint,
    known_fingerprint,
    write_record,
)
from rarecxr.data.image_folder import ImageFolder

KEYS = [f"train/patient{number:05d}/study1/view1_frontal.jpg" for number in range(5)]


@pytest.fixture
def root(tmp_path):
    write_images(tmp_path / "data", KEYS)
    return tmp_path / "data"


def taken(root, keys=KEYS):
    return image_fingerprint(file_states(ImageFolder(root), keys))


def longer(path):
    with open(path, "ab") as file:
        file.write(b" ")


def newer(path):
    os.utime(path, ns=(1, 1))


def removed(path):
    path.unlink()


def a_pipe(path):
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize("change", [longer, newer, removed, a_pipe])
def test_a_changed_image_is_noticed(root, change):
    before = taken(root)
    change(root / KEYS[2])
    assert taken(root) != before


def test_two_images_that_change_places_are_noticed(root):
    before = taken(root)
    (root / KEYS[1]).rename(root / "between")
    (root / KEYS[2]).rename(root / KEYS[1])
    (root / "between").rename(root / KEYS[2])
    assert taken(root) != before


def test_files_that_nobody_named_the_place_and_the_order_do_not_count(root, tmp_path):
    before = taken(root)
    for junk in ("._view1_frontal.jpg", "view2_frontal.jpg", ".thumbnails/a.png", "plot.png"):
        path = root / "train/patient00001/study1" / junk
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    (tmp_path / "linked").symlink_to(root)
    assert taken(tmp_path / "linked", KEYS[::-1]) == before


def test_a_link_counts_as_the_file_that_it_leads_to(root, tmp_path):
    before = taken(root)
    (root / KEYS[0]).rename(tmp_path / "elsewhere.jpg")
    (root / KEYS[0]).symlink_to(tmp_path / "elsewhere.jpg")
    assert taken(root) == before
    longer(tmp_path / "elsewhere.jpg")
    assert taken(root) != before


@pytest.fixture
def cached(root, tmp_path):
    """What is said, of a study that has been cached with one damaged and one missing image."""
    (root / KEYS[3]).write_bytes(b"damaged")
    (root / KEYS[4]).unlink()
    pd.DataFrame({"image": KEYS, "patient": patients_of(KEYS)}).to_parquet(
        tmp_path / "images.parquet"
    )
    cache(
        tmp_path,
        tmp_path / "images.parquet",
        root,
        max_rejected=0.5,
        watched={"fingerprint": taken(root), "record": tmp_path / "record.csv"},
    )
    return tmp_path / "record.csv"


def known(root, record, keys=KEYS):
    """The fingerprint, and what was said while it was taken."""
    said = []
    return known_fingerprint(ImageFolder(root), keys, record, said.append), said


def test_nothing_is_read_where_nothing_has_changed(root, cached):
    assert known(root, cached) == (taken(root), [])


def test_a_copy_with_new_times_has_the_fingerprint_of_what_was_cached(root, cached, tmp_path):
    before = taken(root)
    copy = shutil.copytree(root, tmp_path / "copy", copy_function=shutil.copyfile)
    assert taken(copy) != before
    now, said = known(copy, cached)
    assert now == before
    assert "4 images have new times: comparing" in said[0]
    # The new times are noted, so that the files are read once.
    assert known(copy, cached) == (before, [])


@pytest.mark.parametrize("place", range(5))
def test_another_picture_is_noticed_whatever_its_size_and_time(root, cached, place):
    path = root / KEYS[place]
    if path.exists():
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
    else:
        data = b"back again"
    path.write_bytes(data)
    os.utime(path, ns=(7, 7))
    now, _ = known(root, cached)
    assert now == taken(root)
    assert now not in cached.read_text(encoding="utf-8")


def test_a_time_that_cannot_be_noted_is_no_error(root, cached, monkeypatch):
    before = taken(root)
    newer(root / KEYS[0])

    def refuse(*_):
        raise PermissionError("read-only")

    monkeypatch.setattr(fingerprint, "_write", refuse)
    assert known(root, cached)[0] == before


def test_more_than_is_reasonable_is_not_read_again(root, cached, monkeypatch):
    newer(root / KEYS[0])
    monkeypatch.setattr(fingerprint, "MOST_BYTES", 10)
    now, said = known(root, cached)
    assert now == taken(root)
    assert "too much to compare" in said[0]


def test_other_images_have_another_fingerprint(root, cached):
    assert known(root, cached, KEYS[:4])[0] == taken(root, KEYS[:4])


@pytest.mark.parametrize("content", ["", "fingerprint\n", "a,b,c,d\nkey,1\n", "a,b,c,d\nk,x,y,z\n"])
def test_a_broken_record_counts_for_nothing(root, cached, content):
    cached.write_text(content, encoding="utf-8")
    assert known(root, cached) == (taken(root), [])


def test_files_that_change_while_they_are_decoded_are_not_taken_for_what_was(root, tmp_path):
    before = taken(root)
    digests = {key: sha256(root / key) for key in KEYS}
    newer(root / KEYS[1])
    write_record(ImageFolder(root), digests, before, tmp_path / "record.csv")
    assert not (tmp_path / "record.csv").exists()
    write_record(ImageFolder(root), digests, taken(root), tmp_path / "record.csv")
    assert known(root, tmp_path / "record.csv")[0] == taken(root)


def test_it_loads_nothing_beyond_the_standard_library(root):
    code = (
        "import sys, rarecxr.data.fingerprint, rarecxr.data.label_precheck; "
        "print(sorted({'numpy', 'pandas', 'h5py', 'PIL', 'torch', 'pyarrow'} & set(sys.modules)))"
    )
    environment = {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        check=True,
        encoding="utf-8",
    )
    assert done.stdout.strip() == "[]"
