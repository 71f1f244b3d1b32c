import numpy as np
import pytest
from scipy import stats
from simulated_study import make_scores
from sklearn.metrics import roc_auc_score

from rarecxr.statistics import decisions
from rarecxr.statistics.auroc import Ranking, auroc, average_precision, brier
from rarecxr.statistics.bootstrap import Group, estimate, patient_weights, replicates
from rarecxr.statistics.measured import MEASURES


def make_test_set(generator, patients=250, prevalence=0.12):
    """Labels and patients of a test set; half of the patients have two images or three."""
    counts = generator.choice([1, 1, 2, 3], patients)
    number = np.repeat(np.arange(patients), counts)
    ill = generator.random(patients) < prevalence
    return (ill[number] & (generator.random(len(number)) < 0.8)).astype(float), number


def make_runs(generator, labels, patients, auroc_of_runs):
    """Scores of runs on one test set: the patients' and images' parts are the same for all."""
    seed = generator.integers(1 << 30)
    return [
        make_scores(labels, patients, level, generator, shared=np.random.default_rng(seed))
        for level in auroc_of_runs
    ]


def resample(labels, patients, runs, resamples, seed):
    """Point values and (B, R) resampled values of the AUROC."""
    total = patients.max() + 1
    rankings = [Ranking.of(labels, run, patients, total) for run in runs]
    moved = replicates(rankings, total, resamples, seed)[0]
    return np.array([auroc(labels, run) for run in runs]), moved


def informative(labels, patients):
    return min(len(np.unique(patients[labels == value])) for value in (0, 1))


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
    _, moved = resample(labels, patients, runs, 5, seed=3)
    weights = patient_weights(patients.max() + 1, 128, np.random.default_rng(3))
    for number in range(5):
        drawn = np.repeat(np.arange(len(weights)), weights[:, number].astype(int))
        images = np.concatenate([np.flatnonzero(patients == patient) for patient in drawn])
        expected = [roc_auc_score(labels[images], run[images]) for run in runs]
        np.testing.assert_allclose(moved[number], expected, atol=1e-12)


def test_replicates_depend_neither_on_threads_nor_on_how_many_are_asked_for():
    generator = np.random.default_rng(2)
    labels, patients = make_test_set(generator)
    ranking = [
        Ranking.of(labels, run, patients, 250)
        for run in make_runs(generator, labels, patients, [0.7, 0.8, 0.9])
    ]
    many = replicates(ranking, 250, 300, seed=1, threads=2)
    np.testing.assert_array_equal(replicates(ranking, 250, 300, seed=1), many)
    np.testing.assert_array_equal(replicates(ranking, 250, 140, seed=1), many[:, :140])


def simulate_components(generator, runs, run_sd, own_sd, common_sd=1.0):
    """Values and resampled values of `mean + run + patients + run x patients`, all normal."""
    values = generator.normal(0, common_sd) + generator.normal(0, np.hypot(run_sd, own_sd), runs)
    common = generator.normal(0, common_sd, (4000, 1))
    return values, values + common + generator.normal(0, own_sd, (4000, runs))


@pytest.mark.parametrize("run_sd", [0.0, 3.0])
@pytest.mark.parametrize("runs", [2, 4, 8])
def test_standard_error_has_each_component_once(runs, run_sd):
    generator = np.random.default_rng(runs)
    own_sd = 0.8
    squares = []
    for seed in range(250):
        values, moved = simulate_components(generator, runs, run_sd, own_sd)
        squares.append(estimate([Group(values, moved)], 500, seed).se ** 2)
    true = 1 + (run_sd**2 + own_sd**2) / runs
    # Truncation at zero makes it a little too large where runs do not differ, never too small.
    assert np.mean(squares) == pytest.approx(true, rel=0.25 if run_sd == 0 else 0.15)
    assert np.mean(squares) > 0.9 * true


def test_one_run_has_the_spread_of_its_resamples_and_says_so():
    generator = np.random.default_rng(0)
    moved = generator.normal(0.8, 0.02, (5000, 1))
    found = estimate([Group(np.array([0.8]), moved)], n_informative=5, seed=0)
    assert not found.runs
    assert found.value == 0.8
    assert found.se == pytest.approx(0.02 * np.sqrt(5 / 4), rel=0.03)
    assert found.df == pytest.approx(4)
    low, high = found.interval()
    assert high - low == pytest.approx(2 * stats.t.ppf(0.975, 4) * found.se)


def test_a_difference_of_paired_arms_is_surer_than_either():
    generator = np.random.default_rng(4)
    labels, patients = make_test_set(generator)
    runs = make_runs(generator, labels, patients, [0.75] * 6)
    values, moved = resample(labels, patients, runs, 500, seed=0)
    number = informative(labels, patients)
    arm, other = Group(values[:3], moved[:, :3]), Group(values[3:], moved[:, 3:], sign=-1)
    alone = estimate([arm], number, 0)
    both = estimate([arm, other], number, 0)
    assert both.value == pytest.approx(values[:3].mean() - values[3:].mean())
    assert both.se < 0.5 * alone.se


def test_interval_of_a_share_stays_inside_and_knows_when_it_means_nothing():
    near_one = estimate([Group(np.array([0.99]), np.full((10, 1), 0.99))], 20, 0)
    near_one = type(near_one)(0.99, 0.02, 19, False, 0.02)
    low, high = near_one.interval_of_share()
    assert 0.5 < low < 0.99 < high < 1
    assert np.isnan(type(near_one)(1.0, 0.0, 19, False, 0.0).interval_of_share()).all()


def true_values(level, prevalence):
    """AUROC, AUPRC and Brier score of the binormal model in the limit, by integration.

    Latent values are N(0, 1) for negatives and N(d, 1) for positives, with the score Phi(x - 1.5).
    """
    d = np.sqrt(2) * stats.norm.ppf(level)
    x = np.linspace(-10, 12, 40_001)
    positives, negatives = stats.norm.sf(x - d), stats.norm.sf(x)
    precision = prevalence * positives / (prevalence * positives + (1 - prevalence) * negatives)
    auprc = np.trapezoid(precision * stats.norm.pdf(x - d), x)
    score = stats.norm.cdf(x - 1.5)
    squares = prevalence * stats.norm.pdf(x - d) * (1 - score) ** 2
    squares += (1 - prevalence) * stats.norm.pdf(x) * score**2
    return level, auprc, np.trapezoid(squares, x)


def simulate_study(seed, runs, run_sd, patients=250, level=0.8):
    """One test set with two arms of equal AUROC.

    Returns:
        For each of AUROC, AUPRC and Brier score whether the first arm's interval holds the true
        value, and the p-value of the change of the AUROC.
    """
    generator = np.random.default_rng(seed)
    labels, number = make_test_set(generator, patients)
    levels = level + run_sd * generator.normal(size=2 * runs)
    scores = make_runs(generator, labels, number, levels)
    rankings = [Ranking.of(labels, run, number, patients) for run in scores]
    moved = replicates(rankings, patients, 300, seed)
    few = informative(labels, number)
    covered = []
    for place, (measure, true) in enumerate(
        zip((auroc, average_precision, brier), true_values(level, 0.12 * 0.8), strict=True)
    ):
        values = np.array([measure(labels, run) for run in scores])
        first = Group(values[:runs], moved[place][:, :runs])
        low, high = estimate([first], few, seed).interval_of_share()
        covered.append(low <= true <= high)
        if measure is auroc:
            second = Group(values[runs:], moved[place][:, runs:], sign=-1)
            change = estimate([first, second], few, seed)
            p = decisions.p_difference(change.value, change.se, change.df)
    return *covered, p


@pytest.mark.parametrize(("runs", "run_sd"), [(1, 0.0), (3, 0.02), (5, 0.01)])
def test_intervals_cover_the_truth_and_nothing_is_found_where_nothing_is(runs, run_sd):
    studies = np.transpose([simulate_study(seed, runs, run_sd) for seed in range(1000, 1500)])
    *covered, p = studies
    for measure, held in zip(MEASURES, covered, strict=True):
        assert 0.93 <= held.mean() <= 0.97, measure
    assert (p <= 0.05).mean() <= 0.05
