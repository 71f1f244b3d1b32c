"""CheXpert's CSV files: from their text to one checked row for each image."""

import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from rarecxr.data.image_rows import (
    DIRECTIONS,
    LABELS,
    SIDES,
    is_row,
    known_findings,
    parse_path,
    view_of,
)
from rarecxr.data.text_table import TextTable, read_text_table
from rarecxr.study.findings import FINDINGS

log = logging.getLogger(__name__)

SEXES = ("Female", "Male", "Unknown")
_COLUMNS = ("Path", "Sex", "Age", "Frontal/Lateral", "AP/PA")
COLUMNS = (*_COLUMNS, *FINDINGS)

_OLDEST_YEARS = 120
# Rows that an error names, and of a value as many characters as a path has.
_NAMED = 3
_SHOWN = 300


def read_tables(train_csv: str | os.PathLike, expert_csv: str | os.PathLike | None) -> pd.DataFrame:
    """All images of a data set in CheXpert's layout, training CSV first, as `index_images` has.

    Args:
        train_csv: CSV with CheXpert's columns, in any order, others beside them or not. Of the
            findings those that it has are read, in the order of `FINDINGS`.
        expert_csv: the same for other patients, a second test set; None if there is none.

    Raises:
        ValueError: a file that is not what it must be, with its name, row and column.
    """
    findings = known_findings(train_csv)
    if not findings:
        raise ValueError(
            f"{train_csv}: line 1: no column has the name of a finding of CheXpert's, which are "
            f"{', '.join(FINDINGS)}; a table of other findings is read with dataset.format: table"
        )
    tables = {"train": read_csv(train_csv, findings)}
    if expert_csv is not None:
        tables["expert"] = read_csv(expert_csv, findings)
        _refuse_shared_patients(tables["train"], tables["expert"], train_csv, expert_csv)
        refuse_two_spellings({train_csv: tables["train"], expert_csv: tables["expert"]})
    for name, table in tables.items():
        table.insert(1, "csv", name)
    return pd.concat(tables.values(), ignore_index=True)


def read_csv(path: str | os.PathLike, findings: Sequence[str] = FINDINGS) -> pd.DataFrame:
    """All images of one CSV file in CheXpert's format, every value checked.

    Accepted: what `read_rows` does, any folders above the patients' parent folder, an index column
    and others beside CheXpert's, labels as `1.0` or `1`. Unknown is a value: a blank sex is
    `Unknown`; a blank age, or 0 as three rows of CheXpert have it, is NaN; a frontal image of blank
    AP/PA has the view `Frontal`, one without either column's value `Unknown`.

    Args:
        path: the file.
        findings: the findings whose columns are read.

    Returns:
        The columns of `index_images` but csv and published, one row for each row of the file.

    Raises:
        ValueError: a column is missing or a value is not allowed; names file, line, column and
            what would be right.
    """
    text = read_text_table(path, (*_COLUMNS, *findings), is_row)
    table = _paths(text)
    table.insert(1, "row", text.lines)
    _refuse_repeated(path, table)
    refuse_two_spellings({path: table})
    table["view"] = _views(text)
    table["sex"] = _mapped(text, "Sex", {name: name for name in SEXES} | {"": "Unknown"})
    table["age"] = _ages(text)
    for finding in findings:
        table[finding] = _mapped(text, finding, LABELS).astype(np.float32)
    _log_unknown(path, table)
    return table


def _paths(text: TextTable) -> pd.DataFrame:
    """Key (as `image`), patient and study of every image."""
    found, hints = [], {}
    for number, path in enumerate(text.columns["Path"].to_pylist()):
        try:
            found.append(parse_path(path))
        except ValueError as error:
            hints.setdefault(str(error), []).append(number)
    for hint, numbers in hints.items():
        wrong = np.zeros(len(text.lines), bool)
        wrong[numbers] = True
        _refuse(text, "Path", wrong, hint)
    return pd.DataFrame(found, columns=["image", "patient", "study"])


def refuse_two_spellings(
    tables: Mapping[str | os.PathLike, pd.DataFrame], column: str = "Path"
) -> None:
    """Refuse patients whose number is written in two ways, which would count as two patients.

    Args:
        tables: by file, one row for each image, with patient and row (the line).
        column: the file's column that names patients.

    Raises:
        ValueError: names both spellings, with file and line.
    """
    places = pd.concat(
        [
            table.drop_duplicates("patient")[["patient", "row"]].assign(path=os.fspath(path))
            for path, table in tables.items()
        ]
    ).drop_duplicates("patient")
    places["number"] = places["patient"].str.removeprefix("patient").str.lstrip("0")
    twice = places[places["number"].duplicated(keep=False)]
    if not len(twice):
        return
    same = twice[twice["number"] == twice["number"].iloc[0]]
    first, other = (same.iloc[i] for i in range(2))
    raise ValueError(
        f"{other['path']}: column {column!r}: {first['patient']} ({first['path']}, line "
        f"{first['row']}) and {other['patient']} (line {other['row']}) have the same number and "
        "would count as two patients, who may then be trained on and tested with: write the number "
        f"in one way, and name the folder so ({twice['number'].nunique()} numbers are written in "
        "more than one way)"
    )


def _views(text: TextTable) -> np.ndarray:
    sides = _mapped(text, "Frontal/Lateral", {name: name for name in SIDES})
    directions = _mapped(text, "AP/PA", {name: name for name in DIRECTIONS})
    views = {
        (side, direction): view_of(side, direction) for side in SIDES for direction in DIRECTIONS
    }
    return np.array([views[pair] for pair in zip(sides, directions, strict=True)])


def _ages(text: TextTable) -> np.ndarray:
    column = text.columns["Age"]
    right = pc.match_substring_regex(column, r"^(?:[0-9]{1,3}(?:\.0*)?)?\z")
    allowed = (
        f"an age is a whole number of years up to {_OLDEST_YEARS}, blank or 0 where it is unknown"
    )
    _refuse(text, "Age", pc.invert(right), allowed)
    known = pc.if_else(pc.equal(column, ""), "0", column)
    ages = pc.cast(known, pa.float32()).to_numpy(zero_copy_only=False)
    _refuse(text, "Age", ages > _OLDEST_YEARS, allowed)
    return np.where(ages == 0, np.float32(np.nan), ages)


def _log_unknown(path: str | os.PathLike, table: pd.DataFrame) -> None:
    for what, unknown in (
        ("age", table["age"].isna()),
        ("sex", table["sex"] == "Unknown"),
        ("view", table["view"].isin(["Frontal", "Unknown"])),
    ):
        if unknown.any():
            lines = ", ".join(map(str, table.loc[unknown, "row"][:_NAMED]))
            more = ", …" if unknown.sum() > _NAMED else ""
            log.info(
                "%s: %s unknown in %d rows (line %s%s)", path, what, unknown.sum(), lines, more
            )


def _mapped(text: TextTable, column: str, values: Mapping[str, Any]) -> np.ndarray:
    """A column's texts, each replaced by what `values` has for it."""
    encoded = text.columns[column].dictionary_encode()
    there = encoded.dictionary.to_pylist()
    codes = encoded.indices.to_numpy()
    wrong = np.array([name not in values for name in there])
    allowed = ", ".join(name or "blank" for name in values)
    _refuse(text, column, wrong[codes], f"takes {allowed}")
    return np.array([values[name] for name in there])[codes]


def _refuse(text: TextTable, column: str, wrong: np.ndarray, allowed: str) -> None:
    """Raise if any value is wrong, with the lines of the first ones."""
    rows = np.flatnonzero(wrong)
    if not len(rows):
        return
    values = text.columns[column]
    first = ", ".join(
        f"line {text.lines[row]} has {_short(values[int(row)].as_py())!r}" for row in rows[:_NAMED]
    )
    more = f" ({len(rows)} lines in all)" if len(rows) > _NAMED else ""
    raise ValueError(f"{text.path}: column {column!r}: {first}{more}; {allowed}")


def _short(value: str) -> str:
    return value if len(value) <= _SHOWN else f"{value[:_SHOWN]}…"


def _refuse_repeated(path: str | os.PathLike, table: pd.DataFrame) -> None:
    repeated = table[table["image"].duplicated(keep=False)]
    if len(repeated):
        image = repeated["image"].iloc[0]
        rows = repeated.loc[repeated["image"] == image, "row"].tolist()
        raise ValueError(
            f"{path}: column 'Path': {image} is in lines {' and '.join(map(str, rows))}; "
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
        others = shared["patient"].nunique() - 1
        raise ValueError(
            f"{expert_csv}: line {there}: {patient} is also in {train_csv} (line {row}), and so "
            f"are {others} other patients; who is tested on is never trained on: take these rows "
            "out of one of the files, or set dataset.expert_csv to null"
        )
