"""The files that say who is in a study, and in which part of it."""

import os
from collections.abc import Mapping, Sequence
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


class ExternalFiles(NamedTuple):
    """An external test set, and what the runs of a study predict for it.

    Attributes:
        name: of the set.
        labels: labels.parquet.
        pixels: the pixel cache.
        rejected: list of images that could not be read, as of a study.
        predictions: external_{name}.parquet of every run, in the order of the study's runs.
    """

    name: str
    labels: str | os.PathLike
    pixels: str | os.PathLike
    rejected: str | os.PathLike
    predictions: Sequence[str | os.PathLike]


def external_files(names: Sequence[str], files: Mapping[str, Sequence[str]]) -> list[ExternalFiles]:
    """The external test sets of a study, from lists of files.

    Args:
        names: of the sets.
        files: external_labels, external_pixels and external_rejected, one file for each set; and
            external_predictions, of every run for the first set, then for the next.
    """
    predictions = list(files["external_predictions"])
    runs = len(predictions) // max(len(names), 1)
    return [
        ExternalFiles(
            name,
            *(files[f"external_{kind}"][place] for kind in ("labels", "pixels", "rejected")),
            predictions[place * runs : (place + 1) * runs],
        )
        for place, name in enumerate(names)
    ]
