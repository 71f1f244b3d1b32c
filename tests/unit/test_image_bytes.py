"""What is no image file is refused at once, whatever it is, and is one image with its reason."""

import os
import stat
import time

import numpy as np
import pandas as pd
import pytest
from dataset_files import cache, make_socket, patients_of, write_images
from interruptions import child
from PIL import Image

from rarecxr.data import image_bytes
from rarecxr.data.decode import Unreadable
from rarecxr.data.image_bytes import look_at, read_bytes
from rarecxr.data.image_file import ImageFile


def folder(path):
    path.mkdir()


def pipe(path):
    os.mkfifo(path)


def terminal(path):
    path.symlink_to("/dev/ptmx")


def endless(path):
    path.symlink_to("/dev/zero")


def circle(path):
    path.symlink_to(path)


def nothing(path):
    path.symlink_to(path.with_name("nowhere"))


def huge(path):
    with open(path, "wb") as file:
        file.truncate(1 << 40)


STRANGE = {
    folder: "a folder, not a file",
    pipe: "a named pipe, not a file",
    make_socket: "a socket, not a file",
    terminal: "a device, not a file",
    endless: "a device, not a file",
    circle: "cannot be read: Too many levels of symbolic links",
    nothing: "missing",
    huge: "a file of 1099511627776 bytes; up to 268435456 are read",
}


@pytest.mark.parametrize("make", STRANGE, ids=lambda make: make.__name__)
def test_what_is_no_file_of_a_sane_size_is_not_opened(tmp_path, monkeypatch, make):
    path = tmp_path / "view1_frontal.jpg"
    make(path)
    monkeypatch.setattr(os, "open", lambda *_: pytest.fail("it was opened"))
    for read in (look_at, read_bytes):
        with pytest.raises(Unreadable) as error:
            read(path)
        assert str(error.value) == STRANGE[make]


@pytest.mark.parametrize("name", ["a\0b.jpg", "\udcff\ud800.jpg", "a" * 300 + ".jpg"])
def test_a_name_that_no_file_can_have_is_a_reason(tmp_path, name):
    with pytest.raises(Unreadable, match="its path is no file's name|File name too long"):
        read_bytes(os.path.join(tmp_path, name))


def _denied(path, answer):
    if os.geteuid() == 0:
        os.setuid(65534)
    try:
        read_bytes(path)
    except Unreadable as error:
        os.write(answer, str(error).encode())


@pytest.mark.parametrize("locked", ["folder", "file"])
def test_a_missing_permission_is_not_a_missing_file(tmp_path, locked):
    for above in (tmp_path, *tmp_path.parents[:2]):
        above.chmod(above.stat().st_mode | stat.S_IXOTH)
    path = tmp_path / "folder/view1_frontal.jpg"
    path.parent.mkdir()
    path.write_bytes(b"content")
    (path if locked == "file" else path.parent).chmod(0)
    answer, end = os.pipe()
    try:
        child(_denied, path, end).join()
        os.close(end)
        assert os.read(answer, 1000) == b"cannot be read: Permission denied"
    finally:
        path.parent.chmod(0o700)


def test_a_pipe_that_takes_a_files_place_does_not_hold_the_job_up(tmp_path, monkeypatch):
    path = tmp_path / "view1_frontal.jpg"
    os.mkfifo(path)
    monkeypatch.setattr(image_bytes, "look_at", lambda _: None)
    begin = time.monotonic()
    with pytest.raises(Unreadable, match="a named pipe, not a file"):
        read_bytes(path)
    assert time.monotonic() - begin < 10


def test_all_of_them_are_rejected_one_by_one_and_the_rest_is_cached(tmp_path):
    keys = [f"train/patient{number:05d}/study1/view1_frontal.jpg" for number in range(20)]
    write_images(tmp_path / "data", keys)
    for key, make in zip(keys, STRANGE, strict=False):
        path = tmp_path / "data" / key
        path.unlink()
        make(path)
    Image.new("L", (65500, 1)).save(tmp_path / "data" / keys[8])
    named = [*keys, "train/patient00020/study1/view1\0frontal.jpg"]
    index = pd.DataFrame({"image": named, "patient": patients_of(named)})
    index.to_parquet(tmp_path / "images.parquet")
    output = cache(
        tmp_path,
        tmp_path / "images.parquet",
        tmp_path / "data",
        max_rejected=0.5,
        follow_links=True,
    )
    rejected = pd.read_csv(tmp_path / "pixels_rejected.csv")
    assert rejected["row"].tolist() == [*range(9), 20]
    assert rejected["reason"].tolist()[:8] == list(STRANGE.values())
    assert rejected["reason"][8].startswith("65500 x 1 pixels")
    assert rejected["reason"][9] == "its path is no file's name: embedded null byte"
    assert np.ptp(ImageFile(output).read(), axis=(1, 2)).min() > 0
