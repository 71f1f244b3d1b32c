import numpy as np
import pandas as pd
import pytest
from dataset_files import csv_table, write_csv

from rarecxr.data.chexpert import read_csv
from rarecxr.data.image_index import index_images
from rarecxr.data.index_columns import label_columns
from rarecxr.study.findings import FINDINGS

HEADER = f"Path,Sex,Age,Frontal/Lateral,AP/PA,{','.join(FINDINGS)}\n"
BLANKS = "," * 13


def indexed(folder, table, expert=None, views=("AP", "PA"), **options):
    train_csv = write_csv(folder / "train.csv", table, **options)
    expert_csv = None if expert is None else write_csv(folder / "valid.csv", expert)
    files = {"train_csv": train_csv} | ({} if expert is None else {"expert_csv": expert_csv})
    index_images(files, list(views), folder / "images.parquet")
    return folder / "images.parquet"


def test_a_row_says_what_the_csv_says(tmp_path):
    path = tmp_path / "train.csv"
    path.write_text(
        HEADER
        + "CheXpert-v1.0-small/train/patient00001/study1/view1_frontal.jpg,Female,68,Frontal,AP,"
        + f"1.0{BLANKS}\n"
        + "CheXpert-v1.0-small/train/patient00002/study12/view2_lateral.jpg,Unknown,0,Lateral,,"
        + ",,-1.0,0.0,,,,,,,,1,-1,0\n",
        encoding="utf-8",
    )
    table = read_csv(path)
    assert table["image"].tolist() == [
        "train/patient00001/study1/view1_frontal.jpg",
        "train/patient00002/study12/view2_lateral.jpg",
    ]
    assert table["row"].tolist() == [2, 3]
    assert table["patient"].tolist() == ["patient00001", "patient00002"]
    assert table["study"].tolist() == ["study1", "study12"]
    assert table["view"].tolist() == ["AP", "Lateral"]
    assert table["sex"].tolist() == ["Female", "Unknown"]
    assert table["age"].dtype == np.float32
    np.testing.assert_array_equal(table["age"], [68, np.nan])
    assert list(table.columns[-14:]) == list(FINDINGS)
    expected = np.full((2, 14), np.nan, np.float32)
    expected[0, 0] = 1
    expected[1, [2, 3, 11, 12, 13]] = [-1, 0, 1, -1, 0]
    np.testing.assert_array_equal(table[list(FINDINGS)].to_numpy(), expected)


@pytest.mark.parametrize(
    "prefix",
    ["CheXpert-v1.0", "CheXpert-v1.0 batch 1 (validate & csv)", "mine/CheXpert", ".", "./x//.", ""],
)
def test_the_folder_above_does_not_matter(tmp_path, prefix):
    expected = read_csv(write_csv(tmp_path / "a.csv", csv_table([1, 2])))
    other = read_csv(write_csv(tmp_path / "b.csv", csv_table([1, 2], prefix)))
    pd.testing.assert_frame_equal(other, expected)
    assert expected["image"].str.startswith("train/patient0000").all()


def test_backslashes_are_folders(tmp_path):
    table = csv_table([1])
    expected = read_csv(write_csv(tmp_path / "a.csv", table))
    table["Path"] = table["Path"].str.replace("/", "\\")
    pd.testing.assert_frame_equal(read_csv(write_csv(tmp_path / "b.csv", table)), expected)


def test_images_may_lie_beside_the_csv_without_a_folder(tmp_path):
    table = read_csv(write_csv(tmp_path / "a.csv", csv_table([7], prefix="", folder="")))
    assert table["image"].iloc[0] == "patient00007/study1/view1_frontal.jpg"


def test_order_of_columns_and_other_columns_do_not_change_a_byte(tmp_path):
    table = csv_table(range(30))
    expected = indexed(tmp_path, table).read_bytes()
    mixed = table[np.random.default_rng(1).permutation(table.columns)]
    mixed.insert(3, "Report", 'said "no, nothing"')
    mixed.insert(0, "Unnamed: 0", range(len(mixed)))
    assert indexed(tmp_path, mixed).read_bytes() == expected


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"\n", b"\r\n"),
        (b"Path,", b"\xef\xbb\xbfPath,"),
        (b"1.0", b"1"),
        (b",1.0", b", 1.0 "),
        (b"0.0", b"0"),
        (b"Sex,Age", b" Sex,Age "),
    ],
    ids=["CRLF", "BOM", "1", "spaces", "0", "header spaces"],
)
def test_spellings_that_real_files_have(tmp_path, old, new):
    table = csv_table(range(5), prefix="CheXpert")
    path = write_csv(tmp_path / "train.csv", table)
    expected = read_csv(path)
    changed = path.read_bytes().replace(old, new)
    assert changed != path.read_bytes()
    path.write_bytes(changed + b"\n\n")
    pd.testing.assert_frame_equal(read_csv(path), expected)


def test_only_the_views_asked_for_are_used(tmp_path):
    table = csv_table(range(4))
    table.loc[0, "AP/PA"] = "LL"
    index = pd.read_parquet(indexed(tmp_path, table, views=["LL", "Lateral"]))
    assert index["view"].tolist() == ["LL"] + ["Lateral"] * 4
    assert index["row"].tolist() == [2, 4, 7, 10, 13]


def test_both_files_are_in_one_index(tmp_path):
    expert = csv_table([90, 91], folder="valid").replace("", "0.0")
    expert["AP/PA"] = expert["AP/PA"].where(expert["Frontal/Lateral"] == "Frontal", "")
    index = pd.read_parquet(indexed(tmp_path, csv_table([1, 2, 3]), expert))
    assert index["csv"].tolist() == ["train"] * 6 + ["expert"] * 4
    assert index["image"].str.split("/").str[0].tolist() == ["train"] * 6 + ["valid"] * 4
    assert not index.loc[index["csv"] == "expert", list(FINDINGS)].isna().any(axis=None)
    assert index["image"].is_unique


@pytest.mark.parametrize(
    ("column", "value", "complaint"),
    [
        ("Fracture", "2", r"'Fracture': line 4 has '2'; takes blank, 1, 0, -1"),
        ("Fracture", "nan", r"'Fracture': line 4 has 'nan'"),
        ("Sex", "F", r"'Sex': line 4 has 'F'; takes Female, Male, Unknown, blank"),
        (
            "Age",
            "old",
            r"'Age': line 4 has 'old'; an age is a whole number of years up to 120, blank",
        ),
        ("Age", "-3", r"'Age': line 4 has '-3'"),
        ("Age", "6.5", r"'Age': line 4 has '6.5'"),
        ("Age", "121", r"'Age': line 4 has '121'; .* blank or 0 where it is unknown"),
        ("Age", "999", r"'Age': line 4 has '999'"),
        ("Age", "1948", r"'Age': line 4 has '1948'"),
        ("AP/PA", "XY", r"'AP/PA': line 4 has 'XY'; takes blank, AP, PA, LL, RL"),
        ("Frontal/Lateral", "Oblique", r"'Frontal/Lateral': line 4 has 'Oblique'"),
        ("Path", "train/a.jpg", r"'Path': line 4 has 'train/a.jpg'; an image's path ends like"),
        ("Path", "train/patient1/study1/a.tif", r"'Path': line 4 has"),
        ("Path", "train/patient1/study1/", r"'Path': line 4 has"),
        ("Path", "train/patient1/study1/a\n.jpg", r"'Path': line 4 has"),
        ("Path", "train/patient1/study1/a.jpg\n", r"'Path': line 4 has .*jpg.n'; an image's path"),
        ("Path", "x/../patient1/study1/a.jpg", r"'Path': line 4 has .*: take out the `\.\.`"),
        ("Path", "train\\..\\patient1\\study1\\a.jpg", r"'Path': line 4 has .*: take out the"),
        ("Path", "../train/patient1/study1/a.jpg", r"'Path': line 4 has .*: take out the `\.\.`"),
        ("Path", "/data/train/patient1/study1/a.jpg", r"'Path': line 4 .* data set's folder"),
        ("Path", "C:\\train\\patient1\\study1\\a.jpg", r"'Path': line 4 .* data set's folder"),
    ],
)
def test_a_wrong_value_is_named_with_its_place(tmp_path, column, value, complaint):
    table = csv_table([1, 2])
    table.loc[2, column] = value
    with pytest.raises(ValueError, match=rf"train\.csv: column {complaint}"):
        indexed(tmp_path, table)


def test_unknown_is_a_value(tmp_path):
    table = csv_table(range(1, 4))
    table.loc[[0, 3, 6], "Age"] = ["", "0", "0.0"]
    table["Sex"] = "Male"
    table.loc[1, "Sex"] = ""
    table.loc[[0, 3], "AP/PA"] = ""
    table.loc[[3, 4, 5], "Frontal/Lateral"] = ""
    read = read_csv(write_csv(tmp_path / "a.csv", table))
    assert read.index[read["age"].isna()].tolist() == [0, 3, 6]
    assert read.index[read["sex"] == "Unknown"].tolist() == [1]
    assert read["view"].tolist() == [
        *("Frontal", "PA", "Lateral"),
        *("Unknown", "PA", "Unknown"),
        *("AP", "PA", "Lateral"),
    ]
    index = pd.read_parquet(indexed(tmp_path, table, views=["PA", "Frontal"]))
    assert index["row"].tolist() == [2, 3, 6, 9]
    assert index["age"].isna().tolist() == [True, False, False, False]


def test_how_many_are_unknown_stands_in_the_log(tmp_path, caplog):
    table = csv_table(range(1, 4))
    table["Age"] = ["", "0", "50", "0", "0", *["60"] * 4]
    table["Sex"] = "Male"
    with caplog.at_level("INFO"):
        read_csv(write_csv(tmp_path / "a.csv", table))
    assert [record.getMessage().split("a.csv: ")[1] for record in caplog.records] == [
        "age unknown in 4 rows (line 2, 3, 5, …)"
    ]


def test_of_many_wrong_values_a_few_are_named_and_all_counted(tmp_path):
    table = csv_table(range(10))
    table["Edema"] = "yes"
    with pytest.raises(
        ValueError, match=r"line 2 has 'yes', line 3 .*, line 4 .* \(30 lines in all\)"
    ):
        indexed(tmp_path, table)


def test_a_missing_column_is_named_with_the_nearest_one(tmp_path):
    table = csv_table([1]).rename(columns={"Frontal/Lateral": "Frontal Lateral"})
    with pytest.raises(ValueError, match="no column 'Frontal/Lateral'; did you mean 'Frontal L"):
        indexed(tmp_path, table)
    with pytest.raises(ValueError, match=r"no column 'AP/PA'; the columns are \["):
        indexed(tmp_path, csv_table([1]).drop(columns="AP/PA"))


def test_only_the_findings_that_there_are_are_in_the_index(tmp_path):
    train = csv_table([1, 2]).drop(columns=[name for name in FINDINGS if name != "Edema"])
    expert = csv_table([3], folder="valid")
    table = pd.read_parquet(indexed(tmp_path, train, expert))
    assert label_columns(table.columns) == ["Edema"]
    with pytest.raises(ValueError, match=r"valid\.csv: line 1: there is no column 'Edema'"):
        indexed(tmp_path, train, expert.drop(columns="Edema"))
    with pytest.raises(ValueError, match="no column has the name of a finding"):
        indexed(tmp_path, train.drop(columns="Edema"))


def test_a_column_that_is_there_twice_is_refused(tmp_path):
    table = csv_table([1])
    table.insert(2, "Edema", "1.0", allow_duplicates=True)
    with pytest.raises(ValueError, match="column 'Edema' is there more than once"):
        indexed(tmp_path, table)


def test_a_row_with_too_few_fields_is_refused_rather_than_filled(tmp_path):
    path = write_csv(tmp_path / "train.csv", csv_table([1, 2]))
    lines = path.read_text(encoding="utf-8").splitlines()
    lines[3] = lines[3].rsplit(",", 2)[0]
    path.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(ValueError, match=r"train\.csv: line 4 has 17 fields, the header has 19"):
        read_csv(path)


def test_an_empty_line_is_refused_rather_than_passed_over(tmp_path):
    path = write_csv(tmp_path / "train.csv", csv_table([1, 2]))
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([*lines[:3], "", *lines[3:]]), encoding="utf-8")
    with pytest.raises(ValueError, match=r"train\.csv: line 4 is empty; take it out"):
        read_csv(path)


def test_an_image_has_one_row(tmp_path):
    table = csv_table([1, 2])
    table.loc[4, "Path"] = table.loc[1, "Path"].replace("CheXpert-v1.0-small", "elsewhere")
    with pytest.raises(ValueError, match="view1_frontal.jpg is in lines 3 and 6"):
        indexed(tmp_path, table)


def test_a_patient_is_in_one_file(tmp_path):
    with pytest.raises(
        ValueError, match=r"valid\.csv: line 2: patient00003 is also in .*\(line 8\)"
    ):
        indexed(tmp_path, csv_table([1, 2, 3]), csv_table([3, 4], folder="valid"))


@pytest.mark.parametrize("other", ["patient1", "patient001", "patient0000001"])
def test_a_patients_number_is_written_in_one_way(tmp_path, other):
    table = csv_table([1, 2])
    table["Path"] = table["Path"].where(
        table.index != 2, table["Path"].str.replace("patient00001", other)
    )
    with pytest.raises(
        ValueError, match=rf"train\.csv, line 2\) and {other} \(line 4\) have the same number"
    ):
        indexed(tmp_path, table)
    expert = csv_table([1], folder="valid")
    expert["Path"] = expert["Path"].str.replace("patient00001", other)
    with pytest.raises(
        ValueError, match=rf"valid\.csv: .*train\.csv, line 2\) and {other} \(line 2"
    ):
        indexed(tmp_path, csv_table([1, 2]), expert)


def test_views_that_are_not_there_are_refused_with_what_is(tmp_path):
    with pytest.raises(ValueError, match=r"one of the views RL; .*'AP': 2, 'PA': 2, 'Lateral': 2"):
        indexed(tmp_path, csv_table([1, 2]), views=["RL"])
    with pytest.raises(ValueError, match="dataset.views: got"):
        indexed(tmp_path, csv_table([1, 2]), views=["frontal"])
