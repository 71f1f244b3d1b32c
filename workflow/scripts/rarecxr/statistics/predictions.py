"""All runs' predictions for one set of images, joined with the labels by the image's name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import expit

from rarecxr.classifier import prediction_file
from rarecxr.classifier.prediction_file import EXTERNAL, KEYS
from rarecxr.core.tables import read_csv, read_parquet
from rarecxr.data.index_columns import label_columns

RUN = ["arm", "fraction", "draw", "seed"]
SPLITS = ("val", "test", "expert")


@dataclass(frozen=True)
class Predictions:
    """What every run predicts for the same N images.

    Attributes:
        images: (N) rows sorted by image: `image`, `patient`, `view`, `sex`, `age`, and the
            label of every finding in {0, 1, NaN}.
        patients: (N,) int64, the patient's number, from 0.
        n_patients: how many patients there are.
        runs: one row for each run: `arm`, `fraction`, `draw`, `seed`.
        logits: for each finding, (R, N) float32, rows as in `runs`.
    """

    images: pd.DataFrame
    patients: np.ndarray
    n_patients: int
    runs: pd.DataFrame
    logits: dict[str, np.ndarray]

    def probabilities(self, finding: str) -> np.ndarray:
        """(R, N) float64 in [0, 1]: the sigmoid of the logits."""
        return expit(self.logits[finding].astype(np.float64))

    def of_images(self, chosen: np.ndarray, findings: Sequence[str]) -> "Predictions":
        """The predictions for some of the images, (N,) bool; patients keep their numbers."""
        return replace(
            self,
            images=self.images[chosen],
            patients=self.patients[chosen],
            logits={name: self.logits[name][:, chosen] for name in findings},
        )

    def of_runs(self, chosen: np.ndarray) -> "Predictions":
        """The predictions of some of the runs, (R,) bool."""
        return replace(
            self,
            runs=self.runs[chosen].reset_index(drop=True),
            logits={name: logits[chosen] for name, logits in self.logits.items()},
        )


def read_labels(labels: str | Path, split: str | Path) -> pd.DataFrame:
    """The study's images with their labels and `split`, one row per image.

    Raises:
        ValueError: an image or patient occurs twice, or a patient has no split.
    """
    images = read_parquet(labels)
    patients = read_csv(split, ["patient", "split"], str)
    for table, key, path in ((images, "image", labels), (patients, "patient", split)):
        _refuse_repeated(table, key, path)
    images["split"] = images["patient"].map(patients.set_index("patient")["split"])
    lost = images.loc[images["split"].isna(), "patient"]
    if len(lost):
        raise ValueError(
            f"{split}: patient {lost.iloc[0]} of {labels} has no split ({lost.nunique()} such);"
            " make the split again from these labels"
        )
    return images


def read_external_labels(labels: str | Path) -> pd.DataFrame:
    """The images of an external test set with their labels and the `split` that all of them have.

    Raises:
        ValueError: an image occurs twice.
    """
    images = read_parquet(labels)
    _refuse_repeated(images, "image", labels)
    return images.assign(split=EXTERNAL)


def _refuse_repeated(table: pd.DataFrame, key: str, path: str | Path) -> None:
    twice = table.loc[table[key].duplicated(), key]
    if len(twice):
        raise ValueError(f"{path}: {key} {twice.iloc[0]} has {len(twice) + 1} rows; one is allowed")


def read_predictions(
    images: pd.DataFrame,
    predictions: Sequence[str | Path],
    runs: Sequence[Mapping],
    findings: Sequence[str],
    splits: Sequence[str] = SPLITS,
    known: Sequence[str] | None = None,
) -> dict[str, Predictions]:
    """The predictions of all runs, by split.

    Args:
        images: what `read_labels` or `read_external_labels` gives.
        predictions: one file per run.
        runs: for each file its arm, fraction, draw and seed.
        findings: findings that every file must hold, and of which there are labels.
        splits: the splits whose images the files hold.
        known: all findings that a file may hold; None for those of which there are labels.

    Returns:
        `Predictions` for each of the splits that has images.

    Raises:
        ValueError: a file lacks images of the split, holds unknown images or columns, puts an
            image in another split or with another patient, holds something else than logits, or a
            logit is not finite.
    """
    expected = images.set_index("image")
    expected = expected[expected["split"].isin(splits)].sort_index()
    labels = label_columns(images.columns) if known is None else known
    logits = {finding: np.empty((len(runs), len(expected)), np.float32) for finding in findings}
    for row, path in enumerate(predictions):
        table = prediction_file.read_predictions(path)
        table = _checked(path, table, expected, labels, findings)
        for finding in findings:
            logits[finding][row] = table[finding].to_numpy()
    result = {}
    table = pd.DataFrame(list(runs))[RUN].astype({"fraction": float})
    for split in splits:
        chosen = (expected["split"] == split).to_numpy()
        if not chosen.any():
            continue
        part = expected[chosen].reset_index()
        codes, patients = pd.factorize(part["patient"], sort=True)
        result[split] = Predictions(
            images=part,
            patients=codes,
            n_patients=len(patients),
            runs=table,
            logits={finding: values[:, chosen] for finding, values in logits.items()},
        )
    return result


def check_runs(runs: pd.DataFrame) -> None:
    """Refuse runs that cannot be compared.

    Raises:
        ValueError: a run occurs twice, or an arm lacks a draw or seed that another has.
    """
    twice = runs[runs.duplicated(RUN)]
    if len(twice):
        raise ValueError(f"two files for one run: {twice.iloc[0].to_dict()}")
    every = runs.groupby(["arm", "fraction"])[["draw", "seed"]].apply(
        lambda part: tuple(sorted(map(tuple, part.to_numpy().tolist())))
    )
    for cell, found in every.items():
        if found != every.iloc[0]:
            raise ValueError(
                f"arm {cell[0]} at {cell[1]} % has the (draw, seed) {found}, arm"
                f" {every.index[0][0]} at {every.index[0][1]} % has {every.iloc[0]}; all arms and"
                " fractions need the same"
            )


def rows_by_arm(runs: pd.DataFrame) -> list[tuple[float, dict[str, np.ndarray]]]:
    """For each fraction, in ascending order, the places of each arm's runs, by arm."""
    runs = runs.reset_index(drop=True)
    return [
        (fraction, {arm: part.index[part["arm"] == arm].to_numpy() for arm in part["arm"].unique()})
        for fraction, part in runs.groupby("fraction", sort=True)
    ]


def label_counts(images: pd.DataFrame, finding: str) -> dict[str, int]:
    """Positive and negative images and patients of one finding; masked labels count as neither."""
    counts = {}
    for name, value in (("positive", 1), ("negative", 0)):
        chosen = images[finding] == value
        counts[f"n_{name}"] = int(chosen.sum())
        counts[f"n_{name}_patients"] = int(images.loc[chosen, "patient"].nunique())
    return counts


def _checked(path, table, expected, labels, findings):
    """One file's rows in the order of `expected`, after every check that can be made."""
    missing = [name for name in [*KEYS, *findings] if name not in table]
    unknown = [name for name in table if name not in [*KEYS, *labels]]
    if missing or unknown:
        raise ValueError(
            f"{path}: columns missing: {missing}, unknown: {unknown}; takes {list(KEYS)} and"
            f" findings among {labels}, with {list(findings)}. Train this run again"
        )
    twice = table.loc[table["image"].duplicated(), "image"]
    if len(twice):
        raise ValueError(f"{path}: image {twice.iloc[0]} has more than one row")
    table = table.set_index("image")
    for what, lost in (
        (
            "not among the study's validation and test images",
            table.index.difference(expected.index),
        ),
        ("without a prediction", expected.index.difference(table.index)),
    ):
        if len(lost):
            raise ValueError(
                f"{path}: {len(lost)} images {what}, the first is {lost[0]};"
                " predictions and labels must come from one split. Train this run again"
            )
    table = table.loc[expected.index]
    for key in ("patient", "split"):
        wrong = table.index[table[key].to_numpy() != expected[key].to_numpy()]
        if len(wrong):
            raise ValueError(
                f"{path}: image {wrong[0]} has {key} {table.at[wrong[0], key]}, the study says"
                f" {expected.at[wrong[0], key]} ({len(wrong)} such). Train this run again"
            )
    for finding in findings:
        values = table[finding].to_numpy()
        wrong = ~np.isfinite(values)
        if wrong.any():
            raise ValueError(
                f"{path}: {wrong.sum()} logits of {finding} are not finite, the first is"
                f" {values[wrong][0]} of {table.index[wrong][0]}. Train this run again"
            )
    return table
