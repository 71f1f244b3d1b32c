"""Any data set with one table of its images, CSV or Parquet, whose columns the config explains."""

import math
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

from rarecxr.data.csv_file import read_rows
from rarecxr.data.formats.source import (
    UNKNOWN,
    Fields,
    Format,
    Row,
    Source,
    age_of,
    image_of,
    label_of,
    names_image,
    patient_of,
    sex_of,
    split_of,
    view_of,
)
from rarecxr.data.image_rows import VIEWS

_VIEWS = {"": UNKNOWN} | {name: name for name in VIEWS}
_OPTIONAL = ("patient", "study", "view", "sex", "age", "split")


def rows(source: Source) -> Iterator[Row]:
    """The images of the table, in its order.

    A column that the config leaves out is unknown: an image without a patient is one of its own,
    images without a study are all of one.
    """
    path, columns = source.files["images"], source.columns
    findings = columns.get("findings") or {}
    listed, separator = columns.get("labels"), columns.get("separator", "|")
    roles = [role for role in _OPTIONAL if columns.get(role)]
    names = [columns["path"], *(columns[role] for role in roles), *findings.values()]
    if listed:
        names.append(listed)
    for line, texts in _rows(path, list(dict.fromkeys(names)), separator):
        fields = Fields(path, line)
        text = dict(zip(dict.fromkeys(names), texts, strict=True))

        def read(role, reader, *more, text=text, fields=fields):
            column = columns.get(role)
            return None if not column else fields.read(column, text[column], reader, *more)

        image = read("path", image_of)
        labels = {
            finding: fields.read(column, text[column], label_of)
            for finding, column in findings.items()
        }
        if listed:
            words = (word.strip() for word in text[listed].split(separator))
            labels |= dict.fromkeys((word for word in words if word), 1)
        age = read("age", age_of)
        yield Row(
            image=image,
            line=line,
            patient=read("patient", patient_of) or patient_of(image.replace(",", "_")),
            study=read("study", str) or "study1",
            view=read("view", view_of, _VIEWS, source) or UNKNOWN,
            sex=read("sex", sex_of) or UNKNOWN,
            age=math.nan if age is None else age,
            labels=labels,
            rest=0 if listed and text[listed] else math.nan,
            published=read("split", split_of) or "",
        )


def named(source: Source) -> list[str]:
    """The findings that there are: those with a column, and all that the column of lists names."""
    if not source.columns.get("labels"):
        return list(source.columns.get("findings") or {})
    return list(dict.fromkeys(chain.from_iterable(row.labels for row in rows(source))))


def _rows(
    path: str, columns: Sequence[str], separator: str
) -> Iterator[tuple[int, tuple[str, ...]]]:
    if Path(path).suffix.lower() in (".parquet", ".pq"):
        yield from _parquet_rows(path, columns, separator)
    else:
        for line, texts in read_rows(path, columns, names_image):
            yield line, tuple(text.strip(" \t") for text in texts)


def _parquet_rows(
    path: str, columns: Sequence[str], separator: str
) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Rows of a Parquet file as text; their numbers count from 1."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise ValueError(
            f"{path}: reading a Parquet file takes pyarrow beside Snakemake; install it there, or "
            "save the table as CSV"
        ) from None
    try:
        file = pq.ParquetFile(path)
        there = file.schema_arrow.names
        for name in columns:
            if name not in there:
                raise ValueError(
                    f"{path}: there is no column {name!r}; the columns are {there}"
                ) from None
        line = 0
        for batch in file.iter_batches(columns=list(columns)):
            values = [batch.column(name).to_pylist() for name in columns]
            for row in zip(*values, strict=True):
                line += 1
                yield line, tuple(_text(value, separator) for value in row)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path}: damaged, or no Parquet file ({error})") from None


def _text(value, separator: str) -> str:
    if value is None or value != value:
        return ""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, list):
        # An empty list is not blank: nothing was found.
        return separator.join(map(str, value)) or separator
    return str(value).strip(" \t")


FORMAT = Format(
    tables={"images": ("images.csv", "images.parquet")},
    read=rows,
    about="",
    named=named,
    publishes=("train", "val", "test"),
)
