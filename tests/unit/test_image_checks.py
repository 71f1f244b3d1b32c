from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from dataset_files import cache, patients_of, write_images
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from rarecxr.data.image_checks import level_percentiles

KEYS = [f"train/patient{number // 2:05d}/study1/view{number % 2}.png" for number in range(60)]


@pytest.fixture
def study(tmp_path):
    write_images(tmp_path / "data", KEYS)
    index = pd.DataFrame({"image": KEYS, "patient": patients_of(KEYS)})
    index.to_parquet(tmp_path / "images.parquet")
    return tmp_path


def cached(study, **settings):
    return cache(study, study / "images.parquet", study / "data", **settings)


def notes(study, **settings):
    cached(study, **settings)
    table = pd.read_csv(study / "pixels_notes.csv")
    assert list(table.columns) == ["image", "row", "note", "detail"]
    assert [KEYS[row] for row in table["row"]] == table["image"].tolist()
    return [tuple(row) for row in table[["row", "note", "detail"]].to_numpy()]


def path_of(study, number):
    return study / "data" / KEYS[number]


def same_file(study, source, target):
    path_of(study, target).write_bytes(path_of(study, source).read_bytes())


def same_pixels(study, source, target, text="saved again"):
    """Another file of the same pixels."""
    note = PngInfo()
    note.add_text("Comment", text)
    image = Image.open(path_of(study, source))
    image.save(path_of(study, target), compress_level=1, pnginfo=note)
    assert path_of(study, source).read_bytes() != path_of(study, target).read_bytes()


def test_images_without_oddities_have_no_notes(study):
    assert notes(study) == []


@pytest.mark.parametrize("shards", [1, 7])
def test_a_file_under_two_patients_is_refused_with_both_names(study, shards):
    same_file(study, 3, 50)
    same_file(study, 3, 20)
    same_file(study, 8, 41)
    with pytest.raises(
        ValueError, match="are listed for several patients, .* the same: 2. One"
    ) as error:
        cached(study, shards=shards)
    assert f"{KEYS[3]} and {KEYS[20]} and {KEYS[50]}\n  {KEYS[8]} and {KEYS[41]}" in str(
        error.value
    )
    assert not (study / "pixels.h5").exists()
    assert not (study / "pixels_readable.parquet").exists()
    # No output of the job, so it stays.
    listed = study / "pixels_same_files.csv"
    assert str(listed) in str(error.value)
    table = pd.read_csv(listed)
    assert table["row"].tolist() == [3, 20, 50, 8, 41]
    assert table["patient"].tolist() == patients_of(table["image"])
    assert table["digest"].nunique() == 2


def test_the_list_goes_when_the_copies_have_gone(study):
    same_file(study, 3, 50)
    with pytest.raises(ValueError, match="are listed for several patients"):
        cached(study)
    write_images(study / "data", KEYS)
    cached(study)
    assert not (study / "pixels_same_files.csv").exists()


def test_a_file_twice_under_one_patient_is_noted(study, caplog):
    same_file(study, 6, 7)
    assert notes(study) == [(7, "same file", f"as {KEYS[6]}")]
    assert f"same file: 1 images, the first are {KEYS[7]}" in caplog.text


def test_the_same_pixels_in_another_file_are_noted(study, caplog):
    same_pixels(study, 6, 7)
    same_pixels(study, 10, 30)
    same_pixels(study, 10, 59, "and again")
    other = "same pixels under another patient"
    assert notes(study) == [
        (7, "same pixels", f"as {KEYS[6]}"),
        (10, other, f"as {KEYS[30]}"),
        (30, other, f"as {KEYS[10]}"),
        (59, other, f"as {KEYS[10]}"),
    ]
    assert f"{other}: 3 images" in caplog.text


def test_equal_checksums_alone_are_no_copies(study, monkeypatch):
    same = SimpleNamespace(crc32=lambda _: 17)
    monkeypatch.setattr("rarecxr.data.image_file.zlib", same)
    assert notes(study) == []


def test_an_image_unlike_all_others_is_noted_whatever_is_wrong_with_it(study):
    black, dark, flat = Image.new("L", (24, 20)), Image.open(path_of(study, 5)), 128
    black.save(path_of(study, 11))
    dark.point(lambda level: level // 16).save(path_of(study, 5))
    Image.new("L", (24, 20), flat).save(path_of(study, 31))
    found = notes(study)
    assert [(row, kind) for row, kind, _ in found] == [
        (5, "unusual grey levels"),
        (11, "unusual grey levels"),
        (31, "unusual grey levels"),
    ]
    assert found[1][2] == "5, 25, 50, 75 and 95 % are 0 0 0 0 0; hardly any contrast"


def test_an_image_with_contrast_may_be_unlike_the_others(study):
    bright = np.full((20, 24), 255, np.uint8)
    bright[:4] = 215
    for number in range(len(KEYS)):
        if number != 17:
            dark = np.random.default_rng(number).integers(0, 90, (20, 24), dtype=np.uint8)
            Image.fromarray(dark).save(path_of(study, number))
    Image.fromarray(bright).save(path_of(study, 17))
    ((row, kind, detail),) = notes(study)
    assert (row, kind) == (17, "unusual grey levels")
    assert "% are 215 247 255 255 255; typical are " in detail


def test_a_whole_data_set_without_contrast_is_said(study, caplog):
    for number in range(len(KEYS)):
        dim = np.random.default_rng(number).integers(0, 16, (20, 24), dtype=np.uint8)
        Image.fromarray(dim).save(path_of(study, number))
    assert len(notes(study)) == 60
    assert "most images have hardly any contrast" in caplog.text


def test_16_bit_files_read_with_unusual_bits_are_noted(study, caplog):
    caplog.set_level("INFO")
    for number in range(len(KEYS)):
        deep = np.random.default_rng(number).integers(0, 4096, (20, 24), dtype=np.uint16)
        Image.fromarray(deep if number != 23 else deep * 3).save(path_of(study, number))
    assert notes(study) == [
        (23, "unusual bits", "read as samples of 14 bits, most 16-bit files of 12")
    ]
    assert "59 files of 12, 1 files of 14" in caplog.text


@pytest.mark.parametrize("seed", range(3))
def test_percentiles_are_numpys(seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (31, 31)).astype(np.uint8)
    expected = np.percentile(pixels, [5, 25, 50, 75, 95], method="inverted_cdf")
    assert level_percentiles(pixels).tolist() == expected.tolist()
