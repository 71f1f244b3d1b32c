"""The summary in subgroups of the test patients: by sex, age and view."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from rarecxr.statistics.comparisons import BASELINE, References, change_column
from rarecxr.statistics.finding_metrics import Resampling, compute_metrics
from rarecxr.statistics.predictions import Predictions
from rarecxr.statistics.summary import summary_table


def subgroup_table(
    predictions: Predictions,
    findings: Sequence[str],
    age_bands: Sequence[int],
    resampling: Resampling,
    margin: float,
    references: References,
) -> pd.DataFrame:
    """One row per cell, arm and subgroup: AUROC with interval, and change against the baseline.

    Args:
        predictions: the runs' predictions on the test split.
        findings: the target findings.
        age_bands: ages in years where a new band begins.
        resampling: how uncertainty is estimated.
        margin: smallest difference of AUROCs that matters.
        references: the arms that the others are compared with.

    Returns:
        See docs/report.md, subgroups.csv. Changes are exploratory: no p-values.
    """
    tables = []
    for kind, name, chosen in subgroups(predictions.images, age_bands):
        part = predictions.of_images(chosen, findings)
        metrics = compute_metrics(part, findings, resampling, label=f"{kind} {name}")
        table = summary_table(part, metrics, margin, references)
        table.insert(0, "subgroup", name)
        table.insert(0, "kind", kind)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)[
        [
            *("kind", "subgroup", "finding", "fraction", "arm", "interval_over", "n_positive"),
            *("n_negative", "n_positive_patients", "n_negative_patients", "prevalence"),
            *("auc", "auc_low", "auc_high"),
            *(change_column(BASELINE, part) for part in ("", "low", "high")),
        ]
    ]


def subgroups(images: pd.DataFrame, age_bands: Sequence[int]) -> Iterator[tuple]:
    """Kind, name and (N,) mask of every subgroup that holds images: sex, age band, view."""
    for sex in ("Female", "Male", "Unknown"):
        yield from _unless_empty("sex", sex, images["sex"] == sex)
    edges = [-np.inf, *age_bands, np.inf]
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        name = f"{low} to {high - 1}"
        if np.isinf(high):
            name = "all" if np.isinf(low) else f"{low} and above"
        elif np.isinf(low):
            name = f"below {high}"
        yield from _unless_empty("age", name, (images["age"] >= low) & (images["age"] < high))
    yield from _unless_empty("age", "unknown", images["age"].isna())
    for view in sorted(images["view"].unique()):
        yield from _unless_empty("view", view, images["view"] == view)


def _unless_empty(kind, name, chosen):
    if chosen.any():
        yield kind, name, chosen.to_numpy()
