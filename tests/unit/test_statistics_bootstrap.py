import numpy as np
import pytest
from simulated_scores import make_runs, make_test_set
from sklearn.metrics import roc_auc_score

from rarecxr.statistics.bootstrap import bootstrap_replicates, patient_weights
from rarecxr.statistics.ranking import Ranking


def test_weights_count_draws_with_replacement():
    weights = patient_weights(400, 300, np.random.default_rng(0))
    np.testing.assert_array_equal(weights.sum(axis=0), 400)
    # Binomial(400, 1/400): the share of patients never drawn is (1 - 1/400)^400.
    assert (weights == 0).mean() == pytest.approx((1 - 1 / 400) ** 400, abs=0.003)
    assert weights.var() == pytest.approx(1 - 1 / 400, abs=0.02)


def test_replicates_are_aurocs_of_resampled_patients_with_all_their_images():
    generator = np.random.default_rng(1)
    labels, patients = make_test_set(generator)
    runs = make_runs(generator, labels, patients, [0.7, 0.8])
    rankings = [Ranking.of(labels, run, patients, 250) for run in runs]
    replicates = bootstrap_replicates(rankings, 250, 5, seed=3)[0]
    weights = patient_weights(250, 128, np.random.default_rng(3))
    for number in range(5):
        drawn = np.repeat(np.arange(len(weights)), weights[:, number].astype(int))
        images = np.concatenate([np.flatnonzero(patients == patient) for patient in drawn])
        expected = [roc_auc_score(labels[images], run[images]) for run in runs]
        np.testing.assert_allclose(replicates[number], expected, atol=1e-12)


def test_replicates_depend_neither_on_threads_nor_on_how_many_are_asked_for():
    generator = np.random.default_rng(2)
    labels, patients = make_test_set(generator)
    ranking = [
        Ranking.of(labels, run, patients, 250)
        for run in make_runs(generator, labels, patients, [0.7, 0.8, 0.9])
    ]
    many = bootstrap_replicates(ranking, 250, 300, seed=1, threads=2)
    np.testing.assert_array_equal(bootstrap_replicates(ranking, 250, 300, seed=1), many)
    np.testing.assert_array_equal(bootstrap_replicates(ranking, 250, 140, seed=1), many[:, :140])
