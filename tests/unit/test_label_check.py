import re

import numpy as np
import pandas as pd
import pytest
from dataset_files import TARGETS

from rarecxr.data.label_check import check_labels
from rarecxr.data.labels import apply_policies
from rarecxr.study.findings import FINDINGS

ONES = {"default": "ones"}
# As CheXpert has it: a target finding is 1 or blank, other findings are often blank too.
SPLITS = ["train", "val", "test", "unused"]


@pytest.fixture
def study(tmp_path):
    """An index and split of 40 patients, with No Finding for every fourth, and no explicit 0."""
    patients = [f"patient{number:05d}" for number in range(40)]
    table = pd.DataFrame(np.nan, range(40), list(FINDINGS), dtype=np.float32)
    numbers = np.arange(40) // 4
    for place, finding in enumerate(TARGETS):
        table.loc[numbers % 3 == place, finding] = 1
    table.loc[::4, TARGETS] = np.nan
    table.loc[::4, "No Finding"] = 1
    table.insert(0, "patient", patients)
    table.to_parquet(tmp_path / "images.parquet")
    split = pd.Series(np.repeat(SPLITS, [12, 12, 12, 4]), patients, name="split")
    split.to_csv(tmp_path / "split.csv", index_label="patient")
    return tmp_path


def change(study, function):
    table = pd.read_parquet(study / "images.parquet")
    function(table)
    table.to_parquet(study / "images.parquet")


def check(study, blank="zeros", uncertain=ONES, targets=TARGETS, negative_for=TARGETS):
    check_labels(
        study / "images.parquet",
        study / "split.csv",
        uncertain,
        blank,
        targets,
        negative_for,
        study / "counts.csv",
    )
    return pd.read_csv(study / "counts.csv")


@pytest.mark.parametrize("blank", ["zeros", "no_finding"])
def test_labels_are_counted_by_split_after_the_policies(study, blank):
    counts = check(study, blank)
    assert counts.groupby("split", sort=False).size().to_dict() == {
        "train": 14,
        "val": 14,
        "test": 14,
    }
    labels = pd.read_parquet(study / "images.parquet")
    training = apply_policies(labels[list(FINDINGS)], ONES, blank)[:12]
    row = counts.set_index(["split", "finding"]).loc[("train", "Fracture")]
    assert row["n_positive"] == (training["Fracture"] == 1).sum() == 3
    assert row["n_negative"] == (training["Fracture"] == 0).sum() > 0
    assert row["n_masked"] == training["Fracture"].isna().sum()
    assert row.sum() == 12


def test_what_cannot_give_an_answer_is_refused_with_what_would(study):
    with pytest.raises(ValueError, match="with dataset.blank: ignore. Missing is") as error:
        check(study, "ignore")
    lines = str(error.value).splitlines()[1:]
    assert len(lines) == 3 * 3 + 1 + 2
    assert lines[0].strip() == "an image of train that is negative for Lung Lesion"
    assert "negative for all of Lung Lesion, Pleural Other, Fracture: the base GAN" in lines[9]
    assert lines[10].strip() == "with dataset.blank: zeros nothing would be missing"
    assert lines[11].strip() == "with dataset.blank: no_finding nothing would be missing"
    assert not (study / "counts.csv").exists()


def test_each_finding_alone_may_have_negatives_where_all_together_have_none(study):
    """As with CheXpert's explicit zeros: a few for each finding, in no image for all three."""

    def explicit(table):
        for place, finding in enumerate(TARGETS):
            table.loc[np.arange(40) % 4 == place + 1, finding] = 0
            table.loc[np.arange(40) % 4 == place, finding] = 1

    change(study, explicit)
    with pytest.raises(ValueError, match="Missing is") as error:
        check(study, "ignore")
    assert len(re.findall("an image of", str(error.value))) == 1
    assert "negative for all of" in str(error.value)
    assert len(check(study, "ignore", negative_for=[])) == 3 * 14


def test_a_split_without_positives_is_refused_whatever_blanks_become(study):
    def none(table):
        table.loc[(table.index >= 24) & (table["Fracture"] == 1), "Fracture"] = -1

    change(study, none)
    check(study, uncertain=ONES)
    with pytest.raises(ValueError, match="an image of test that is positive for Fracture") as error:
        check(study, uncertain={"default": "ones", "Fracture": "zeros"})
    assert "with dataset.blank: no_finding 1 of these would be missing" in str(error.value)
