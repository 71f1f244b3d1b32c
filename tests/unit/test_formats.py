"""Data sets as their publishers ship them: what each reader takes from its own layout."""

import math
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from dataset_files import cache
from format_files import NIH_HEADER as HEADER
from format_files import nih, nih_line, write_image, write_text

from rarecxr.data.formats.registry import FORMATS, find_tables
from rarecxr.data.formats.source import Source
from rarecxr.data.image_file import ImageFile
from rarecxr.data.image_folder import ImageFolder
from rarecxr.data.image_index import index_images
from rarecxr.data.index_columns import label_columns
from rarecxr.data.split import split_patients

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
