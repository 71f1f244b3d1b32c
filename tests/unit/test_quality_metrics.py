"""Distances between sets of images, against closed forms and hand-worked cases."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from rarecxr.quality import metrics


def test_kid_equals_the_double_sum_over_all_pairs():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(5, 3)), rng.normal(1, 2, size=(4, 3))

    def k(a, b):
        return (sum(p * q for p, q in zip(a, b, strict=True)) / 3 + 1) ** 3

    xx = sum(k(x[i], x[j]) for i in range(5) for j in range(5) if i != j) / 20
    yy = sum(k(y[i], y[j]) for i in range(4) for j in range(4) if i != j) / 12
    xy = sum(k(a, b) for a in x for b in y) / 20
    assert metrics.kid(x, y) == pytest.approx(xx + yy - 2 * xy, rel=1e-12)


def test_kid_of_one_distribution_is_zero_on_average_and_grows_with_the_shift():
    rng = np.random.default_rng(1)
    same = [metrics.kid(rng.normal(size=(50, 8)), rng.normal(size=(50, 8))) for _ in range(200)]
    standard_error = np.std(same) / np.sqrt(200)
    assert abs(np.mean(same)) < 3 * standard_error
    x = rng.normal(size=(200, 8))
    shifts = [metrics.kid(x, rng.normal(shift, 1, size=(200, 8))) for shift in (0.5, 1, 2)]
    assert 0.05 < shifts[0] < shifts[1] < shifts[2]


def test_neighbourhood_in_a_case_worked_by_hand():
    # Real at 0, 1, 3 and 10; synthetic at 0.4, 2.9 and 50. k = 1: the radii of the real are
    # 1, 1, 2 and 7, those of the synthetic 2.5, 2.5 and 47.1.
    real = np.array([[0.0], [1.0], [3.0], [10.0]])
    synthetic = np.array([[0.4], [2.9], [50.0]])
    told = metrics.neighbourhood(real, synthetic, k=1)
    # 0.4 lies in the balls of 0 and 1; 2.9 in that of 3 and (7.1 > 7) not in that of 10.
    assert told["precision"] == pytest.approx(2 / 3)
    assert told["density"] == pytest.approx(3 / 3)
    # 0, 1 and 3 lie within 2.5 of a synthetic one, 10 within 47.1 of the one at 50.
    assert told["recall"] == pytest.approx(1.0)
    # The nearest synthetic one is inside the ball of 0, 1 (0.6 < 1) and 3 (0.1 < 2) alone.
    assert told["coverage"] == pytest.approx(3 / 4)


def test_a_collapsed_generator_has_precision_without_recall():
    rng = np.random.default_rng(2)
    real = rng.normal(size=(300, 4))
    collapsed = real[:1] * 0 + rng.normal(0, 0.01, size=(300, 4))
    told = metrics.neighbourhood(real, collapsed)
    assert told["precision"] > 0.9
    assert told["recall"] < 0.05
    assert told["coverage"] < 0.2


def test_sharpness_falls_with_blur_and_ignores_contrast():
    rng = np.random.default_rng(4)
    image = gaussian_filter(rng.normal(size=(64, 64)), 1)
    image = (image - image.min()) / (image.max() - image.min())
    sharp = np.round(image * 200).astype(np.uint8)
    blurred = np.round(gaussian_filter(image, 1.5) * 200).astype(np.uint8)
    flat = np.round(image * 100 + 50).astype(np.uint8)
    values = metrics.sharpness(np.stack([sharp, blurred, flat, np.full_like(sharp, 7)]))
    assert values[1] < 0.7 * values[0]
    assert values[2] == pytest.approx(values[0], rel=0.02)
    assert values[3] == 0


def test_too_few_images_and_other_widths_are_refused():
    with pytest.raises(ValueError, match="at least 2 images"):
        metrics.kid(np.zeros((1, 3)), np.zeros((5, 3)))
    with pytest.raises(ValueError, match=r"\(5, 3\) and \(5, 4\)"):
        metrics.neighbourhood(np.zeros((5, 3)), np.zeros((5, 4)))
