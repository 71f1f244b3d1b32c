"""Whether a study's labels can give an answer, known before any image is decoded."""

import os
from collections.abc import Mapping, Sequence

import pandas as pd

from rarecxr.core.files import written_whole
from rarecxr.core.tables import read_csv, read_parquet
from rarecxr.data.index_columns import label_columns
from rarecxr.data.label_policies import BLANK_POLICIES
from rarecxr.data.labels import apply_policies
from rarecxr.data.split import SPLITS


def check_labels(
    images: str | os.PathLike,
    split: str | os.PathLike,
    uncertain: Mapping[str, str],
    blank: str,
    target_findings: Sequence[str],
    negative_for: Sequence[str],
    output: str | os.PathLike,
) -> None:
    """Count labels by split and finding, and refuse a study that they cannot give an answer to.

    Writes `label_counts.csv`: split (train, val, test, expert), finding, then numbers of images:
    n_positive, n_negative, n_masked. Images that cannot be read are among them: none is opened.

    Args:
        images: the index, `images.parquet`, with the raw labels.
        split: the split, `split.csv`.
        uncertain: as in `label_images`.
        blank: as in `label_images`.
        target_findings: findings that take a positive and a negative image in train, val and test.
        negative_for: findings that some training image must be negative for, all at once: what the
            base GAN is trained on. Empty where no GAN is trained.
        output: the counts (CSV).

    Raises:
        ValueError: labels that are needed are not there; says which, and what other policies for
            blank labels would give.
    """
    table = read_parquet(images)
    findings = label_columns(table.columns)
    splits = read_csv(split, ["patient", "split"]).set_index("patient")["split"]
    where = table["patient"].map(splits)
    raw = table[findings]
    labels = apply_policies(raw, uncertain, blank)
    needed = (target_findings, negative_for)
    missing = _missing(labels, where, *needed)
    if missing:
        others = [
            f"with dataset.blank: {other} {len(left)} of these would be missing"
            if (left := _missing(apply_policies(raw, uncertain, other), where, *needed))
            else f"with dataset.blank: {other} nothing would be missing"
            for other in BLANK_POLICIES
            if other != blank
        ]
        raise ValueError(
            f"{images}: the labels cannot give this study an answer with dataset.blank: {blank}. "
            "Missing is\n  " + "\n  ".join([*missing, *others])
        )
    counts = [
        {
            "split": name,
            "finding": finding,
            "n_positive": int((part[finding] == 1).sum()),
            "n_negative": int((part[finding] == 0).sum()),
            "n_masked": int(part[finding].isna().sum()),
        }
        for name, part in ((name, labels[where == name]) for name in SPLITS)
        if len(part)
        for finding in findings
    ]
    with written_whole(output) as temporary:
        pd.DataFrame(counts).to_csv(temporary, index=False, lineterminator="\n")


def _missing(
    labels: pd.DataFrame,
    where: pd.Series,
    target_findings: Sequence[str],
    negative_for: Sequence[str],
) -> list[str]:
    """What images a study needs and lacks, in words."""
    missing = [
        f"an image of {name} that is {word} for {finding}"
        for finding in target_findings
        for name in ("train", "val", "test")
        for word, value in (("positive", 1), ("negative", 0))
        if not (labels.loc[where == name, finding] == value).any()
    ]
    training = labels.loc[where == "train", list(negative_for)]
    if negative_for and not (training == 0).all(axis=1).any():
        names = ", ".join(negative_for)
        missing.append(
            f"an image of train that is negative for all of {names}: the base GAN trains on these"
        )
    return missing
