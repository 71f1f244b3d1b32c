import numpy as np
import pytest
from scipy.stats import mannwhitneyu
from sklearn import metrics

from rarecxr.statistics.metrics import auroc, average_precision, brier_score, sensitivity_at


def example(seed, decimals=None, images=800):
    """Labels and float32 scores in [0, 1]; `decimals` rounds the scores so that many are equal."""
    generator = np.random.default_rng(seed)
    labels = (generator.random(images) < 0.1).astype(float)
    scores = np.clip(generator.normal(0.4 + 0.1 * labels, 0.15), 0, 1)
    scores = scores if decimals is None else np.round(scores, decimals)
    return labels, scores.astype(np.float32)


def test_auroc_is_the_mann_whitney_statistic():
    labels, scores = example(2, decimals=2)
    positives, negatives = scores[labels == 1], scores[labels == 0]
    statistic = mannwhitneyu(positives.astype(float), negatives.astype(float)).statistic
    assert auroc(labels, scores) == pytest.approx(statistic / len(positives) / len(negatives))


def test_metrics_of_a_case_worked_by_hand():
    # Falling: 1, 0, (1 and 0 level), 0. Pairs won: 3 for the first, 1 + 1/2 for the second.
    labels, scores = np.array([1, 0, 1, 0, 0]), np.array([0.9, 0.8, 0.5, 0.5, 0.1])
    assert auroc(labels, scores) == pytest.approx(4.5 / 6)
    assert average_precision(labels, scores) == pytest.approx(0.5 * 1 + 0.5 * 2 / 4)
    assert brier_score(labels, scores) == pytest.approx((0.01 + 0.64 + 0.25 + 0.25 + 0.01) / 5)


def test_without_a_class_there_is_no_auroc():
    assert np.isnan(auroc(np.zeros(3), np.arange(3)))
    assert np.isnan(auroc(np.ones(3), np.arange(3)))
    assert np.isnan(average_precision(np.zeros(3), np.arange(3)))
    assert np.isnan(brier_score(np.zeros(0), np.zeros(0)))


def test_the_brier_score_needs_only_one_class():
    assert brier_score(np.zeros(2), np.array([0.1, 0.3])) == pytest.approx(0.05)
    assert brier_score(np.ones(2), np.array([0.1, 0.3])) == pytest.approx((0.81 + 0.49) / 2)


@pytest.mark.parametrize("decimals", [None, 1])
def test_roc_curve_has_the_area_that_is_the_auroc(decimals):
    labels, scores = example(3, decimals)
    false, true, _ = metrics.roc_curve(labels, scores, drop_intermediate=False)
    inner = np.linspace(0.0005, 0.9995, 1000)
    curve = sensitivity_at(labels, scores, inner)
    np.testing.assert_allclose(curve, np.interp(inner, false, true), atol=1e-12)
    assert curve.mean() == pytest.approx(auroc(labels, scores), abs=2e-3)


@pytest.mark.parametrize("number", [3, 101])
def test_roc_curve_at_zero_is_the_upper_end_of_its_first_step(number):
    labels, scores = np.array([1, 1, 0, 1, 0]), np.array([0.9, 0.8, 0.7, 0.6, 0.5])
    curve = sensitivity_at(labels, scores, np.linspace(0, 1, number))
    np.testing.assert_allclose(curve[[0, number // 2, -1]], [2 / 3, 1, 1])
