"""Data sets as their publishers ship them: what each reader takes from its own layout."""

import gzip
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dataset_files import cache
from format_files import NIH_HEADER as HEADER
from format_files import (
    PADCHEST_HEADER,
    chexpert_plus,
    mimic,
    nih,
    nih_line,
    padchest,
    padchest_line,
    vindr,
    write_image,
    write_text,
)

from rarecxr.data.formats.registry import FORMATS, find_tables
from rarecxr.data.formats.source import Source
from rarecxr.data.image_file import ImageFile
from rarecxr.data.image_folder import ImageFolder
from rarecxr.data.image_index import index_images
from rarecxr.data.index_columns import label_columns
from rarecxr.data.split import split_patients
from rarecxr.study.configuration.study import Configuration

NAN = math.nan
# NIH's real list, where a machine has it beside the checkout or further up.
PLACE = "shared/nih/Data_Entry_2017_v2020.csv.gz"
LIST = next((p / PLACE for p in Path(__file__).parents if (p / PLACE).is_file()), None)


def source(format, root, published=False, columns=None, view_names=None, **names):
    found, missing = find_tables(root, format, names, published)
    assert not missing
    return Source(found, columns or {}, view_names or {})


def rows(format, root, **options):
    return list(FORMATS[format].read(source(format, root, **options)))


def index(folder, format, given, views=("AP", "PA")):
    path = Path(folder, "images.parquet")
    index_images(given.files, list(views), path, format, given.columns, given.view_names)
    return path


# NIH


def test_nih_is_read_from_its_list_and_its_twelve_archives(tmp_path):
    lines = [
        nih_line(1, 0, "Cardiomegaly|Hernia", age="058Y", sex="F"),
        nih_line(1, 1, "No Finding", view="AP"),
        nih_line(2, 0, "Pleural_Thickening", age="011M", sex="M"),
    ]
    nih(tmp_path, lines)
    first, second, third = rows("nih", tmp_path)
    assert first[:8] == (
        *("00000001_000.png", 2, "patient1", "study0", "PA", "Female", 58),
        {"Cardiomegaly": 1, "Hernia": 1},
    )
    assert (second.study, second.view, second.age) == ("study1", "AP", 57)
    assert (third.patient, third.age, third.rest) == ("patient2", 0, 0)
    path = index(tmp_path, "nih", source("nih", tmp_path))
    table = pd.read_parquet(path)
    assert table["Hernia"].tolist() == [1, 0, 0]
    assert table["No Finding"].tolist() == [0, 1, 0]
    assert len(label_columns(table.columns)) == 15
    pixels = ImageFile(cache(tmp_path, path, tmp_path))
    assert pixels.columns["image"].tolist() == table["image"].tolist()


@pytest.mark.skipif(LIST is None, reason=f"NIH's list of images is not at ../{PLACE}")
def test_nih_real_list_gives_the_published_counts(tmp_path):
    given = Source({"images": str(LIST)})
    table = pd.read_parquet(index(tmp_path, "nih", given))
    assert len(table) == 112_120
    assert table["patient"].nunique() == 30_805
    published = {"Hernia": 227, "Pneumonia": 1_431, "Fibrosis": 1_686, "Edema": 2_303}
    published |= {"No Finding": 60_361, "Infiltration": 19_894, "Effusion": 13_317}
    published |= {"Atelectasis": 11_559, "Nodule": 6_331, "Mass": 5_782, "Emphysema": 2_516}
    published |= {"Pneumothorax": 5_302, "Consolidation": 4_667, "Cardiomegaly": 2_776}
    published |= {"Pleural_Thickening": 3_385}
    assert {name: int(table[name].sum()) for name in label_columns(table.columns)} == published
    assert Counter(table["view"]) == {"PA": 67_310, "AP": 44_810}
    assert Counter(table["sex"]) == {"Male": 63_340, "Female": 48_780}
    assert not table.duplicated(["patient", "study"]).any()


def test_nih_the_official_test_list_is_the_test_set(tmp_path):
    random = np.random.default_rng(0)
    labels = random.choice(["Hernia", "No Finding", "Hernia|Mass"], 60, p=[0.3, 0.4, 0.3])
    lines = [nih_line(number // 2 + 1, number % 2, label) for number, label in enumerate(labels)]
    tested = [f"{patient:08d}_{n:03d}.png" for patient in range(21, 31) for n in (0, 1)]
    nih(tmp_path, lines, tested)
    images = index(tmp_path, "nih", source("nih", tmp_path, published=True))
    assert split(tmp_path, images, ["Hernia"])["test"] == {f"patient{n}" for n in range(21, 31)}


def split(folder, images, targets, **options):
    settings = {"test_percent": 20, "validation_percent": 20, "seed": 1, "published": True}
    path = Path(folder, "split.csv")
    split_patients(images, target_findings=targets, output=path, **{**settings, **options})
    table = pd.read_csv(path, dtype=str)
    assert table["patient"].is_unique
    return {name: set(part) for name, part in table.groupby("split")["patient"]}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("Hernia", "Hernai", r"column 'Finding Labels': line 3 has 'Hernai'; takes names with"),
        (",PA,", ",LATERAL,", r"column 'View Position': line 3 has 'LATERAL'; takes PA, AP, blank"),
        (",M,", ",X,", r"column 'Patient Gender': line 3 has 'X'; takes F, Female, M, Male"),
        (",57,", ",old,", r"column 'Patient Age': line 3 has 'old'; an age is a whole number"),
        (",1,2,", ",x,2,", r"column 'Follow-up #': line 3 has 'x'; a follow-up number"),
        (",1,2,", ",1,,", r"column 'Patient ID': line 3 has ''; takes the patient's number"),
        (",2682", "", r"line 3 has 10 fields, the header has 11"),
        (
            "00000002_001.png",
            "/data/a.png",
            r"column 'Image Index': line 3 .*; a path starts",
        ),
    ],
)
def test_nih_a_row_that_cannot_be_read_is_named(tmp_path, old, new, message):
    lines = [nih_line(2, 0, "No Finding"), nih_line(2, 1, "Hernia").replace(old, new)]
    write_text(tmp_path / "Data_Entry_2017_v2020.csv", [HEADER, *lines])
    with pytest.raises(ValueError, match=r"Data_Entry_2017_v2020\.csv: " + message):
        rows("nih", tmp_path)


def test_nih_a_missing_column_is_named(tmp_path):
    header = HEADER.replace("Follow-up #", "Followup")
    write_text(tmp_path / "Data_Entry_2017_v2020.csv", [header, nih_line(1, 0, "Hernia")])
    with pytest.raises(ValueError, match="no column 'Follow-up #'; did you mean 'Followup'"):
        rows("nih", tmp_path)


def test_nih_a_test_list_of_another_release_is_refused(tmp_path):
    nih(tmp_path, [nih_line(1, 0, "Hernia")], ["00000001_000.png", "00000009_000.png"])
    with pytest.raises(ValueError, match=r"test_list\.txt: 1 images are not in .*00000009_000"):
        rows("nih", tmp_path, published=True)


def test_nih_a_file_in_two_folders_is_refused(tmp_path):
    nih(tmp_path, [nih_line(1, 0, "Hernia")])
    assert Path(ImageFolder(tmp_path).place("00000001_000.png")).is_file()
    write_image(tmp_path / "images/00000001_000.png", 0)
    with pytest.raises(ValueError, match=r"00000001_000.png is in images and in images_001/images"):
        ImageFolder(tmp_path).place("00000001_000.png")


# MIMIC-CXR-JPG

MIMIC = [
    (10000032, 50414267, "02aa804e-bde0afdd", "PA", "train"),
    (10000032, 50414267, "174413ec-4ec4c1f7", "LATERAL", "train"),
    (10000764, 57375967, "096052b7-d256dc40", "AP", "test"),
    (10000898, 50771383, "2a280266-c8bae121", "", "validate"),
]


def test_mimic_joins_its_three_tables_by_image_and_study(tmp_path):
    labels = {50414267: "1.0,,-1.0", 57375967: ",1.0,", 50771383: "0.0,,1.0"}
    mimic(tmp_path, MIMIC, labels)
    found = rows("mimic", tmp_path, published=True)
    first, lateral, other, blank = found
    assert first.image == "files/p10/p10000032/s50414267/02aa804e-bde0afdd.jpg"
    assert Path(ImageFolder(tmp_path).place(first.image)).is_file()
    assert (first.patient, first.study, first.view) == ("patient10000032", "s50414267", "PA")
    assert [row.view for row in found] == ["PA", "Lateral", "AP", "Unknown"]
    assert [row.published for row in found] == ["train", "train", "test", "val"]
    assert all(row.sex == "Unknown" and math.isnan(row.age) for row in found)
    assert first.labels["Fracture"] == 1
    assert first.labels["Pneumonia"] == -1
    assert lateral.labels == first.labels
    assert math.isnan(other.labels["Fracture"])
    assert (other.labels["No Finding"], blank.labels["Pneumonia"]) == (1, 1)
    # The split is asked for only where it is used.
    assert {row.published for row in rows("mimic", tmp_path)} == {""}
    assert FORMATS["mimic"].named(source("mimic", tmp_path)) == [
        *("No Finding", "Pneumonia", "Fracture")
    ]


def test_mimic_images_of_a_study_without_labels_are_left_out_and_more_are_an_error(tmp_path):
    many = [(10000000 + n, 50000000 + n, f"a{n}", "PA", "train") for n in range(200)]
    labels = {study: "1.0,,0.0" for _, study, *_ in many[:-1]}
    mimic(tmp_path, many, labels)
    assert len(rows("mimic", tmp_path)) == 199
    mimic(tmp_path, many, dict(list(labels.items())[:150]))
    with pytest.raises(ValueError, match="50 of 200 images have no labels in .*in line 152"):
        rows("mimic", tmp_path)


@pytest.mark.parametrize(
    ("table", "old", "new", "message"),
    [
        ("metadata", ",AP,", ",FRONT,", "column 'ViewPosition': line 4 has 'FRONT'; takes AP, PA,"),
        ("metadata", ",10000764,", ",x,", "column 'subject_id': line 4 has 'x'; takes a number"),
        ("metadata", "study_id", "study", "no column 'study_id'; did you mean 'study'"),
        ("chexpert", "1.0,,0.0", "2,,0.0", "column 'Fracture': line 2 has '2'; takes blank, 1"),
        ("split", ",test", ",dev", "column 'split': line 4 has 'dev'; takes train, val"),
        ("split", "096052b7-d256dc40", "other", "has no row of the dicom_id 096052b7-d256dc40"),
    ],
)
def test_mimic_a_row_that_cannot_be_read_is_named(tmp_path, table, old, new, message):
    mimic(tmp_path, MIMIC)
    name = f"mimic-cxr-2.0.0-{table}.csv"
    text = gzip.decompress((tmp_path / f"{name}.gz").read_bytes()).decode()
    assert old in text
    # Unpacked tables are read as well.
    (tmp_path / f"{name}.gz").unlink()
    write_text(tmp_path / name, text.replace(old, new, 1).splitlines())
    with pytest.raises(ValueError, match=rf"mimic-cxr-2\.0\.0-{table}\.csv: .*{message}"):
        rows("mimic", tmp_path, published=True)


# PadChest


def test_padchest_reads_lists_of_labels_ids_with_letters_and_16_bit_images(tmp_path):
    lines = [
        padchest_line(1, "8394A0", "['pulmonary fibrosis', ' Chronic changes', '']", folder=0),
        padchest_line(2, "8394A0", "['normal']", folder=54, sex="M", view="L"),
        padchest_line(3, "0001", "['unchanged']", birth="", sex="O"),
        padchest_line(4, "0001", "", birth="2015", view="AP_horizontal"),
        padchest_line(5, "0002", "['nodule', nan]", birth="2003"),
    ]
    padchest(tmp_path, lines)
    first, second, third, fourth, fifth = rows("padchest", tmp_path)
    assert first.labels == {"pulmonary fibrosis": 1, "chronic changes": 1}
    assert (first.patient, first.age, first.sex, first.rest) == ("patient8394A0", 68, "Female", 0)
    assert second.labels == {"No Finding": 1}
    assert second.image.startswith("54/")
    assert second.view == "Lateral"
    assert (third.sex, math.isnan(third.age), math.isnan(third.rest)) == ("Unknown", True, True)
    # Born after the study: the age cannot be right.
    assert (fourth.view, math.isnan(fourth.age), math.isnan(fourth.rest)) == ("AP", True, True)
    assert fifth.labels == {"nodule": 1}
    given = source("padchest", tmp_path)
    assert "nodule" in FORMATS["padchest"].named(given)
    path = index(tmp_path, "padchest", given)
    assert pd.read_parquet(path)["pulmonary fibrosis"].tolist()[0] == 1
    pixels = ImageFile(cache(tmp_path, path, tmp_path))
    assert set(pixels.columns["bits"]) == {12}
    assert pixels.read().max() > 128


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("['normal']", "normal", r"column 'Labels': line 3 has 'normal'; takes a list as in"),
        ("['normal']", "[1]", r"column 'Labels': line 3 has '\[1\]'; takes a list as in"),
        (",L,", ",oblique,", r"column 'Projection': line 3 has 'oblique'; takes PA, AP"),
        (",20140915,", ",15/09/14,", r"column 'StudyDate_DICOM': line 3 .*; takes a date"),
        (",1946.0,", ",46,", r"column 'PatientBirth': line 3 has '46'; takes a year"),
        (",54,", ",a,", r"column 'ImageDir': line 3 has 'a'; takes the number"),
    ],
)
def test_padchest_a_row_that_cannot_be_read_is_named(tmp_path, old, new, message):
    wrong = padchest_line(2, "A", "['normal']", folder=54, view="L").replace(old, new)
    lines = [padchest_line(1, "A", "['nodule']"), wrong]
    name = "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv"
    write_text(tmp_path / name, [PADCHEST_HEADER, *lines])
    with pytest.raises(ValueError, match=rf"01\.02\.19\.csv: {message}"):
        rows("padchest", tmp_path)


def test_padchest_publishes_no_split():
    settings = {"root": "x", "format": "padchest", "split": "published"}
    with pytest.raises(ValueError, match="for padchest there is no such split; or take random"):
        Configuration(dataset={**settings, "findings": ["a"], "target_findings": ["a"]})


# VinDr-CXR


def test_vindr_readers_vote_and_disagreement_is_uncertain(tmp_path):
    votes = {"0a1": ["1,1,0", "1,0,0", "1,0,0"], "0b2": ["0,1,0", "0,1,0", "0,0,0"]}
    vindr(tmp_path, votes, {"0c3": "0,0,1"})
    first, second, tested = rows("vindr", tmp_path)
    assert first.labels == {
        **{"Aortic enlargement": 1, "Nodule/Mass": -1, "Rib fracture": 0},
        **{"Other diseases": 0, "No Finding": 0},
    }
    assert second.labels["Nodule/Mass"] == 1
    # One reader saw nothing.
    assert second.labels["No Finding"] == -1
    assert tested.labels["Rib fracture"] == 1
    # Both tables have one name for what they write in two ways.
    assert set(tested.labels) == set(first.labels)
    assert [row.published for row in (first, second, tested)] == ["train", "train", "test"]
    assert (first.patient, first.view, first.sex) == ("patient0a1", "PA", "Unknown")
    assert [first.image, tested.image] == ["train/0a1.dicom", "test/0c3.dicom"]
    given = source("vindr", tmp_path)
    path = index(tmp_path, "vindr", given)
    assert len(ImageFile(cache(tmp_path, path, tmp_path))) == 3
    assert [row.image for row in rows("vindr", tmp_path, test=None)] == [first.image, second.image]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("0a1,R2,1,0,0", "0a1,R2,1,-1,0", "column 'Nodule/Mass': line 3 has '-1'; a reader's vote"),
        ("0a1,R2", "../x,R2", r"column 'image_id': line 3 has '../x'; takes the name of an image"),
        ("image_id", "image", "there is no column 'image_id'; the columns are"),
    ],
)
def test_vindr_a_row_that_cannot_be_read_is_named(tmp_path, old, new, message):
    vindr(tmp_path, {"0a1": ["1,1,0", "1,0,0", "1,0,0"]}, {"0c3": "0,0,1"})
    path = tmp_path / "annotations/image_labels_train.csv"
    text = path.read_text(encoding="utf-8")
    assert old in text
    write_text(path, text.replace(old, new, 1).splitlines())
    with pytest.raises(ValueError, match=rf"image_labels_train\.csv: (line 1: )?{message}"):
        rows("vindr", tmp_path)


# CheXpert Plus

PLUS = [("train", 1, 1, "PA"), ("train", 1, 2, "Lateral"), ("valid", 64541, 1, "AP")]


def test_chexpert_plus_joins_json_lines_with_a_table_whose_reports_have_lines_of_their_own(
    tmp_path,
):
    chexpert_plus(tmp_path, PLUS)
    first, second, valid = rows("chexpert-plus", tmp_path)
    assert first.image == "train/patient00001/study1/view1_frontal.png"
    assert (first.patient, first.study, first.view) == ("patient00001", "study1", "PA")
    assert (first.sex, first.age, second.view) == ("Female", 40, "Lateral")
    assert (first.labels["Fracture"], second.labels["Fracture"]) == (0, 1)
    assert math.isnan(first.labels["Pneumonia"])
    assert first.labels["Edema"] == -1
    assert (first.published, valid.published) == ("train", "val")
    # The header is 1, and each report has three line ends.
    assert [row.line for row in (first, second, valid)] == [2, 6, 10]
    given = source("chexpert-plus", tmp_path)
    assert FORMATS["chexpert-plus"].named(given) == ["Edema", "Pneumonia", "Fracture"]
    path = index(tmp_path, "chexpert-plus", given)
    assert len(ImageFile(cache(tmp_path, path, tmp_path))) == 2
    (tmp_path / "PNG").rename(tmp_path / "archive")
    (tmp_path / "PNG").mkdir()
    (tmp_path / "archive").rename(tmp_path / "PNG/PNG")
    assert Path(ImageFolder(tmp_path).place(first.image)).is_file()


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("df_chexpert_plus_240401.csv", ",PA,", ",XX,", "column 'ap_pa': line 2 has 'XX'; takes"),
        ("df_chexpert_plus_240401.csv", ",40,", ",old,", "column 'age': line 2 has 'old'; an age"),
        ("df_chexpert_plus_240401.csv", ",patient00001,", ",patient00002,", "line 2 has 'patient0"),
        ("df_chexpert_plus_240401.csv", 'please"', "please", "a quote|quoted text"),
        ("impression_fixed.json", "0.0", "0.5", "column 'Fracture': line 1 has '0.5'; takes blank"),
        ("impression_fixed.json", "}", "", "line 1: no JSON .*; each line takes one object"),
        ("impression_fixed.json", "train/", "/train/", "column 'path_to_image': line 1 has"),
        ("impression_fixed.json", "study2", "study1", "column 'path|are there twice|no labels in"),
    ],
)
def test_chexpert_plus_a_row_that_cannot_be_read_is_named(tmp_path, name, old, new, message):
    chexpert_plus(tmp_path, PLUS)
    path = tmp_path / name
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ValueError, match=message) as caught:
        rows("chexpert-plus", tmp_path)
    assert name in str(caught.value)


# A table of one's own

COLUMNS = {
    **{"path": "file", "patient": "pid", "study": "visit", "view": "proj", "sex": "gender"},
    **{"age": "years", "split": "part", "findings": {"Hernia": "hernia", "Mass": "mass_1"}},
}
TABLE = [
    "file,pid,visit,proj,gender,years,part,hernia,mass_1",
    "a/1.png,A7,1,AP,F,44,train,1,",
    "a/2.png,A7,2,L,female,44.5,train,0,-1",
    "b/3.jpg,B,x,,,,test,0.0,1.0",
]
VIEW_NAMES = {"L": "Lateral"}


def test_a_table_of_ones_own_is_read_by_the_columns_that_the_config_names(tmp_path):
    write_text(tmp_path / "images.csv", TABLE)
    options = {"columns": COLUMNS, "view_names": VIEW_NAMES}
    first, second, third = rows("table", tmp_path, **options)
    assert first == (
        *("a/1.png", 2, "patientA7", "1", "AP", "Female", 44),
        *({"Hernia": 1, "Mass": first.labels["Mass"]}, first.rest, "train"),
    )
    assert math.isnan(first.labels["Mass"])
    assert math.isnan(first.rest)
    assert (second.view, second.sex, second.age) == ("Lateral", "Female", 44.5)
    assert second.labels == {"Hernia": 0, "Mass": -1}
    assert (third.view, third.sex, third.published) == ("Unknown", "Unknown", "test")
    assert math.isnan(third.age)


def test_a_parquet_table_says_the_same_as_a_csv_file(tmp_path):
    write_text(tmp_path / "images.csv", TABLE)
    options = {"columns": COLUMNS, "view_names": VIEW_NAMES}
    texts = pd.read_csv(tmp_path / "images.csv")
    texts.to_parquet(tmp_path / "other.parquet")
    of_csv = index(tmp_path, "table", source("table", tmp_path, **options), ["AP", "Lateral"])
    expected = pd.read_parquet(of_csv)
    of_parquet = source("table", tmp_path, images="other.parquet", **options)
    found = pd.read_parquet(index(tmp_path, "table", of_parquet, ["AP", "Lateral"]))
    expected["row"] -= 1
    pd.testing.assert_frame_equal(found, expected)


def test_a_parquet_table_may_hold_lists_truth_values_and_numbers_that_are_none(tmp_path):
    table = pa.table(
        {
            "file": ["1.png", "2.png"],
            "found": [["Hernia", "Mass"], []],
            "edema": [True, None],
            "years": pa.array([math.nan, 61.0]),
        }
    )
    pq.write_table(table, tmp_path / "images.parquet")
    columns = {"path": "file", "labels": "found", "age": "years", "findings": {"Edema": "edema"}}
    first, second = rows("table", tmp_path, columns=columns)
    assert first.labels == {"Edema": 1, "Hernia": 1, "Mass": 1}
    assert math.isnan(first.age)
    assert second.age == 61
    assert math.isnan(second.labels["Edema"])
    # An empty list says that nothing was found.
    assert second.rest == 0


def test_a_column_may_list_the_findings_and_what_it_leaves_out_is_absent(tmp_path):
    lines = ["file,found", "1.png,Hernia; Mass", "2.png,none", "3.png,"]
    write_text(tmp_path / "images.csv.gz", lines)
    columns = {"path": "file", "labels": "found", "separator": ";"}
    given = source("table", tmp_path, columns=columns)
    assert FORMATS["table"].named(given) == ["Hernia", "Mass", "none"]
    table = pd.read_parquet(index(tmp_path, "table", given, ["Unknown"]))
    np.testing.assert_array_equal(table["Hernia"], np.float32([1, 0, NAN]))
    # Without a column for them, each image is of a patient of its own.
    assert table["patient"].tolist() == ["patient1.png", "patient2.png", "patient3.png"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("44,train", "140,train", "column 'years': line 2 has '140'; an age is a number of years"),
        (",AP,", ",front,", "column 'proj': line 2 has 'front'; takes blank, AP, .*view_names"),
        (",train,1", ",dev,1", "column 'part': line 2 has 'dev'; takes train, val, valid"),
        ("train,1,", "train,yes,", "column 'hernia': line 2 has 'yes'; takes blank, 1, 0, -1"),
        ("A7,1", ",1", "column 'pid': line 2 has ''; takes the patient's number"),
        ("a/1.png", "../1.png", "column 'file': line 2 has '../1.png'; a path leads down"),
        ("mass_1", "mass_2", "there is no column 'mass_1'; did you mean 'mass_2'"),
        ("a/2.png", "a/1.png", "a/1.png is in lines 2 and 3; an image has one row"),
        (",B,x", ",a7,x", None),
        (",A7,2", ",007,2", None),
    ],
)
def test_a_table_of_ones_own_is_refused_with_the_row_that_is_wrong(tmp_path, old, new, message):
    text = "\n".join(TABLE)
    assert old in text
    write_text(tmp_path / "images.csv", text.replace(old, new, 1).split("\n"))
    given = source("table", tmp_path, columns=COLUMNS, view_names=VIEW_NAMES)
    if message is None:
        index(tmp_path, "table", given, ["AP", "Lateral", "Unknown"])
        return
    with pytest.raises(ValueError, match=r"images\.csv: (line 1: )?" + message):
        index(tmp_path, "table", given, ["AP", "Lateral", "Unknown"])


def test_one_patient_in_two_spellings_is_refused(tmp_path):
    text = "\n".join(TABLE).replace(",A7,1", ",7,1").replace(",A7,2", ",007,2")
    write_text(tmp_path / "images.csv", text.split("\n"))
    given = source("table", tmp_path, columns=COLUMNS, view_names=VIEW_NAMES)
    with pytest.raises(ValueError, match="patient7 .* and patient007 .* have the same number"):
        index(tmp_path, "table", given, ["AP", "Lateral"])


# Published splits


def published(folder, parts, images_each=2):
    """A table of images of patients, by the part that each patient's images are in."""
    lines = ["file,pid,part,hernia"]
    for number, names in enumerate(parts):
        for image in range(images_each):
            part = names[image % len(names)] if isinstance(names, tuple) else names
            lines.append(f"{number}_{image}.png,{number},{part},{int(number % 3 == 0)}")
    write_text(Path(folder, "images.csv"), lines)
    columns = {"path": "file", "patient": "pid", "split": "part", "findings": {"Hernia": "hernia"}}
    return index(folder, "table", source("table", folder, columns=columns), ["Unknown"])


def test_all_published_parts_stay_as_they_are(tmp_path):
    parts = ["train"] * 30 + ["valid"] * 9 + ["test"] * 9
    found = split(tmp_path, published(tmp_path, parts), ["Hernia"], reserve_percent=20)
    assert found["val"] == {f"patient{number}" for number in range(30, 39)}
    assert found["test"] == {f"patient{number}" for number in range(39, 48)}
    assert len(found["reserve"]) == 6
    assert len(found["train"]) == 24


def test_a_validation_set_is_the_test_set_where_no_other_is_published(tmp_path):
    parts = ["train"] * 40 + ["val"] * 9
    found = split(tmp_path, published(tmp_path, parts), ["Hernia"])
    assert found["test"] == {f"patient{number}" for number in range(40, 49)}
    assert len(found["val"]) == 8


def test_a_patient_in_two_parts_of_the_published_split_is_refused(tmp_path):
    images = published(tmp_path, ["train"] * 30 + [("train", "test")] + ["test"] * 9)
    with pytest.raises(ValueError, match=r"patient30 is in test and train of the published split"):
        split(tmp_path, images, ["Hernia"])
    assert len(split(tmp_path, images, ["Hernia"], published=False)["train"]) > 10


def test_an_image_in_no_part_of_the_published_split_is_refused(tmp_path):
    images = published(tmp_path, ["train"] * 30 + ["test"] * 9 + [""])
    with pytest.raises(ValueError, match=r"2 images are in no part .* the first is 39_0\.png"):
        split(tmp_path, images, ["Hernia"])
