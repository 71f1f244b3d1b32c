import numpy as np
import pytest
from scipy.special import expit
from sklearn import metrics

from rarecxr.statistics.metrics import auroc, average_precision, brier_score, sensitivity_at
from rarecxr.statistics.ranking import Ranking


def example(seed, decimals=None, images=800):
    """Labels, float32 logits and patients; `decimals` rounds the logits so that many are equal."""
    generator = np.random.default_rng(seed)
    labels = (generator.random(images) < 0.1).astype(float)
    logits = generator.normal(labels - 1, 1.5)
    logits = logits if decimals is None else np.round(logits, decimals)
    patients = np.sort(generator.integers(0, images // 3, images))
    return labels, logits.astype(np.float32), patients


@pytest.mark.parametrize("decimals", [None, 2, 1])
def test_weighted_metrics_equal_scikit_learns(decimals):
    labels, logits, patients = example(4, decimals)
    labels[7:40] = np.nan
    known = ~np.isnan(labels)
    number = patients.max() + 1
    weights = np.random.default_rng(0).poisson(1, (number, 25)).astype(np.float32)
    computed = Ranking.of(labels, logits, patients, number).metrics(weights)
    for column in range(25):
        weight = weights[patients, column][known]
        case = {"y_true": labels[known], "sample_weight": weight}
        expected = [
            metrics.roc_auc_score(y_score=logits[known], **case),
            metrics.average_precision_score(y_score=logits[known], **case),
            np.average((expit(logits[known].astype(float)) - labels[known]) ** 2, weights=weight),
        ]
        np.testing.assert_allclose(computed[:, column], expected, atol=1e-9)


def test_a_weight_is_as_good_as_a_repeated_image():
    labels, logits, patients = example(5, images=120)
    number = patients.max() + 1
    weights = np.random.default_rng(1).integers(0, 4, (number, 1)).astype(np.float32)
    again = np.repeat(np.arange(120), weights[patients, 0].astype(int))
    computed = Ranking.of(labels, logits, patients, number).metrics(weights)[:, 0]
    expected = [
        auroc(labels[again], logits[again]),
        average_precision(labels[again], logits[again]),
        brier_score(labels[again], expit(logits[again].astype(float))),
    ]
    np.testing.assert_allclose(computed, expected, atol=1e-7)


def test_a_resample_without_positives_has_nothing_but_the_brier_score():
    labels, logits, patients = np.array([1.0, 0, 0]), np.array([0.9, 0.4, 0.1]), np.arange(3)
    weights = np.array([[0], [2], [1]], np.float32)
    computed = Ranking.of(labels, logits.astype(np.float32), patients, 3).metrics(weights)[:, 0]
    assert np.isnan(computed[0])
    assert np.isnan(computed[1])
    assert computed[2] == pytest.approx((2 * expit(0.4) ** 2 + expit(0.1) ** 2) / 3, abs=1e-6)


def test_a_resample_without_a_class_spoils_no_other_ones_curve():
    labels, logits, patients = (
        np.array([1.0, 1, 0, 0]),
        np.array([0.9, 0.3, 0.5, 0.1]),
        np.arange(4),
    )
    ranking = Ranking.of(labels, logits.astype(np.float32), patients, 4)
    weights = np.array([[1, 2, 1, 0], [1, 2, 0, 0], [1, 0, 1, 2], [1, 0, 2, 2]], np.float32)
    with np.errstate(invalid="ignore"):
        curves = ranking.roc(weights, np.array([0.0, 0.4, 0.5, 1.0]))
    np.testing.assert_allclose(curves[:, 0], [0.5, 0.5, 1, 1])
    np.testing.assert_allclose(curves[:, 2], [1, 1, 1, 1])
    assert np.isnan(curves[:, 3]).all()


@pytest.mark.parametrize("decimals", [None, 2])
def test_weighted_curves_with_unit_weights_are_the_curve_within_a_step(decimals):
    labels, logits, patients = example(6, decimals)
    number = patients.max() + 1
    rates = np.linspace(0, 1, 51)
    curve = Ranking.of(labels, logits, patients, number).roc(
        np.ones((number, 2), np.float32), rates
    )
    plain = sensitivity_at(labels, logits, rates)
    np.testing.assert_array_equal(curve[:, 0], curve[:, 1])
    # Level scores are drawn as a slope by one and as a step in its middle by the other.
    atol = 1e-9 if decimals is None else np.abs(np.diff(plain, prepend=0)).max()
    np.testing.assert_allclose(curve[:, 0], plain, atol=atol)


def test_logits_whose_probabilities_round_to_one_keep_their_order():
    labels, patients = np.array([0.0, 1, 0, 1]), np.arange(4)
    logits = np.array([38, 39, 40, 41], np.float32)
    assert len(np.unique(expit(logits.astype(float)))) == 1
    ranking = Ranking.of(labels, logits, patients, 4)
    assert ranking.metrics(np.ones((4, 1), np.float32))[0, 0] == pytest.approx(0.75)
