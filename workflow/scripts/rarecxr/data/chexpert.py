"""CheXpert's CSV files: from what stands in them to one checked row an image."""

import codecs
import csv
import difflib
import io
import logging
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from rarecxr.core.files import written_whole
from rarecxr.study.findings import FINDINGS

log = logging.getLogger(__name__)

FRONTAL_VIEWS = ("AP", "PA", "LL", "RL")
VIEWS = (*FRONTAL_VIEWS, "Lateral")
SEXES = ("Female", "Male", "Unknown")
COLUMNS = ("Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *FINDINGS)

# An image's key is its path from the folder that holds the patients' folders (train, valid, …).
# What stands above it names the edition of the data set, and says nothing of where it lies.
_LAYOUT = (
    r"^(?:.*?/)??(?P<image>(?:[^/]+/)?(?P<patient>patient[0-9]+)/(?P<study>study[0-9]+)"
    r"/[^/]+\.(?:jpg|jpeg|png|JPG|JPEG|PNG))$"
)
_LABELS = {"": np.nan, "1": 1, "0": 0, "-1": -1, "1.0": 1, "0.0": 0, "-1.0": -1}
# Rows that an error names.
_NAMED = 3


def index_images(
    train_csv: str | os.PathLike,
    expert_csv: str | os.PathLike | None,
    views: Sequence[str],
    output: str | os.PathLike,
) -> None:
    """Write the index of all usable images: `images.parquet`.

    One row an image, training CSV first, in the order of the files: image (key: path below
    the root, unique), csv (train or expert), row (int64, line of the CSV, the header is 1),
    patient, study, view, sex, age (int16, years), then the findings as float32 in the order of
    `FINDINGS`, whatever the order of the CSV's columns: 1, 0, -1 (uncertain), NaN (blank).

    Args:
        train_csv: CSV with CheXpert's columns, in any order, others beside them or not.
        expert_csv: the same for other patients, a second test set; None if there is none.
        views: which of `VIEWS` are used.
        output: the index (Parquet).

    Raises:
        ValueError: a file that is not what it must be, with its name, row and column.
    """
    unknown = sorted(set(views) - set(VIEWS))
    if unknown or not views:
        raise ValueError(f"dataset.views: got {list(views)}; takes any of {', '.join(VIEWS)}")
    tables = {"train": read_csv(train_csv)}
    if expert_csv is not None:
        tables["expert"] = read_csv(expert_csv)
        _refuse_shared_patients(tables["train"], tables["expert"], train_csv, expert_csv)

    for name, table in tables.items():
        table.insert(1, "csv", name)
    every = pd.concat(tables.values(), ignore_index=True)
    used = every[every["view"].isin(views)].reset_index(drop=True)
    for name, path in {"train": train_csv, "expert": expert_csv}.items():
        if name in tables and not (used["csv"] == name).any():
            there = Counter(tables[name]["view"])
            raise ValueError(
                f"{path}: none of the {len(tables[name])} images has one of the views "
                f"{', '.join(views)}; dataset.views can be set to what is there: {dict(there)}"
            )
    log.info("%d of %d images have the views %s", len(used), len(every), ", ".join(views))
    with written_whole(output) as temporary:
        used.to_parquet(temporary, index=False)


def read_csv(path: str | os.PathLike) -> pd.DataFrame:
    """All images of one CSV file in CheXpert's format, every value checked.

    Accepted: any folders above the patients' parent folder, an index column, columns in any
    order, a byte order mark, line ends of any system, labels as `1.0` or `1`.

    Returns:
        The columns of `index_images` without csv, one row a line of the file.

    Raises:
        ValueError: the file is empty, a column is missing, or a value is not allowed; names
            file, row (the header is 1), column and what would be right.
    """
    text = _read_text(path)
    paths = pc.replace_substring(text["Path"], "\\", "/")
    parts = pc.extract_regex(paths, _LAYOUT)
    _refuse(
        path,
        "Path",
        text["Path"],
        pc.is_null(parts),
        "an image's path ends like train/patient00001/study1/view1_frontal.jpg",
    )
    table = pd.DataFrame({"image": pc.struct_field(parts, "image").to_pandas()})
    table["row"] = np.arange(2, 2 + len(table), dtype=np.int64)
    for name in ("patient", "study"):
        table[name] = pc.struct_field(parts, name).to_pandas()
    _refuse_repeated(path, table)
    table["view"] = _views(path, text)
    table["sex"] = _mapped(path, "Sex", text, {name: name for name in SEXES})
    table["age"] = _ages(path, text)
    for finding in FINDINGS:
        table[finding] = _mapped(path, finding, text, _LABELS).astype(np.float32)
    return table


def _read_text(path: str | os.PathLike) -> dict[str, pa.Array]:
    """The columns that are needed, as text without spaces around it."""
    data = Path(path).read_bytes().removeprefix(codecs.BOM_UTF8).rstrip()
    lines = data.splitlines()
    if len(lines) < 2:
        what = "the file has a header and no rows" if lines else "the file is empty"
        raise ValueError(f"{path}: {what}; CheXpert's table has one row an image")
    header = [name.strip() for name in next(csv.reader([lines[0].decode(errors="replace")]))]
    _check_header(path, header)
    # By position: names may repeat among the columns that nobody asked for.
    names = [f"column {position}" for position in range(len(header))]
    try:
        table = pa.csv.read_csv(
            io.BytesIO(data),
            pa.csv.ReadOptions(use_threads=False, skip_rows=1, column_names=names),
            pa.csv.ParseOptions(ignore_empty_lines=False),
            pa.csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
            ),
        )
    except pa.ArrowInvalid as error:
        raise ValueError(f"{path}: not a table as CheXpert has it: {error}") from None
    return {
        name: pc.utf8_trim_whitespace(table[names[header.index(name)]].combine_chunks())
        for name in COLUMNS
    }


def _check_header(path: str | os.PathLike, header: list[str]) -> None:
    for name in COLUMNS:
        if header.count(name) > 1:
            raise ValueError(f"{path}: row 1: the column {name!r} is there more than once")
        if name in header:
            continue
        near = difflib.get_close_matches(name, sorted(set(header) - set(COLUMNS)), n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"the columns are {header}"
        raise ValueError(f"{path}: row 1: there is no column {name!r}; {hint}")


def _views(path: str | os.PathLike, text: dict[str, pa.Array]) -> np.ndarray:
    side = _mapped(path, "Frontal/Lateral", text, {name: name for name in ("Frontal", "Lateral")})
    direction = _mapped(path, "AP/PA", text, {name: name for name in ("", *FRONTAL_VIEWS)})
    unclear = (side == "Frontal") & (direction == "")
    allowed = f"a frontal image is one of {', '.join(FRONTAL_VIEWS)}"
    _refuse(path, "AP/PA", text["AP/PA"], unclear, allowed)
    return np.where(side == "Lateral", "Lateral", direction)


def _ages(path: str | os.PathLike, text: dict[str, pa.Array]) -> np.ndarray:
    right = pc.match_substring_regex(text["Age"], r"^[0-9]{1,3}(?:\.0*)?$")
    _refuse(path, "Age", text["Age"], pc.invert(right), "an age is a whole number of years")
    return pc.cast(pc.cast(text["Age"], pa.float64()), pa.int16()).to_numpy()


def _mapped(
    path: str | os.PathLike, column: str, text: dict[str, pa.Array], values: Mapping[str, Any]
) -> np.ndarray:
    """A column's texts, each replaced by what `values` has for it."""
    encoded = text[column].dictionary_encode()
    there = encoded.dictionary.to_pylist()
    codes = encoded.indices.to_numpy()
    wrong = np.array([name not in values for name in there])
    allowed = ", ".join(name or "blank" for name in values)
    _refuse(path, column, text[column], wrong[codes], f"takes {allowed}")
    return np.array([values[name] for name in there])[codes]


def _refuse(
    path: str | os.PathLike, column: str, values: pa.Array, wrong: np.ndarray, allowed: str
) -> None:
    """Raise if any value is wrong, with the rows of the first ones."""
    rows = np.flatnonzero(wrong)
    if not len(rows):
        return
    first = ", ".join(f"row {row + 2} has {values[row].as_py()!r}" for row in rows[:_NAMED])
    more = f" ({len(rows)} rows in all)" if len(rows) > _NAMED else ""
    raise ValueError(f"{path}: column {column!r}: {first}{more}; {allowed}")


def _refuse_repeated(path: str | os.PathLike, table: pd.DataFrame) -> None:
    repeated = table[table["image"].duplicated(keep=False)]
    if len(repeated):
        image = repeated["image"].iloc[0]
        rows = repeated.loc[repeated["image"] == image, "row"].tolist()
        raise ValueError(
            f"{path}: column 'Path': {image} stands in rows {' and '.join(map(str, rows))}; "
            "an image has one row"
        )


def _refuse_shared_patients(
    train: pd.DataFrame,
    expert: pd.DataFrame,
    train_csv: str | os.PathLike,
    expert_csv: str | os.PathLike,
) -> None:
    shared = train[train["patient"].isin(set(expert["patient"]))]
    if len(shared):
        patient, row = shared[["patient", "row"]].iloc[0]
        there = expert.loc[expert["patient"] == patient, "row"].iloc[0]
        raise ValueError(
            f"{expert_csv}: row {there}: {patient} is also in {train_csv} (row {row}), and so are "
            f"{shared['patient'].nunique() - 1} other patients; who is tested on is never trained "
            "on: take these rows out of one of the files, or set dataset.expert_csv to null"
        )
