"""External test sets on the page: beside the study's own test set, with what they cannot say."""

import html
import re

import pandas as pd
import pytest
from simulated_study import GAIN, SimulatedStudy

from rarecxr.report.external import external_sets
from rarecxr.report.page import make_report
from rarecxr.report.tables import read_summary
from rarecxr.statistics.comparisons import References
from rarecxr.statistics.evaluation import evaluate

ARMS = ("none", "oversample", "balanced_gan")
SETTINGS = {
    "north": {
        "name": "Northern Hospital",
        "terms": "CC BY 4.0.",
        "labels": {"Lung Lesion": ["Nodule", "Mass"]},
        "images": "test",
        "uncertain": "zeros",
    },
    "south": {"name": None, "labels": {"Fracture": None}},
}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    root = tmp_path_factory.mktemp("study")
    made = SimulatedStudy(root, patients=1200, expert_patients=40, arms=ARMS, seeds=3)
    made.add_external("north", 1500, gain=GAIN | {"balanced_gan": 0.06}, seed=3)
    made.add_external("south", 700, lacks=["Fracture"], gain=dict.fromkeys(ARMS, 0.0))
    evaluate(**made.evaluate())
    return made


def settings_of(study):
    settings = study.make_report()["settings"]["dataset"]
    settings |= {"uncertain": {"default": "ones"}, "external": SETTINGS}
    return {"dataset": settings}


@pytest.fixture(scope="module")
def page(study):
    make_report(**study.make_report(settings=settings_of(study)))
    return html.unescape((study.root / "report/index.html").read_text(encoding="utf-8"))


def tables_of(study):
    names = ("overall", "counts", "external_overall", "external_subgroups")
    tables = {name: pd.read_csv(study.root / "report" / f"{name}.csv") for name in names}
    for name in ("summary", "external"):
        tables[name] = read_summary(study.root / "report" / f"{name}.csv")
    return tables


def sets_of(study, headline="balanced_gan", **changed):
    references = References("none", "oversample")
    return external_sets({**tables_of(study), **changed}, SETTINGS, references, headline, ["none"])


def test_a_gain_that_is_found_elsewhere_and_one_that_is_not_read_differently(study, page):
    north, south = sets_of(study)
    (found,), (lost,) = north.sentences, south.sentences
    assert found.startswith("External test (Northern Hospital): the mean change of arm balanced")
    assert found.endswith("The gain is found there, too.")
    assert lost.startswith("External test (south): ")
    assert lost.endswith("The gain is not shown there: its interval includes no change.")
    # In the answer and in its own section.
    assert page.count(found) == page.count(lost) == 2
    assert sets_of(study, headline=None)[0].sentences == []


@pytest.mark.parametrize(
    ("own", "there", "ending"),
    [
        ((-0.01, 0.02), (0.01, 0.03), "There is a gain in the external set."),
        ((0.01, 0.02), (-0.03, -0.01), "In the external set there is a loss."),
        ((-0.01, 0.02), (-0.01, 0.02), "No change is shown there: its interval includes zero."),
    ],
)
def test_the_other_ways_in_which_two_tests_can_end(study, own, there, ending):
    tables = tables_of(study)
    changed = {}
    for name, reach in (("overall", own), ("external_overall", there)):
        changed[name] = tables[name].assign(low=reach[0], high=reach[1])
    assert sets_of(study, **changed)[0].sentences[0].endswith(ending)


def test_without_an_interval_nothing_is_concluded(study):
    none = tables_of(study)["external_overall"].iloc[:0]
    north = sets_of(study, external_overall=none)[0]
    assert "too few positive patients of each finding" in north.sentences[0]
    assert north.overall is None


def test_every_cell_stands_beside_that_of_the_studys_own_test_set(study):
    summary, external = (tables_of(study)[name] for name in ("summary", "external"))
    for shown in sets_of(study):
        rows = external[external["set"] == shown.name]
        assert len(shown.cells.rows) == len(rows)
        for cells, (_, row) in zip(shown.cells.rows, rows.iterrows(), strict=True):
            home = summary[
                (summary["finding"] == row["finding"])
                & (summary["fraction"] == row["fraction"])
                & (summary["arm"] == row["arm"])
            ].iloc[0]
            assert [cell.sort for cell in cells[:3]] == [
                row["finding"],
                row["fraction"],
                row["arm"],
            ]
            assert (cells[3].sort, cells[4].sort) == (
                home["n_positive_patients"],
                row["n_positive_patients"],
            )
            assert (cells[5].sort, cells[6].sort) == (home["auc"], row["auc"])
            if row["arm"] == "none":
                assert cells[7].text == ""
                continue
            changes = home["change_vs_baseline"], row["change_vs_baseline"]
            assert (cells[7].sort, cells[8].sort) == changes
            verdicts = home["verdict_vs_baseline"], row["verdict_vs_baseline"]
            assert (cells[9].sort, cells[10].sort) == verdicts


def test_a_baseline_at_chance_is_named(study, page):
    assert all(one.at_chance == [] for one in sets_of(study))
    assert "Not above chance" not in page
    table = tables_of(study)["external"]
    table.loc[(table["finding"] == "Pleural Other") & (table["arm"] == "none"), "auc_low"] = 0.49
    assert [one.at_chance for one in sets_of(study, external=table)] == 2 * [["Pleural Other"]]
    # One fraction above chance is enough.
    table.loc[(table["finding"] == "Pleural Other") & (table["fraction"] == 100), "auc_low"] = 0.6
    assert [one.at_chance for one in sets_of(study, external=table)] == [[], []]


def test_the_methods_say_what_a_set_is(study, page):
    text = re.sub(r"\s+", " ", page)
    labels = pd.read_parquet(study.external[0].labels)
    positive = labels[labels["Lung Lesion"] == 1]
    count = f"{len(positive):,}".replace(",", "\u202f")
    assert (
        f"{count} images of {positive['patient'].nunique()} patients with Lung Lesion (there Nodule"
        " or Mass)"
    ) in text
    assert "External test set Northern Hospital (views AP, PA; the images of the publisher" in text
    assert "Uncertain labels counted as negative, blank ones as negative." in text
    assert "Terms of use: CC BY 4.0." in text
    assert "External test set south (views AP, PA; all): " in text
    assert "Terms of use: not stated" in text


def test_the_table_of_counts_has_the_sets_and_no_number_for_what_they_lack(page):
    row = re.search(r"<tr><td data-sort=\"external south\">.*?</tr>", page, re.S)
    assert row is not None
    assert ">–</td>" in row[0]


def test_the_page_of_a_study_without_sets_does_not_speak_of_any(tmp_path):
    study = SimulatedStudy(tmp_path, patients=500, arms=("none", "gan"), seeds=1, fractions=(100,))
    evaluate(**study.evaluate())
    make_report(**study.make_report())
    text = (study.root / "report/index.html").read_text(encoding="utf-8")
    assert "s-external" not in text
    assert "External test" not in text


def test_what_phantoms_taught_is_said_to_be_no_evidence(study):
    own = settings_of(study)
    own["dataset"]["root"] = None
    make_report(**study.make_report(settings=own))
    text = (study.root / "report/index.html").read_text(encoding="utf-8")
    assert "Trained on digital phantoms." in text
    own["dataset"]["root"] = "data"
    make_report(**study.make_report(settings=own))
    text = (study.root / "report/index.html").read_text(encoding="utf-8")
    assert "Trained on digital phantoms." not in text
    # Of a study of patients, too.
    assert "External test sets" in text
