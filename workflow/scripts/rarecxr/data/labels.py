"""From raw labels to what a classifier is told: what becomes of uncertain and blank ones."""

import os
from collections.abc import Mapping

import numpy as np
import pandas as pd

from rarecxr.core.files import written_whole
from rarecxr.study.findings import FINDINGS

UNCERTAIN = -1
# Irvin et al. 2019 (arXiv 1901.07031, section 3.2) compare these three policies and two more.
POLICIES = {"ones": 1.0, "zeros": 0.0, "ignore": np.nan}
BLANK_POLICIES = ("zeros", "ignore")


def label_images(
    images: str | os.PathLike,
    uncertain: Mapping[str, str],
    blank: str,
    output: str | os.PathLike,
) -> None:
    """Write the index with its labels settled: `labels.parquet`.

    The columns of `images.parquet`; the findings, float32, are then 1, 0 or NaN, and NaN means
    masked: neither trained on nor tested with.

    Args:
        images: the index, `images.parquet`.
        uncertain: what -1 becomes, `ones`, `zeros` or `ignore`: for all findings under
            `default`, for single ones under their names.
        blank: what a blank label becomes, `zeros` or `ignore`.
        output: the labels (Parquet).

    Raises:
        ValueError: a policy or a finding that there is not.
    """
    table = pd.read_parquet(images)
    table[list(FINDINGS)] = settle(table[list(FINDINGS)], uncertain, blank)
    with written_whole(output) as temporary:
        table.to_parquet(temporary, index=False)


def settle(labels: pd.DataFrame, uncertain: Mapping[str, str], blank: str) -> pd.DataFrame:
    """Labels 1, 0, -1 and NaN (blank) turned into 1, 0 and NaN (masked), column by column.

    Args:
        labels: one column a finding, float32.
        uncertain: as in `label_images`.
        blank: as in `label_images`.

    Raises:
        ValueError: a policy or a finding that there is not.
    """
    _check(uncertain, blank, list(labels.columns))
    settled = labels.copy()
    if blank == "zeros":
        settled = settled.fillna(0)
    for finding in labels.columns:
        policy = uncertain.get(finding, uncertain["default"])
        settled.loc[labels[finding] == UNCERTAIN, finding] = POLICIES[policy]
    return settled


def _check(uncertain: Mapping[str, str], blank: str, findings: list[str]) -> None:
    if "default" not in uncertain:
        raise ValueError(
            "dataset.uncertain.default is missing: the policy of all findings not named there"
        )
    for finding, policy in uncertain.items():
        if finding != "default" and finding not in findings:
            raise ValueError(
                f"dataset.uncertain: {finding!r} is no finding; there are {', '.join(findings)}"
            )
        if policy not in POLICIES:
            raise ValueError(
                f"dataset.uncertain.{finding}: got {policy!r}; takes {', '.join(POLICIES)}"
            )
    if blank not in BLANK_POLICIES:
        raise ValueError(f"dataset.blank: got {blank!r}; takes {', '.join(BLANK_POLICIES)}")
