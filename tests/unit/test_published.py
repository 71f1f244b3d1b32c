from pathlib import Path

import pandas as pd
import pytest

from rarecxr.report.published import REAL, SYNTHETIC, comparison, read_published
from rarecxr.statistics.comparisons import BASELINE, change_column

PUBLISHED = Path(__file__).parents[2] / "config/published.csv"
TARGETS = ["Lung Lesion", "Pleural Other", "Fracture"]


@pytest.fixture
def summary():
    rows = [
        {"finding": finding, "fraction": fraction, "arm": arm, "auc": auc}
        for finding in TARGETS
        for fraction in (1, 10, 100)
        for arm, auc in (("none", 0.70), ("balanced_gan", 0.74))
    ]
    table = pd.DataFrame(rows)
    for part, add in (("", 0), ("low", -0.01), ("high", 0.01)):
        table[change_column(BASELINE, part)] = table["auc"] - 0.70 + add
    return table


def test_published_changes_are_those_of_the_published_tables():
    table = read_published(PUBLISHED).set_index(["fraction", "trained_on", "finding"]).sort_index()
    printed = table.loc[(10, SYNTHETIC), "as_printed"] - table.loc[(10, REAL), "as_printed"]
    # The published study's table prints changes of .024, .042 and .036.
    assert printed[TARGETS].round(3).tolist() == [0.024, 0.042, 0.036]
    by_column = table.loc[(10, SYNTHETIC), "by_column"] - table.loc[(10, REAL), "by_column"]
    assert by_column[TARGETS].round(3).tolist() == [0.008, 0.044, 0.048]


def test_every_published_value_has_a_source():
    table = read_published(PUBLISHED)
    assert table["source"].str.len().min() > 20
    assert set(table["finding"]) == set(TARGETS)


def test_comparison_sets_ours_beside_theirs(summary):
    table = comparison(summary, read_published(PUBLISHED), "balanced_gan", "none")
    assert len(table) == 9
    table = table.set_index(["finding", "fraction"])
    row = table.loc["Fracture", 10]
    assert row["as_printed_real"] == 0.722472
    assert row["by_column_synthetic"] == 0.715451
    assert row["by_column_change"] == pytest.approx(0.048484)
    assert row["change"] == pytest.approx(0.04)
    assert row["larger"] == pytest.approx(0.04 - 0.048484)
    # By column, not as printed: there the published change of Lung Lesion is smaller than ours.
    assert table.loc[("Lung Lesion", 10), "larger"] == pytest.approx(0.04 - 0.007664)


def test_no_change_is_made_of_values_of_two_studies_or_of_none(summary):
    table = comparison(summary, read_published(PUBLISHED), "balanced_gan", "none")
    table = table.set_index(["finding", "fraction"])
    full = table.xs(100, level="fraction")
    assert full["by_column_real"].notna().all()
    assert full["by_column_synthetic"].notna().all()
    assert full[["by_column_change", "as_printed_change", "larger"]].isna().all(axis=None)
    assert (
        table.xs(1, level="fraction")[["as_printed_real", "by_column_synthetic"]]
        .isna()
        .all(axis=None)
    )


def test_a_study_without_a_gan_keeps_the_published_side(summary):
    table = comparison(summary[summary["arm"] == "none"], read_published(PUBLISHED), None, "none")
    assert table["ours_real"].notna().all()
    assert table[["ours_synthetic", "change", "larger"]].isna().all(axis=None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.rename(columns={"by_column": "column"}), "columns are"),
        (lambda t: t.replace("Fracture", "Fraktur"), "line 4: no finding 'Fraktur'"),
        (lambda t: t.replace("real", "none"), "line 2: trained_on is 'none'; takes 'real'"),
        (lambda t: t.assign(by_column=t["by_column"].replace(0.715451, 71.5)), "line 7: by_column"),
        (lambda t: pd.concat([t, t.iloc[[2]]]), "line 14: this row occurs twice"),
    ],
)
def test_a_table_that_cannot_be_right_is_refused(tmp_path, change, message):
    change(pd.read_csv(PUBLISHED)).to_csv(tmp_path / "published.csv", index=False)
    with pytest.raises(ValueError, match=message):
        read_published(tmp_path / "published.csv")
