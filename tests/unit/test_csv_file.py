import codecs
import csv
import gzip
import io
import re
import zipfile

import numpy as np
import pandas as pd
import pytest
from dataset_files import csv_table, write_csv
from hypothesis import given, settings
from hypothesis import strategies as st

from rarecxr.data.chexpert import read_csv
from rarecxr.data.text_table import read_text_table


def is_row(line):
    return line.startswith("patient")


PATH = "train/patient{:05d}/study1/view1_frontal.jpg"
# What a line of these tables looks like, found without a parser.
PATH_LINE = re.compile(r"(?m)^(?:[^,\n]*,)?(train/patient[0-9]{5}/study1/view1_frontal\.jpg),")


def write(path, content):
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def read(path, columns=("Path", "Note")):
    return read_text_table(path, columns, is_row)


def test_columns_come_as_text_with_their_lines(tmp_path):
    path = write(
        tmp_path / "a.csv", 'Note,x, Path \n" a, ""b""\nc ",1,p1\n\t,2,"p2"\nlast,3,p3\n\n,,\n'
    )
    table = read(path)
    assert table.columns["Path"].to_pylist() == ["p1", "p2", "p3"]
    assert table.columns["Note"].to_pylist() == ['a, "b"\nc', "", "last"]
    assert table.lines.tolist() == [2, 4, 5]
    assert table.lines.dtype == np.int64


def test_text_in_quotes_may_be_longer_than_a_reader_of_blocks_can_take(tmp_path):
    text = "finding, no finding\n" * 150_000
    rows = [["Path", "Note"], ["p1", text], ["p2", ""], ["p3", text]]
    with open(tmp_path / "a.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
    table = read(tmp_path / "a.csv")
    assert table.columns["Path"].to_pylist() == ["p1", "p2", "p3"]
    assert table.columns["Note"].to_pylist()[2] == text
    assert table.lines.tolist() == [2, 150_003, 150_004]
    assert csv.field_size_limit() == 131_072


def test_columns_are_whole_however_many_rows_there_are(tmp_path, monkeypatch):
    monkeypatch.setattr("rarecxr.data.text_table._CHUNK_ROWS", 4)
    for count in (1, 3, 4, 5, 8, 11):
        names = [f"p{i}" for i in range(count)]
        path = write(tmp_path / "a.csv", "Path,Note\n" + "".join(f"{name},n\n" for name in names))
        assert read(path).columns["Path"].to_pylist() == names


SWALLOWED = [
    # (columns before the path, the lines of the table with a stray quote each)
    ("a quote opens in an extra column and closes four rows later", '"heart normal', 'normal"'),
    ("the field that closes is the last but one", '"heart normal', 'normal",'),
]


@pytest.mark.parametrize(("what", "opens", "closes"), SWALLOWED, ids=[row[0] for row in SWALLOWED])
def test_rows_that_a_quote_swallows_are_refused_with_the_line(tmp_path, what, opens, closes):
    table = csv_table(range(1, 5))
    table["Report"] = "no change"
    lines = write_csv(tmp_path / "train.csv", table).read_text(encoding="utf-8").splitlines()
    lines[3] = lines[3].replace("no change", opens)
    lines[7] = lines[7].replace("no change", closes)
    path = write(tmp_path / "train.csv", "\n".join(lines))
    with pytest.raises(ValueError, match=r"line 5 looks like a row .* begins in line 4: a quote"):
        read_csv(path)


def test_a_row_of_unlike_path_that_a_quote_swallows_is_refused_too(tmp_path):
    table = csv_table(range(1, 5))
    table["Report"] = "no change"
    lines = write_csv(tmp_path / "train.csv", table).read_text(encoding="utf-8").splitlines()
    lines[3] = lines[3].replace("no change", '"no change')
    lines[4] = lines[4].replace("/patient", "/person")
    lines[5] += '"'
    with pytest.raises(ValueError, match="line 5 looks like a row of its own"):
        read_csv(write(tmp_path / "train.csv", "\n".join(lines)))


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ('Path,Note\np1,"a\np2,b\n', "line 2: quoted text begins in this row and never ends"),
        ('Path,Note\np1,"a" b\n', "line 2: .*quote"),
        ('Path,Note\np1,"a\nb" c\n', "line 3: the quoted text that begins in line 2 ends wrongly"),
        ("Path,Note\np1,a\np2,b,c\n", "line 3 has 3 fields, the header has 2"),
        ("Path,Note\np1,a\np2\n", "line 3 has 1 field, the header has 2"),
        ("Path,Note\np1,a\n\np2,b\n", "line 3 is empty"),
        ("Path,Note\np1,a\n,\np2,b\n", "line 3 is empty"),
        ("Path,Note\n", "a header and no rows"),
        ("Path,Note\n\n\n", "a header and no rows"),
        ("", "the file is empty"),
        ("\n \n", "the file is empty"),
        ("Path,Node\np1,a\n", "line 1: there is no column 'Note'; did you mean 'Node'"),
        ("Path,Note,Note\np1,a,b\n", "line 1: the column 'Note' is there more than once"),
        ("Path;Note\np1;a\n", "separated by semicolons: save the table with commas"),
        ("Path\tNote\np1\ta\n", "separated by tabs"),
        ("Path,Note\np1,a\np2,\0\n", "line 3 holds a NUL character"),
        ("Path,Note\np1,a\r\np2,b\rp3,Ö\n".encode("latin-1"), "line 4 is not UTF-8 .byte 0xd6"),
        ("Path,Note\np1,a\n".encode("utf-16"), "UTF-16 text; save it as UTF-8, .*iconv -f UTF-16"),
        ("Path,Note\np1,a\n".encode("utf-16-le"), "UTF-16 text"),
        (codecs.BOM_UTF32_LE + "Path\n".encode("utf-32-le"), "UTF-32 text"),
        (
            gzip.compress(b"Path,Note\np1,a\n", mtime=0),
            "gzip-compressed, not a CSV file; unpack it",
        ),
        ("\n <!DOCTYPE html>\n<html>", "a web page, .* sign in and download the file again"),
        ("<HTML><body>Sign in", "a web page"),
        ('[{"Path": "p1"}]', "JSON, not a CSV file"),
        ("version https://git-lfs.github.com/spec/v1\noid", "Git LFS pointer, .*git lfs pull"),
        (b"PAR1\x15\x04", "a Parquet file"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", "an old Excel workbook"),
        (b"PK\x03\x04broken", "a ZIP archive"),
    ],
)
def test_what_is_no_such_table_is_named_with_its_line_and_a_remedy(tmp_path, content, complaint):
    path = write(tmp_path / "labels.csv", content)
    with pytest.raises(ValueError, match=r"(?s)labels\.csv: .*" + complaint):
        read(path)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "labels.csv").mkdir()
    with pytest.raises(ValueError, match=r"labels\.csv: a folder or a device; give the path of"):
        read(tmp_path / "labels.csv")


@pytest.mark.parametrize(
    ("member", "complaint"),
    [
        ("xl/workbook.xml", "an Excel workbook, .* save the sheet as `CSV UTF-8`"),
        ("content.xml", "an OpenDocument sheet"),
        ("train.csv", "a ZIP archive, not a CSV file; unpack"),
    ],
)
def test_workbooks_and_archives_are_told_apart(tmp_path, member, complaint):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr(member, "x")
    with pytest.raises(ValueError, match=complaint):
        read(write(tmp_path / "labels.csv", data.getvalue()))


# Pieces that break tables: separators, quotes and line ends where nobody expects them.
debris = st.lists(
    st.sampled_from(
        ['"', '""', ",", "\n", "\r\n", "x", " ", "no change", "\n\n", '",', '\n"', "patient00001"]
    ),
    max_size=6,
).map("".join)
numbers = st.lists(st.integers(1, 99_999), min_size=1, max_size=12, unique=True)


def plain_table(patients, notes, index):
    """A CheXpert table with a column of text as it was typed, quoted by nobody."""
    table = csv_table([1])[:0]
    header = [*(["i"] if index else []), *table.columns, "Note"]
    lines = [",".join(header)]
    for number, note in zip(patients, notes, strict=True):
        fields = [PATH.format(number), "Male", "50", "Frontal", "AP", *[""] * 14]
        lines.append(",".join([*(["7"] if index else []), *fields, note]))
    return "\n".join(lines) + "\n"


@given(st.data(), numbers, st.booleans())
@settings(max_examples=300, deadline=None)
def test_a_table_that_is_accepted_has_exactly_the_rows_that_its_text_shows(
    tmp_path_factory, data, patients, index
):
    notes = [data.draw(debris) for _ in patients]
    content = plain_table(patients, notes, index)
    path = write(tmp_path_factory.mktemp("csv") / "train.csv", content)
    try:
        table = read_csv(path)
    except ValueError:
        return
    shown = PATH_LINE.findall(content)
    assert table["image"].tolist() == shown
    lines = content.replace("\r\n", "\n").split("\n")
    assert [PATH_LINE.match(lines[row - 1])[1] for row in table["row"]] == shown


safe = st.text(
    st.characters(codec="utf-8", exclude_characters="\0", exclude_categories=["Cs"]), max_size=30
)


@given(st.data(), numbers)
@settings(max_examples=100, deadline=None)
def test_a_table_that_is_written_right_is_read_back_whatever_its_texts_are(
    tmp_path_factory, data, patients
):
    table = csv_table([1])[:0]
    rows = [
        [PATH.format(number), "Male", "50", "Frontal", "AP", *[""] * 14, data.draw(safe)]
        for number in patients
    ]
    path = tmp_path_factory.mktemp("csv") / "train.csv"
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([[*table.columns, "Note"], *rows])
    assert read_csv(path)["image"].tolist() == [row[0] for row in rows]
    notes = read_text_table(path, ["Path", "Note"], is_row).columns["Note"].to_pylist()
    assert notes == [row[-1].strip(" \t") for row in rows]


def test_the_list_of_columns_may_be_one(tmp_path):
    path = write(tmp_path / "a.csv", "Path,Note\np1,a\n")
    assert read_text_table(path, ["Note"], is_row).columns["Note"].to_pylist() == ["a"]


def test_a_table_is_the_same_as_another_reader_has_it(tmp_path):
    path = write_csv(tmp_path / "a.csv", csv_table(range(50)), quoting=csv.QUOTE_ALL)
    other = pd.read_csv(path, dtype=str, keep_default_na=False)
    table = read_text_table(path, list(other.columns), is_row)
    for name in other.columns:
        assert table.columns[name].to_pylist() == other[name].tolist()
