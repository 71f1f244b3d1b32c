"""Studies of several folds as one."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from rarecxr.statistics.folds import pool_folds

CELLS = [("Fracture", 50.0), ("Fracture", 100.0)]
Z = stats.norm.ppf(0.975)


def study(folder, tested, changes, errors=0.02, arms=("none", "gan"), cells=CELLS):
    """The files of a finished study, in which the change of `gan` is given for each cell."""
    changes, errors = np.broadcast_to(changes, len(cells)), np.broadcast_to(errors, len(cells))
    patients = pd.DataFrame({"patient": [f"p{i:02d}" for i in range(40)], "split": "train"})
    patients.loc[tested, "split"] = "test"
    rows = []
    for (finding, fraction), change, error in zip(cells, changes, errors, strict=True):
        for arm in arms:
            own = np.nan if arm == "none" else change
            rows.append(
                {
                    "finding": finding,
                    "fraction": fraction,
                    "arm": arm,
                    "change_vs_baseline": own,
                    "change_vs_baseline_low": own - Z * error,
                    "change_vs_baseline_high": own + Z * error,
                }
            )
    mean, error = changes.mean(), np.sqrt((errors**2).sum()) / len(cells)
    whole = pd.DataFrame(
        [
            {
                "arm": arm,
                "role": "baseline",
                "reference": "none",
                "cells": len(cells),
                "change": mean,
                "low": mean - Z * error,
                "high": mean + Z * error,
            }
            for arm in arms[1:]
        ]
    )
    for name, table in (
        ("dataset/split", patients),
        ("report/summary", pd.DataFrame(rows)),
        ("report/overall", whole),
    ):
        path = folder / f"{name}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        table.to_csv(path, index=False)
    return folder


def test_a_pooled_change_is_the_mean_and_its_variance_the_sum_over_the_squared_number(tmp_path):
    studies = [
        study(tmp_path / "0", range(0, 10), [0.04, 0.02], [0.03, 0.01]),
        study(tmp_path / "1", range(10, 20), [0.01, -0.06], [0.01, 0.02]),
        study(tmp_path / "2", range(20, 30), [0.01, 0.01], [0.02, 0.02]),
    ]
    pooled = pool_folds(studies).set_index(["finding", "fraction"])
    assert (pooled["folds"] == 3).all()
    whole = pooled[pooled.index.get_level_values("fraction").isna()].iloc[0]
    assert whole["cells"] == 2
    assert whole["change"] == pytest.approx(0.005)
    variances = [0.001 / 4, 0.0005 / 4, 0.0008 / 4]
    error = np.sqrt(sum(variances)) / 3
    assert whole["high"] - whole["change"] == pytest.approx(Z * error)
    assert whole["p"] == pytest.approx(2 * stats.norm.sf(0.005 / error))
    assert whole["detectable"] == pytest.approx((Z + stats.norm.ppf(0.8)) * error)
    cell = pooled.loc[("Fracture", 50.0)]
    assert cell["change"] == pytest.approx(0.02)
    assert cell["change"] - cell["low"] == pytest.approx(Z * np.sqrt(0.0014) / 3)
    # The order of the studies does not count.
    pd.testing.assert_frame_equal(pool_folds(studies), pool_folds(studies[::-1]))


def test_intervals_of_pooled_changes_hold_the_truth(tmp_path):
    """As often as they say, where the folds' own errors are as large as they say."""
    random = np.random.default_rng(5)
    held, times = 0, 200
    for _ in range(times):
        errors = random.uniform(0.01, 0.05, (2, 2))
        changes = random.normal(0.02, errors)
        studies = [
            study(tmp_path / str(fold), range(10 * fold, 10 * fold + 10), *ends)
            for fold, ends in enumerate(zip(changes, errors, strict=True))
        ]
        whole = pool_folds(studies).iloc[0]
        held += whole["low"] <= 0.02 <= whole["high"]
    assert 0.89 * times <= held <= 0.99 * times


def test_studies_that_tested_the_same_patient_are_refused(tmp_path):
    studies = [
        study(tmp_path / "0", range(0, 10), 0.01),
        study(tmp_path / "1", range(9, 20), 0.01),
    ]
    with pytest.raises(ValueError, match=r"1/dataset/split.csv: p09 was tested on in .*0 too"):
        pool_folds(studies)
    with pytest.raises(ValueError, match="p00 was tested on"):
        pool_folds([studies[0], studies[0]])


def test_other_comparisons_are_refused_and_named(tmp_path):
    first = study(tmp_path / "0", range(0, 10), 0.01)
    lacking = study(tmp_path / "1", range(10, 20), 0.01, cells=CELLS[:1])
    message = "1/report: has no change of arm gan against none .* for Fracture at 100 %, which .*0"
    with pytest.raises(ValueError, match=message):
        pool_folds([first, lacking])
    with pytest.raises(ValueError, match=message):
        pool_folds([lacking, first])
    more = study(tmp_path / "2", range(20, 30), 0.01, arms=("none", "gan", "other"))
    with pytest.raises(ValueError, match="0/report: has no change of arm other .*, which .*2 has"):
        pool_folds([first, more])


def test_cells_without_an_interval_in_a_fold_are_left_out(tmp_path):
    first = study(tmp_path / "0", range(0, 10), 0.01, [0.02, np.nan])
    second = study(tmp_path / "1", range(10, 20), 0.03)
    pooled = pool_folds([first, second])
    assert pooled["fraction"].dropna().tolist() == [50.0]


def test_changes_over_other_numbers_of_cells_are_refused(tmp_path):
    first = study(tmp_path / "0", range(0, 10), 0.01)
    second = study(tmp_path / "1", range(10, 20), 0.01)
    path = second / "report/overall.csv"
    pd.read_csv(path).assign(cells=1).to_csv(path, index=False)
    with pytest.raises(ValueError, match="1/report/overall.csv: changes over 1 cells, in .*over 2"):
        pool_folds([first, second])


def test_one_study_or_an_unfinished_one_is_refused(tmp_path):
    first = study(tmp_path / "0", range(0, 10), 0.01)
    with pytest.raises(ValueError, match="got 1 study; takes two or more"):
        pool_folds([first])
    second = study(tmp_path / "1", range(10, 20), 0.01)
    (second / "report/overall.csv").unlink()
    with pytest.raises(FileNotFoundError, match=r"1: has no report/overall\.csv; takes folders"):
        pool_folds([first, second])
