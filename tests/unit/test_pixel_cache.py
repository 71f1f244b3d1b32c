import hashlib
import itertools
import threading
import time

import numpy as np
import pandas as pd
import pytest
from dataset_files import cache, patients_of, write_images
from PIL import Image

from rarecxr.data.decode import decode
from rarecxr.data.image_file import ImageFile
from rarecxr.data.pixel_cache import CacheFiles, _in_order, cache_pixels
from rarecxr.study.configuration.pixels import PixelSettings

KEYS = [f"train/patient{number:05d}/study1/view1_frontal.jpg" for number in range(70)]


@pytest.fixture
def study(tmp_path):
    write_images(tmp_path / "data", KEYS)
    index = pd.DataFrame({"image": KEYS, "patient": patients_of(KEYS), "Edema": np.arange(70) % 3})
    index.to_parquet(tmp_path / "images.parquet")
    return tmp_path


def cached(study, name="pixels", threads=2, **settings):
    return cache(study, study / "images.parquet", study / "data", name, threads=threads, **settings)


def test_every_image_is_cached_as_it_is_decoded_alone(study):
    output = cached(study, square="pad")
    file = ImageFile(output)
    images, columns = file.read(), file.columns
    assert images.shape == (70, 16, 16)
    assert columns["image"].tolist() == KEYS
    assert columns["row"].tolist() == list(range(70))
    for row in (0, 31, 69):
        data = (study / "data" / KEYS[row]).read_bytes()
        np.testing.assert_array_equal(images[row], decode(data, 16, "pad").pixels)
        assert columns["digest"][row] == hashlib.sha256(data).hexdigest()
    assert (study / "pixels_rejected.csv").read_text(
        encoding="utf-8"
    ) == "image,row,reason,patient\n"


def test_threads_and_time_do_not_change_a_byte(study):
    expected = cached(study, "one", threads=1).read_bytes()
    time.sleep(1.1)  # HDF5 could write times, which it counts in seconds.
    assert cached(study, "five", threads=5).read_bytes() == expected


def test_what_cannot_be_read_is_listed_and_left_out(study):
    (study / "data" / KEYS[3]).unlink()
    broken = study / "data" / KEYS[40]
    broken.write_bytes(broken.read_bytes()[:-60])
    (study / "data" / KEYS[69]).write_text("an HTML page, say", encoding="utf-8")
    output = cached(study)
    rejected = pd.read_csv(study / "pixels_rejected.csv")
    assert rejected["image"].tolist() == [KEYS[3], KEYS[40], KEYS[69]]
    assert rejected["row"].tolist() == [3, 40, 69]
    assert rejected["reason"].tolist()[::2] == [
        "missing",
        "neither a JPEG nor a PNG nor a DICOM image",
    ]
    assert rejected["reason"][1].startswith("damaged: image file is truncated")
    assert rejected["patient"].tolist() == patients_of(rejected["image"])
    file = ImageFile(output)
    left = [row for row in range(70) if row not in (3, 40, 69)]
    assert file.columns["row"].tolist() == left
    assert len(file) == 67
    data = (study / "data" / KEYS[68]).read_bytes()
    np.testing.assert_array_equal(file.read([66])[0], decode(data, 16, "crop").pixels)
    # What follows starts from the rows of the index whose images there are.
    index = pd.read_parquet(study / "images.parquet").iloc[left].reset_index(drop=True)
    pd.testing.assert_frame_equal(pd.read_parquet(study / "pixels_readable.parquet"), index)


def test_the_cache_is_the_same_from_any_number_of_shards(study):
    (study / "data" / KEYS[3]).unlink()
    (study / "data" / KEYS[40]).write_bytes(b"broken")
    expected = cached(study, "one")
    for shards in (2, 7, 90):
        output = cached(study, f"of {shards}", shards=shards)
        assert output.read_bytes() == expected.read_bytes()
        rejected = output.with_name(f"of {shards}_rejected.csv").read_text(encoding="utf-8")
        assert rejected == (study / "one_rejected.csv").read_text(encoding="utf-8")


def test_few_rejected_images_in_each_shard_may_be_too_many_in_all(study):
    for key in KEYS[::10]:
        (study / "data" / key).write_bytes(b"broken")
    with pytest.raises(ValueError, match=r"7 of 70 images .* allows \(6\)") as error:
        cached(study, shards=5, max_rejected=0.09)
    every = study / "pixels_rejected_all.csv"
    assert str(every) in str(error.value)
    assert pd.read_csv(every)["image"].tolist() == KEYS[::10]


def test_shards_of_another_index_are_refused(study):
    cached(study, shards=2)
    index = pd.read_parquet(study / "images.parquet")
    index[::-1].reset_index(drop=True).to_parquet(study / "images.parquet")
    with pytest.raises(ValueError, match="the shards are not those of"):
        cache_pixels(
            images=study / "images.parquet",
            shards=[study / f"pixels_{shard}.h5" for shard in (0, 1)],
            left_out=[study / f"pixels_{shard}_rejected.csv" for shard in (0, 1)],
            root=study / "data",
            output=CacheFiles(
                pixels=study / "other.h5",
                rejected=study / "rejected.csv",
                readable=study / "readable.parquet",
                notes=study / "notes.csv",
            ),
            settings=PixelSettings(resolution=16),
            study="test",
        )


def test_too_many_rejected_images_stop_the_run_and_are_all_listed(study):
    for key in KEYS[10:17]:
        (study / "data" / key).write_bytes(b"broken")
    (study / "data" / KEYS[0]).unlink()
    message = r"8 of 70 images are missing .* dataset.max_rejected = 0.1 allows \(7\)"
    with pytest.raises(ValueError, match=message) as error:
        cached(study)
    assert f"{KEYS[0]}: missing" in str(error.value)
    # Not an output, which would go with the failed job.
    every = study / "pixels_0_rejected_all.csv"
    assert str(every) in str(error.value)
    assert pd.read_csv(every)["image"].tolist() == [KEYS[0], *KEYS[10:17]]
    assert not (study / "pixels.h5").exists()
    assert not (study / "pixels_rejected.csv").exists()
    cached(study, max_rejected=0.2)
    assert not every.exists()


def test_too_many_missing_images_are_noticed_before_any_is_decoded(study, monkeypatch):
    monkeypatch.setattr(
        "rarecxr.data.pixel_cache.decode", lambda *_: pytest.fail("decoded an image")
    )
    for key in KEYS[:8]:
        (study / "data" / key).unlink()
    with pytest.raises(ValueError, match="8 of 70 images are missing"):
        cached(study)


def test_no_more_than_a_few_tasks_are_ahead_of_the_writer():
    started, lock = itertools.count(), threading.Lock()

    def task(number):
        with lock:
            next(started)
        return number

    results = _in_order(task, iter(range(100)), threads=3)
    assert next(results) == 0
    time.sleep(0.2)
    with lock:
        assert next(started) <= 8
    assert list(results) == list(range(1, 100))


def test_the_content_follows_the_images_and_the_settings(study):
    def content(path):
        return ImageFile(path).content

    first = content(cached(study))
    assert content(cached(study)) == first
    assert content(cached(study, square="pad")) != first
    Image.new("L", (24, 20), 9).save(study / "data" / KEYS[5])
    assert content(cached(study)) != first
