import numpy as np
import pytest
from scipy.stats import mannwhitneyu
from simulated_study import make_logits

from rarecxr.statistics import delong as delong_module
from rarecxr.statistics.bootstrap import bootstrap_replicates
from rarecxr.statistics.delong import delong, difference
from rarecxr.statistics.ranking import Ranking


@pytest.fixture
def case():
    generator = np.random.default_rng(1)
    patients = np.repeat(np.arange(300), generator.integers(1, 5, 300))
    ill = generator.random(300) < 0.2
    labels = (ill[patients] & (generator.random(len(patients)) < 0.8)).astype(float)
    scores = np.stack(
        [
            make_logits(labels, patients, level, generator, np.random.default_rng(5))
            for level in (0.7, 0.78)
        ]
    )
    return labels, np.round(scores, 1), patients


def all_pairs(labels, scores):
    """(A, m, n) won pairs of positives and negatives, ties half: everything by definition."""
    positives, negatives = scores[:, labels == 1], scores[:, labels == 0]
    difference = positives[:, :, None] - negatives[:, None, :]
    return (difference > 0) + 0.5 * (difference == 0)


def test_delong_equals_its_definition_over_all_pairs(case):
    labels, scores, _ = case
    won = all_pairs(labels, scores)
    auc, covariance = delong(labels, scores)
    np.testing.assert_allclose(auc, won.mean((1, 2)))
    m, n = won.shape[1:]
    expected = np.cov(won.mean(2)) / m + np.cov(won.mean(1)) / n
    np.testing.assert_allclose(covariance, expected, rtol=1e-9)


def test_delong_of_one_classifier_has_the_mann_whitney_auroc(case):
    labels, scores, _ = case
    auc, _ = delong(labels, scores[0])
    statistic = mannwhitneyu(scores[0][labels == 1], scores[0][labels == 0]).statistic
    assert auc[0] == pytest.approx(statistic / (labels == 1).sum() / (labels == 0).sum())


def test_patients_of_one_image_each_change_nothing_of_importance(case):
    labels, scores, _ = case
    _, plain = delong(labels, scores)
    _, clustered = delong(labels, scores, np.arange(len(labels)))
    np.testing.assert_allclose(clustered, plain, rtol=1e-9)


def test_clustered_standard_error_agrees_with_the_bootstrap_of_patients(case):
    labels, scores, patients = case
    _, covariance = delong(labels, scores, patients)
    _, blind = delong(labels, scores)
    rankings = [Ranking.of(labels, row, patients, 300) for row in scores]
    replicates = bootstrap_replicates(rankings, 300, 4000, seed=0)[0]
    np.testing.assert_allclose(np.cov(replicates.T), covariance, rtol=0.1)
    # Images of a patient are correlated: without that the standard error is too small.
    assert blind[0, 0] < 0.8 * covariance[0, 0]


def test_patients_with_images_of_both_classes_are_counted_as_such():
    generator = np.random.default_rng(3)
    patients = np.repeat(np.arange(200), 2)
    labels = np.tile([0.0, 1.0], 200)
    # A patient's own level moves both images alike, and the difference of the classes not at all.
    scores = generator.normal(size=200)[patients] * 2 + labels + generator.normal(size=400)
    _, covariance = delong(labels, scores, patients)
    replicates = bootstrap_replicates(
        [Ranking.of(labels, scores, patients, 200)], 200, 4000, seed=0
    )[0]
    assert covariance[0, 0] == pytest.approx(replicates.var(), rel=0.1)
    _, blind = delong(labels, scores)
    assert covariance[0, 0] < 0.7 * blind[0, 0]


def test_difference_has_the_p_value_of_a_normal_test(case):
    labels, scores, patients = case
    auc, covariance = delong(labels, scores, patients)
    change, se, p = difference(labels, scores[::-1], patients)
    assert change == pytest.approx(auc[1] - auc[0])
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    assert se == pytest.approx(np.sqrt(variance))
    generator = np.random.default_rng(0)
    tail = (np.abs(generator.normal(0, se, 400_000)) >= abs(change)).mean()
    assert p == pytest.approx(tail, abs=0.003)


def test_the_same_scores_twice_do_not_differ(case):
    labels, scores, patients = case
    change, se, p = difference(labels, scores[[0, 0]], patients)
    assert change == 0
    assert se == pytest.approx(0, abs=1e-9)
    assert p == 1


def test_delong_refuses_a_missing_class():
    with pytest.raises(ValueError, match="0 positives and 3 negatives"):
        delong(np.zeros(3), np.arange(3.0))
    with pytest.raises(ValueError, match="1 with positives and 2 with negatives"):
        delong(np.array([1, 1, 0, 0]), np.arange(4.0), np.array([0, 0, 1, 2]))


def test_ranks_are_float64_also_where_ranking_keeps_the_type_of_the_scores(case, monkeypatch):
    """As `scipy.stats.rankdata` does from SciPy 1.18 on."""
    labels, scores, patients = case
    scores = scores.astype(np.float32)
    expected = delong(labels, scores.astype(np.float64), patients)
    ranks = delong_module.rankdata
    monkeypatch.setattr(delong_module, "rankdata", lambda a: ranks(a).astype(a.dtype))
    for found, value in zip(delong(labels, scores, patients), expected, strict=True):
        np.testing.assert_array_equal(found, value)
