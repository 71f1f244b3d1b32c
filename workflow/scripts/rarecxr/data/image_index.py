"""The index of a data set's images: one table, whatever format they come in."""

import logging
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from rarecxr.core.files import written_whole
from rarecxr.data.chexpert import read_tables, refuse_two_spellings
from rarecxr.data.formats.registry import CHEXPERT, FORMATS
from rarecxr.data.formats.source import Source
from rarecxr.data.image_rows import VIEWS
from rarecxr.data.index_columns import FIXED
from rarecxr.data.section_keys import keys_of

log = logging.getLogger(__name__)


def index_images(
    files: Mapping[str, str | os.PathLike],
    views: Sequence[str],
    output: str | os.PathLike,
    format: str = CHEXPERT,
    columns: Mapping[str, Any] | None = None,
    view_names: Mapping[str, str] | None = None,
    only: str = "",
    section: str = "dataset",
) -> None:
    """Write the index of all usable images: `images.parquet`.

    One row for each image, in the order of the files: image (key: path below the root, unique), csv
    (train, or expert for the images of a second test set), row (int64, line of the table, the
    header is 1), patient, study, view (one of `VIEWS`), sex (Female, Male or Unknown), age
    (float32, years, NaN where unknown), published (train, val or test; only where the publisher's
    split is read), then the findings as float32: 1, 0, -1 (uncertain), NaN (blank). CheXpert's
    come in the order of `FINDINGS`, whatever the order of the CSV's columns.

    Args:
        files: the data set's tables, by what the format calls them.
        views: which of `VIEWS` are used.
        output: the index (Parquet).
        format: name of the format.
        columns: of the format table: what each column is.
        view_names: further names of views in the tables.
        only: part of the publisher's split that is used, val or test; for CheXpert the images of
            the second table. Empty for all images.
        section: of the configuration where the data set's settings are, for messages.

    Raises:
        ValueError: a file that is not what it must be, with its name, row and column.
    """
    with keys_of(section):
        used = _read_index(files, views, format, columns or {}, view_names or {}, only)
    with written_whole(output) as temporary:
        used.to_parquet(temporary, index=False)


def _read_index(
    files: Mapping[str, str | os.PathLike],
    views: Sequence[str],
    format: str,
    columns: Mapping[str, Any],
    view_names: Mapping[str, str],
    only: str,
) -> pd.DataFrame:
    """The index, see `index_images`."""
    unknown = sorted(set(views) - set(VIEWS))
    if unknown or not views:
        raise ValueError(f"dataset.views: got {list(views)}; takes any of {', '.join(VIEWS)}")
    if format == CHEXPERT:
        every = read_tables(files["train_csv"], files.get("expert_csv"))
    else:
        paths = {role: os.fspath(path) for role, path in files.items()}
        every = read_source(format, Source(paths, columns, view_names))
    if only:
        chosen = every["csv"] == "expert" if format == CHEXPERT else every["published"] == only
        every = every[chosen]
        if every.empty:
            path = next(iter(files.values()))
            raise ValueError(
                f"{path}: none of the images is one of the publisher's test images; dataset.images "
                "can be all"
            )
    used = every[every["view"].isin(views)].reset_index(drop=True)
    for name, part in every.groupby("csv", sort=False):
        if not (used["csv"] == name).any():
            path = files.get(f"{name}_csv") or next(iter(files.values()))
            raise ValueError(
                f"{path}: none of the {len(part)} images has one of the views "
                f"{', '.join(views)}; dataset.views can be set to what is there: "
                f"{dict(Counter(part['view']))}"
            )
    log.info("%d of %d images have the views %s", len(used), len(every), ", ".join(views))
    return used


def read_source(format: str, source: Source) -> pd.DataFrame:
    """All images of a data set of one of `FORMATS`, as `index_images` has them, of every view.

    Raises:
        ValueError: a table is not what it must be.
    """
    rows = list(FORMATS[format].read(source))
    path = next(iter(source.files.values()))
    if not rows:
        raise ValueError(f"{path}: names no image")
    table = pd.DataFrame(
        {
            "image": [row.image for row in rows],
            "csv": "train",
            "row": np.array([row.line for row in rows], np.int64),
            "patient": [row.patient for row in rows],
            "study": [row.study for row in rows],
            "view": [row.view for row in rows],
            "sex": [row.sex for row in rows],
            "age": np.array([row.age for row in rows], np.float32),
        }
    )
    if any(row.published for row in rows):
        table["published"] = [row.published for row in rows]
    _refuse_repeated(path, table)
    refuse_two_spellings({path: table}, "patient")
    findings = dict.fromkeys(FORMATS[format].findings)
    for row in rows:
        findings.update(dict.fromkeys(row.labels))
    reserved = [name for name in findings if name in FIXED]
    if reserved:
        raise ValueError(
            f"{path}: a finding is called {reserved[0]!r}, which is a column of the index; give it "
            "another name"
        )
    labels = {
        finding: np.fromiter(
            (row.labels.get(finding, row.rest) for row in rows), np.float32, len(rows)
        )
        for finding in findings
    }
    return pd.concat([table, pd.DataFrame(labels)], axis=1)


def _refuse_repeated(path: str, table: pd.DataFrame) -> None:
    repeated = table[table["image"].duplicated(keep=False)]
    if len(repeated):
        image = repeated["image"].iloc[0]
        lines = repeated.loc[repeated["image"] == image, "row"].tolist()
        raise ValueError(
            f"{path}: {image} is in lines {' and '.join(map(str, lines))}; an image has one row"
        )
