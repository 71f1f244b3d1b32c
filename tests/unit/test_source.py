"""What a study's data set is, seen before any job: tables, images and findings."""

import pandas as pd
import pytest
from dataset_files import csv_table, write_csv
from format_files import nih, nih_line, write_text

from rarecxr.data.image_index import index_images
from rarecxr.study.check import check
from rarecxr.study.configuration.study import Configuration
from rarecxr.study.given import missing_files
from rarecxr.study.source import named_keys, source_of, tables_of, unknown_findings


def dataset(root, **settings):
    chosen = {"findings": ["Hernia", "Mass"], "target_findings": ["Hernia"], **settings}
    return Configuration(dataset={"root": str(root), **chosen}).dataset


def refusal(**settings):
    with pytest.raises(ValueError, match="the configuration cannot be used") as caught:
        check({"dataset": settings})
    return [line.strip() for line in str(caught.value).splitlines()[1:]]


def test_the_images_that_are_watched_are_those_of_the_index(tmp_path):
    lines = [nih_line(n, 0, "Hernia", view="AP" if n % 2 else "PA") for n in range(1, 8)]
    nih(tmp_path, lines)
    settings = dataset(tmp_path, format="nih", views=["AP"])
    tables = tables_of(settings)
    source = source_of(settings, tables)
    index_images(tables, ["AP"], tmp_path / "i.parquet", "nih", source.columns, source.view_names)
    index = pd.read_parquet(tmp_path / "i.parquet")
    assert list(named_keys(settings, tables)) == index["image"].tolist()
    assert len(index) == 4


def test_a_packed_table_is_found_by_the_name_without_gz(tmp_path):
    write_text(tmp_path / "Data_Entry_2017_v2020.csv.gz", ["a"])
    settings = dataset(tmp_path, format="nih")
    assert tables_of(settings) == {"images": f"{tmp_path}/Data_Entry_2017_v2020.csv.gz"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {},
            "dataset.tables.images: there is no file Data_Entry_2017_v2020.csv or Data_Entry_2017",
        ),
        ({"tables": {"images": "list.csv"}}, "dataset.tables.images: there is no file list.csv in"),
    ],
)
def test_a_table_that_is_not_there_is_named_with_its_key(tmp_path, settings, message):
    chosen = dataset(tmp_path, format="nih", **settings)
    configuration = Configuration(dataset=chosen)
    sentences = list(missing_files(configuration, tmp_path, tmp_path / "published.csv"))
    assert any(sentence.startswith(message) for sentence in sentences), sentences


def test_the_test_list_is_needed_for_the_published_split_alone(tmp_path):
    nih(tmp_path, [nih_line(1, 0, "Hernia")])
    assert list(tables_of(dataset(tmp_path, format="nih"))) == ["images"]
    chosen = dataset(tmp_path, format="nih", split="published")
    sentences = list(missing_files(Configuration(dataset=chosen), tmp_path, tmp_path / "p.csv"))
    assert any(s.startswith("dataset.tables.test: there is no file test_list") for s in sentences)


def test_findings_that_the_tables_do_not_name_are_refused_with_the_nearest_one(tmp_path):
    table = csv_table([1]).rename(columns={"Lung Lesion": "Lung lesions"})
    write_csv(tmp_path / "train.csv", table)
    lesion = ["Lung Lesion"]
    chosen = dataset(tmp_path, findings=lesion, target_findings=lesion, expert_csv=None)
    (line,) = unknown_findings(chosen, ["Lung Lesion", "Fracture"])
    assert line.startswith(f"dataset.findings: got 'Lung Lesion', which {tmp_path}/train.csv does")
    assert "did you mean Lung lesions?" in line
    write_text(tmp_path / "images.csv", ["file,found", "1.png,Hernia|Mass"])
    columns = {"path": "file", "labels": "found"}
    chosen = dataset(tmp_path, format="table", columns=columns)
    assert list(unknown_findings(chosen, ["Hernia", "Mass"])) == []
    (line,) = unknown_findings(chosen, ["Hernai"])
    assert "did you mean Hernia?" in line


def test_a_finding_that_the_format_does_not_have_is_refused_before_any_file_is_read():
    of_nih = {"root": "x", "format": "nih", "target_findings": ["Hernia"]}
    (line,) = refusal(**of_nih, findings=["Hernia", "Hernai"])
    assert line == (
        "dataset.findings[1]: got 'Hernai'; no such finding of nih; did you mean Hernia?"
    )
    # The reference's list is CheXpert's: one line says so, not one for each name.
    (line,) = refusal(**of_nih, findings=["Hernia", *["Lung Lesion", "Fracture", "a", "b"]])
    assert line.startswith("dataset.findings: got Lung Lesion, Fracture, a, b, which nih does not")
    columns = {"path": "file", "findings": {"Hernia": "h"}}
    of_table = {"root": "x", "format": "table", "columns": columns, "target_findings": ["Hernia"]}
    (line,) = refusal(**of_table, findings=["Hernia", "Hernias"])
    assert "no such finding of table; did you mean Hernia?" in line


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"format": "nih"}, "dataset.root: got null, and format is nih; takes a folder"),
        ({"format": "table", "root": "x"}, "dataset.columns: got null; takes the names of the"),
        (
            {"columns": {"path": "file", "labels": "found"}},
            "dataset.columns: is for the format table, and format is chexpert",
        ),
        (
            {"tables": {"images": "a.csv"}},
            "dataset.tables.images: train_csv and expert_csv name them (format is",
        ),
        (
            {"format": "nih", "root": "x", "tables": {"image": "a.csv"}},
            "dataset.tables.image: no such table; did you mean images? (format is nih)",
        ),
        (
            {"split": "published", "expert_csv": None},
            "dataset.split: got published, and for chexpert expert_csv is null; or take",
        ),
        (
            {
                **{"split": "published", "format": "table", "root": "x", "findings": ["a"]},
                **{"target_findings": ["a"], "columns": {"path": "file", "labels": "found"}},
            },
            "dataset.split: got published, and for table set columns.split; or take random",
        ),
        (
            {
                **{"format": "table", "root": "x", "target_findings": ["a b"]},
                **{"findings": ["a b", "A-B"], "columns": {"path": "file", "labels": "found"}},
            },
            "dataset.findings[1]: got 'A-B', which paths would call a_b as they do a b; takes",
        ),
        (
            {
                **{"format": "table", "root": "x", "target_findings": ["Negatives"]},
                **{"findings": ["Negatives"], "columns": {"path": "file", "labels": "found"}},
            },
            "dataset.findings[0]: got 'Negatives', which paths would call negatives as they do neg",
        ),
    ],
)
def test_settings_that_do_not_go_with_the_format_are_refused(settings, message):
    lines = refusal(**settings)
    assert any(line.startswith(message) for line in lines), lines
