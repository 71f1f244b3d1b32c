"""Arms that ran at several doses: the dose of each cell, and the dose-response curve.

The dose is chosen on the validation images alone. Each arm is then reported as if it had run at
that dose only, so that nothing else need know of doses.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from rarecxr.statistics.auroc import auroc
from rarecxr.statistics.bootstrap import estimate
from rarecxr.statistics.measured import Measured, measure, repetitions
from rarecxr.statistics.predictions import Scores

_SPLITS = {"val": "val_auc", "test": "auc"}
COLUMNS = [
    *("finding", "fraction", "arm", "dose", "chosen", "draws", "seeds"),
    *(f"{name}{end}" for name in _SPLITS.values() for end in ("", "_low", "_high")),
]


def choose_doses(
    scores: Mapping[str, Scores],
    doses: Mapping[str, Mapping[str, float]],
    findings: Sequence[str],
) -> tuple[dict[str, Scores], pd.DataFrame]:
    """Every arm at one dose a cell: the one with the best mean validation AUROC over its runs.

    Among equals the smaller dose is chosen. A finding without both classes among the
    validation images, and any finding that is not a target, gets the dose that is best for the
    mean of those targets that have both; where none has, the largest one.

    Args:
        scores: the runs' scores by split, `val` among them.
        doses: for each arm that ran at several doses, the dose of each of its names in the table
            of runs; empty for none.
        findings: the target findings.

    Returns:
        The scores by split with one run an arm, fraction, draw and seed, named by the arm: for each
        finding those at the chosen dose. And the choices: finding, fraction, arm, dose, run
        (the chosen name), a row a cell of a swept arm.
    """
    choices = pd.DataFrame(columns=["finding", "fraction", "arm", "dose", "run"])
    if not doses:
        return dict(scores), choices
    validation = scores["val"]
    runs = validation.runs.reset_index(drop=True)
    arm_of = {name: arm for arm, names in doses.items() for name in names}
    values = {finding: _aurocs(validation, finding) for finding in findings}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a mean of nothing is NaN, as it should be
        over_all = np.nanmean([values[finding] for finding in findings], axis=0)

    merged = runs.assign(arm=runs["arm"].map(arm_of).fillna(runs["arm"]))
    kept = merged.drop_duplicates().reset_index(drop=True)
    place = {tuple(run): row for row, run in enumerate(runs.itertuples(index=False))}
    rows, chosen = [], {}
    for finding in validation.of:
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
            part, runs=kept, of={name: part.of[name][rows] for name, rows in chosen.items()}
        )
        for split, part in scores.items()
    }
    return single, pd.DataFrame(rows, columns=choices.columns)


def _best(runs, fraction, names, values, over_all):
    """The name whose runs at the fraction have the highest mean; the first (smallest) of equals."""
    at = [runs.index[(runs["fraction"] == fraction) & (runs["arm"] == name)] for name in names]
    for criterion in (values, over_all):
        means = [criterion[rows].mean() for rows in at]
        if np.isfinite(means).all():
            return list(names)[int(np.argmax(means))]
    return list(names)[-1]


def _aurocs(scores: Scores, finding: str) -> np.ndarray:
    """The AUROC of every run (R,), NaN where one class is missing."""
    labels = scores.images[finding].to_numpy()
    known = ~np.isnan(labels)
    return np.array([auroc(labels[known], run[known]) for run in scores.of[finding]])


def dose_table(
    scores: Mapping[str, Scores],
    doses: Mapping[str, Mapping[str, float]],
    choices: pd.DataFrame,
    findings: Sequence[str],
    **settings: int,
) -> pd.DataFrame:
    """The dose-response curves: AUROC of every dose on validation and test images.

    Args:
        scores: the runs' scores by split, each dose under its own name.
        doses: for each arm that ran at several doses, the dose of each of its names.
        choices: what `choose_doses` chose.
        findings: the target findings.
        settings: resamples, min_positive_patients, seed and threads of `measure`.

    Returns:
        See docs/report.md, dose.csv; no rows without a sweep.
    """
    if not doses:
        return pd.DataFrame(columns=COLUMNS)
    runs = scores["test"].runs
    taken = runs["arm"].isin(["none", *(name for names in doses.values() for name in names)])
    shown = {split: _only(scores[split], taken.to_numpy()) for split in _SPLITS}
    runs = runs[taken].reset_index(drop=True)
    measured = {
        split: measure(part, findings, label=f"doses, {split}", **settings)
        for split, part in shown.items()
    }
    chosen = set(choices[["finding", "fraction", "run"]].itertuples(index=False, name=None))
    rows = []
    for finding in findings:
        for fraction in sorted(runs["fraction"].unique()):
            for arm, names in doses.items():
                # Without any synthetic image the arm is `none`, where the study runs it.
                with_none = {"none": 0.0} if (runs["arm"] == "none").any() else {}
                for name, dose in {**with_none, **names}.items():
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
                        row |= _interval(
                            runs, measured[split][finding], at.to_numpy(), column, settings["seed"]
                        )
                    rows.append(row)
    return pd.DataFrame(rows, columns=COLUMNS)


def _only(scores: Scores, taken: np.ndarray) -> Scores:
    of = {finding: values[taken] for finding, values in scores.of.items()}
    return replace(scores, runs=scores.runs[taken].reset_index(drop=True), of=of)


def _interval(runs, found: Measured, at, column, seed):
    row = {column: found.values[0, at].mean()}
    if found.resampled is not None:
        groups = repetitions(runs, found.values[0], found.resampled[0], at)
        about = estimate(groups, found.informative, seed)
        row[f"{column}_low"], row[f"{column}_high"] = about.interval_of_share()
    return row
