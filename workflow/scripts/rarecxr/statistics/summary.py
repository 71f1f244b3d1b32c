"""The tables of means over runs: of every cell and arm, of subgroups' cells, and over all cells."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from rarecxr.statistics import hypothesis_tests as tests
from rarecxr.statistics.comparisons import (
    BASELINE,
    ROLES,
    References,
    change_column,
    verdict_column,
)
from rarecxr.statistics.delong import difference
from rarecxr.statistics.estimates import Estimate, Repetitions, estimate, repetitions
from rarecxr.statistics.finding_metrics import METRICS, FindingMetrics
from rarecxr.statistics.predictions import Predictions, rows_by_arm

_TESTED = ("low", "high", "p", "p_equivalence", "detectable")
_CHANGE = ("low", "high", "p", "p_holm", "p_equivalence", "p_equivalence_holm", "detectable")
_DELONG = change_column(BASELINE, "p_delong")
COLUMNS = [
    *("finding", "fraction", "arm", "draws", "seeds", "interval_over"),
    *("n_positive", "n_negative", "n_positive_patients", "n_negative_patients", "prevalence"),
    *(f"{name}{end}" for name in METRICS for end in ("", "_low", "_high")),
    *("auc_se", "auc_se_patients", "auc_sd_runs", "ece"),
    *(
        column
        for role in ROLES
        for column in (
            change_column(role),
            *(change_column(role, part) for part in _CHANGE),
            verdict_column(role),
        )
    ),
    _DELONG,
]


def summary_table(
    predictions: Predictions,
    metrics: Mapping[str, FindingMetrics],
    margin: float,
    references: References,
) -> pd.DataFrame:
    """One row per cell and arm: means over runs, intervals, changes, verdicts.

    Args:
        predictions: the runs' predictions on one split.
        metrics: of the target findings on these predictions.
        margin: smallest difference of AUROCs that matters.
        references: the arms that the others are compared with.

    Returns:
        See docs/report.md, summary.csv.
    """
    rows = [
        _row(predictions, finding, metrics[finding], fraction, arm, arms, margin, references)
        for finding in metrics
        for fraction, arms in rows_by_arm(predictions.runs)
        for arm in arms
    ]
    table = pd.DataFrame(rows, columns=COLUMNS)
    for role in ROLES:
        _correct(table, role)
    return table


def overall_table(
    metrics: Mapping[str, FindingMetrics], margin: float, references: References
) -> pd.DataFrame:
    """One row per arm and reference: the mean change of the AUROC over all cells.

    Cells without an interval of their own are left out. A run predicts all findings at once, so
    its mean over the findings is one value; runs at different fractions are independent, unless
    they share their draw.

    Args:
        metrics: of the target findings.
        margin: smallest difference of AUROCs that matters.
        references: the arms that the others are compared with.

    Returns:
        See docs/report.md, overall.csv.
    """
    columns = ["arm", "role", "reference", "cells", "change", *_TESTED]
    usable = [found for found in metrics.values() if found.replicates is not None]
    if not usable:
        return pd.DataFrame(columns=columns)
    runs = usable[0].runs
    values = np.mean([found.values[0] for found in usable], axis=0)
    replicates = np.mean([found.replicates[0] for found in usable], axis=0)
    informative = min(found.informative for found in usable)
    fractions = [arms for _, arms in rows_by_arm(runs)]
    rows = []
    for arm in runs["arm"].unique():
        for role, reference in references.over_all_cells(arm):
            if reference not in fractions[0]:
                continue
            parts = [
                repetitions(runs, values, replicates, arms[arm], arms[reference])
                for arms in fractions
            ]
            change = estimate(_mean(parts), informative, change=True)
            row = {"arm": arm, "role": role, "reference": reference}
            row |= {"cells": len(usable) * len(fractions), "change": change.value}
            rows.append(row | _tested(change, margin))
    return pd.DataFrame(rows, columns=columns)


def _mean(parts: list[list[Repetitions]]) -> list[Repetitions]:
    """The repetitions of several fractions as those of their mean."""
    share = 1 / len(parts)
    scaled = [
        [Repetitions(group.values * share, group.replicates * share, group.sign) for group in part]
        for part in parts
    ]
    if len(scaled[0]) > 1 or len(scaled) == 1:
        return [group for part in scaled for group in part]
    # Draws: one group per fraction, with the same draws in each.
    alike = [part[0] for part in scaled]
    return [Repetitions(sum(g.values for g in alike), sum(g.replicates for g in alike))]


def _row(predictions, finding, found, fraction, arm, arms, margin, references):
    """A cell's row of one arm, without what depends on the other cells."""
    rows = arms[arm]
    runs = found.runs.iloc[rows]
    row = {"finding": finding, "fraction": fraction, "arm": arm, **found.counts}
    row |= {"draws": runs["draw"].nunique(), "seeds": runs["seed"].nunique(), "interval_over": ""}
    row["prevalence"] = found.counts["n_positive"] / max(found.labelled, 1)
    row |= dict(zip(METRICS, found.values[:, rows].mean(axis=1), strict=True))
    row["ece"] = found.ece[rows].mean()
    if len(rows) > 1:
        row["auc_sd_runs"] = np.std(found.values[0, rows], ddof=1)
    if found.replicates is not None:
        row["interval_over"] = _interval_over(runs)
        means = {name: found.mean(name, rows) for name in METRICS}
        for name, mean in means.items():
            row[f"{name}_low"], row[f"{name}_high"] = mean.logit_interval()
        row |= {"auc_se": means["auc"].se, "auc_se_patients": means["auc"].se_patients}
    row |= {verdict_column(role): "" for role in ROLES}
    for role, reference in references.of(arm):
        if reference not in arms:
            continue
        others = arms[reference]
        row[change_column(role)] = row["auc"] - found.values[0, others].mean()
        row[verdict_column(role)] = found.too_few
        if found.replicates is None:
            continue
        change = _tested(found.change(rows, others), margin)
        row |= {change_column(role, part): value for part, value in change.items()}
        if role == BASELINE and len(rows) == len(others) == 1:
            row[_DELONG] = _delong(predictions, finding, [rows[0], others[0]])
    return row


def _tested(change: Estimate, margin):
    """Interval, p-values and smallest detectable size of a change."""
    low, high = change.interval()
    at = (change.value, change.se, change.df)
    return {
        "low": low,
        "high": high,
        "p": tests.p_difference(*at),
        "p_equivalence": tests.p_equivalence(*at, margin),
        "detectable": tests.detectable(change.se, change.df),
    }


def _delong(predictions, finding, pair):
    """The p-value of DeLong's test between two runs."""
    labels = predictions.images[finding].to_numpy()
    known = ~np.isnan(labels)
    both = predictions.logits[finding][pair][:, known]
    return difference(labels[known], both, predictions.patients[known])[2]


def _correct(table, role):
    """Correct the p-values of each arm over its cells, and add the verdicts, in place."""
    for _, rows in table.groupby("arm", sort=False).groups.items():
        for part in ("p", "p_equivalence"):
            corrected = tests.holm(table.loc[rows, change_column(role, part)])
            table.loc[rows, change_column(role, f"{part}_holm")] = corrected
    columns = [change_column(role, part) for part in ("", "p_holm", "p_equivalence_holm")]
    for row in table.index[table[change_column(role, "low")].notna()]:
        table.loc[row, verdict_column(role)] = tests.verdict(*table.loc[row, columns])


def _interval_over(runs):
    if runs["draw"].nunique() > 1:
        return "patients and draws"
    return "patients and seeds" if runs["seed"].nunique() > 1 else "patients"
