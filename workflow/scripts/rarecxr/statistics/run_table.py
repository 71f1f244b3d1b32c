"""What every run was trained on: how often real images were shown, and what the arm added."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from rarecxr.core.provenance import TRAINED_ON
from rarecxr.core.tables import read_parquet
from rarecxr.statistics.predictions import RUN

# Columns of images that an arm adds, and the kinds of image that they count, by label.
ADDED = {
    "real_positives": "real labelled 1",
    "repeated": "repeated labelled 1",
    "synthetic_positives": "synthetic positive labelled 1",
    "synthetic_negatives": "synthetic negative labelled 0",
    "reserve": "reserve labelled 1",
}
TRAINING = ["real_images", "images_shown", "real_passes", "unlabelled_images"]
COLUMNS = [*RUN, "finding", *TRAINING, "wanted", *ADDED]


def run_table(
    predictions: Sequence[str | Path], runs: Sequence[Mapping], findings: Sequence[str]
) -> pd.DataFrame:
    """One row per run and target finding, from the metadata of the predictions.

    Args:
        predictions: predictions.parquet of every run.
        runs: for each file its arm, fraction, draw and seed.
        findings: the target findings.

    Returns:
        See docs/report.md, runs.csv.

    Raises:
        ValueError: a file does not say what the run was trained on.
    """
    rows = []
    for path, run in zip(predictions, runs, strict=True):
        about = read_parquet(path, columns=["image"]).attrs
        missing = {"added", "shown", TRAINED_ON} - set(about)
        if missing:
            raise ValueError(
                f"{path}: does not say what the run was trained on ({', '.join(sorted(missing))}"
                " missing from its metadata). Train this run again"
            )
        common = {
            **{key: run[key] for key in RUN},
            "real_images": about[TRAINED_ON]["images"],
            "images_shown": about["shown"]["images"],
            "real_passes": about["shown"]["real_passes"],
            "unlabelled_images": about.get("unlabelled", 0),
        }
        for finding in findings:
            counts = about["added"][finding]
            added = {name: counts[kind] for name, kind in ADDED.items()}
            rows.append({**common, "finding": finding, "wanted": counts["wanted"], **added})
    return pd.DataFrame(rows, columns=COLUMNS).astype({"fraction": float, "wanted": "Int64"})
