"""The tables of single runs, curves, calibration and data: one function per CSV file."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pandas as pd

from rarecxr.core.job_log import Progress
from rarecxr.statistics.bootstrap import patient_weights
from rarecxr.statistics.calibration import reliability
from rarecxr.statistics.delong import delong
from rarecxr.statistics.finding_metrics import METRICS, FindingMetrics
from rarecxr.statistics.metrics import sensitivity_at
from rarecxr.statistics.predictions import RUN, Predictions, label_counts, rows_by_arm
from rarecxr.statistics.ranking import Ranking

# False positive rates at which ROC curves are written.
RATES = np.round(np.linspace(0, 1, 101), 2)
# Resamples behind the bands of ROC curves, which are read by eye.
BAND_RESAMPLES = 256


def auc_table(
    predictions: Mapping[str, Predictions],
    metrics: Mapping[str, Mapping[str, FindingMetrics]],
    targets: Collection[str],
) -> pd.DataFrame:
    """One row per run, finding and split: AUROC, AUPRC and Brier score.

    Args:
        predictions: of the runs by split.
        metrics: by split and finding, what `compute_metrics` gives for these predictions.
        targets: findings that get a standard error by DeLong's method, clustered by patient.

    Returns:
        See docs/report.md, auc.csv. AUROC and AUPRC are NaN without a class.
    """
    rows = []
    for split, by_finding in metrics.items():
        for finding, found in by_finding.items():
            errors = np.full(len(found.runs), np.nan)
            if finding in targets and found.informative >= 2:
                errors = _delong_errors(predictions[split], finding)
            for run, values, error in zip(
                found.runs[RUN].to_dict("records"), found.values.T, errors, strict=True
            ):
                rows.append(
                    {
                        "finding": finding,
                        **{key: run[key] for key in ("fraction", "arm", "draw", "seed")},
                        "split": split,
                        **dict(zip(METRICS, values, strict=True)),
                        "auc_se_delong": error,
                        **found.counts,
                    }
                )
    return pd.DataFrame(rows)


def _delong_errors(predictions, finding):
    """The standard error of every run's AUROC (R,)."""
    labels = predictions.images[finding].to_numpy()
    known = ~np.isnan(labels)
    patients = predictions.patients[known]
    return [
        delong(labels[known], logits[known], patients)[1][0, 0] ** 0.5
        for logits in predictions.logits[finding]
    ]


def curve_table(predictions: Predictions, findings: Sequence[str], seed: int) -> pd.DataFrame:
    """ROC curves: mean sensitivity over the runs of a cell and arm, with a 95 % band.

    The band is pointwise and over patients, with the runs as they are.

    Returns:
        finding, fraction, arm, fpr, tpr, low, high; no rows for a finding without both classes.
    """
    tables = []
    generator = np.random.default_rng(seed)
    n_patients = predictions.n_patients
    weights = patient_weights(n_patients, BAND_RESAMPLES, generator)
    # Both classes, or there is no curve.
    findings = [name for name in findings if predictions.images[name].nunique() == 2]
    with Progress(len(findings) * len(predictions.runs), unit="runs", label="ROC curves") as bar:
        for finding in findings:
            labels = predictions.images[finding].to_numpy()
            known = ~np.isnan(labels)
            for fraction, arms in rows_by_arm(predictions.runs):
                for arm, rows in arms.items():
                    curves, replicates = [], 0
                    for logits in predictions.logits[finding][rows]:
                        ranking = Ranking.of(labels, logits, predictions.patients, n_patients)
                        curves.append(sensitivity_at(labels[known], logits[known], RATES))
                        with np.errstate(invalid="ignore", divide="ignore"):
                            replicates = replicates + ranking.roc(weights, RATES) / len(rows)
                        bar.update()
                    tpr = np.mean(curves, axis=0)
                    reach = 1.96 * np.nanstd(replicates, axis=1, ddof=1)
                    low, high = np.clip(tpr - reach, 0, 1), np.clip(tpr + reach, 0, 1)
                    curve = pd.DataFrame({"fpr": RATES, "tpr": tpr, "low": low, "high": high})
                    tables.append(_of_cell(curve, finding, fraction, arm))
    return _together(tables, ["fpr", "tpr", "low", "high"])


def calibration_table(predictions: Predictions, findings: Sequence[str]) -> pd.DataFrame:
    """Reliability of each cell and arm: all runs' images together, in ten bins of equal counts.

    Returns:
        finding, fraction, arm, bin, images, mean_probability, positive_share. `images` counts an
        image once for every run.
    """
    tables = []
    for finding in findings:
        labels = predictions.images[finding].to_numpy()
        known = ~np.isnan(labels)
        if not known.any():
            continue
        probabilities = predictions.probabilities(finding)[:, known]
        for fraction, arms in rows_by_arm(predictions.runs):
            for arm, rows in arms.items():
                table = reliability(np.tile(labels[known], len(rows)), probabilities[rows].ravel())
                tables.append(_of_cell(table, finding, fraction, arm))
    return _together(tables, ["bin", "images", "mean_probability", "positive_share"])


def _of_cell(table, finding, fraction, arm):
    for name, value in (("arm", arm), ("fraction", fraction), ("finding", finding)):
        table.insert(0, name, value)
    return table


def _together(tables, columns):
    if tables:
        return pd.concat(tables, ignore_index=True)
    return pd.DataFrame(columns=["finding", "fraction", "arm", *columns])


def count_table(
    images: pd.DataFrame, parts: Sequence[tuple], findings: Sequence[str]
) -> pd.DataFrame:
    """Images, patients and labels of every part of the data set, by finding.

    Args:
        images: one row per image, with `patient` and the findings' labels.
        parts: (split, fraction or NaN, draw or NaN, patients) of each part.
        findings: the findings that are counted.

    Returns:
        split, fraction, draw, finding, images, patients, n_positive, n_negative, n_masked,
        n_positive_patients.
    """
    rows = []
    for split, fraction, draw, patients in parts:
        part = images[images["patient"].isin(patients)]
        for finding in findings:
            counts = label_counts(part, finding)
            rows.append(
                {
                    "split": split,
                    "fraction": fraction,
                    "draw": draw,
                    "finding": finding,
                    "images": len(part),
                    "patients": part["patient"].nunique(),
                    "n_positive": counts["n_positive"],
                    "n_negative": counts["n_negative"],
                    "n_masked": int(part[finding].isna().sum()),
                    "n_positive_patients": counts["n_positive_patients"],
                }
            )
    table = pd.DataFrame(rows)
    return table.astype({"draw": "Int64"})


def patient_table(images: pd.DataFrame, parts: Sequence[tuple], unreadable: pd.Series):
    """Sex, age and views of the patients in every part of the data set.

    Args:
        images: one row per image, with `image`, `patient`, `sex`, `age` (years, NaN where
            unknown) and `view`.
        parts: (split, fraction or NaN, draw or NaN, patients) of each part.
        unreadable: the patient of each image that could not be read; such images are not among
            `images`.

    Returns:
        split, fraction, draw, patients, images, n_unreadable (images), n_female, n_male,
        n_unknown_sex (patients, by their first image), age_median, age_q1, age_q3 (over patients
        of known age, at their first image), n_unknown_age (patients), and n_{view} for each view of
        the data set (images).
    """
    views = sorted(images["view"].unique())
    rows = []
    for split, fraction, draw, patients in parts:
        part = images[images["patient"].isin(patients)]
        first = part.drop_duplicates("patient")
        sexes = first["sex"].value_counts()
        ages = first["age"].quantile([0.5, 0.25, 0.75]).to_list()
        rows.append(
            {
                "split": split,
                "fraction": fraction,
                "draw": draw,
                "patients": len(first),
                "images": len(part),
                "n_unreadable": int(unreadable.isin(patients).sum()),
                **{
                    f"n_{name}": int(sexes.get(sex, 0))
                    for name, sex in (
                        ("female", "Female"),
                        ("male", "Male"),
                        ("unknown_sex", "Unknown"),
                    )
                },
                **dict(zip(("age_median", "age_q1", "age_q3"), ages, strict=True)),
                "n_unknown_age": int(first["age"].isna().sum()),
                **{f"n_{view}": int((part["view"] == view).sum()) for view in views},
            }
        )
    return pd.DataFrame(rows).astype({"draw": "Int64"})
