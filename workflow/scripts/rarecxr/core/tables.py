"""CSV and Parquet files of the workflow: read as they were written, or refused by name."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from rarecxr.core.files import REMEDY, intact

# What pyarrow raises for files that are not what they should be.
_ARROW_ERRORS = (pa.ArrowException, OSError, ValueError)


def read_csv(
    path: str | os.PathLike,
    columns: Iterable[str] = (),
    dtype: type | Mapping[str, Any] | None = None,
) -> pd.DataFrame:
    """A table from a CSV file.

    Args:
        path: the file.
        columns: what the table must have; it may have more.
        dtype: type of all columns, or of some by name; as pandas takes them.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is empty, damaged, no CSV file, lacks a column, or a value is not of
            its type.
    """
    path = intact(path)
    try:
        table = pd.read_csv(path, dtype=dtype)
    # Also what pandas raises itself, which is a ValueError, and bytes that are no UTF-8.
    except (ValueError, OverflowError) as error:
        problem = str(error).strip().splitlines()[0]
        raise ValueError(
            f"{path}: damaged, or not a CSV file of the expected kind ({problem}); {REMEDY}"
        ) from None
    # What pandas makes of rows that have more fields than the header.
    if not isinstance(table.index, pd.RangeIndex):
        raise ValueError(
            f"{path}: damaged, or not a CSV file of the expected kind: its rows have more fields "
            f"than its header; {REMEDY}"
        )
    _require(path, columns, table.columns)
    return table


def read_parquet(path: str | os.PathLike, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """A table from a Parquet file, with the metadata that it was given in `attrs`.

    Args:
        path: the file.
        columns: the columns to read, all of which must be there; None for all there are.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is empty, damaged, no Parquet file, or lacks a column.
    """
    path = intact(path)
    _require(path, columns or (), parquet_columns(path))
    try:
        return pd.read_parquet(path, columns=None if columns is None else list(columns))
    except PermissionError:
        raise
    except _ARROW_ERRORS as error:
        raise _not_parquet(path, error) from None


def parquet_columns(path: str | os.PathLike) -> list[str]:
    """Names of the columns of a Parquet file.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is empty, damaged, or no Parquet file.
    """
    path = intact(path)
    try:
        return pq.read_schema(path).names
    except PermissionError:
        raise
    except _ARROW_ERRORS as error:
        raise _not_parquet(path, error) from None


def _not_parquet(path: Path, error: Exception) -> ValueError:
    problem = str(error).strip().splitlines()[0]
    return ValueError(f"{path}: damaged, or not a Parquet file ({problem}); {REMEDY}")


def _require(path: Path, wanted: Iterable[str], found: Iterable[str]) -> None:
    found = list(map(str, found))
    missing = [name for name in wanted if name not in found]
    if missing:
        raise ValueError(
            f"{path}: has no column {', '.join(missing)}; it has {', '.join(found) or 'none'}; "
            f"{REMEDY}"
        )
