"""External test sets are evaluated as the study's own test set is, each by itself."""

import numpy as np
import pandas as pd
import pytest
from simulated_study import GAIN, TARGETS, SimulatedStudy
from sklearn.metrics import roc_auc_score

from rarecxr.classifier.prediction_file import write_predictions
from rarecxr.statistics.evaluation import evaluate
from rarecxr.statistics.test_sets import set_of, split_of
from rarecxr.study.findings import FINDINGS

ARMS = ("none", "oversample", "balanced_gan")


def read(study, name):
    return pd.read_csv(study.root / "report" / f"{name}.csv")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A gain of 0.03 at home, of 0.06 at one hospital, and of none at another."""
    root = tmp_path_factory.mktemp("study")
    made = SimulatedStudy(root, patients=1200, expert_patients=40, arms=ARMS, seeds=3)
    made.add_external("north", 1500, gain=GAIN | {"balanced_gan": 0.06}, seed=3)
    made.add_external("south", 700, lacks=["Fracture", "Edema"], gain=dict.fromkeys(ARMS, 0.0))
    evaluate(**made.evaluate())
    return made


def test_every_auroc_is_that_of_its_file(study):
    auc = read(study, "auc")
    for files in study.external:
        labels = pd.read_parquet(files.labels).set_index("image")
        for run, path in list(zip(study.runs, files.predictions, strict=True))[::5]:
            table = pd.read_parquet(path).set_index("image")
            truth = labels.loc[table.index, "Lung Lesion"]
            row = auc[(auc["finding"] == "Lung Lesion") & (auc["split"] == split_of(files.name))]
            for name, value in run.items():
                row = row[row[name] == value]
            expected = roc_auc_score(truth, table["Lung Lesion"])
            assert row["auc"].tolist() == [pytest.approx(expected, abs=1e-5)]
            assert row["n_positive"].tolist() == [truth.sum()]


def test_a_gain_that_does_not_survive_another_hospital_is_not_reported_there(study):
    overall = read(study, "external_overall").set_index(["set", "arm", "role"])
    north = overall.loc["north", "balanced_gan", "baseline"]
    south = overall.loc["south", "balanced_gan", "baseline"]
    assert north["low"] < 0.06 < north["high"]
    assert north["low"] > 0.03
    assert south["low"] < 0 < south["high"]
    table = read(study, "external")
    gained = table[table["arm"] == "balanced_gan"].groupby("set")["verdict_vs_baseline"]
    assert (gained.get_group("north") == "better").any()
    assert not (gained.get_group("south") == "better").any()


def test_a_set_has_rows_for_the_findings_that_it_has_alone(study):
    table = read(study, "external")
    cells = len(study.fractions) * len(ARMS)
    assert table["set"].value_counts().to_dict() == {"north": 3 * cells, "south": 2 * cells}
    assert set(table.loc[table["set"] == "south", "finding"]) == set(TARGETS) - {"Fracture"}
    assert "Edema" not in set(read(study, "auc").query("split == 'external south'")["finding"])
    # Everything else as in the table of the study's own test set.
    assert list(table.columns) == ["set", *read(study, "summary").columns]
    assert list(read(study, "external_subgroups").columns[1:]) == list(
        read(study, "subgroups").columns
    )


def test_p_values_are_corrected_for_the_cells_of_the_set_alone(study):
    table = read(study, "external").query("arm == 'balanced_gan'")
    for _, rows in table.groupby("set"):
        smallest = rows.loc[rows["change_vs_baseline_p"].idxmin()]
        expected = min(1, len(rows) * smallest["change_vs_baseline_p"])
        assert smallest["change_vs_baseline_p_holm"] == pytest.approx(expected, rel=1e-4)


def test_the_studys_own_tables_do_not_change_with_an_external_set(study, tmp_path):
    names = ("summary", "overall", "expert", "curves", "subgroups", "calibration", "worth")
    outputs = {name: tmp_path / f"{name}.csv" for name in study.evaluate()["outputs"]}
    evaluate(**study.evaluate(external=[], outputs=outputs))
    for name in names:
        own = study.root / "report" / f"{name}.csv"
        assert own.read_bytes() == outputs[name].read_bytes(), name
    empty = pd.read_csv(outputs["external"])
    assert len(empty) == 0
    assert list(empty.columns) == list(read(study, "external").columns)


def test_a_set_is_counted_with_its_patients(study):
    counts, patients = read(study, "counts"), read(study, "patients")
    labels = pd.read_parquet(study.external[1].labels)
    rows = counts[counts["split"] == "external south"].set_index("finding")
    assert rows.loc["Pleural Other", "n_positive"] == (labels["Pleural Other"] == 1).sum()
    assert set(rows["patients"]) == {700}
    assert "Fracture" not in rows.index
    row = patients[patients["split"] == "external south"].iloc[0]
    assert (row["patients"], row["images"]) == (700, len(labels))
    people = labels.drop_duplicates("patient")
    assert row["n_female"] == (people["sex"] == "Female").sum()
    sources = read(study, "sources")
    assert sources["path"].str.endswith("external_south.parquet").sum() == len(study.runs)


def test_few_positive_patients_give_no_interval_and_the_reason(tmp_path):
    study = SimulatedStudy(tmp_path, patients=500, arms=("none", "gan"), seeds=1, fractions=(100,))
    study.add_external("small", 30)
    evaluate(**study.evaluate())
    table = read(study, "external")
    few = table[table["n_positive_patients"] < 10]
    assert len(few) > 0
    assert few["auc_low"].isna().all()
    assert set(few.loc[few["arm"] == "gan", "verdict_vs_baseline"]) == {"too few positives"}


def test_the_dose_is_the_one_that_the_studys_own_validation_chose(tmp_path, monkeypatch):
    doses = {"gan@1": 0.0, "gan@2": 0.02}
    for arm, gain in doses.items():
        monkeypatch.setitem(GAIN, arm, gain)
    arms = ("none", *doses)
    study = SimulatedStudy(tmp_path, patients=1500, arms=arms, seeds=2, fractions=(100,))
    study.add_external("north", 800, lacks=["Edema"], gain=dict.fromkeys(arms, 0.0))
    evaluate(**study.evaluate(doses={"gan": {"gan@1": 1.0, "gan@2": 2.0}}, control=None))
    dose = read(study, "dose")
    assert set(read(study, "external")["arm"]) == {"none", "gan"}
    auc = read(study, "auc").query("arm == 'gan' and split == 'external north'")
    for finding in TARGETS:
        chosen = dose.query("finding == @finding and chosen == 1 and dose > 0")["dose"].item()
        paths = [
            path
            for run, path in zip(study.runs, study.external[0].predictions, strict=True)
            if run["arm"] == f"gan@{chosen:g}"
        ]
        labels = pd.read_parquet(study.external[0].labels).set_index("image")[finding]
        expected = []
        for path in paths:
            table = pd.read_parquet(path).set_index("image")
            expected.append(roc_auc_score(labels.loc[table.index], table[finding]))
        found = auc[auc["finding"] == finding]["auc"]
        np.testing.assert_allclose(sorted(found), sorted(expected), atol=1e-5)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda table: table.iloc[:-2], "2 images without a prediction"),
        (lambda table: table.assign(split="test"), "has split test, the study says external"),
        (lambda table: table.assign(Hernia=np.float32(0)), r"unknown: \['Hernia'\]"),
        (lambda table: table.drop(columns="Fracture"), r"columns missing: \['Fracture'\]"),
    ],
)
def test_predictions_of_other_images_or_findings_are_refused(tmp_path, spoil, message):
    study = SimulatedStudy(tmp_path, patients=300, arms=("none",), seeds=1, fractions=(100,))
    path = study.add_external("north", 40).predictions[0]
    table = spoil(pd.read_parquet(path))
    findings = [name for name in table if name in (*FINDINGS, "Hernia")]
    write_predictions(path, table, table[findings].to_numpy(), findings, {})
    with pytest.raises(ValueError, match=message):
        evaluate(**study.evaluate(control=None))


def test_an_image_in_two_rows_of_the_labels_is_refused(tmp_path):
    study = SimulatedStudy(tmp_path, patients=300, arms=("none",), seeds=1, fractions=(100,))
    path = study.add_external("north", 40).labels
    table = pd.read_parquet(path)
    pd.concat([table, table.iloc[:1]]).to_parquet(path, index=False)
    with pytest.raises(ValueError, match="has 2 rows; one is allowed"):
        evaluate(**study.evaluate(control=None))


def test_names_of_sets_and_parts_of_the_study_do_not_mix():
    assert set_of(split_of("test")) == "test"
    assert [set_of(split) for split in ("test", "expert", "val", "external")] == [""] * 4
