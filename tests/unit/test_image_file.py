import h5py
import numpy as np
import pytest

from rarecxr.data import image_file as pixels
from rarecxr.data.image_file import (
    map_images,
    read_columns,
    read_images,
    read_rejected,
    rows_of,
    shrink,
    write_columns,
    write_images,
)

IMAGES = np.random.default_rng(0).integers(0, 256, (23, 6, 6), dtype=np.uint8)
KEYS = [f"train/patient{number:05d}/study1/view1_frontal.jpg" for number in range(23)]


@pytest.fixture
def path(tmp_path):
    with h5py.File(tmp_path / "pixels.h5", "w") as file:
        write_images(file, np.array_split(IMAGES, 4), len(IMAGES), 6)
        write_columns(file, {"image": KEYS, "row": list(range(23)), "rejected": ["é.jpg"]})
    return tmp_path / "pixels.h5"


def test_images_come_in_the_order_of_the_keys(path, monkeypatch):
    monkeypatch.setattr(pixels, "BLOCK_BYTES", 5 * 36)  # Several blocks, and a rest.
    order = np.random.default_rng(1).permutation(23)[:17]
    found = read_images(path, [KEYS[row] for row in order])
    np.testing.assert_array_equal(found, IMAGES[order])
    assert read_images(path, []).shape == (0, 6, 6)
    np.testing.assert_array_equal(read_images(path, [KEYS[3], KEYS[3]]), IMAGES[[3, 3]])


def test_the_file_is_mapped_as_it_is(path):
    mapped = map_images(path)
    assert isinstance(mapped, np.memmap)
    np.testing.assert_array_equal(mapped, IMAGES)
    with pytest.raises(ValueError, match="read-only"):
        mapped[0] = 0


def test_columns_are_what_was_written(path):
    columns = read_columns(path)
    assert set(columns) == {"image", "row"}
    assert columns["image"].tolist() == KEYS
    assert columns["row"].tolist() == list(range(23))
    assert read_rejected(path) == ["é.jpg"]


def test_no_rejected_images_is_an_empty_list(tmp_path):
    with h5py.File(tmp_path / "pixels.h5", "w") as file:
        write_columns(file, {"rejected": []})
    assert read_rejected(tmp_path / "pixels.h5") == []


def test_keys_that_are_not_there_are_refused(path):
    with pytest.raises(
        ValueError, match=r"2 of 3 images are not in this file, the first is a\.jpg"
    ):
        rows_of(path, ["a.jpg", KEYS[0], "b.jpg"])


def test_a_key_that_names_several_images_is_refused(tmp_path):
    with h5py.File(tmp_path / "copies.h5", "w") as file:
        write_columns(file, {"image": ["a.jpg", "a.jpg"]})
    with pytest.raises(ValueError, match="several images of one key"):
        rows_of(tmp_path / "copies.h5", ["a.jpg"])


@pytest.mark.parametrize("count", [0, 1, 20])
def test_a_shrunk_file_is_one_that_was_never_larger(tmp_path, count):
    with h5py.File(tmp_path / "large.h5", "w") as file:
        assert write_images(file, [IMAGES[:count]], 23, 6) == count
    shrink(tmp_path / "large.h5", count)
    with h5py.File(tmp_path / "small.h5", "w") as file:
        write_images(file, [IMAGES[:count]], count, 6)
    assert (tmp_path / "large.h5").read_bytes() == (tmp_path / "small.h5").read_bytes()
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["large.h5", "small.h5"]


def test_files_of_other_layouts_are_not_mapped(tmp_path):
    with h5py.File(tmp_path / "chunks.h5", "w") as file:
        file.create_dataset("images", data=IMAGES, chunks=(4, 6, 6))
    with pytest.raises(ValueError, match="cannot be mapped into memory"):
        map_images(tmp_path / "chunks.h5")
