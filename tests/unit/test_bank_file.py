"""Banks: what is written is read, by any study, and as PNG."""

import json
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from hdf5_files import amended
from PIL import Image

from rarecxr.bank import bank_file
from rarecxr.bank.bank_file import NOTICE, Bank, export_png, write_bank
from rarecxr.core.hdf5 import create_hdf5

SCRIPTS = Path(__file__).parents[2] / "workflow" / "scripts"
ATTRIBUTES = {"finding": "Lung Lesion", "study": "other", "seed": 3, "settings": {"b": 1, "a": [2]}}


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (37, 8, 8), dtype=np.uint8)


@pytest.fixture
def bank(tmp_path, images):
    path = tmp_path / "bank.h5"
    write_bank(path, 37, 8, np.split(images, [10, 20, 37]), ATTRIBUTES)
    return path


def test_a_bank_holds_the_batches_in_order(bank, images):
    with Bank(bank) as source:
        assert len(source) == 37
        assert source.resolution == 8
        np.testing.assert_array_equal(source.read(), images)
        np.testing.assert_array_equal(source.read(30, 5), images[30:35])
        np.testing.assert_array_equal(np.concatenate(list(source.batches(16))), images)


def test_a_bank_says_what_it_is(bank):
    with Bank(bank) as source:
        attributes = source.attributes
    assert attributes["notice"] == NOTICE
    assert "ynthetic" in NOTICE
    assert attributes["study"] == "other"
    assert attributes["seed"] == 3
    assert json.loads(attributes["settings"]) == {"a": [2], "b": 1}


def test_a_bank_is_compressed_in_chunks_of_whole_images(bank):
    with h5py.File(bank) as file:
        assert file["images"].compression == "gzip"
        assert file["images"].chunks == (16, 8, 8)


@pytest.mark.parametrize("threads", [1, 3])
def test_the_same_images_give_the_same_bytes(bank, tmp_path, images, threads):
    path = tmp_path / "again.h5"
    write_bank(path, 37, 8, [images], ATTRIBUTES, threads=threads)
    assert path.read_bytes() == bank.read_bytes()


def test_other_programs_read_a_bank_without_this_library(tmp_path, images):
    """Down to the last chunk, which is not full, by plain HDF5 with its own filter."""
    write_bank(tmp_path / "bank.h5", 37, 8, [images[:1], images[1:]], ATTRIBUTES, threads=2)
    with h5py.File(tmp_path / "bank.h5") as file:
        np.testing.assert_array_equal(file["images"][:], images)
        np.testing.assert_array_equal(file["images"][36], images[36])


def test_batches_are_asked_for_no_faster_than_they_are_written(tmp_path, monkeypatch):
    """So that memory does not grow with a bank, however slow the compression is."""
    asked, packed = [], []
    compress = bank_file.zlib.compress

    def slow(chunk, level):
        time.sleep(0.01)
        packed.append(1)
        return compress(chunk, level)

    def batches():
        for _ in range(60):
            asked.append(len(asked) - len(packed))
            yield np.zeros((16, 8, 8), np.uint8)

    monkeypatch.setattr(bank_file, "zlib", SimpleNamespace(compress=slow))
    write_bank(tmp_path / "bank.h5", 960, 8, batches(), ATTRIBUTES, threads=2)
    assert len(packed) == 60
    assert max(asked) <= 2 * 2 + 2


def test_a_bank_of_a_conditional_gan_holds_its_labels_by_name(tmp_path, images):
    labels = np.eye(37, 2, dtype=np.float32)
    path = tmp_path / "bank.h5"
    write_bank(path, 37, 8, [images], ATTRIBUTES, labels, ["Edema", "Fracture"])
    with Bank(path) as source:
        np.testing.assert_array_equal(source.labels, labels)
        assert source.findings == ["Edema", "Fracture"]


def test_a_bank_of_one_finding_holds_no_labels(bank):
    with Bank(bank) as source:
        assert source.labels is None
        assert source.findings == []


@pytest.mark.parametrize(
    ("number", "batch", "words"),
    [
        (5, np.zeros((4, 8, 8), np.uint8), "4 images instead of the 5"),
        (3, np.zeros((4, 8, 8), np.uint8), "more than the 3"),
        (4, np.zeros((4, 8, 8), np.float32), "a batch is float32"),
        (4, np.zeros((4, 9, 8), np.uint8), r"shape \(4, 9, 8\)"),
    ],
)
def test_batches_that_do_not_fit_leave_no_file(tmp_path, number, batch, words):
    path = tmp_path / "bank.h5"
    with pytest.raises(ValueError, match=words):
        write_bank(path, number, 8, [batch], ATTRIBUTES)
    assert not list(tmp_path.iterdir())


def test_a_missing_bank_and_a_file_that_is_none_are_named(tmp_path, bank):
    with pytest.raises(FileNotFoundError, match="nowhere.h5"):
        Bank(tmp_path / "nowhere.h5")
    (tmp_path / "text.h5").write_text("text", encoding="utf-8")
    with pytest.raises(ValueError, match="text.h5: its beginning is not that of an HDF5 file"):
        Bank(tmp_path / "text.h5")
    with amended(bank) as file:
        del file.attrs["notice"]
    with pytest.raises(ValueError, match="lacks notice"):
        Bank(bank)


@pytest.mark.parametrize(("first", "count"), [(-1, 2), (36, 2), (38, None), (0, 38)])
def test_images_beyond_the_bank_are_refused(bank, first, count):
    with Bank(bank) as source, pytest.raises(ValueError, match="it holds 37"):
        source.read(first, count)


def test_exported_images_are_the_banks_and_say_that_they_are_synthetic(bank, images, tmp_path):
    paths = export_png(bank, tmp_path / "png", number=3)
    assert [path.name for path in paths] == [f"lung_lesion_00000{i}.png" for i in range(3)]
    for path, image in zip(paths, images, strict=False):
        with Image.open(path) as picture:
            np.testing.assert_array_equal(np.array(picture), image)
            assert picture.text["Comment"] == NOTICE
    assert (
        json.loads((tmp_path / "png" / "attributes.json").read_text(encoding="utf-8"))["seed"] == 3
    )


def test_files_that_would_deliver_other_files_are_not_exported(tmp_path):
    """Whatever is not in the bank itself: nothing of it may end in a PNG file."""
    secret = tmp_path / "secret.txt"
    secret.write_bytes(b"SECRET" * 100)
    attributes = {"finding": "f", "study": "s", "notice": "n", "format": 1}
    layout = h5py.VirtualLayout((3, 10, 20), np.uint8)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["images"] = np.frombuffer(secret.read_bytes(), np.uint8).reshape(3, 10, 20)
    layout[:] = h5py.VirtualSource(tmp_path / "other.h5", "images", (3, 10, 20))
    kinds = {
        "stored in": lambda file: file.create_dataset(
            "images", (3, 10, 20), np.uint8, external=[(secret, 0, 600)]
        ),
        "mapped to": lambda file: file.create_virtual_dataset("images", layout),
        "a link to": lambda file: file.__setitem__(
            "images", h5py.ExternalLink(tmp_path / "other.h5", "images")
        ),
    }
    for kind, make in kinds.items():
        with create_hdf5(tmp_path / "hostile.h5") as file:
            make(file)
            file.attrs.update(attributes)
        with pytest.raises(ValueError, match=rf"hostile\.h5: 'images' is .*{kind}"):
            export_png(tmp_path / "hostile.h5", tmp_path / "png")
        assert not list((tmp_path / "png").iterdir())


def test_the_command_exports_all_images(bank, tmp_path):
    command = [sys.executable, SCRIPTS / "export_bank.py", bank, tmp_path / "png"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, encoding="utf-8")
    assert "37 images" in done.stdout
    assert len(list((tmp_path / "png").glob("*.png"))) == 37


@pytest.mark.parametrize("number", ["0", "38"])
def test_the_command_refuses_more_images_than_there_are(bank, tmp_path, number):
    command = [sys.executable, SCRIPTS / "export_bank.py", bank, tmp_path / "png"]
    done = subprocess.run(
        [*command, "--number", number], capture_output=True, text=True, encoding="utf-8"
    )
    assert done.returncode == 1
    assert f"{number} images are wanted, it holds 37" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_reader_imports_no_torch():
    code = "import sys, rarecxr.bank.bank_file; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=SCRIPTS, check=True)
