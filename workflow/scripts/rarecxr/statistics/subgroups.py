"""The summary in parts of the test patients: by sex, age and view."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from rarecxr.statistics.measured import measure
from rarecxr.statistics.predictions import Scores
from rarecxr.statistics.summary import summary_table


def subgroup_table(
    scores: Scores,
    findings: Sequence[str],
    age_bands: Sequence[int],
    resamples: int,
    margin: float,
    min_positive_patients: int,
    seed: int,
    threads: int,
) -> pd.DataFrame:
    """One row a cell, arm and subgroup: AUROC with interval, and change against `none`.

    Args:
        scores: the runs' scores on the test split.
        findings: the target findings.
        age_bands: ages in years where a new band begins.
        resamples: number of resamples of the patients.
        margin: smallest difference of AUROCs that matters.
        min_positive_patients: a subgroup with fewer patients of either class gets no interval.
        seed: seed of the resamples.
        threads: rankings that are measured at a time.

    Returns:
        See docs/report.md, subgroups.csv. Changes are exploratory: no p-values.
    """
    tables = []
    for kind, name, chosen in subgroups(scores.images, age_bands):
        part = Scores(
            images=scores.images[chosen],
            patients=scores.patients[chosen],
            n_patients=scores.n_patients,
            runs=scores.runs,
            of={finding: scores.of[finding][:, chosen] for finding in findings},
        )
        label = f"{kind} {name}"
        measured = measure(part, findings, resamples, min_positive_patients, seed, threads, label)
        table = summary_table(part, measured, margin, seed)
        table.insert(0, "subgroup", name)
        table.insert(0, "kind", kind)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)[
        [
            *("kind", "subgroup", "finding", "fraction", "arm", "interval_over", "n_positive"),
            *("n_negative", "n_positive_patients", "n_negative_patients", "prevalence"),
            *("auc", "auc_low", "auc_high", "change", "change_low", "change_high"),
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
