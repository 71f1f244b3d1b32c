"""Tables of the workflow: read as they were written, or refused by name."""

import numpy as np
import pandas as pd
import pytest

from rarecxr.core.files import digest_file, written_whole
from rarecxr.core.tables import parquet_columns, read_csv, read_parquet

TABLE = pd.DataFrame({"patient": ["a", "b"], "rank": [0, 1], "label": [1.0, np.nan]})


@pytest.fixture
def files(tmp_path):
    """The same table in both formats, without a digest beside it."""
    TABLE.to_csv(tmp_path / "t.csv", index=False)
    TABLE.to_parquet(tmp_path / "t.parquet", index=False)
    return {"csv": tmp_path / "t.csv", "parquet": tmp_path / "t.parquet"}


READ = {"csv": read_csv, "parquet": read_parquet}


@pytest.mark.parametrize("kind", READ)
def test_a_whole_table_is_read_as_it_was_written(files, kind):
    pd.testing.assert_frame_equal(READ[kind](files[kind]), TABLE)
    READ[kind](files[kind], ["rank", "patient"])


def test_types_are_those_asked_for(files):
    assert read_csv(files["csv"], dtype=str)["rank"].tolist() == ["0", "1"]
    with pytest.raises(ValueError, match=r"t\.csv: damaged, or not a CSV .*run the workflow again"):
        read_csv(files["csv"], dtype={"patient": np.int64})


@pytest.mark.parametrize("kind", READ)
@pytest.mark.parametrize(
    "damage",
    [b"", b"{}", b"\x00" * 200, b"PAR1", b"\xff\xfe\xfa,\xe9\n\xe9,1\n", b'"a,b\n1,2\n', "half"],
    ids=str,
)
def test_a_damaged_table_is_refused_by_name_with_a_remedy(files, kind, damage):
    path = files[kind]
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 3] if damage == "half" else damage)
    with pytest.raises(ValueError, match=rf"t\.{kind}: .*run the workflow again"):
        READ[kind](path, ["patient", "rank", "label"])


@pytest.mark.parametrize("kind", READ)
def test_a_table_of_other_columns_says_which_it_has(files, kind):
    with pytest.raises(
        ValueError, match=rf"t\.{kind}: has no column split, view; it has patient, rank, label; "
    ):
        READ[kind](files[kind], ["split", "rank", "view"])


@pytest.mark.parametrize("kind", READ)
def test_a_table_that_is_not_there_is_named(tmp_path, kind):
    with pytest.raises(FileNotFoundError, match=rf"t\.{kind}: no such file"):
        READ[kind](tmp_path / f"t.{kind}")
    with pytest.raises(ValueError, match=r"a folder or a device"):
        READ[kind](tmp_path)


@pytest.mark.parametrize("kind", READ)
def test_a_bit_that_flips_anywhere_is_noticed(tmp_path, kind):
    path = tmp_path / f"t.{kind}"
    with written_whole(path) as temporary:
        TABLE.to_csv(temporary) if kind == "csv" else TABLE.to_parquet(temporary)
    whole = path.read_bytes()
    READ[kind](path)
    places = np.random.default_rng(0).integers(0, 8 * len(whole), 50)
    for place in places:
        content = bytearray(whole)
        content[place // 8] ^= 1 << place % 8
        path.unlink()
        path.write_bytes(content)
        with pytest.raises(ValueError, match=rf"t\.{kind}: damaged, or changed since"):
            READ[kind](path)
    path.unlink()
    path.write_bytes(whole)
    READ[kind](path)
    # A file that was copied alone has no digest, and is taken as it is.
    digest_file(path).unlink()
    READ[kind](path)


def test_columns_of_a_damaged_file_are_refused_too(files):
    assert parquet_columns(files["parquet"]) == ["patient", "rank", "label"]
    with pytest.raises(ValueError, match=r"t\.csv: damaged, or not a Parquet file"):
        parquet_columns(files["csv"])
