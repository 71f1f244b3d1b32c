from functools import partial

import pandas as pd
import pytest
from dataset_files import TARGETS, csv_table, write_csv
from format_files import write_text
from hypothesis import given, settings
from hypothesis import strategies as st

from rarecxr.data.chexpert import read_csv
from rarecxr.data.image_rows import LABELS
from rarecxr.data.label_policies import BLANK_POLICIES, POLICIES, label_texts
from rarecxr.data.label_precheck import precheck_labels
from rarecxr.data.labels import apply_policies
from rarecxr.study.configuration.study import Configuration
from rarecxr.study.findings import FINDINGS
from rarecxr.study.source import labels_as_text

VIEWS = ["AP", "PA"]
ONES = {"default": "ones"}


def table_of(labels):
    """A training CSV whose frontal images have these texts as labels of some findings, in order."""
    table = csv_table(range(1, 2 + len(labels[0][1]) // 2))
    table[list(FINDINGS)] = ""
    frontal = table.index[table["Frontal/Lateral"] == "Frontal"]
    for finding, texts in labels:
        table.loc[frontal[: len(texts)], finding] = texts
        # Laterals are not used, so their labels help nobody.
        table.loc[table["Frontal/Lateral"] == "Lateral", finding] = "0.0"
    return table


def check(path, blank, targets=TARGETS, negative_for=TARGETS, uncertain=ONES):
    dataset = Configuration(dataset={"root": "x", "views": VIEWS}).dataset
    read = partial(labels_as_text, dataset, {"train_csv": str(path)})
    precheck_labels(path, read, VIEWS, uncertain, blank, targets, negative_for)


def test_no_image_that_is_negative_for_all_at_once_is_refused_with_what_to_do(tmp_path):
    """CheXpert's own case: each finding has explicit zeros, no image has them for all three."""
    path = write_csv(
        tmp_path / "train.csv",
        table_of(
            [
                ("Lung Lesion", ["0.0", "", "1.0", "", ""]),
                ("Pleural Other", ["", "0.0", "", "1.0", ""]),
                ("Fracture", ["0.0", "1.0", "", "", ""]),
                ("No Finding", ["", "", "", "", "1.0"]),
            ]
        ),
    )
    with pytest.raises(ValueError, match=r"train\.csv: the labels of its 6 images") as error:
        check(path, "ignore")
    assert str(error.value).splitlines()[1:] == [
        "  an image that is negative for all of Lung Lesion, Pleural Other, Fracture: the base GAN"
        " trains on these",
        "  with dataset.blank: zeros nothing would be missing",
        "  with dataset.blank: no_finding nothing would be missing",
    ]
    check(path, "ignore", negative_for=[])
    check(path, "no_finding")
    check(path, "zeros")


def test_a_finding_without_positives_is_refused_under_any_policy(tmp_path):
    path = write_csv(tmp_path / "train.csv", table_of([("Fracture", ["0.0", "-1.0", "", "0.0"])]))
    for blank in BLANK_POLICIES:
        check(path, blank, ["Fracture"], ["Fracture"])
        with pytest.raises(ValueError, match="an image that is positive for Fracture"):
            check(path, blank, ["Fracture"], ["Fracture"], {"default": "ignore"})


@given(
    st.data(),
    st.sampled_from(BLANK_POLICIES),
    st.sampled_from(sorted(POLICIES)),
    st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_it_agrees_with_the_labels_that_the_study_makes(
    tmp_path_factory, data, blank, uncertain, gans
):
    names = ["No Finding", *TARGETS[:2]]
    texts = st.lists(st.sampled_from(["", "", "1.0", "0.0", "-1.0"]), min_size=4, max_size=4)
    path = write_csv(
        tmp_path_factory.mktemp("csv") / "train.csv",
        table_of([(name, data.draw(texts)) for name in names]),
    )
    table = read_csv(path)
    labels = apply_policies(
        table.loc[table["view"].isin(VIEWS), list(FINDINGS)], {"default": uncertain}, blank
    )[TARGETS[:2]]
    possible = all((labels == value).any().all() for value in (0, 1))
    if gans:
        possible = possible and (labels == 0).all(axis=1).any()
    negative_for = TARGETS[:2] if gans else []
    arguments = (path, blank, TARGETS[:2], negative_for, {"default": uncertain})
    if possible:
        check(*arguments)
    else:
        with pytest.raises(ValueError, match="cannot give an answer"):
            check(*arguments)


@pytest.mark.parametrize("blank", BLANK_POLICIES)
@pytest.mark.parametrize("uncertain", sorted(POLICIES))
def test_texts_become_what_tables_become(blank, uncertain):
    for nothing in (False, True):
        table = pd.DataFrame(
            {
                "No Finding": float(nothing),
                "Edema": LABELS.values(),
                "Support Devices": LABELS.values(),
            }
        ).astype("float32")
        applied = apply_policies(table, {"default": uncertain}, blank)
        for finding in ("Edema", "Support Devices"):
            texts = label_texts(finding, {"default": uncertain}, blank, nothing)
            pd.testing.assert_series_equal(
                applied[finding], pd.Series(texts.values(), dtype="float32"), check_names=False
            )


def test_labels_of_any_format_are_looked_at(tmp_path):
    lines = ["file,hernia,mass", "1.png,1,", "2.png,,1", "3.png,0,0"]
    path = write_text(tmp_path / "images.csv", lines)
    columns = {"path": "file", "findings": {"Hernia": "hernia", "Mass": "mass"}}
    settings = {"root": str(tmp_path), "format": "table", "columns": columns, "blank": "ignore"}
    settings |= {"findings": ["Hernia", "Mass"], "target_findings": ["Hernia"]}
    dataset = Configuration(dataset={**settings, "views": ["Unknown"]}).dataset
    read = partial(labels_as_text, dataset, {"images": str(path)})
    assert list(read(["No Finding", "Hernia", "Mass"])) == [
        *(("", "1", ""), ("", "", "1"), ("", "0", "0"))
    ]
    both = ["Hernia", "Mass"]
    precheck_labels(path, read, ["Unknown"], ONES, "ignore", both, both)
    write_text(path, lines[:3])
    with pytest.raises(ValueError, match="an image that is negative for Hernia"):
        precheck_labels(path, read, ["Unknown"], ONES, "ignore", both, [])
