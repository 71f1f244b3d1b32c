"""Sample sheets of a bank: nobody picks the images, and a copy finds its original."""

import numpy as np
import pytest

from rarecxr.bank.bank_file import write_bank
from rarecxr.bank.sample_sheet import read_sheet, write_sheet
from rarecxr.data.image_file import write_image_file


@pytest.fixture
def training(tmp_path):
    """700 images, every other one a filtered copy."""
    images = np.random.default_rng(0).integers(0, 256, (700, 64, 64), dtype=np.uint8)
    columns = {"filter": np.where(np.arange(700) % 2, "none", "gaussian")}
    write_image_file(tmp_path / "set.h5", [images], 700, 64, columns)
    return tmp_path / "set.h5", images


def make_bank(path, images):
    attributes = {"finding": "Fracture", "study": "test"}
    write_bank(path, len(images), images.shape[-1], [images], attributes)
    return path


def test_a_synthetic_image_that_copies_a_training_image_is_found(training, tmp_path):
    path, images = training
    noise = np.random.default_rng(1).integers(-4, 5, (3, 64, 64))
    # The last one copies a filtered copy, which is no original and never the nearest image.
    copies = np.clip(images[[651, 3, 332]].astype(int) + noise, 0, 255).astype(np.uint8)
    bank = make_bank(tmp_path / "bank.h5", copies)
    write_sheet(path, path, bank, tmp_path / "sheet.npz")
    sheet = read_sheet(tmp_path / "sheet.npz")
    np.testing.assert_array_equal(sheet.synthetic, copies)
    np.testing.assert_array_equal(sheet.nearest[:2], images[[651, 3]])
    assert not (sheet.nearest[2] == images[332]).all()
    assert (sheet.n_real, sheet.n_synthetic) == (350, 3)


def test_a_sheet_shows_originals_at_equal_distances(training, tmp_path):
    path, images = training
    bank = make_bank(tmp_path / "bank.h5", images[:100])
    write_sheet(path, path, bank, tmp_path / "sheet.npz", number=16)
    sheet = read_sheet(tmp_path / "sheet.npz", number=4)
    assert len(sheet.real) == len(sheet.synthetic) == len(sheet.nearest) == 4
    originals = images[1::2]
    np.testing.assert_array_equal(sheet.real[[0, -1]], originals[[0, -1]])
    np.testing.assert_array_equal(sheet.synthetic[[0, -1]], images[[0, 99]])


def test_neighbours_are_sought_among_what_the_generator_was_trained_on(training, tmp_path):
    path, images = training
    columns = {"filter": ["none"] * 40}
    write_image_file(tmp_path / "positives.h5", [images[:40]], 40, 64, columns)
    bank = make_bank(tmp_path / "bank.h5", images[[601]])
    write_sheet(tmp_path / "positives.h5", path, bank, tmp_path / "sheet.npz")
    sheet = read_sheet(tmp_path / "sheet.npz")
    np.testing.assert_array_equal(sheet.nearest, images[[601]])
    assert sheet.n_real == 40


def test_a_damaged_sheet_names_itself_and_what_to_do(training, tmp_path):
    path, images = training
    sheet = tmp_path / "sheet.npz"
    write_sheet(path, path, make_bank(tmp_path / "bank.h5", images[:3]), sheet)
    whole = sheet.read_bytes()
    middle = len(whole) // 2
    for damaged in (b"", b"{}", whole[:middle], whole[:99] + b"\0" * 99 + whole[198:]):
        sheet.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"sheet\.npz: .*run the workflow again"):
            read_sheet(sheet)
