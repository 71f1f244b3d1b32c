"""Arms that ran at several doses: the dose of each cell, and the dose-response curve.

The dose is chosen on the validation images alone. Each arm is then reported as if it had run at
that dose only, so that no other module needs to know about doses.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from rarecxr.statistics.finding_metrics import FindingMetrics, Resampling, compute_metrics
from rarecxr.statistics.metrics import auroc
from rarecxr.statistics.predictions import Predictions

_SPLITS = {"val": "val_auc", "test": "auc"}
COLUMNS = [
    *("finding", "fraction", "arm", "dose", "chosen", "draws", "seeds"),
    *(f"{name}{end}" for name in _SPLITS.values() for end in ("", "_low", "_high")),
]


def choose_doses(
    predictions: Mapping[str, Predictions],
    doses: Mapping[str, Mapping[str, float]],
    findings: Sequence[str],
) -> tuple[dict[str, Predictions], pd.DataFrame]:
    """Every arm at one dose per cell: that with the highest mean validation AUROC over its runs.

    Of equal doses the smallest is chosen. A finding without both classes among the validation
    images, and any finding that is not a target, gets the dose that is best for the mean of those
    targets that have both; where none has, the largest one.

    Args:
        predictions: of all runs by split, `val` among them, and by external test set.
        doses: for each arm that ran at several doses, the dose of each of its names in the table
            of runs; empty for none.
        findings: the target findings.

    Returns:
        The predictions by split with one run per arm, fraction, draw and seed, named by the arm:
        for each finding those at the chosen dose. And the choices: finding, fraction, arm, dose,
        run (the chosen name), one row per cell of an arm with several doses.
    """
    choices = pd.DataFrame(columns=["finding", "fraction", "arm", "dose", "run"])
    if not doses:
        return dict(predictions), choices
    validation = predictions["val"]
    runs = validation.runs.reset_index(drop=True)
    arm_of = {name: arm for arm, names in doses.items() for name in names}
    values = {finding: _aurocs(validation, finding) for finding in findings}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the mean of no value is NaN
        over_all = np.nanmean([values[finding] for finding in findings], axis=0)

    merged = runs.assign(arm=runs["arm"].map(arm_of).fillna(runs["arm"]))
    kept = merged.drop_duplicates().reset_index(drop=True)
    place = {tuple(run): row for row, run in enumerate(runs.itertuples(index=False))}
    rows, chosen = [], {}
    for finding in validation.logits:
        name_of = {}
        for fraction in kept["fraction"].unique():
            for arm, names in doses.items():
                best = _best(runs, fraction, names, values.get(finding, over_all), over_all)
                name_of[arm, fraction] = best
                if finding in values:
                    rows.append((finding, fraction, arm, names[best], best))
        chosen[finding] = [
            place[name_of.get((arm, fraction), arm), fraction, draw, seed]
            for arm, fraction, draw, seed in kept[["arm", "fraction", "draw", "seed"]].itertuples(
                index=False
            )
        ]
    single = {
        split: replace(
            part,
            runs=kept,
            # An external test set may lack findings.
            logits={name: logits[chosen[name]] for name, logits in part.logits.items()},
        )
        for split, part in predictions.items()
    }
    return single, pd.DataFrame(rows, columns=choices.columns)


def _best(runs, fraction, names, values, over_all):
    """The name whose runs at the fraction have the highest mean; of equals the first (smallest)."""
    at = [runs.index[(runs["fraction"] == fraction) & (runs["arm"] == name)] for name in names]
    for criterion in (values, over_all):
        means = [criterion[rows].mean() for rows in at]
        if np.isfinite(means).all():
            return list(names)[int(np.argmax(means))]
    return list(names)[-1]


def _aurocs(predictions: Predictions, finding: str) -> np.ndarray:
    """The AUROC of every run (R,), NaN where one class is missing."""
    labels = predictions.images[finding].to_numpy()
    known = ~np.isnan(labels)
    return np.array([auroc(labels[known], run[known]) for run in predictions.logits[finding]])


def dose_table(
    predictions: Mapping[str, Predictions],
    doses: Mapping[str, Mapping[str, float]],
    choices: pd.DataFrame,
    findings: Sequence[str],
    resampling: Resampling,
    baseline: str,
) -> pd.DataFrame:
    """The dose-response curves: AUROC of every dose on validation and test images.

    Args:
        predictions: of all runs by split, each dose under its own name.
        doses: for each arm that ran at several doses, the dose of each of its names.
        choices: what `choose_doses` chose.
        findings: the target findings.
        resampling: how uncertainty is estimated.
        baseline: the arm without additional images, which is the dose 0 of every curve.

    Returns:
        See docs/report.md, dose.csv; no rows without several doses.
    """
    if not doses:
        return pd.DataFrame(columns=COLUMNS)
    shown = [baseline, *(name for names in doses.values() for name in names)]
    metrics = {
        split: compute_metrics(
            part.of_runs(part.runs["arm"].isin(shown).to_numpy()),
            findings,
            resampling,
            label=f"doses, {split}",
        )
        for split, part in predictions.items()
        if split in _SPLITS
    }
    runs = metrics["test"][findings[0]].runs
    chosen = set(choices[["finding", "fraction", "run"]].itertuples(index=False, name=None))
    rows = []
    for finding in findings:
        for fraction in sorted(runs["fraction"].unique()):
            for arm, names in doses.items():
                without = {baseline: 0.0} if (runs["arm"] == baseline).any() else {}
                for name, dose in {**without, **names}.items():
                    at = runs.index[(runs["arm"] == name) & (runs["fraction"] == fraction)]
                    row = {
                        "finding": finding,
                        "fraction": fraction,
                        "arm": arm,
                        "dose": dose,
                        "chosen": int((finding, fraction, name) in chosen),
                        "draws": runs.loc[at, "draw"].nunique(),
                        "seeds": runs.loc[at, "seed"].nunique(),
                    }
                    for split, column in _SPLITS.items():
                        row |= _interval(metrics[split][finding], at.to_numpy(), column)
                    rows.append(row)
    return pd.DataFrame(rows, columns=COLUMNS)


def _interval(metrics: FindingMetrics, at, column):
    row = {column: metrics.values[0, at].mean()}
    if metrics.replicates is not None:
        low, high = metrics.mean("auc", at).logit_interval()
        row |= {f"{column}_low": low, f"{column}_high": high}
    return row
