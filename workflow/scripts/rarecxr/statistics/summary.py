"""Means over runs with intervals, changes and verdicts: of every cell, and over all cells."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from rarecxr.statistics import decisions
from rarecxr.statistics.bootstrap import Estimate, Group, estimate
from rarecxr.statistics.delong import difference
from rarecxr.statistics.measured import MEASURES, Measured, repetitions
from rarecxr.statistics.predictions import Scores, arms_of

# Arms that every other one is compared with, and the ending of the columns that say how.
BASELINES = {"none": "", "oversample": "_oversample"}
CHANGE = ("low", "high", "p", "p_holm", "p_equivalence", "p_equivalence_holm", "detectable")
COLUMNS = [
    *("finding", "fraction", "arm", "draws", "seeds", "interval_over"),
    *("n_positive", "n_negative", "n_positive_patients", "n_negative_patients", "prevalence"),
    *(f"{name}{end}" for name in MEASURES for end in ("", "_low", "_high")),
    *("auc_se", "auc_se_patients", "auc_sd_runs", "ece"),
    *("change", *(f"change_{name}" for name in CHANGE), "verdict", "change_p_delong"),
    *("change_oversample", *(f"change_oversample_{name}" for name in CHANGE)),
    "verdict_oversample",
]


def summary_table(
    scores: Scores, measured: Mapping[str, Measured], margin: float, seed: int
) -> pd.DataFrame:
    """One row a cell and arm: means over runs, intervals, changes against the baselines, verdicts.

    Args:
        scores: the runs' scores on one split.
        measured: what `measure` gives for the target findings.
        margin: smallest difference of AUROCs that matters.
        seed: seed of the resampled runs.

    Returns:
        See docs/report.md, summary.csv.
    """
    rows = [
        row
        for finding, found in measured.items()
        for fraction, arms in arms_of(scores.runs)
        for row in _cell(scores, finding, found, fraction, arms, margin, seed)
    ]
    table = pd.DataFrame(rows, columns=COLUMNS)
    for ending in BASELINES.values():
        _decide(table, ending)
    return table


def overall_table(
    scores: Scores, measured: Mapping[str, Measured], margin: float, seed: int
) -> pd.DataFrame:
    """One row an arm and baseline: the mean change of the AUROC over all cells.

    Cells without an interval of their own are left out. A run judges all findings at once, so
    its mean over the findings is one value; runs at different fractions have nothing in
    common, unless they share their draw.

    Args:
        scores: the runs' scores on one split.
        measured: what `measure` gives for the target findings.
        margin: smallest difference of AUROCs that matters.
        seed: seed of the resampled runs.

    Returns:
        arm, baseline, cells, change, low, high, p, p_equivalence, detectable.
    """
    columns = ["arm", "baseline", "cells", "change", *CHANGE]
    usable = [found for found in measured.values() if found.resampled is not None]
    cells = arms_of(scores.runs)
    rows = []
    for arm in scores.runs["arm"].unique():
        for baseline, ending in BASELINES.items():
            if not usable or not compared(arm, baseline, cells[0][1]):
                continue
            values = np.mean([found.values[0] for found in usable], axis=0)
            resampled = np.mean([found.resampled[0] for found in usable], axis=0)
            parts = [
                repetitions(scores.runs, values, resampled, arms[arm], arms[baseline])
                for _, arms in cells
            ]
            informative = min(found.informative for found in usable)
            found = estimate(_mean(parts), informative, seed)
            told = {"arm": arm, "baseline": baseline, "cells": len(usable) * len(cells)}
            change = _change(found, ending, margin).items()
            told |= {name.removeprefix(f"change{ending}_"): value for name, value in change}
            rows.append(told | {"change": found.value})
    table = pd.DataFrame(rows, columns=columns)
    return table.drop(columns=["p_holm", "p_equivalence_holm"])


def compared(arm: str, baseline: str, arms: Mapping) -> bool:
    """Whether an arm is compared with a baseline; `none` itself is compared with nothing."""
    return baseline in arms and arm not in (baseline, "none")


def _mean(parts: list[list[Group]]) -> list[Group]:
    """The groups of several fractions as those of their mean."""
    share = 1 / len(parts)
    scaled = [
        [Group(group.values * share, group.replicates * share, group.sign) for group in groups]
        for groups in parts
    ]
    if len(scaled[0]) > 1 or len(scaled) == 1:
        return [group for groups in scaled for group in groups]
    # Draws: one group a fraction, and the same draws in each.
    alike = [groups[0] for groups in scaled]
    return [Group(sum(g.values for g in alike), sum(g.replicates for g in alike))]


def _cell(scores, finding, found, fraction, arms, margin, seed):
    """Rows of one cell, one an arm, without what depends on the other cells."""
    rows = []
    for arm, chosen in arms.items():
        runs = scores.runs.iloc[chosen]
        row = {"finding": finding, "fraction": fraction, "arm": arm, **found.counts}
        row |= {"draws": runs["draw"].nunique(), "seeds": runs["seed"].nunique()}
        row |= {"interval_over": "", "verdict": "", "verdict_oversample": ""}
        row["prevalence"] = found.counts["n_positive"] / max(found.labelled, 1)
        row |= dict(zip(MEASURES, found.values[:, chosen].mean(axis=1), strict=True))
        row["ece"] = found.ece[chosen].mean()
        if len(chosen) > 1:
            row["auc_sd_runs"] = np.std(found.values[0, chosen], ddof=1)
        if found.resampled is not None:
            row |= _intervals(scores.runs, found, chosen, seed)
            row["interval_over"] = _over(runs)
        for baseline, ending in BASELINES.items():
            if not compared(arm, baseline, arms):
                continue
            other = arms[baseline]
            row[f"change{ending}"] = row["auc"] - found.values[0, other].mean()
            row[f"verdict{ending}"] = found.too_few
            if found.resampled is None:
                continue
            groups = repetitions(scores.runs, found.values[0], found.resampled[0], chosen, other)
            row |= _change(estimate(groups, found.informative, seed), ending, margin)
            if baseline == "none" and len(chosen) == len(other) == 1:
                row["change_p_delong"] = _delong(scores, finding, [chosen[0], other[0]])
        rows.append(row)
    return rows


def _intervals(runs, found, chosen, seed):
    row = {}
    for number, name in enumerate(MEASURES):
        groups = repetitions(runs, found.values[number], found.resampled[number], chosen)
        about = estimate(groups, found.informative, seed)
        row[f"{name}_low"], row[f"{name}_high"] = about.interval_of_share()
        if name == "auc":
            row["auc_se"], row["auc_se_patients"] = about.se, about.se_patients
    return row


def _change(found: Estimate, ending, margin):
    low, high = found.interval()
    at = (found.value, found.se, found.df)
    return {
        f"change{ending}_low": low,
        f"change{ending}_high": high,
        f"change{ending}_p": decisions.p_difference(*at),
        f"change{ending}_p_equivalence": decisions.p_equivalence(*at, margin),
        f"change{ending}_detectable": decisions.detectable(found.se, found.df),
    }


def _delong(scores, finding, pair):
    """The p-value of DeLong's test between two runs."""
    labels = scores.images[finding].to_numpy()
    known = ~np.isnan(labels)
    both = scores.of[finding][pair][:, known]
    return difference(labels[known], both, scores.patients[known])[2]


def _decide(table, ending):
    """Correct the p-values of each arm over its cells, and name the verdicts, in place."""
    for _, rows in table.groupby("arm", sort=False).groups.items():
        for name in ("p", "p_equivalence"):
            corrected = decisions.holm(table.loc[rows, f"change{ending}_{name}"])
            table.loc[rows, f"change{ending}_{name}_holm"] = corrected
    columns = [f"change{ending}{end}" for end in ("", "_p_holm", "_p_equivalence_holm")]
    for row in table.index[table[f"change{ending}_low"].notna()]:
        table.loc[row, f"verdict{ending}"] = decisions.verdict(*table.loc[row, columns])


def _over(runs):
    if runs["draw"].nunique() > 1:
        return "patients and draws"
    return "patients and seeds" if runs["seed"].nunique() > 1 else "patients"
