"""From raw labels to those that are trained on: what becomes of uncertain and blank ones."""

import os
from collections.abc import Mapping

import pandas as pd

from rarecxr.core.files import written_whole
from rarecxr.core.tables import read_parquet
from rarecxr.data.index_columns import label_columns
from rarecxr.data.label_policies import (
    BLANK_POLICIES,
    NOT_RULED_OUT,
    POLICIES,
    UNCERTAIN,
    policy_of,
)
from rarecxr.study.findings import NO_FINDING


def label_images(
    images: str | os.PathLike,
    uncertain: Mapping[str, str],
    blank: str,
    output: str | os.PathLike,
) -> None:
    """Write the index with the policies applied to its labels: `labels.parquet`.

    The columns of the index; the findings, float32, are then 1, 0 or NaN, and NaN means
    masked: neither trained on nor tested with.

    Args:
        images: the index of images that could be read, `readable.parquet`.
        uncertain: what -1 becomes, `ones`, `zeros` or `ignore`: for all findings under
            `default`, for single ones under their names; `ignore` for those without either.
        blank: what a blank label becomes: `zeros`; `ignore`; or `no_finding`, 0 where the image's
            No Finding is 1 and the finding is not Support Devices, masked elsewhere.
        output: the labels (Parquet).

    Raises:
        ValueError: a policy or a finding that there is not.
    """
    table = read_parquet(images)
    findings = label_columns(table.columns)
    table[findings] = apply_policies(table[findings], uncertain, blank)
    with written_whole(output) as temporary:
        table.to_parquet(temporary, index=False)


def apply_policies(labels: pd.DataFrame, uncertain: Mapping[str, str], blank: str) -> pd.DataFrame:
    """Labels 1, 0, -1 and NaN (blank) turned into 1, 0 and NaN (masked), column by column.

    Args:
        labels: one column for each finding, float32.
        uncertain: as in `label_images`.
        blank: as in `label_images`.

    Raises:
        ValueError: a policy or a finding that there is not.
    """
    _check(uncertain, blank, list(labels.columns))
    applied = labels.copy()
    if blank == "zeros":
        applied = applied.fillna(0)
    if blank == "no_finding":
        nothing = labels[NO_FINDING] == 1
        for finding in labels.columns.difference(NOT_RULED_OUT):
            applied.loc[nothing & labels[finding].isna(), finding] = 0
    for finding in labels.columns:
        policy = POLICIES[policy_of(finding, uncertain)]
        applied.loc[labels[finding] == UNCERTAIN, finding] = policy
    return applied


def _check(uncertain: Mapping[str, str], blank: str, findings: list[str]) -> None:
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
