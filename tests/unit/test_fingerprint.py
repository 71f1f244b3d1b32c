import os
import subprocess
import sys

import pytest
from dataset_files import write_images

from rarecxr.data.fingerprint import image_fingerprint

KEYS = [f"train/patient{number:05d}/study1/view1_frontal.jpg" for number in range(5)]


@pytest.fixture
def root(tmp_path):
    write_images(tmp_path, [*KEYS, "valid/patient00009/study1/view1_frontal.png"])
    return tmp_path


def longer(root):
    with open(root / KEYS[2], "ab") as file:
        file.write(b" ")


def newer(root):
    os.utime(root / KEYS[2], ns=(1, 1))


def renamed(root):
    (root / KEYS[2]).rename(root / "train/patient00002/study1/view2_frontal.jpg")


def moved(root):
    (root / KEYS[2]).rename(root / "train/patient00003/study1/view9_frontal.jpg")


def removed(root):
    (root / KEYS[4]).unlink()


def added(root):
    (root / "valid/new.PNG").write_bytes(b"")


@pytest.mark.parametrize("change", [longer, newer, renamed, moved, removed, added])
def test_a_changed_image_is_noticed(root, change):
    before = image_fingerprint(root)
    change(root)
    assert image_fingerprint(root) != before


def test_other_files_and_the_place_do_not_count(root, tmp_path_factory):
    before = image_fingerprint(root)
    (root / "train.csv").write_text("Path", encoding="utf-8")
    (root / "train/.DS_Store").write_text("x", encoding="utf-8")
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "linked"
    elsewhere.symlink_to(root)
    assert image_fingerprint(elsewhere) == before


def test_links_are_followed_and_circles_are_not(root, tmp_path_factory):
    linked = tmp_path_factory.mktemp("linked")
    (linked / "train").symlink_to(root / "train")
    (linked / "valid").symlink_to(root / "valid")
    assert image_fingerprint(linked) == image_fingerprint(root)
    before = image_fingerprint(root)
    (root / "valid/again").symlink_to(root)
    (root / "valid/nowhere.jpg").symlink_to(root / "gone")
    assert image_fingerprint(root) != before


def test_the_order_in_which_files_were_made_does_not_count(tmp_path):
    for name, keys in (("one", KEYS), ("other", KEYS[::-1])):
        for key in keys:
            for view in "abcdefgh" if name == "one" else "hgfedcba":
                path = tmp_path / name / key.replace("view1", view)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(b"x")
                os.utime(path, ns=(5, 5))
    assert image_fingerprint(tmp_path / "one") == image_fingerprint(tmp_path / "other")


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        image_fingerprint(tmp_path / "nowhere")


def test_it_loads_nothing_beyond_the_standard_library(root):
    code = (
        "import sys, rarecxr.data.fingerprint; "
        "print(sorted({'numpy', 'pandas', 'h5py', 'PIL', 'torch'} & set(sys.modules)))"
    )
    environment = {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        encoding="utf-8",
    )
    assert done.stdout.strip() == "[]"
