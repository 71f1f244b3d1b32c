"""The training images on the device: order, pyramid, fade."""

import contextlib

import numpy as np
import pytest
import torch

from rarecxr.data.image_file import write_image_file
from rarecxr.gan.images import label_vectors, training_images

CPU = torch.device("cpu")


def pictures(count, side=16, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, side, side), dtype=np.uint8)


@pytest.fixture
def load(tmp_path):
    """Writes images into a file and gives them as `TrainingImages`."""
    with contextlib.ExitStack() as stack:

        def loaded(images, seed=1, start=4, pixel_memory_mib=1024, side=None, **datasets):
            path = write(tmp_path / "set.h5", images, **datasets)
            side = side or images.shape[-1]
            context = training_images(path, side, start, CPU, seed, tmp_path, pixel_memory_mib)
            return stack.enter_context(context)

        yield loaded


def write(path, images, labels=None, findings=None):
    columns = {} if labels is None else {"labels": labels}
    about = {} if labels is None else {"findings": list(findings)}
    write_image_file(path, [images], len(images), images.shape[-1], columns, about)
    return path


def test_each_pass_shows_every_image_once(load):
    data = load(pictures(7))
    order = data.positions(0, 21)
    for number in range(3):
        assert sorted(order[7 * number : 7 * number + 7]) == list(range(7))
    assert not np.array_equal(order[:7], order[7:14])


def test_the_order_does_not_depend_on_how_it_is_asked_for(load):
    whole = load(pictures(5)).positions(0, 23)
    data = load(pictures(5))
    parts = [data.positions(first, 3) for first in (18, 0, 6, 3, 15, 9, 12)]
    sorted_parts = [parts[place] for place in (1, 3, 2, 5, 6, 4, 0)]
    np.testing.assert_array_equal(np.concatenate(sorted_parts), whole[:21])


def test_another_seed_gives_another_order(load):
    orders = [load(pictures(50), seed=seed).positions(0, 50) for seed in (1, 2)]
    assert not np.array_equal(*orders)


def test_the_pyramid_is_the_mean_of_squares_of_pixels(load):
    images = pictures(3)
    data = load(images)
    means = images.reshape(3, 8, 2, 8, 2).mean(axis=(2, 4))
    assert np.abs(data.levels[8][:, 0].numpy() - means).max() <= 0.5
    assert sorted(data.levels) == [4, 8, 16]


def test_a_batch_holds_the_images_of_its_positions_in_minus_one_to_one(load):
    images = pictures(6)
    data = load(images)
    wanted = images[data.positions(4, 5)] / 127.5 - 1
    np.testing.assert_allclose(data.batch(4, 5, 16)[:, 0].numpy(), wanted, atol=1e-6)


def test_a_faded_batch_lies_between_the_images_and_their_halved_and_doubled_selves(load):
    images = pictures(4)
    data = load(images)
    x = images[data.positions(0, 4)] / 127.5 - 1
    blurred = x.reshape(4, 8, 2, 8, 2).mean(axis=(2, 4)).repeat(2, axis=1).repeat(2, axis=2)
    found = data.batch(0, 4, 16, alpha=0.3)[:, 0].numpy()
    np.testing.assert_allclose(found, 0.3 * x + 0.7 * blurred, atol=1e-6)


def test_labels_come_with_their_images(load):
    images = pictures(6)
    data = load(images, labels=np.arange(6)[:, None], findings=["Edema"])
    found = data.batch_labels(2, 9)[:, 0].numpy()
    np.testing.assert_array_equal(found, data.positions(2, 9))


def test_label_vectors_are_those_of_real_images():
    labels = torch.tensor([[1.0, 0.0], [float("nan"), 1.0]])
    drawn = label_vectors(labels, 50, torch.Generator().manual_seed(0))
    assert {tuple(row) for row in drawn.tolist()} == {(1.0, 0.0), (0.0, 1.0)}


def test_labels_have_names_and_a_file_without_labels_has_none(load):
    data = load(pictures(3), labels=np.eye(3), findings=["Edema", "Fracture", "Pneumonia"])
    np.testing.assert_array_equal(data.labels.numpy(), np.eye(3))
    assert data.label_names == ["Edema", "Fracture", "Pneumonia"]
    data = load(pictures(3))
    assert (tuple(data.labels.shape), data.label_names) == ((3, 0), [])


def test_images_beyond_the_limit_are_mapped_from_files_and_the_same(load, tmp_path):
    images = pictures(2000)
    resident, mapped = load(images), load(images, pixel_memory_mib=0)
    assert sorted(path.name for path in tmp_path.glob("*.npy")) == [
        "images_16px.npy",
        "images_4px.npy",
        "images_8px.npy",
    ]
    for resolution in (8, 16):
        found = mapped.batch(1990, 20, resolution, alpha=0.5)
        assert torch.equal(found, resident.batch(1990, 20, resolution, alpha=0.5))


def test_mapped_files_are_removed_at_the_end(tmp_path):
    path = write(tmp_path / "set.h5", pictures(3))
    with training_images(path, 16, 8, CPU, 1, tmp_path / "state", pixel_memory_mib=0):
        assert len(list((tmp_path / "state").iterdir())) == 2
    assert not list((tmp_path / "state").iterdir())


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (pictures(1), "holds 1 image"),
        (pictures(0), "holds 0 image"),
        (np.full((5, 16, 16), 9, np.uint8), "all 5 images are equal"),
        (pictures(5, side=32), "32x32 pixels, gan.resolution is 16"),
    ],
)
def test_a_training_set_that_teaches_nothing_is_refused(load, images, words):
    with pytest.raises(ValueError, match=words) as error:
        load(images, side=16)
    assert "set.h5" in str(error.value)
