import h5py
import numpy as np
import pytest
import torch

from rarecxr.bank.bank_file import Bank, write_bank
from rarecxr.classifier.images import DeviceImages, MappedImages, Part, load_images, resize
from rarecxr.data.image_file import ImageFile, write_image_file
from rarecxr.data.resize import resize_area

CPU = torch.device("cpu")


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (100, 16, 16)).astype(np.uint8)


@pytest.fixture
def files(tmp_path, pixels):
    """The same images as an uncompressed cache and as a compressed bank."""
    write_image_file(tmp_path / "cache.h5", [pixels], 100, 16, {})
    about = {"finding": "Fracture", "study": "tiny"}
    write_bank(tmp_path / "bank.h5", 100, 16, [pixels], about)
    with Bank(tmp_path / "bank.h5") as bank:
        yield [ImageFile(tmp_path / "cache.h5"), bank]


@pytest.mark.parametrize("limit", [100, 0])
def test_images_are_those_of_their_rows_wherever_they_lie(files, pixels, limit, tmp_path):
    rng = np.random.default_rng(1)
    parts = [Part(file, rng.permutation(100)[:40]) for file in files]
    images = load_images(parts, 16, CPU, limit, tmp_path / "scratch")
    assert isinstance(images, MappedImages if limit == 0 else DeviceImages)
    assert len(images) == 80
    order = rng.integers(0, 80, 50)
    batches = list(images.batches(order, 16))
    assert [len(batch) for batch in batches] == [16, 16, 16, 2]
    expected = pixels[np.concatenate([part.rows for part in parts])[order]] / 255
    got = torch.cat(batches)
    assert got.shape == (50, 1, 16, 16)
    np.testing.assert_allclose(got[:, 0], expected, atol=1e-7)


@pytest.mark.parametrize("resolution", [8, 11, 24])
def test_resized_images_are_the_same_wherever_they_lie(files, resolution, tmp_path):
    parts = [Part(file, np.arange(5, 60)) for file in files]
    order = np.random.default_rng(2).integers(0, 110, 40)
    held = torch.cat(list(load_images(parts, resolution, CPU, 100, tmp_path).batches(order, 7)))
    read = torch.cat(list(load_images(parts, resolution, CPU, 0, tmp_path).batches(order, 7)))
    assert held.shape == (40, 1, resolution, resolution)
    assert torch.equal(held, read)


def test_a_pixel_of_a_smaller_image_is_the_mean_of_its_area(pixels):
    means = pixels.reshape(100, 8, 2, 8, 2).mean(axis=(2, 4))
    got = resize(torch.from_numpy(pixels), 8).numpy()
    assert np.abs(got - means).max() <= 0.5 + 1e-4


@pytest.mark.parametrize(("side", "resolution"), [(32, 28), (40, 16), (30, 15), (31, 12)])
def test_smaller_images_are_those_of_the_pixel_cache(side, resolution):
    images = np.random.default_rng(3).integers(0, 256, (4, side, side), dtype=np.uint8)
    expected = np.stack([np.rint(resize_area(image, resolution)) for image in images])
    got = resize(torch.from_numpy(images), resolution).numpy()
    # A mean that lies halfway may fall to either side.
    assert np.abs(got - expected).max() <= 1
    assert np.mean(got != expected) < 0.01


@pytest.mark.parametrize("resolution", [5, 16, 40])
def test_resizing_keeps_a_flat_image(resolution):
    flat = torch.full((2, 16, 16), 200, dtype=torch.uint8)
    assert torch.equal(resize(flat, resolution), torch.full((2, resolution, resolution), 200))


def test_a_compressed_file_is_read_by_whole_chunks_each_once(files, pixels, monkeypatch):
    monkeypatch.setattr("rarecxr.bank.bank_file._PART_BYTES", 40 * 16 * 16)
    rows = np.array([99, 3, 1, 50, 51, 17, 98, 97, 18, 96])
    reads = []
    whole = h5py.Dataset.__getitem__

    def counted(self, key):
        if isinstance(key, slice):
            reads.append((key.start, key.stop))
        return whole(self, key)

    monkeypatch.setattr(h5py.Dataset, "__getitem__", counted)
    found = np.zeros((len(rows), 16, 16), np.uint8)
    for places, block in files[1].parts(rows):
        found[places] = block
    assert np.array_equal(found, pixels[rows])
    # Chunks hold 16 images: those from 64 to 79 and from 80 to 95 are not needed.
    assert reads == [(0, 32), (48, 64), (96, 112)]
