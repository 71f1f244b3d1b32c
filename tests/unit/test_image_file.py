import errno
import re
from pathlib import Path

import h5py
import no_locks
import numpy as np
import pytest
from interruptions import child

from rarecxr.core.hdf5 import create_hdf5
from rarecxr.data import image_file
from rarecxr.data.image_file import ImageFile, write_image_file

SMAPS = Path("/proc/self/smaps")
IMAGES = np.random.default_rng(0).integers(0, 256, (23, 6, 6), dtype=np.uint8)
KEYS = [f"train/patient{number:05d}/study1/view1_fröntal.jpg" for number in range(23)]
LABELS = np.where(np.indices((23, 2)).sum(axis=0) % 3, 1, np.nan).astype(np.float32)
COLUMNS = {"image": KEYS, "row": np.arange(23), "labels": LABELS}


def written(path, images=IMAGES, count=23, columns=COLUMNS, **attributes):
    write_image_file(path, np.array_split(images, 4), count, 6, columns, attributes)
    return path


@pytest.fixture
def path(tmp_path):
    return written(tmp_path / "pixels.h5", finding="Fracture", findings=["a", "b"], draw=3)


def test_what_was_written_is_read(path):
    file = ImageFile(path)
    assert (len(file), file.resolution) == (23, 6)
    np.testing.assert_array_equal(file.read(), IMAGES)
    assert list(file.columns) == ["image", "labels", "row"]
    assert file.columns["image"].tolist() == KEYS
    np.testing.assert_array_equal(file.columns["labels"], LABELS)
    assert file.attributes == {"draw": 3, "finding": "Fracture", "findings": '["a", "b"]'}


def test_images_come_in_any_order_by_row_or_key(path, monkeypatch):
    monkeypatch.setattr(image_file, "BLOCK_BYTES", 5 * 36)  # Several blocks, and a rest.
    file, order = ImageFile(path), np.random.default_rng(1).permutation(23)[:17]
    rows = file.rows_of([KEYS[row] for row in order])
    np.testing.assert_array_equal(rows, order)
    np.testing.assert_array_equal(file.read(rows), IMAGES[order])
    np.testing.assert_array_equal(np.concatenate(list(file.batches(rows))), IMAGES[order])
    found = np.zeros((17, 6, 6), np.uint8)
    for places, images in file.parts(rows):
        assert len(places) <= 5
        found[places] = images
    np.testing.assert_array_equal(found, IMAGES[order])
    assert file.read([]).shape == (0, 6, 6)
    np.testing.assert_array_equal(file.read([3, 3]), IMAGES[[3, 3]])


@pytest.mark.skipif(not SMAPS.exists(), reason="needs Linux's list of mapped files")
@pytest.mark.parametrize("way", ["parts", "batches"])
def test_a_pass_over_a_file_does_not_hold_it_in_memory(tmp_path, way):
    images = np.random.default_rng(0).integers(0, 256, (64, 256, 256), dtype=np.uint8)
    path = tmp_path / "pixels.h5"
    write_image_file(path, [images], 64, 256, {"row": np.arange(64)})
    file = ImageFile(path)

    def held_kib():
        text = SMAPS.read_text(encoding="utf-8").split(str(path), 1)[1]
        return int(re.search(r"^Rss: +(\d+) kB", text, re.M)[1])

    file.read()
    assert held_kib() > 4000
    for _ in getattr(file, way)(np.arange(64)):
        pass
    assert held_kib() < 100
    np.testing.assert_array_equal(file.read([63]), images[63:])


def test_keys_that_are_not_there_are_refused(path):
    with pytest.raises(
        ValueError, match=r"2 of 3 images are not in this file, the first is a\.jpg"
    ):
        ImageFile(path).rows_of(["a.jpg", KEYS[0], "b.jpg"])


def test_a_key_that_names_several_images_is_refused(tmp_path):
    copies = written(tmp_path / "copies.h5", IMAGES[:2], 2, {"image": ["a.jpg", "a.jpg"]})
    with pytest.raises(ValueError, match="several images of one key"):
        ImageFile(copies).rows_of(["a.jpg"])


def test_filtered_copies_are_told_from_originals(tmp_path, path):
    kinds = ["none", "blur", "none"]
    copies = written(tmp_path / "copies.h5", IMAGES[:3], 3, {"filter": kinds})
    assert ImageFile(copies).unfiltered.tolist() == [0, 2]
    assert ImageFile(path).unfiltered.tolist() == list(range(23))


@pytest.mark.parametrize("count", [0, 1, 20])
def test_a_file_for_more_images_than_came_is_one_that_was_never_larger(tmp_path, count):
    columns = {"image": KEYS[:count]}
    written(tmp_path / "large.h5", IMAGES[:count], 23, lambda: columns)
    written(tmp_path / "small.h5", IMAGES[:count], count, columns)
    assert (tmp_path / "large.h5").read_bytes() == (tmp_path / "small.h5").read_bytes()
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["large.h5", "small.h5"]
    np.testing.assert_array_equal(ImageFile(tmp_path / "large.h5").read(), IMAGES[:count])


@pytest.mark.parametrize(
    ("images", "columns", "count", "complaint"),
    [
        (IMAGES, {"image": KEYS[:5]}, 23, "5 values of image for 23 images"),
        (IMAGES, {"image": KEYS}, 22, r"pixels\.h5: more than the 22 images that were announced"),
        (IMAGES.astype(np.float32), {}, 23, r"a batch is float32 of shape \(6, 6, 6\)"),
        (IMAGES[:, :5], {}, 23, r"a batch is uint8 of shape \(6, 5, 6\); uint8 of \(n, 6, 6\)"),
    ],
)
def test_what_does_not_fit_together_is_not_written(tmp_path, images, columns, count, complaint):
    with pytest.raises(ValueError, match=complaint):
        written(tmp_path / "pixels.h5", images, count, columns)
    assert not list(tmp_path.iterdir())


# Damage


def images_begin_at(path):
    with h5py.File(path) as file:
        return file["images"].id.get_offset()


def flip(path, place, bit=0):
    content = bytearray(path.read_bytes())
    content[place] ^= 1 << bit
    path.write_bytes(content)


@pytest.mark.parametrize("row", [0, 7, 22])
def test_a_flipped_bit_in_an_image_is_noticed_when_it_is_read(path, row):
    flip(path, images_begin_at(path) + row * 36 + 17, bit=3)
    file = ImageFile(path)
    others = [other for other in range(23) if other != row]
    np.testing.assert_array_equal(file.read(others), IMAGES[others])
    message = f"pixels.h5: damaged: the pixels of image {row} .{KEYS[row]}. are not those"
    for read in (file.read, lambda: list(file.batches()), lambda: list(file.parts([1, row]))):
        with pytest.raises(ValueError, match=message):
            read()


def test_an_image_is_checked_once(path):
    file = ImageFile(path)
    file.read([4, 5])
    flip_in_place = images_begin_at(path) + 4 * 36
    with open(path, "r+b") as opened:
        opened.seek(flip_in_place)
        opened.write(bytes([IMAGES[4, 0, 0] ^ 1]))
    assert file.read([4])[0, 0, 0] == IMAGES[4, 0, 0] ^ 1
    with pytest.raises(ValueError, match="damaged"):
        ImageFile(path).read([4])


def test_any_flipped_bit_outside_of_the_images_is_noticed_at_once(path):
    size, begin = path.stat().st_size, images_begin_at(path)
    outside = sorted(set(range(size)) - set(range(begin, begin + IMAGES.nbytes)))
    assert len(outside) > 5000
    for place in outside:
        if path.read_bytes()[place] == ord(" "):
            # What fills the seal up.
            continue
        flip(path, place, bit=place % 8)
        with pytest.raises(ValueError, match="damaged") as error:
            ImageFile(path)
        assert str(error.value).startswith(f"{path}: ")
        flip(path, place, bit=place % 8)


def test_a_file_that_is_cut_short_is_refused(path):
    content = path.read_bytes()
    for length in (0, 100, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match=r"pixels\.h5: .*run the workflow again"):
            ImageFile(path)


def test_other_hdf5_files_are_refused(path, tmp_path):
    with h5py.File(tmp_path / "foreign.h5", "w") as file:
        file["images"] = IMAGES
    with pytest.raises(ValueError, match=r"foreign\.h5: its beginning is not that of an HDF5 file"):
        ImageFile(tmp_path / "foreign.h5")
    with create_hdf5(tmp_path / "other.h5") as file:
        file["images"] = IMAGES
    with pytest.raises(ValueError, match=r"other\.h5: no file of images"):
        ImageFile(tmp_path / "other.h5")
    with pytest.raises(FileNotFoundError, match=r"nowhere\.h5"):
        ImageFile(tmp_path / "nowhere.h5")


# File systems without locks


def _write_and_read(path, error):
    no_locks.take_locks_away(error)
    written(path, IMAGES[:20], 23, lambda: {"image": KEYS[:20]})
    np.testing.assert_array_equal(ImageFile(path).read(), IMAGES[:20])


@pytest.mark.skipif(not no_locks.available(), reason="needs Linux on x86-64 or ARM")
@pytest.mark.parametrize("error", no_locks.ERRORS, ids=errno.errorcode.get)
def test_no_locks_are_needed(tmp_path, error):
    process = child(_write_and_read, tmp_path / "pixels.h5", error)
    process.join(60)
    assert process.exitcode == 0
