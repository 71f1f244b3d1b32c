"""A full or read-only disk: the old file stays, nothing is left beside it, the error says why."""

import errno
import os
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest

from rarecxr.bank.bank_file import write_bank
from rarecxr.core.files import written_whole
from rarecxr.core.job_log import _not_writable
from rarecxr.core.json_file import write_json
from rarecxr.core.resume import ResumeStore
from rarecxr.core.tensors import to_bytes
from rarecxr.data.image_file import write_image_file

NOISE = np.random.default_rng(0).integers(0, 256, (64, 64, 64), np.uint8)


def write_table(path):
    with written_whole(path) as temporary:
        pd.DataFrame({"noise": NOISE.ravel()}).to_parquet(temporary)


def write_csv(path):
    with written_whole(path) as temporary:
        pd.DataFrame({"noise": NOISE.ravel()[:60_000]}).to_csv(temporary)


def write_images(path):
    write_image_file(path, iter([NOISE]), 64, 64, {"image": list(map(str, range(64)))})


def write_a_bank(path):
    write_bank(path, 64, 64, iter([NOISE]), {"finding": "Fracture", "study": "tiny"})


def write_network(path):
    with written_whole(path) as temporary:
        temporary.write_bytes(to_bytes({"noise": NOISE.tobytes()}))


WRITERS = {
    "auc.csv": write_csv,
    "labels.parquet": write_table,
    "generator.json": lambda path: write_json(path, {"noise": NOISE.ravel()[:60_000].tolist()}),
    "pixels.h5": write_images,
    "bank.h5": write_a_bank,
    "model.pt": write_network,
}


@pytest.fixture
def disk(tmp_path):
    """A disk of a megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("file systems cannot be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder, leave):
    room = os.statvfs(folder)
    with open(folder / "filler", "wb") as file:
        os.posix_fallocate(file.fileno(), 0, room.f_bavail * room.f_bsize - leave)


@pytest.mark.parametrize("leave", [0, 4096, 3 << 16])
@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_keeps_the_old_file_and_gets_the_new_one_later(disk, name, leave):
    path = disk / name
    path.write_bytes(b"old")
    fill(disk, leave)
    with pytest.raises((OSError, RuntimeError)) as caught:
        WRITERS[name](path)
    assert _not_writable(caught.value) == os.strerror(errno.ENOSPC)
    assert path.read_bytes() == b"old"
    assert sorted(file.name for file in disk.iterdir()) == sorted(["filler", name])
    (disk / "filler").unlink()
    WRITERS[name](path)
    assert path.stat().st_size > 1000


@pytest.mark.parametrize("name", WRITERS)
def test_a_read_only_disk_keeps_the_old_file(disk, name):
    path = disk / name
    path.write_bytes(b"old")
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    with pytest.raises((OSError, RuntimeError)) as caught:
        WRITERS[name](path)
    assert _not_writable(caught.value) == os.strerror(errno.EROFS)
    assert path.read_bytes() == b"old"


def test_a_state_that_does_not_fit_leaves_the_last_one(disk):
    with ResumeStore(disk / "state", "a", 1000) as store:
        store.save({"number": 1}, 1)
        fill(disk, 4096)
        with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
            store.save({"noise": NOISE.tobytes()}, 2)
    (disk / "filler").unlink()
    with ResumeStore(disk / "state", "a", 1000) as store:
        assert store.load() == {"number": 1}
    assert not list((disk / "state").glob("*.writing"))
