import math

import cv2
import numpy as np
import pytest
from skimage import data

from rarecxr.data.filters import apply

RANDOM = np.random.default_rng(0).integers(0, 256, (2, 48, 48), dtype=np.uint8)
# A photograph, and a part of it whose sharp edges lie at the border.
NATURAL = np.stack([data.camera()[::4, ::4], data.camera()[:128, 100:228]])
EDGES = np.where(np.indices((1, 33, 33)).sum(axis=0) // 3 % 2, 255, 0).astype(np.uint8)
IMAGES = [RANDOM, NATURAL, EDGES]


def largest_difference(images, ours, theirs):
    expected = np.stack([theirs(image) for image in images]).astype(int)
    assert ours.dtype == np.uint8
    return np.abs(ours - expected).max()


@pytest.mark.parametrize("images", IMAGES, ids=["random", "natural", "edges"])
@pytest.mark.parametrize(("size", "sigma"), [(5, 1.1), (3, 0.7), (7, 2.5), (9, 0.9), (13, 2.0)])
def test_gaussian_is_opencvs(images, size, sigma):
    ours = apply(images, "gaussian", size_px=size, sigma_px=sigma)
    theirs = lambda image: cv2.GaussianBlur(image, (size, size), sigma)  # noqa: E731
    assert largest_difference(images, ours, theirs) <= 1


@pytest.mark.parametrize("images", IMAGES, ids=["random", "natural", "edges"])
@pytest.mark.parametrize(("sigma", "amount"), [(2.0, 1.0), (1.0, 2.0), (3.0, 0.5), (1.3, 3.3)])
def test_unsharp_is_opencvs(images, sigma, amount):
    def theirs(image):
        blurred = cv2.GaussianBlur(image, (0, 0), sigma)
        return cv2.addWeighted(image, 1 + amount, blurred, -amount, 0)

    ours = apply(images, "unsharp", sigma_px=sigma, amount=amount)
    assert largest_difference(images, ours, theirs) <= 1


@pytest.mark.parametrize("images", IMAGES, ids=["random", "natural", "edges"])
@pytest.mark.parametrize("size", [3, 5, 7])
def test_minimum_is_opencvs(images, size):
    ours = apply(images, "minimum", size_px=size)
    theirs = lambda image: cv2.erode(image, np.ones((size, size), np.uint8))  # noqa: E731
    assert largest_difference(images, ours, theirs) == 0


@pytest.mark.parametrize(
    ("kind", "parameters"),
    [
        ("gaussian", {"size_px": 5, "sigma_px": 1.1}),
        ("unsharp", {"sigma_px": 2.0, "amount": 1.0}),
        ("minimum", {"size_px": 3}),
    ],
)
def test_images_do_not_see_each_other_and_flat_ones_stay(kind, parameters):
    batch = np.concatenate([RANDOM, np.full((1, 48, 48), 97, np.uint8)])
    together = apply(batch, kind, **parameters)
    alone = np.concatenate([apply(batch[i : i + 1], kind, **parameters) for i in range(3)])
    np.testing.assert_array_equal(together, alone)
    assert (together[2] == 97).all()
    assert not (together[0] == batch[0]).all()


@pytest.mark.parametrize(
    ("kind", "parameters", "complaint"),
    [
        ("median", {"size_px": 3}, "'median' is not known; there are gaussian, unsharp, minimum"),
        ("gaussian", {"size_px": 5}, "gaussian takes size_px and sigma_px"),
        ("minimum", {"size_px": 3, "amount": 1}, "minimum takes size_px, got"),
        ("minimum", {"size_px": 4}, "size_px must be an odd whole number from 1 to 1024, got 4"),
        ("minimum", {"size_px": -1}, "size_px must be an odd whole number"),
        ("minimum", {"size_px": 3.5}, "size_px must be an odd whole number"),
        ("minimum", {"size_px": math.nan}, "size_px must be an odd whole number"),
        ("minimum", {"size_px": math.inf}, "size_px must be an odd whole number"),
        ("gaussian", {"size_px": 5, "sigma_px": 0}, "sigma_px must be above 0"),
        ("gaussian", {"size_px": 5, "sigma_px": math.nan}, "sigma_px must be above 0"),
        ("gaussian", {"size_px": 5, "sigma_px": math.inf}, "sigma_px must be above 0"),
        ("unsharp", {"sigma_px": math.nan, "amount": 1}, "sigma_px must be above 0"),
        ("unsharp", {"sigma_px": 1, "amount": -1}, "amount must be a number from 0 on, got -1"),
        ("unsharp", {"sigma_px": 1, "amount": math.nan}, "amount must be a number .* got nan"),
        ("unsharp", {"sigma_px": 1, "amount": math.inf}, "amount must be a number .* got inf"),
    ],
)
def test_what_no_filter_is_is_refused(kind, parameters, complaint):
    with pytest.raises(ValueError, match=complaint):
        apply(RANDOM, kind, **parameters)


def test_images_must_be_a_batch_of_bytes():
    with pytest.raises(ValueError, match=r"must be \(N, H, W\) uint8"):
        apply(RANDOM.astype(np.float32), "minimum", size_px=3)
    with pytest.raises(ValueError, match=r"must be \(N, H, W\) uint8"):
        apply(RANDOM[0], "minimum", size_px=3)
