import numpy as np
import pandas as pd
import pytest
from dataset_files import csv_table, write_csv
from hypothesis import given, settings
from hypothesis import strategies as st

from rarecxr.data.chexpert import COLUMNS
from rarecxr.data.image_index import index_images
from rarecxr.data.image_rows import (
    DIRECTIONS,
    FEWEST_COLUMNS,
    SIDES,
    VIEWS,
    named_images,
    parse_path,
    view_of,
)

part = st.sampled_from(
    [
        "train",
        "valid",
        "patient00001",
        "study1",
        "view1.jpg",
        "..",
        ".",
        "",
        "C:",
        "a b",
        "\n",
        "\0",
    ]
)


@given(st.lists(part, min_size=1, max_size=8), st.sampled_from(["/", "\\"]))
@settings(max_examples=500, deadline=None)
def test_a_path_that_is_accepted_leads_down_to_one_file(parts, mark):
    try:
        found = parse_path(mark.join(parts))
    except ValueError:
        return
    assert not found.key.startswith("/")
    assert not {"", ".", ".."} & set(found.key.split("/"))
    assert not set(found.key) & {"\n", "\0", "\\"}
    used = [name for name in parts if name not in ("", ".")]
    assert ".." not in parts
    assert found.key.split("/") == used[-len(found.key.split("/")) :]
    assert parse_path(found.key) == found


@pytest.mark.parametrize(
    "path",
    [
        "train/patient00001/study1/view1.jpg",
        "./train/patient00001/study1/view1.jpg",
        "x/./train//patient00001/study1/./view1.jpg",
        ".//./train/patient00001/study1/view1.jpg",
        "x\\train\\patient00001\\study1\\view1.jpg",
    ],
)
def test_one_image_has_one_key(path):
    assert parse_path(path) == ("train/patient00001/study1/view1.jpg", "patient00001", "study1")


def test_every_view_has_a_name():
    assert {view_of(side, direction) for side in SIDES for direction in DIRECTIONS} == set(VIEWS)
    assert view_of("", "LL") == "LL"
    assert view_of("Lateral", "AP") == "Lateral"


def test_rows_have_as_many_fields_as_the_columns_that_are_read():
    assert len(COLUMNS) == FEWEST_COLUMNS


@pytest.mark.parametrize("views", [["AP"], ["PA", "Lateral"], ["Frontal", "Unknown"]])
def test_the_images_that_are_named_are_those_of_the_index(tmp_path, views):
    table = csv_table(range(20))
    table.loc[::7, "AP/PA"] = ""
    table.loc[::5, "Frontal/Lateral"] = ""
    path = write_csv(tmp_path / "train.csv", table.sample(frac=1, random_state=0))
    index_images({"train_csv": path}, views, tmp_path / "images.parquet")
    index = pd.read_parquet(tmp_path / "images.parquet")
    named = list(named_images(path, views, ["Fracture"]))
    assert [key for key, _ in named] == index["image"].tolist()
    values = [float(value or "nan") for _, (value,) in named]
    np.testing.assert_array_equal(values, index["Fracture"])


def test_a_wrong_path_is_named_with_its_line(tmp_path):
    table = csv_table([1, 2])
    table.loc[2, "Path"] = "train/patient1/../patient2/study1/a.jpg"
    path = write_csv(tmp_path / "train.csv", table)
    with pytest.raises(ValueError, match=r"train\.csv: column 'Path': line 4 has .*take out the"):
        list(named_images(path, VIEWS))
