"""Shares of the ceiling and exchange rates: known effects, closed forms and coverage."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from simulated_scores import make_runs, make_test_set

from rarecxr.statistics.bootstrap import bootstrap_replicates
from rarecxr.statistics.ceiling import (
    NO_CEILING,
    NO_INTERVAL,
    doses_of_runs,
    share_table,
    worth_table,
)
from rarecxr.statistics.comparisons import References
from rarecxr.statistics.contrasts import CellMean, ratio_interval
from rarecxr.statistics.estimates import Estimate
from rarecxr.statistics.finding_metrics import FindingMetrics
from rarecxr.statistics.predictions import label_counts
from rarecxr.statistics.ranking import Ranking

REFERENCES = References("none", "oversample")
PATIENTS = 250


def simulated(seed, levels, runs=3, run_sd=0.01, resamples=300, positives=60, fractions=(1.0,)):
    """Metrics of one finding: arms with the AUROCs `levels` by fraction, on one test set."""
    generator = np.random.default_rng(seed)
    labels, number = make_test_set(generator, PATIENTS, positives)
    table, aurocs = [], []
    for place, fraction in enumerate(fractions):
        for arm, level in levels.items():
            for run in range(runs):
                table.append({"arm": arm, "fraction": fraction, "draw": 0, "seed": run})
                at = level[place] if isinstance(level, tuple) else level
                aurocs.append(np.clip(at + run_sd * generator.normal(), 0.02, 0.995))
    logits = make_runs(generator, labels, number, aurocs)
    rankings = [Ranking.of(labels, run, number, PATIENTS) for run in logits]
    everyone = np.ones((PATIENTS, 1), np.float32)
    metrics = FindingMetrics(
        runs=pd.DataFrame(table),
        counts=label_counts(pd.DataFrame({"patient": number, "x": labels}), "x"),
        labelled=len(labels),
        values=np.concatenate([ranking.metrics(everyone) for ranking in rankings], axis=1),
        ece=np.zeros(len(table)),
        replicates=bootstrap_replicates(rankings, PATIENTS, resamples, seed),
        too_few="",
    )
    return {"x": metrics}


def share_of(seed, levels, **more):
    table = share_table(simulated(seed, levels, **more), REFERENCES, "more_real")
    return table[(table["arm"] == "gan") & (table["role"] == "baseline")].iloc[0]


@pytest.mark.long
def test_intervals_of_the_share_hold_the_known_share():
    """Half of the ceiling at either fraction, among arms whose ceiling is seen in every study."""
    levels = {"none": (0.62, 0.70), "gan": (0.68, 0.75), "more_real": (0.74, 0.80)}
    rows = [share_of(seed, levels, fractions=(1.0, 2.0)) for seed in range(2000, 2400)]
    assert all(row.withheld == "" for row in rows)
    held = np.mean([row.share_low <= 0.5 <= row.share_high for row in rows])
    assert 0.93 <= held <= 0.97
    assert np.median([row.share for row in rows]) == pytest.approx(0.5, abs=0.03)


def test_where_there_is_no_ceiling_a_share_is_withheld_as_often_as_it_should_be():
    levels = {"none": 0.7, "gan": 0.7, "more_real": 0.7}
    rows = [share_of(seed, levels) for seed in range(3000, 3200)]
    shown = np.mean([row.withheld == "" for row in rows])
    # The ceiling's interval lies above 0 in one study of forty.
    assert shown <= 0.06
    withheld = next(row for row in rows if row.withheld)
    assert withheld.withheld == NO_CEILING
    assert np.isnan(withheld.share)
    assert np.isfinite([withheld.ceiling, withheld.ceiling_low, withheld.change]).all()


def test_a_ratios_interval_is_fiellers_formula():
    # Numerator a, denominator b, with variances and covariance: the roots of a quadratic.
    a, b, v_a, v_b, v_ab, df = 1.0, 2.0, 0.09, 0.16, 0.05, 30

    def less(r):
        return Estimate(a - r * b, (v_a - 2 * r * v_ab + r * r * v_b) ** 0.5, df, 0.0)

    t = stats.t.ppf(0.975, df)
    roots = np.roots([b * b - t * t * v_b, -2 * (a * b - t * t * v_ab), a * a - t * t * v_a])
    assert ratio_interval(a / b, less) == pytest.approx(tuple(sorted(roots)), abs=1e-5)


def test_a_ratio_over_what_may_be_nothing_has_no_end():
    def less(r):
        return Estimate(1 - r * 0.5, (0.09 + r * r * 0.16) ** 0.5, 30, 0.0)

    assert np.isinf(ratio_interval(2.0, less)).any()


@pytest.mark.parametrize("draws", [1, 3])
def test_a_contrast_is_the_weighted_sum_of_means_over_cells(draws):
    generator = np.random.default_rng(1)
    runs = pd.DataFrame(
        [
            {"arm": arm, "fraction": fraction, "draw": draw, "seed": seed}
            for arm in ("none", "gan", "more_real")
            for fraction in (10.0, 100.0)
            for draw in range(draws)
            for seed in range(2)
        ]
    )
    values = generator.normal(0.7, 0.02, len(runs))
    replicates = values + generator.normal(0, 0.01, (200, len(runs)))
    mean = CellMean(runs, values, replicates, 50, 2)
    assert mean.cells == 4
    by_arm = runs.assign(value=values).groupby("arm")["value"].mean()
    found = mean.estimate({"gan": 1.0, "none": -0.25, "more_real": -0.75})
    expected = by_arm["gan"] - 0.25 * by_arm["none"] - 0.75 * by_arm["more_real"]
    assert found.value == pytest.approx(expected)
    # Half of the change has half of the standard error.
    whole = mean.estimate({"gan": 1.0, "none": -1.0})
    half = mean.estimate({"gan": 0.5, "none": -0.5})
    assert (half.value, half.se) == pytest.approx((whole.value / 2, whole.se / 2))


WORTH = {"none": 0.62, "gan": 0.70, "more_real@0.5": 0.68, "more_real": 0.74}
DOSES = pd.DataFrame(
    [("gan", "synthetic", 2.0), ("more_real@0.5", "reserve", 0.5), ("more_real", "reserve", 2.0)],
    columns=["name", "kind", "dose"],
)


def worth_of(seed, levels, **more):
    return worth_table(simulated(seed, levels, **more), DOSES, "none").iloc[0]


@pytest.mark.long
def test_intervals_of_the_worth_hold_the_known_worth():
    """A third of the way from the dose 0.5 to the dose 2: as much as 1.0 real images give."""
    rows = [worth_of(seed, WORTH, run_sd=0.005) for seed in range(4000, 4300)]
    told = [row for row in rows if row.withheld == ""]
    assert len(told) > 0.97 * len(rows)
    held = np.mean([row.worth_low <= 1.0 <= row.worth_high for row in told])
    assert 0.93 <= held <= 0.98
    assert np.median([row.worth for row in told]) == pytest.approx(1.0, abs=0.15)
    assert {row.most_real for row in told} == {2.0}


def test_what_is_worth_more_than_was_tried_has_no_upper_end():
    row = worth_of(1, WORTH | {"gan": 0.9})
    assert (row.worth, row.worth_low, row.worth_high) == (np.inf, np.inf, np.inf)
    row = worth_of(2, WORTH | {"gan": 0.74})
    assert np.isinf(row.worth_high)
    assert 0 < row.worth_low < 2


def test_what_harms_is_worth_nothing():
    row = worth_of(1, WORTH | {"gan": 0.5})
    assert (row.worth, row.worth_low, row.worth_high) == (0, 0, 0)


def test_a_worth_that_could_be_anything_is_withheld():
    assert worth_of(1, WORTH | {"more_real": 0.62}).withheld == NO_CEILING
    # A ceiling that is only just seen, and an arm of which nothing is known.
    few = {"none": 0.6, "gan": 0.64, "more_real@0.5": 0.64, "more_real": 0.69}
    withheld = [worth_of(seed, few, runs=2, run_sd=0.03).withheld for seed in range(20)]
    assert NO_INTERVAL in withheld


def test_doses_are_what_the_runs_added():
    runs = pd.DataFrame(
        [
            ("none", 10, 0, 0, 0),
            ("oversample", 10, 20, 0, 0),
            ("gan", 10, 0, 20, 0),
            ("gan", 10, 0, 10, 0),
            ("more_real", 10, 0, 0, 14),
            ("more_real", 10, 0, 0, 16),
            ("both", 10, 20, 20, 0),
        ],
        columns=["arm", "real_positives", "repeated", "synthetic_positives", "reserve"],
    )
    found = doses_of_runs(runs, "none").set_index("name")
    assert found["kind"].to_dict() == {"gan": "synthetic", "more_real": "reserve"}
    assert found["dose"].to_dict() == {"gan": 1.5, "more_real": 1.5}
