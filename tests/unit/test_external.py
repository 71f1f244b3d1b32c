"""External test sets before any prediction: settings, tables, labels under the study's names."""

import copy

import numpy as np
import pandas as pd
import pytest
from dataset_files import csv_table, write_csv
from format_files import nih, nih_line

from rarecxr.data.image_index import index_images
from rarecxr.data.label_names import as_named
from rarecxr.data.labels import label_images
from rarecxr.data.section_keys import keys_of
from rarecxr.study.check import check
from rarecxr.study.configuration.study import Configuration
from rarecxr.study.given import missing_files
from rarecxr.study.plan import Plan
from rarecxr.study.source import named_keys, source_of, tables_of, unknown_labels

NIH = {
    "root": "nih",
    "format": "nih",
    "labels": {"Lung Lesion": ["Nodule", "Mass"], "Pleural Other": "Pleural_Thickening"},
}


def configuration(own=None, **external):
    chosen = {"root": "own", **(own or {}), "external": external}
    return check({"dataset": copy.deepcopy(chosen)})


def refusal(own=None, **external):
    with pytest.raises(ValueError, match="the configuration cannot be used") as caught:
        configuration(own, **external)
    return [line.strip() for line in str(caught.value).splitlines()[1:]]


# Settings


def test_what_a_set_leaves_out_is_as_the_studys_own():
    own = {"views": ["PA"], "uncertain": {"default": "zeros", "Edema": "ones"}, "blank": "ignore"}
    sets = configuration(own, north=NIH, south={"root": "s", "views": ["AP"], "blank": "zeros"})
    sets = sets.dataset.external_sets()
    north, south = sets["north"], sets["south"]
    assert (north.views, north.blank) == (["PA"], "ignore")
    assert north.uncertain.mapping() == {"default": "zeros", "Edema": "ones"}
    assert (south.views, south.blank) == (["AP"], "zeros")
    assert south.uncertain.mapping() == {"default": "zeros", "Edema": "ones"}
    assert north.names_of("Lung Lesion") == ["Nodule", "Mass"]
    assert north.names_of("Edema") == ["Edema"]


@pytest.mark.parametrize(
    ("external", "line"),
    [
        ({"north": {"format": "nih"}}, "dataset.external.north.root: missing; takes text"),
        ({"north": {"root": None}}, "dataset.external.north.root: got null; takes text"),
        (
            {"north": {"root": "./own/"}},
            "dataset.external.north.root: got 'own', which is dataset.root: its patients are",
        ),
        (
            {"north": {"root": "n", "labels": {"Lung Lesions": "Edema"}}},
            "dataset.external.north.labels.Lung Lesions: no such finding of the study; did you "
            "mean Lung Lesion?",
        ),
        (
            {"north": {"root": "n", "uncertain": {"Edemas": "ones"}}},
            "dataset.external.north.uncertain.Edemas: no such finding of the study; did you mean",
        ),
        (
            {"north": {**NIH, "labels": {"Lung Lesion": "Noduls"}}},
            "dataset.external.north.labels.Lung Lesion: got 'Noduls'; no such finding of nih; did "
            "you mean Nodule?, or null",
        ),
        (
            {"north": {**NIH, "labels": {"Lung Lesion": "Mass"}}},
            "dataset.external.north.labels.Pleural Other: is not given, and no such finding of nih",
        ),
        (
            {"north": {"root": "n", "labels": {"Lung Lesion": None, "Pleural Other": None}}},
            "dataset.external.north.labels: has null for each of Lung Lesion, Pleural Other; takes",
        ),
        (
            {"north": {"root": "n", "labels": {"Lung Lesion": ["Edema", "Edema"]}}},
            "dataset.external.north.labels.Lung Lesion: got [Edema, Edema], which has Edema twice",
        ),
        ({"test": NIH}, "dataset.external.test: this name is a part of the study's own; takes"),
        ({"North": NIH}, "dataset.external: got the name 'North'; takes lower-case letters"),
        ({"n/a": NIH}, "dataset.external: got the name 'n/a'; takes lower-case letters"),
        (
            {"north": {"root": "n", "images": "test", "expert_csv": None}},
            "dataset.external.north.images: got test, and for chexpert expert_csv is null; or",
        ),
        (
            {"north": {"root": "n", "format": "table", "columns": {"path": "p", "labels": "l"}}}
            | {"south": {"root": "s", "format": "padchest", "images": "test"}},
            "dataset.external.south.images: got test, and for padchest there is no such split; or",
        ),
        ({"north": {"root": "n", "shard": 2}}, "dataset.external.north.shard: no such key; did"),
    ],
)
def test_a_set_that_cannot_be_used_is_refused_with_its_key(external, line):
    lines = refusal(**external)
    assert any(found.startswith(line) for found in lines), lines


def test_without_a_set_there_is_nothing_external_in_a_plan():
    assert Plan(configuration()).external == {}
    plan = Plan(configuration(north=NIH))
    files = plan.external_predictions("north")
    assert len(files) == len(plan.runs())
    assert len(plan.external_predictions("north", "gan")) == len(files) / len(plan.arms)
    assert files[0].endswith("classifier/none/20/draw0/seed0/external_north.parquet")


# Files


def test_missing_folders_and_tables_are_named_with_the_sets_keys(tmp_path):
    (tmp_path / "own").mkdir()
    for name in ("train.csv", "valid.csv"):
        (tmp_path / "own" / name).write_text("Path\n", encoding="utf-8")
    (tmp_path / "link").symlink_to("own")
    (tmp_path / "nih").mkdir()
    published = tmp_path / "published.csv"
    published.touch()
    sets = {"a": {**NIH}, "b": {"root": "nowhere"}, "c": {"root": "link"}}
    lines = list(missing_files(Configuration(**study(sets)), tmp_path, published))
    for line in (
        "dataset.external.a.tables.images: there is no file Data_Entry_2017_v2020.csv or",
        "dataset.external.b.root: there is no folder nowhere in",
        f"dataset.external.c.root: {tmp_path}/link is the folder of dataset.root, whose patients",
    ):
        assert [found for found in lines if found.startswith(line)], (line, lines)
    assert len(lines) == 3


def study(sets):
    return {"dataset": {"root": "own", "external": sets}}


def test_labels_that_the_tables_do_not_name_are_refused(tmp_path):
    table = csv_table([1]).drop(columns=["Pleural Other", "Fracture", "Edema", "No Finding"])
    write_csv(tmp_path / "train.csv", table)
    chosen = {"root": str(tmp_path), "expert_csv": None, "blank": "no_finding"}
    plan = Plan(configuration(north={**chosen, "labels": {"Edema": "Edema"}}))
    lines = list(unknown_labels(plan.external["north"], "dataset.external.north", plan.targets))
    assert lines[0].startswith(
        f"dataset.external.north.labels.Edema: {tmp_path}/train.csv does not name 'Edema': "
    )
    assert lines[1].startswith(
        f"dataset.external.north.labels.Pleural Other: is not given; {tmp_path}/train.csv does not"
    )
    assert lines[2].startswith("dataset.external.north.blank: is no_finding, and")
    assert len(lines) == 3
    said = {**chosen, "labels": {"Pleural Other": None}, "blank": "zeros"}
    plan = Plan(configuration(north=said))
    assert (
        list(unknown_labels(plan.external["north"], "dataset.external.north", plan.targets)) == []
    )


def test_the_publishers_test_images_alone_can_be_taken(tmp_path):
    names = [f"{patient:08d}_000.png" for patient in (2, 5)]
    nih(tmp_path, [nih_line(n, 0, "Mass") for n in range(1, 7)], tested=names)
    plan = Plan(configuration(north={**NIH, "root": str(tmp_path), "images": "test"}))
    north = plan.external["north"]
    tables = tables_of(north)
    source = source_of(north, tables)
    arguments = (tables, north.views, tmp_path / "index.parquet", "nih", source.columns, {})
    index_images(*arguments, only=north.only)
    assert pd.read_parquet(tmp_path / "index.parquet")["image"].tolist() == names
    assert list(named_keys(north, tables)) == names
    index_images(*arguments)
    assert len(pd.read_parquet(tmp_path / "index.parquet")) == 6


def test_of_chexperts_layout_the_second_table_has_the_test_images(tmp_path):
    write_csv(tmp_path / "train.csv", csv_table([1, 2]))
    write_csv(tmp_path / "valid.csv", csv_table([3], folder="valid"))
    plan = Plan(configuration(north={"root": str(tmp_path), "images": "test"}))
    north = plan.external["north"]
    index_images(tables_of(north), north.views, tmp_path / "i.parquet", only=north.only)
    index = pd.read_parquet(tmp_path / "i.parquet")
    assert set(index["patient"]) == {"patient00003"}
    assert list(named_keys(north, tables_of(north))) == index["image"].tolist()


def test_messages_name_the_keys_of_the_set(tmp_path):
    nih(tmp_path, [nih_line(1, 0, "Mass", view="Oblique")])
    with pytest.raises(ValueError, match=r"say in dataset\.external\.north\.view_names which of"):
        index_images(
            {"images": str(tmp_path / "Data_Entry_2017_v2020.csv")},
            ["PA"],
            tmp_path / "index.parquet",
            format="nih",
            section="dataset.external.north",
        )
    found = r"^results/dataset\.csv: dataset\.external\.n\.root: no"
    with pytest.raises(ValueError, match=found), keys_of("dataset.external.n"):
        raise ValueError("results/dataset.csv: dataset.root: no")
    with pytest.raises(ValueError, match=r"^dataset\.root"), keys_of("dataset"):
        raise ValueError("dataset.root")


# Labels


def test_any_of_several_labels_may_show_a_finding():
    one, none, unsure, blank = 1.0, 0.0, -1.0, np.nan
    labels = pd.DataFrame(
        {
            "Nodule": [one, none, unsure, blank, none, blank, unsure],
            "Mass": [none, none, one, none, unsure, unsure, blank],
            "Edema": [one, blank, none, unsure, one, one, one],
        },
        dtype=np.float32,
    )
    names = {"Lung Lesion": ["Nodule", "Mass"], "Edema": ["Edema"], "Fracture": [], "Hernia": ["H"]}
    found = as_named(labels, names, needed=["Lung Lesion"])
    assert list(found.columns) == ["Lung Lesion", "Edema"]
    expected = [one, none, one, blank, unsure, unsure, unsure]
    np.testing.assert_array_equal(found["Lung Lesion"], expected)
    np.testing.assert_array_equal(found["Edema"], labels["Edema"])
    assert set(found.dtypes) == {np.dtype("float32")}
    with pytest.raises(ValueError, match="labels.Hernia: no image has a label 'H'; there are Nod"):
        as_named(labels, names, needed=["Hernia"])


def test_labels_are_written_under_the_studys_names_with_its_policies(tmp_path):
    index = pd.DataFrame({"image": list("abcd"), "patient": list("pppq")})
    index["Nodule"] = np.array([1, 0, -1, np.nan], np.float32)
    index["Mass"] = np.array([0, 0, 0, 0], np.float32)
    index["Scoliosis"] = np.float32(1)
    index.to_parquet(tmp_path / "readable.parquet", index=False)
    label_images(
        images=tmp_path / "readable.parquet",
        # A policy of a finding that the set does not have is of no concern here.
        uncertain={"default": "ignore", "Lung Lesion": "ones", "Edema": "zeros"},
        blank="zeros",
        output=tmp_path / "labels.parquet",
        names={"Lung Lesion": ["Nodule", "Mass"], "Edema": []},
        needed=["Lung Lesion"],
    )
    labels = pd.read_parquet(tmp_path / "labels.parquet")
    assert list(labels.columns) == ["image", "patient", "Lung Lesion"]
    assert labels["Lung Lesion"].tolist() == [1, 0, 1, 0]
