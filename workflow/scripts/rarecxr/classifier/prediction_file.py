"""The file with a run's predictions: its one writer and its one reader.

A Parquet file with the columns `image`, `patient`, `split` and one for each finding, sorted by
image. A finding's column holds logits (float32), not probabilities: the sigmoid of a large logit
rounds to 0 or 1, and images that the network ranks would become ties.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from rarecxr.core.files import written_whole
from rarecxr.core.tables import read_parquet

KEYS = ("image", "patient", "split")
# The split of every image of an external test set.
EXTERNAL = "external"
# What a file's metadata call its values.
_SCALE = "logits"


def write_predictions(
    path: str | os.PathLike,
    images: pd.DataFrame,
    logits: np.ndarray,
    findings: Sequence[str],
    about: Mapping[str, Any],
) -> None:
    """Write the predictions of one run.

    Args:
        path: the file to write.
        images: (N) rows with `image`, `patient` and `split`, sorted by image.
        logits: (N, F) float32.
        findings: names of the columns of `logits`.
        about: kept in the file's metadata (`DataFrame.attrs`); plain values.
    """
    table = pd.concat(
        [
            images[list(KEYS)].reset_index(drop=True),
            pd.DataFrame(np.asarray(logits, np.float32), columns=list(findings)),
        ],
        axis=1,
    )
    table.attrs = {"scale": _SCALE, **about}
    with written_whole(path) as temporary:
        table.to_parquet(temporary, index=False)


def read_predictions(path: str | os.PathLike) -> pd.DataFrame:
    """The table of one run; `attrs` has what the writer was given about it.

    Raises:
        ValueError: the values are not logits.
    """
    table = read_parquet(path)
    if table.attrs.get("scale") != _SCALE:
        raise ValueError(
            f"{path}: its metadata say {table.attrs.get('scale')!r} about the scale of its values,"
            f" expected {_SCALE!r}: another version of rarecxr wrote it. Train this run again"
        )
    return table
