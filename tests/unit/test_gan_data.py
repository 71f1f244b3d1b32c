"""The training images on the device: order, pyramid, fade."""

import h5py
import numpy as np
import pytest
import torch

from rarecxr.gan.data import TrainingImages, label_vectors, read_training_set

CPU = torch.device("cpu")


def pictures(count, side=16, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, side, side), dtype=np.uint8)


def training_images(images, start=4, seed=1, labels=None):
    labels = np.zeros((len(images), 0), np.float32) if labels is None else labels
    return TrainingImages(images, labels, start, CPU, seed)


def write(path, images, **datasets):
    with h5py.File(path, "w") as file:
        for name, values in {"images": images, **datasets}.items():
            file[name] = values
    return path


def test_each_pass_shows_every_image_once():
    data = training_images(pictures(7))
    order = data.positions(0, 21).numpy()
    for number in range(3):
        assert sorted(order[7 * number : 7 * number + 7]) == list(range(7))
    assert not np.array_equal(order[:7], order[7:14])


def test_the_order_does_not_depend_on_how_it_is_asked_for():
    whole = training_images(pictures(5)).positions(0, 23).numpy()
    data = training_images(pictures(5))
    parts = [data.positions(first, 3).numpy() for first in (18, 0, 6, 3, 15, 9, 12)]
    sorted_parts = [parts[place] for place in (1, 3, 2, 5, 6, 4, 0)]
    np.testing.assert_array_equal(np.concatenate(sorted_parts), whole[:21])


def test_another_seed_gives_another_order():
    orders = [training_images(pictures(50), seed=seed).positions(0, 50) for seed in (1, 2)]
    assert not torch.equal(*orders)


def test_the_pyramid_is_the_mean_of_squares_of_pixels():
    images = pictures(3)
    data = training_images(images)
    means = images.reshape(3, 8, 2, 8, 2).mean(axis=(2, 4))
    assert np.abs(data.levels[8][:, 0].numpy() - means).max() <= 0.5
    assert sorted(data.levels) == [4, 8, 16]


def test_a_batch_holds_the_images_of_its_positions_in_minus_one_to_one():
    images = pictures(6)
    data = training_images(images)
    wanted = images[data.positions(4, 5).numpy()] / 127.5 - 1
    np.testing.assert_allclose(data.batch(4, 5, 16)[:, 0].numpy(), wanted, atol=1e-6)


def test_a_faded_batch_lies_between_the_images_and_their_halved_and_doubled_selves():
    images = pictures(4)
    data = training_images(images)
    x = images[data.positions(0, 4).numpy()] / 127.5 - 1
    blurred = x.reshape(4, 8, 2, 8, 2).mean(axis=(2, 4)).repeat(2, axis=1).repeat(2, axis=2)
    found = data.batch(0, 4, 16, alpha=0.3)[:, 0].numpy()
    np.testing.assert_allclose(found, 0.3 * x + 0.7 * blurred, atol=1e-6)


def test_labels_come_with_their_images():
    images = pictures(6)
    data = training_images(images, labels=np.arange(6, dtype=np.float32)[:, None])
    found = data.batch_labels(2, 9)[:, 0].numpy()
    np.testing.assert_array_equal(found, data.positions(2, 9).numpy())


def test_label_vectors_are_those_of_real_images():
    labels = torch.tensor([[1.0, 0.0], [float("nan"), 1.0]])
    drawn = label_vectors(labels, 50, torch.Generator().manual_seed(0))
    assert {tuple(row) for row in drawn.tolist()} == {(1.0, 0.0), (0.0, 1.0)}


def test_a_training_set_is_read_with_its_labels(tmp_path):
    images = pictures(3)
    path = write(tmp_path / "set.h5", images, labels=np.eye(3))
    with h5py.File(path, "a") as file:
        file.attrs["findings"] = '["Edema", "Fracture", "Pneumonia"]'
    found, labels, names = read_training_set(path, 16)
    np.testing.assert_array_equal(found, images)
    np.testing.assert_array_equal(labels, np.eye(3))
    assert names == ["Edema", "Fracture", "Pneumonia"]
    _, labels, names = read_training_set(write(tmp_path / "other.h5", images), 16)
    assert (labels.shape, names) == ((3, 0), [])


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (pictures(1), "holds 1 image"),
        (pictures(0), "holds 0 image"),
        (np.full((5, 16, 16), 9, np.uint8), "all 5 images are equal"),
        (pictures(5, side=32), "32x32 pixels, gan.resolution is 16"),
        (pictures(5).astype(np.float32), "float32"),
    ],
)
def test_a_training_set_that_teaches_nothing_is_refused(tmp_path, images, words):
    path = write(tmp_path / "set.h5", images)
    with pytest.raises(ValueError, match=words) as error:
        read_training_set(path, 16)
    assert str(path) in str(error.value)
