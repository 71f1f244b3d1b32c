import numpy as np
import pytest
from scipy import stats
from simulated_scores import Design, coverage, make_runs, make_test_set

from rarecxr.statistics.bootstrap import bootstrap_replicates
from rarecxr.statistics.estimates import Estimate, Repetitions, estimate
from rarecxr.statistics.metrics import auroc
from rarecxr.statistics.ranking import Ranking


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
    for _ in range(250):
        values, replicates = simulate_components(generator, runs, run_sd, own_sd)
        squares.append(estimate([Repetitions(values, replicates)], 500, change=False).se ** 2)
    true = 1 + (run_sd**2 + own_sd**2) / runs
    # Truncation at zero makes it a little too large where runs do not differ, never too small.
    assert np.mean(squares) == pytest.approx(true, rel=0.25 if run_sd == 0 else 0.15)
    assert np.mean(squares) > 0.9 * true


def test_one_run_has_the_spread_of_its_resamples():
    generator = np.random.default_rng(0)
    replicates = generator.normal(0.8, 0.02, (5000, 1))
    found = estimate([Repetitions(np.array([0.8]), replicates)], n_informative=5, change=False)
    assert found.value == 0.8
    assert found.se == pytest.approx(0.02 * np.sqrt(5 / 4), rel=0.03)
    assert found.df == pytest.approx(4)
    # The small-sample correction is for means only.
    change = estimate([Repetitions(np.array([0.8]), replicates)], n_informative=5, change=True)
    assert change.se == pytest.approx(found.se * np.sqrt(4 / 5))
    low, high = found.interval()
    assert high - low == pytest.approx(2 * stats.t.ppf(0.975, 4) * found.se)


def test_a_difference_of_paired_arms_is_more_precise_than_either():
    generator = np.random.default_rng(4)
    labels, patients = make_test_set(generator)
    runs = make_runs(generator, labels, patients, [0.75] * 6)
    rankings = [Ranking.of(labels, run, patients, 250) for run in runs]
    replicates = bootstrap_replicates(rankings, 250, 500, seed=0)[0]
    values = np.array([auroc(labels, run) for run in runs])
    number = len(np.unique(patients[labels == 1]))
    arm, other = (
        Repetitions(values[:3], replicates[:, :3]),
        Repetitions(values[3:], replicates[:, 3:], sign=-1),
    )
    alone = estimate([arm], number, change=False)
    both = estimate([arm, other], number, change=True)
    assert both.value == pytest.approx(values[:3].mean() - values[3:].mean())
    assert both.se < 0.5 * alone.se


def test_runs_that_differ_less_than_by_chance_add_no_variance_of_their_own():
    generator = np.random.default_rng(5)
    replicates = generator.normal(0, 1, (4000, 3))
    alike, apart = np.array([0.0, 0.01, 0.02]), np.array([-3.0, 0.0, 3.0])
    for values in (alike, apart):
        found = estimate([Repetitions(values, replicates)], 1000, change=True)
        # The mean of three runs, each with a part of variance 1 that is its own.
        own = max(values.var(ddof=1) - 1, 0) / 3
        assert found.se**2 == pytest.approx(1 / 3 + own, rel=0.05)
    # What one arm's runs differ less is set off against what the other's differ more.
    both = [Repetitions(alike, replicates), Repetitions(apart, 0 * replicates, sign=-1)]
    found = estimate(both, 1000, change=True)
    assert found.se**2 == pytest.approx(1 / 3 + (alike.var(ddof=1) - 1 + 9) / 3, rel=0.05)


def test_logit_interval_stays_inside_and_is_nan_where_there_is_none():
    low, high = Estimate(0.99, 0.02, 19, 0.02).logit_interval()
    assert 0.5 < low < 0.99 < high < 1
    assert np.isnan(Estimate(1.0, 0.0, 19, 0.0).logit_interval()).all()


@pytest.mark.long
@pytest.mark.parametrize(("runs", "run_sd"), [(1, 0.0), (3, 0.02), (5, 0.01)])
def test_intervals_hold_the_truth_and_nothing_is_found_where_nothing_is(runs, run_sd):
    held = coverage(Design(runs=runs, run_sd=run_sd), 500)
    for name in ("auc", "auprc", "brier", "change"):
        assert 0.93 <= held[name] <= 0.975, name
    # 5 %, and what 500 simulations add by chance.
    assert held["found"] <= 0.06


@pytest.mark.parametrize("kind", ["continuous", "ties", "saturated"])
def test_intervals_hold_the_truth_with_few_positive_patients(kind):
    held = coverage(Design(positives=10, runs=3, run_sd=0.02, auroc=(0.85, 0.8), kind=kind), 250)
    for name in ("auc", "change"):
        assert 0.92 <= held[name] <= 0.985, name
