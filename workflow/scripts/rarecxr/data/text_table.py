"""Columns of a CSV file as text, for checks that look at a whole column at once."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rarecxr.data.csv_file import read_rows

# Rows that become columns at a time, so that a large table is never a list of Python strings.
_CHUNK_ROWS = 20_000


@dataclass(frozen=True)
class TextTable:
    """Some columns of a CSV file.

    Attributes:
        path: the file, as it was given.
        columns: by name, (N,) text without spaces and tabs around it.
        lines: (N,) int64, the line of the file where each row begins; the header's is 1.
    """

    path: str
    columns: dict[str, pa.Array]
    lines: np.ndarray


def read_text_table(
    path: str | os.PathLike, columns: Sequence[str], is_row: Callable[[str], bool]
) -> TextTable:
    """Columns of a CSV file; arguments and errors as for `read_rows`."""
    rows = read_rows(path, columns, is_row)
    lines: list[int] = []
    chunks: list[list[pa.Array]] = []
    while chunk := list(islice(rows, _CHUNK_ROWS)):
        lines += [line for line, _ in chunk]
        fields = zip(*(fields for _, fields in chunk), strict=True)
        chunks.append([pa.array(column, pa.string()) for column in fields])
    table = {
        name: pc.utf8_trim(pa.chunked_array(parts).combine_chunks(), " \t")
        for name, parts in zip(columns, zip(*chunks, strict=True), strict=True)
    }
    return TextTable(os.fspath(path), table, np.array(lines, np.int64))
