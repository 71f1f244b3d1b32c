"""From raw labels to those that are trained on: what becomes of uncertain and blank ones."""

import os
from collections.abc import Collection, Mapping, Sequence

import pandas as pd

from rarecxr.core.files import written_whole
from rarecxr.core.tables import read_parquet
from rarecxr.data.index_columns import label_columns
from rarecxr.data.label_names import as_named
from rarecxr.data.label_policies import (
    BLANK_POLICIES,
    NOT_RULED_OUT,
    POLICIES,
    UNCERTAIN,
    policy_of,
)
from rarecxr.data.section_keys import keys_of
from rarecxr.study.findings import NO_FINDING

DEFAULT = "default"


def label_images(
    images: str | os.PathLike,
    uncertain: Mapping[str, str],
    blank: str,
    output: str | os.PathLike,
    names: Mapping[str, Sequence[str]] | None = None,
    needed: Collection[str] = (),
    section: str = "dataset",
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
        names: for each finding of the study what the data set calls it, see `as_named`; None for a
            data set that calls all of them by the study's names.
        needed: with names, the findings that the data set must have. Policies of findings that it
            has not are of no concern then.
        section: of the configuration where the data set's settings are, for messages.

    Raises:
        ValueError: a policy or a finding that there is not.
    """
    table = read_parquet(images)
    findings = label_columns(table.columns)
    labels = table[findings]
    with keys_of(section):
        if names is not None:
            labels = as_named(labels, names, needed)
            uncertain = {key: uncertain[key] for key in uncertain if key in {DEFAULT, *labels}}
        labels = apply_policies(labels, uncertain, blank)
    table = pd.concat([table.drop(columns=findings), labels], axis=1)
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
        if finding != DEFAULT and finding not in findings:
            raise ValueError(
                f"dataset.uncertain: {finding!r} is no finding; there are {', '.join(findings)}"
            )
        if policy not in POLICIES:
            raise ValueError(
                f"dataset.uncertain.{finding}: got {policy!r}; takes {', '.join(POLICIES)}"
            )
    if blank not in BLANK_POLICIES:
        raise ValueError(f"dataset.blank: got {blank!r}; takes {', '.join(BLANK_POLICIES)}")
