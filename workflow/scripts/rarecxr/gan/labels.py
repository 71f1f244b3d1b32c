"""Label vectors of a conditional GAN, by name."""

import json
import os
from collections.abc import Sequence

import numpy as np

from rarecxr.data.image_file import ImageFile


def read_labels(
    path: str | os.PathLike, names: Sequence[str] | None = None
) -> tuple[np.ndarray, list[str]]:
    """Labels of a training set and their names.

    Args:
        path: training_set.h5 with `labels` (N, L) in {0, 1, NaN} and the attribute `findings`,
            a JSON list of the L columns' names.
        names: columns that are wanted, in this order; default: all, as they are.

    Returns:
        labels (N, L) float32, names.

    Raises:
        ValueError: the file has no labels, not as many names as columns, or lacks a name.
    """
    file = ImageFile(path)
    if "labels" not in file.columns or "findings" not in file.attributes:
        raise ValueError(
            f"{path}: has no labels; a conditional GAN needs a training set with the "
            "dataset `labels` and the attribute `findings`"
        )
    labels = file.columns["labels"].astype(np.float32)
    found = list(json.loads(file.attributes["findings"]))
    if labels.ndim != 2 or labels.shape[1] != len(found):
        raise ValueError(f"{path}: labels of shape {labels.shape} for the names {found}")
    if names is None:
        return labels, found
    missing = sorted(set(names) - set(found))
    if missing:
        raise ValueError(f"{path}: has no labels {missing}; it has {found}")
    return labels[:, [found.index(name) for name in names]], list(names)
