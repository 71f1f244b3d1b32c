"""The files that say who is in a study, and in which part of it."""

import os
from collections.abc import Sequence
from typing import NamedTuple


class StudyFiles(NamedTuple):
    """Labels, split and draws of a study.

    Attributes:
        labels: labels.parquet.
        split: split.csv.
        draws: draw{draw}.csv of every draw, in their order from 0.
        rejected: list of images that could not be read (columns `image` and `patient`), which the
            labels lack.
    """

    labels: str | os.PathLike
    split: str | os.PathLike
    draws: Sequence[str | os.PathLike]
    rejected: str | os.PathLike
