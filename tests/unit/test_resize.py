import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rarecxr.data.resize import coverage, reduce_area, resize_area


@given(st.integers(1, 400), st.integers(1, 300))
@settings(max_examples=100, deadline=None)
def test_every_sample_counts_the_same_and_every_mean_is_whole(length, size):
    weights = coverage(length, size).toarray()
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(weights.sum(axis=0), size / length, rtol=1e-5)


def test_weights_worked_by_hand():
    # 3 samples into 2: each covers one and a half.
    expected = [[2 / 3, 1 / 3, 0], [0, 1 / 3, 2 / 3]]
    np.testing.assert_allclose(coverage(3, 2).toarray(), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("shape", "size"), [((320, 320), 256), ((97, 61), 33), ((64, 64), 64), ((40, 96), 32)]
)
def test_reduction_is_opencvs(shape, size):
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    expected = cv2.resize(image.astype(np.float32), (size, size), interpolation=cv2.INTER_AREA)
    np.testing.assert_allclose(resize_area(image, size), expected, atol=0.01)


def test_whole_factors_average_blocks():
    images = np.random.default_rng(0).integers(0, 256, (3, 12, 12), dtype=np.uint8)
    expected = [np.rint(resize_area(image, 4)) for image in images]
    np.testing.assert_array_equal(reduce_area(images, 4), np.stack(expected))
    assert reduce_area(np.full((1, 8, 8), 255, np.uint8), 1).tolist() == [[[255]]]
    assert reduce_area(images, 12) is images


@pytest.mark.parametrize(("side", "resolution"), [(12, 5), (12, 24)])
def test_other_factors_are_refused(side, resolution):
    with pytest.raises(ValueError, match="divided by a whole number"):
        reduce_area(np.zeros((1, side, side), np.uint8), resolution)
