import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import calibration_curve

from rarecxr.statistics.calibration import expected_calibration_error, reliability


def test_reliability_of_a_case_worked_by_hand():
    table = reliability(np.array([0, 1, 0, 1]), np.array([0.1, 0.2, 0.6, 0.8]), bins=2)
    assert table["images"].tolist() == [2, 2]
    np.testing.assert_allclose(table["mean_probability"], [0.15, 0.7])
    np.testing.assert_allclose(table["positive_share"], [0.5, 0.5])
    assert expected_calibration_error(table) == pytest.approx((0.35 + 0.2) / 2)


def test_reliability_agrees_with_scikit_learn_where_scores_are_distinct():
    generator = np.random.default_rng(0)
    scores = generator.random(1000)
    labels = (generator.random(1000) < scores**2).astype(float)
    table = reliability(labels, scores)
    share, mean = calibration_curve(labels, scores, n_bins=10, strategy="quantile")
    np.testing.assert_allclose(table["positive_share"], share, atol=0.02)
    np.testing.assert_allclose(table["mean_probability"], mean, atol=0.005)


def test_scores_that_are_probabilities_have_a_small_error_and_squared_ones_a_large_one():
    generator = np.random.default_rng(1)
    scores = generator.beta(1, 8, 40_000)
    labels = (generator.random(40_000) < scores).astype(float)
    assert expected_calibration_error(reliability(labels, scores)) < 0.01
    assert expected_calibration_error(reliability(labels, np.sqrt(scores))) > 0.15


def test_equal_scores_stay_together():
    table = reliability(np.array([0, 1, 0, 1, 0, 0]), np.array([0.5] * 5 + [0.9]), bins=10)
    assert table["images"].tolist() == [5, 1]
    assert isinstance(table, pd.DataFrame)
    one = reliability(np.array([0, 1]), np.array([0.3, 0.3]))
    assert one["images"].tolist() == [2]
