"""The tables of single runs, curves, calibration and data: one function a CSV file."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from rarecxr.core.job_log import Progress
from rarecxr.statistics.auroc import Ranking, auroc, average_precision, brier, roc
from rarecxr.statistics.bootstrap import patient_weights
from rarecxr.statistics.calibration import reliability
from rarecxr.statistics.delong import delong
from rarecxr.statistics.predictions import Scores, arms_of, label_counts
from rarecxr.study.findings import FINDINGS

# False positive rates at which ROC curves are written.
RATES = np.round(np.linspace(0, 1, 101), 2)
# Resamples behind the bands of ROC curves, which are read by eye.
BAND_RESAMPLES = 256


def auc_table(scores: Mapping[str, Scores], findings: Sequence[str], targets: Sequence[str]):
    """Every run by itself: AUROC, AUPRC and Brier score of every finding.

    Args:
        scores: `Scores` by split.
        findings: findings to measure.
        targets: those that get a standard error by DeLong's method, clustered by patient.

    Returns:
        finding, fraction, arm, draw, seed, split, auc, auprc, brier, auc_se_delong, and counts of
        positive and negative images and patients. AUROC and AUPRC are NaN without a class.
    """
    rows = []
    for split, part in scores.items():
        for finding in findings:
            labels = part.images[finding].to_numpy()
            known = ~np.isnan(labels)
            labels, patients = labels[known], part.patients[known]
            counts = label_counts(part.images, finding)
            spread = (
                finding in targets
                and min(counts["n_positive_patients"], counts["n_negative_patients"]) >= 2
            )
            for run, values in zip(part.runs.to_dict("records"), part.of[finding], strict=True):
                values = values[known]
                rows.append(
                    {
                        "finding": finding,
                        **{key: run[key] for key in ("fraction", "arm", "draw", "seed")},
                        "split": split,
                        "auc": auroc(labels, values),
                        "auprc": average_precision(labels, values),
                        "brier": brier(labels, values) if len(labels) else np.nan,
                        "auc_se_delong": delong(labels, values, patients)[1][0, 0] ** 0.5
                        if spread
                        else np.nan,
                        **counts,
                    }
                )
    return pd.DataFrame(rows)


def curve_table(scores: Scores, findings: Sequence[str], seed: int) -> pd.DataFrame:
    """ROC curves: mean sensitivity over the runs of a cell and arm, with a 95 % band.

    The band is pointwise and resamples patients, with the runs as they are.

    Returns:
        finding, fraction, arm, fpr, tpr, low, high; nothing for a finding without both classes.
    """
    rows = []
    generator = np.random.default_rng(seed)
    weights = patient_weights(scores.n_patients, BAND_RESAMPLES, generator)
    # Both classes, or there is no curve.
    findings = [name for name in findings if scores.images[name].nunique() == 2]
    with Progress(len(findings) * len(scores.runs), unit="runs", label="ROC curves") as bar:
        for finding in findings:
            labels = scores.images[finding].to_numpy()
            known = ~np.isnan(labels)
            for fraction, arms in arms_of(scores.runs):
                for arm, chosen in arms.items():
                    curves, moved = [], 0
                    for run in scores.of[finding][chosen]:
                        ranking = Ranking.of(labels, run, scores.patients, scores.n_patients)
                        curves.append(roc(labels[known], run[known], RATES))
                        with np.errstate(invalid="ignore", divide="ignore"):
                            moved = moved + ranking.roc(weights, RATES) / len(chosen)
                        bar.update()
                    tpr = np.mean(curves, axis=0)
                    reach = 1.96 * np.nanstd(moved, axis=1, ddof=1)
                    table = pd.DataFrame({"fpr": RATES, "tpr": tpr})
                    table["low"] = np.clip(tpr - reach, 0, 1)
                    table["high"] = np.clip(tpr + reach, 0, 1)
                    table.insert(0, "arm", arm)
                    table.insert(0, "fraction", fraction)
                    table.insert(0, "finding", finding)
                    rows.append(table)
    columns = ["finding", "fraction", "arm", "fpr", "tpr", "low", "high"]
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=columns)


def calibration_table(scores: Scores, findings: Sequence[str]) -> pd.DataFrame:
    """Reliability of each cell and arm: the runs' images together, in ten bins of equal counts.

    Returns:
        finding, fraction, arm, bin, images, mean_score, positive_share. `images` counts an image
        once for every run.
    """
    rows = []
    for finding in findings:
        labels = scores.images[finding].to_numpy()
        known = ~np.isnan(labels)
        if not known.any():
            continue
        for fraction, arms in arms_of(scores.runs):
            for arm, chosen in arms.items():
                pooled = scores.of[finding][chosen][:, known].ravel()
                table = reliability(np.tile(labels[known], len(chosen)), pooled)
                table.insert(0, "arm", arm)
                table.insert(0, "fraction", fraction)
                table.insert(0, "finding", finding)
                rows.append(table)
    columns = ["finding", "fraction", "arm", "bin", "images", "mean_score", "positive_share"]
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=columns)


def count_table(images: pd.DataFrame, parts: Sequence[tuple]) -> pd.DataFrame:
    """Images, patients and labels of every part of the data set, by finding.

    Args:
        images: one row an image, with `patient` and the findings' labels.
        parts: (split, fraction or NaN, draw or NaN, patients) of each part.

    Returns:
        split, fraction, draw, finding, images, patients, n_positive, n_negative, n_masked,
        n_positive_patients.
    """
    rows = []
    for split, fraction, draw, patients in parts:
        part = images[images["patient"].isin(patients)]
        for finding in [name for name in FINDINGS if name in images]:
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


def patient_table(images: pd.DataFrame, parts: Sequence[tuple], rejected: Sequence[str]):
    """Who the patients of every part of the data set are, and how their images were taken.

    Args:
        images: one row an image, with `image`, `patient`, `sex`, `age` (years, NaN where
            unknown) and `view`.
        parts: (split, fraction or NaN, draw or NaN, patients) of each part.
        rejected: images that could not be read.

    Returns:
        split, fraction, draw, patients, images, n_unreadable (images), n_female, n_male,
        n_unknown_sex (patients, by their first image), age_median, age_q1, age_q3 (over patients
        of known age, at their first image), n_unknown_age (patients), and n_{view} for each view of
        the data set (images).
    """
    unreadable = images["image"].isin(list(rejected))
    views = sorted(images["view"].unique())
    rows = []
    for split, fraction, draw, patients in parts:
        inside = images["patient"].isin(patients)
        part = images[inside]
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
                "n_unreadable": int((inside & unreadable).sum()),
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
