import numpy as np
import pytest
from scipy.stats import mannwhitneyu
from sklearn import metrics

from rarecxr.statistics.auroc import Ranking, auroc, average_precision, brier, roc


def example(seed, decimals=None, images=800, prevalence=0.1):
    """Labels, float32 scores and patients; `decimals` rounds the scores so that many are equal."""
    generator = np.random.default_rng(seed)
    labels = (generator.random(images) < prevalence).astype(float)
    scores = np.clip(generator.normal(0.4 + 0.1 * labels, 0.15), 0, 1)
    scores = scores if decimals is None else np.round(scores, decimals)
    patients = np.sort(generator.integers(0, images // 3, images))
    return labels, scores.astype(np.float32), patients


@pytest.mark.parametrize("decimals", [None, 2, 1])
def test_measures_of_one_run_equal_scikit_learns(decimals):
    labels, scores, _ = example(1, decimals)
    assert auroc(labels, scores) == pytest.approx(metrics.roc_auc_score(labels, scores), abs=1e-12)
    expected = metrics.average_precision_score(labels, scores)
    assert average_precision(labels, scores) == pytest.approx(expected, abs=1e-12)
    expected = metrics.brier_score_loss(labels, scores)
    assert brier(labels, scores) == pytest.approx(expected, abs=1e-7)


def test_auroc_is_the_mann_whitney_statistic():
    labels, scores, _ = example(2, decimals=2)
    positives, negatives = scores[labels == 1], scores[labels == 0]
    statistic = mannwhitneyu(positives, negatives).statistic
    assert auroc(labels, scores) == pytest.approx(statistic / len(positives) / len(negatives))


def test_measures_of_a_case_worked_by_hand():
    # Falling: 1, 0, (1 and 0 level), 0. Pairs won: 3 for the first, 1 + 1/2 for the second.
    labels, scores = np.array([1, 0, 1, 0, 0]), np.array([0.9, 0.8, 0.5, 0.5, 0.1])
    assert auroc(labels, scores) == pytest.approx(4.5 / 6)
    assert average_precision(labels, scores) == pytest.approx(0.5 * 1 + 0.5 * 2 / 4)
    assert brier(labels, scores) == pytest.approx((0.01 + 0.64 + 0.25 + 0.25 + 0.01) / 5)


def test_without_a_class_there_is_no_auroc():
    assert np.isnan(auroc(np.zeros(3), np.arange(3)))
    assert np.isnan(auroc(np.ones(3), np.arange(3)))
    assert np.isnan(average_precision(np.zeros(3), np.arange(3)))


@pytest.mark.parametrize("decimals", [None, 1])
def test_roc_curve_has_the_area_that_is_the_auroc(decimals):
    labels, scores, _ = example(3, decimals)
    false, true, _ = metrics.roc_curve(labels, scores, drop_intermediate=False)
    inner = np.linspace(0.0005, 0.9995, 1000)
    curve = roc(labels, scores, inner)
    np.testing.assert_allclose(curve, np.interp(inner, false, true), atol=1e-12)
    assert curve.mean() == pytest.approx(auroc(labels, scores), abs=2e-3)


def test_roc_curve_at_zero_is_the_upper_end_of_its_first_step():
    labels, scores = np.array([1, 1, 0, 1, 0]), np.array([0.9, 0.8, 0.7, 0.6, 0.5])
    np.testing.assert_allclose(roc(labels, scores, np.array([0, 0.5, 1])), [2 / 3, 1, 1])


@pytest.mark.parametrize("decimals", [None, 2, 1])
def test_weighted_measures_equal_scikit_learns(decimals):
    labels, scores, patients = example(4, decimals)
    labels[7:40] = np.nan
    known = ~np.isnan(labels)
    number = patients.max() + 1
    weights = np.random.default_rng(0).poisson(1, (number, 25)).astype(np.float32)
    measured = Ranking.of(labels, scores, patients, number).measure(weights)
    for column in range(25):
        weight = weights[patients, column][known]
        case = {"y_true": labels[known], "sample_weight": weight}
        expected = [
            metrics.roc_auc_score(y_score=scores[known], **case),
            metrics.average_precision_score(y_score=scores[known], **case),
            np.average((scores[known] - labels[known]) ** 2, weights=weight),
        ]
        np.testing.assert_allclose(measured[:, column], expected, atol=1e-9)


def test_a_weight_is_as_good_as_a_repeated_image():
    labels, scores, patients = example(5, images=120)
    number = patients.max() + 1
    weights = np.random.default_rng(1).integers(0, 4, (number, 1)).astype(np.float32)
    again = np.repeat(np.arange(120), weights[patients, 0].astype(int))
    measured = Ranking.of(labels, scores, patients, number).measure(weights)[:, 0]
    expected = [f(labels[again], scores[again]) for f in (auroc, average_precision, brier)]
    np.testing.assert_allclose(measured, expected, atol=1e-7)


def test_a_resample_without_positives_measures_nothing_but_the_brier_score():
    labels, scores, patients = np.array([1.0, 0, 0]), np.array([0.9, 0.4, 0.1]), np.arange(3)
    weights = np.array([[0], [2], [1]], np.float32)
    measured = Ranking.of(labels, scores.astype(np.float32), patients, 3).measure(weights)[:, 0]
    assert np.isnan(measured[0])
    assert np.isnan(measured[1])
    assert measured[2] == pytest.approx((2 * 0.16 + 0.01) / 3, abs=1e-6)


def test_a_resample_without_a_class_spoils_no_other_ones_curve():
    labels, scores, patients = (
        np.array([1.0, 1, 0, 0]),
        np.array([0.9, 0.3, 0.5, 0.1]),
        np.arange(4),
    )
    ranking = Ranking.of(labels, scores.astype(np.float32), patients, 4)
    weights = np.array([[1, 2, 1, 0], [1, 2, 0, 0], [1, 0, 1, 2], [1, 0, 2, 2]], np.float32)
    with np.errstate(invalid="ignore"):
        curves = ranking.roc(weights, np.array([0.0, 0.4, 0.5, 1.0]))
    np.testing.assert_allclose(curves[:, 0], [0.5, 0.5, 1, 1])
    np.testing.assert_allclose(curves[:, 2], [1, 1, 1, 1])
    assert np.isnan(curves[:, 3]).all()


@pytest.mark.parametrize("decimals", [None, 2])
def test_weighted_curves_with_unit_weights_are_the_curve_within_a_step(decimals):
    labels, scores, patients = example(6, decimals)
    number = patients.max() + 1
    rates = np.linspace(0, 1, 51)
    curve = Ranking.of(labels, scores, patients, number).roc(
        np.ones((number, 2), np.float32), rates
    )
    plain = roc(labels, scores, rates)
    np.testing.assert_array_equal(curve[:, 0], curve[:, 1])
    # Level scores are drawn as a slope by one and as a step in its middle by the other.
    atol = 1e-9 if decimals is None else np.abs(np.diff(plain, prepend=0)).max()
    np.testing.assert_allclose(curve[:, 0], plain, atol=atol)
