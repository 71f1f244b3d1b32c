"""A CSV file, row by row, with the number of each row's line. Needs the standard library alone.

A table that a person has had in hand may be anything: a web page saved in its place, another
encoding, another separator, a quote too many that swallows the rows below it. What cannot be read
to the letter is refused with the line and a remedy; nothing is skipped, filled or guessed.
"""

import codecs
import contextlib
import csv
import difflib
import gzip
import io
import operator
import os
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

# Of a table that was packed, in bytes: ten million images have less.
_MOST_BYTES = 1 << 31

# How the first bytes of other files begin (after white space, in lower case, where it is text).
_GZIP = ("gzip-compressed", "unpack it with `gunzip`")
_ARCHIVE = ("an archive", "unpack it and give the CSV file inside")
_MAGIC = {
    b"\x1f\x8b": _GZIP,
    b"BZh": ("bzip2-compressed", "unpack it with `bunzip2`"),
    b"\xfd7zXZ\x00": ("xz-compressed", "unpack it with `unxz`"),
    b"\x28\xb5\x2f\xfd": ("zstd-compressed", "unpack it with `unzstd`"),
    b"7z\xbc\xaf\x27\x1c": _ARCHIVE,
    b"Rar!": _ARCHIVE,
    b"PAR1": ("a Parquet file", "save it as CSV"),
    b"\x89HDF": ("an HDF5 file", "give the CSV file"),
    b"SQLite format 3": ("an SQLite database", "export the table as CSV"),
    b"\xd0\xcf\x11\xe0": ("an old Excel workbook", "save the sheet as `CSV UTF-8`"),
    b"%PDF": ("a PDF document", "give the CSV file"),
    b"\x89PNG": ("a PNG image", "give the CSV file"),
    b"\xff\xd8\xff": ("a JPEG image", "give the CSV file"),
}
_MARKUP = {
    b"<!doctype html": "a web page",
    b"<html": "a web page",
    b"<head": "a web page",
    b"<?xml": "an XML document",
    b"version https://git-lfs": "a Git LFS pointer",
    b"{": "JSON",
    b"[": "JSON",
}
_MARKUP_REMEDY = {
    "a web page": "perhaps the page of a login or an error, saved in its place: sign in and "
    "download the file again",
    "a Git LFS pointer": "the file itself is fetched with `git lfs pull`",
}


def read_rows(
    path: str | os.PathLike, columns: Sequence[str], is_row: Callable[[str], bool]
) -> Iterator[tuple[int, tuple[str, ...]]]:
    """The rows of a CSV file, in the order of the file, whatever stands beside the columns.

    Accepted: UTF-8 with or without byte order mark, line ends of any system, text in quotes
    (RFC 4180) that may hold commas, quotes written twice and line ends, empty lines at the end;
    packed by gzip if the name ends with .gz.

    Args:
        path: the file.
        columns: names in the header, in any order there.
        is_row: whether a line must be a row of its own. Such a line inside quoted text means that
            a quote is missing or too many.

    Yields:
        The line where the row begins (the header's is 1), and its fields in the order of
        `columns`.

    Raises:
        ValueError: the file is no such table; names file and line, and says how to mend it.
    """
    rows, first, header = _opened(path, is_row)
    _check_header(path, header, columns, first)
    places = [header.index(name) for name in columns]
    pick = operator.itemgetter(*places) if len(places) > 1 else lambda row: (row[places[0]],)
    line = None
    for line, fields in rows:
        if len(fields) != len(header):
            raise ValueError(
                f"{path}: line {line} has {_count(len(fields), 'field')}, the header has "
                f"{len(header)}; each row takes one field for each column, and text that holds a "
                "comma takes quotes around it"
            )
        yield line, pick(fields)
    if line is None:
        raise ValueError(f"{path}: the file has a header and no rows; it takes one for each image")


def read_header(path: str | os.PathLike) -> list[str]:
    """The names of a CSV file's columns, in the order of the file.

    Raises:
        ValueError: as for `read_rows`.
    """
    return _opened(path, lambda line: False)[2]


def _opened(
    path: str | os.PathLike, is_row: Callable[[str], bool]
) -> tuple[Iterator[tuple[int, list[str]]], int, list[str]]:
    """The rows below the header, the header's line, and the columns' names."""
    data = _content(path)
    _refuse_other_kinds(path, data)
    data = data.removeprefix(codecs.BOM_UTF8)
    _refuse_other_text(path, data)
    rows = _rows(path, data, is_row)
    first, header = next(rows, (1, []))
    if not header:
        raise ValueError(f"{path}: the file is empty; the first line has the columns' names")
    return rows, first, [name.strip() for name in header]


def _content(path: str | os.PathLike) -> bytes:
    place = Path(path)
    try:
        # A named pipe would be waited for, and a device never ends.
        if place.exists() and not place.is_file():
            raise ValueError(f"{path}: a folder or a device; give the path of a CSV file")
        data = place.read_bytes()
    except OSError as error:
        raise ValueError(
            f"{path}: the file cannot be read: {error.strerror}; give the path of a CSV file"
        ) from None
    if place.suffix != ".gz":
        return data
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            data = file.read(_MOST_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(
            f"{path}: damaged, or not packed by gzip ({error}); download the file again"
        ) from None
    if len(data) > _MOST_BYTES:
        raise ValueError(
            f"{path}: unpacks to more than {_MOST_BYTES} bytes, which no table of images has; "
            "download the file again"
        )
    return data


def _rows(
    path: str | os.PathLike, data: bytes, is_row: Callable[[str], bool]
) -> Iterator[tuple[int, list[str]]]:
    """First line and fields of every row, the header's first."""
    text = io.TextIOWrapper(io.BytesIO(data), encoding="utf-8", newline="")
    reader = csv.reader(text, strict=True)
    empty = None
    line = 1
    while True:
        try:
            fields = _next_row(reader, len(data))
        except StopIteration:
            return
        except csv.Error as error:
            raise ValueError(_broken_quotes(path, line, reader.line_num, error)) from None
        # A row of nothing but commas is what a spreadsheet leaves below a table.
        if not fields or not any(field.strip() for field in fields):
            empty = empty or line
        elif empty:
            raise ValueError(f"{path}: line {empty} is empty; take it out")
        else:
            if reader.line_num > line:
                _refuse_swallowed(path, line, fields, is_row)
            yield line, fields
        line = reader.line_num + 1


def _next_row(reader: Iterator[list[str]], longest: int) -> list[str]:
    # The limit belongs to the module csv, so it is set for no longer than one row takes.
    limit = csv.field_size_limit(longest + 1)
    try:
        return next(reader)
    finally:
        csv.field_size_limit(limit)


def _broken_quotes(path: str | os.PathLike, first: int, last: int, error: csv.Error) -> str:
    if "end of data" in str(error):
        what = f"line {first}: quoted text begins in this row and never ends"
    elif first == last:
        what = f"line {first}: {error}"
    else:
        what = f"line {last}: the quoted text that begins in line {first} ends wrongly: {error}"
    return (
        f"{path}: {what}; text in quotes has one at its beginning and one at its end, and each "
        "quote inside it is written twice"
    )


def _refuse_swallowed(
    path: str | os.PathLike, first: int, fields: list[str], is_row: Callable[[str], bool]
) -> None:
    """Refuse quoted text over several lines that holds what must be rows of their own."""
    line = first
    for field in fields:
        _, *more = re.split("\r\n|\r|\n", field)
        for part in more:
            line += 1
            if is_row(part):
                raise ValueError(
                    f"{path}: line {line} looks like a row of its own but is inside quoted text "
                    f"that begins in line {first}: a quote is missing or too many. Close the "
                    "quotes where the text ends, or take the column with the text out"
                )


def _check_header(
    path: str | os.PathLike, header: list[str], columns: Sequence[str], line: int
) -> None:
    for name in columns:
        if header.count(name) > 1:
            raise ValueError(
                f"{path}: line {line}: the column {name!r} is there more than once; remove one"
            )
        if name in header:
            continue
        near = difflib.get_close_matches(name, sorted(set(header) - set(columns)), n=1)
        hint = (
            f"did you mean {near[0]!r}?"
            if near
            else f"the columns are {header}; add it, or rename one"
        )
        for mark, spoken in ((";", "semicolons"), ("\t", "tabs"), ("|", "vertical bars")):
            if len(header) < len(columns) and name in re.split(re.escape(mark), ",".join(header)):
                hint = f"the columns are separated by {spoken}: save the table with commas"
        raise ValueError(f"{path}: line {line}: there is no column {name!r}; {hint}")


def _refuse_other_kinds(path: str | os.PathLike, data: bytes) -> None:
    """Refuse what is no text, or text of another kind, with what it is and what to do."""
    for start, (kind, remedy) in _MAGIC.items():
        if data.startswith(start):
            raise ValueError(f"{path}: the file is {kind}, not a CSV file; {remedy}")
    if data.startswith(b"PK\x03\x04"):
        kind, remedy = _zip_kind(data)
        raise ValueError(f"{path}: the file is {kind}, not a CSV file; {remedy}")
    for mark, name in ((codecs.BOM_UTF32_LE, "UTF-32"), (codecs.BOM_UTF32_BE, "UTF-32")):
        if data.startswith(mark):
            raise ValueError(_encoded(path, name))
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ValueError(_encoded(path, "UTF-16"))
    beginning = data[:1000]
    if beginning.count(0) >= len(beginning) // 3 > 0:
        raise ValueError(_encoded(path, "UTF-16"))
    text = data.removeprefix(codecs.BOM_UTF8).lstrip()[:100].lower()
    for start, kind in _MARKUP.items():
        if text.startswith(start):
            remedy = _MARKUP_REMEDY.get(kind, "save the table as CSV")
            raise ValueError(f"{path}: the file is {kind}, not a CSV file; {remedy}")


def _zip_kind(data: bytes) -> tuple[str, str]:
    names = []
    with contextlib.suppress(zipfile.BadZipFile):
        names = zipfile.ZipFile(io.BytesIO(data)).namelist()
    if any(name.startswith("xl/") for name in names):
        return "an Excel workbook", "open it and save the sheet as `CSV UTF-8`"
    if "content.xml" in names:
        return "an OpenDocument sheet", "open it and save the sheet as CSV in UTF-8"
    return "a ZIP archive", "unpack it with `unzip` and give the CSV file inside"


def _encoded(path: str | os.PathLike, encoding: str) -> str:
    name = Path(path).name
    return (
        f"{path}: the file is {encoding} text; save it as UTF-8, for instance with "
        f"`iconv -f {encoding} -t UTF-8 {name!r} > utf8.csv`"
    )


def _refuse_other_text(path: str | os.PathLike, data: bytes) -> None:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path}: line {_line_at(data, error.start)} is not UTF-8 (byte "
            f"0x{data[error.start]:02x}); the file may have been saved in a code page such as "
            "Latin-1 or Windows-1252: save it as UTF-8"
        ) from None
    if 0 in data:
        raise ValueError(
            f"{path}: line {_line_at(data, data.index(0))} holds a NUL character; the file is "
            "damaged: copy or download it again"
        )


def _line_at(data: bytes, place: int) -> int:
    return len(re.findall(b"\r\n|\r|\n", data[:place])) + 1


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
