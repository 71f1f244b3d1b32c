"""The labels of a data set under the names that another one has for the same findings."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pandas as pd

from rarecxr.data.label_policies import UNCERTAIN


def as_named(
    labels: pd.DataFrame, names: Mapping[str, Sequence[str]], needed: Collection[str]
) -> pd.DataFrame:
    """Labels by the study's findings, each from the columns that mean it.

    Of several columns any may show the finding: 1 where one of them is 1, else -1 where one is
    uncertain, else NaN where one is blank, else 0.

    Args:
        labels: (N, F) 1, 0, -1 or NaN, by the data set's own names.
        names: for each finding of the study the columns that mean it; none if the data set has no
            such finding.
        needed: findings that the data set must have.

    Returns:
        float32, one column for each finding of which it has all columns, in the order of `names`.

    Raises:
        ValueError: a column that is needed is not there.
    """
    found = {}
    for finding, columns in names.items():
        missing = [name for name in columns if name not in labels]
        if missing and finding in needed:
            raise ValueError(
                f"dataset.labels.{finding}: no image has a label {missing[0]!r}; there are "
                f"{', '.join(labels.columns)}. Give what the data set calls {finding}, or null"
            )
        if columns and not missing:
            found[finding] = _any_of(labels[list(columns)].to_numpy(np.float32))
    return pd.DataFrame(found, index=labels.index)


def _any_of(labels: np.ndarray) -> np.ndarray:
    """One label (N,) of several (N, C)."""
    one = np.select(
        [
            (labels == 1).any(axis=1),
            (labels == UNCERTAIN).any(axis=1),
            np.isnan(labels).any(axis=1),
        ],
        [1, UNCERTAIN, np.nan],
        0,
    )
    return one.astype(np.float32)
