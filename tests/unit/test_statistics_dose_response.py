"""Arms at several doses: the dose is chosen on validation images, and reported on test images."""

import numpy as np
import pandas as pd
import pytest
import simulated_study
from simulated_study import TARGETS, SimulatedStudy
from sklearn.metrics import roc_auc_score

from rarecxr.core.files import written_whole
from rarecxr.statistics.evaluation import evaluate
from rarecxr.study.arms import at_doses
from rarecxr.study.configuration.training import Arm

DOSES = {
    "oversample": {"oversample@0.5": 0.5, "oversample": 2.0},
    "gan": {"gan@0.5": 0.5, "gan@1": 1.0, "gan": 2.0},
}
GAIN = {"gan@0.5": 0.0, "gan@1": 0.06, "gan": 0.02, "oversample@0.5": 0.0, "oversample": 0.0}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        for name, gain in GAIN.items():
            patch.setitem(simulated_study.GAIN, name, gain)
        made = SimulatedStudy(
            tmp_path_factory.mktemp("study"),
            patients=1200,
            expert_patients=10,
            arms=("none", *GAIN),
            seeds=2,
        )
    evaluate(**made.evaluate(doses=DOSES))
    return made


def read(study, name):
    return pd.read_csv(study.root / "report" / f"{name}.csv")


def mean_auc(study, finding, fraction, name, split):
    """The mean AUROC over the runs of one name, from their files by scikit-learn."""
    labels = study.images.set_index("image")[finding]
    found = []
    for run, path in zip(study.runs, study.predictions, strict=True):
        if (run["arm"], run["fraction"]) == (name, fraction):
            table = pd.read_parquet(path).query("split == @split")
            found.append(roc_auc_score(labels[table["image"]], table[finding]))
    assert len(found) == 2
    return np.mean(found)


def test_the_dose_of_a_cell_has_the_best_auroc_on_the_validation_images(study):
    table = read(study, "dose")
    for (finding, fraction, arm), rows in table.groupby(["finding", "fraction", "arm"]):
        assert rows["dose"].tolist() == [0.0, *DOSES[arm].values()]
        validation = {
            dose: mean_auc(study, finding, fraction, name, "val")
            for name, dose in DOSES[arm].items()
        }
        assert rows.query("chosen == 1")["dose"].tolist() == [max(validation, key=validation.get)]
        for row in rows[rows["dose"] > 0].itertuples():
            assert row.val_auc == pytest.approx(validation[row.dose], abs=1e-5)
    # The dose that was made the best is found in most cells.
    assert (table.query("arm == 'gan' and chosen == 1")["dose"] == 1.0).mean() > 0.5


def test_an_arm_is_reported_at_its_chosen_dose(study):
    summary = read(study, "summary")
    assert summary["arm"].unique().tolist() == ["none", "gan", "oversample"]
    chosen = read(study, "dose").query("chosen == 1")
    assert len(chosen) == len(TARGETS) * 2 * len(DOSES)
    for row in chosen.itertuples():
        name = next(name for name, dose in DOSES[row.arm].items() if dose == row.dose)
        expected = mean_auc(study, row.finding, row.fraction, name, "test")
        row_of_summary = summary.query(
            "finding == @row.finding and fraction == @row.fraction and arm == @row.arm"
        ).iloc[0]
        assert row_of_summary["auc"] == pytest.approx(expected, abs=1e-5)
        assert row.auc == pytest.approx(expected, abs=1e-5)
        assert (row.auc_low, row.auc_high) == pytest.approx(
            (row_of_summary["auc_low"], row_of_summary["auc_high"])
        )
        labels = study.images.merge(study.split.query("split == 'val'"), on="patient")
        enough = labels.loc[labels[row.finding] == 1, "patient"].nunique() >= 10
        assert (row.val_auc_low < row.val_auc < row.val_auc_high) == enough


def test_the_curve_begins_with_the_arm_none(study):
    table, summary = read(study, "dose"), read(study, "summary")
    start = table[table["dose"] == 0].merge(
        summary[summary["arm"] == "none"], on=["finding", "fraction"], suffixes=("", "_none")
    )
    assert len(start) == len(TARGETS) * 2 * len(DOSES)
    np.testing.assert_allclose(start["auc"], start["auc_none"])
    assert (start["chosen"] == 0).all()


def test_the_test_images_do_not_choose(study, tmp_path):
    before = read(study, "dose")
    originals = {path: path.read_bytes() for path in study.predictions}
    for path in study.predictions:
        table = pd.read_parquet(path)
        rows = table["split"] == "test"
        table.loc[rows, list(TARGETS)] = -table.loc[rows, list(TARGETS)]
        with written_whole(path) as temporary:
            table.to_parquet(temporary, index=False)
    outputs = {name: tmp_path / f"{name}.csv" for name in study.evaluate()["outputs"]}
    evaluate(**study.evaluate(doses=DOSES, outputs=outputs))
    for path, content in originals.items():
        with written_whole(path) as temporary:
            temporary.write_bytes(content)
    after = pd.read_csv(outputs["dose"])
    assert (after["chosen"] == before["chosen"]).all()
    np.testing.assert_allclose(after["auc"], 1 - before["auc"], atol=1e-5)


def test_findings_that_are_no_target_follow_the_targets_mean(study):
    means = {
        name: np.mean([mean_auc(study, finding, 10, name, "val") for finding in TARGETS])
        for name in DOSES["gan"]
    }
    best = max(means, key=means.get)
    rows = read(study, "auc").query(
        "finding == 'Edema' and fraction == 10 and arm == 'gan' and split == 'test'"
    )
    expected = mean_auc(study, "Edema", 10, best, "test")
    assert rows["auc"].mean() == pytest.approx(expected, abs=1e-5)


def test_without_a_sweep_there_is_no_curve_and_nothing_else_changes(tmp_path):
    made = SimulatedStudy(tmp_path, patients=400, arms=("none", "gan"), seeds=1, fractions=(100,))
    evaluate(**made.evaluate())
    table = read(made, "dose")
    assert table.empty
    assert {"finding", "fraction", "arm", "dose", "chosen", "val_auc", "auc"} <= set(table)


def test_arms_that_add_images_get_a_run_a_dose_and_the_others_none():
    arms = {
        "none": {},
        "standard": {"transforms": "standard"},
        "oversample": {"oversample": True},
        "gan": {"recipe": "plain"},
        "half": {"recipe": "plain", "ratio": 0.5},
    }
    arms = {name: Arm.of(arm) for name, arm in arms.items()}
    definitions, doses = at_doses(arms, [2, 0.5, 1])
    assert doses == {
        "oversample": {"oversample@0.5": 0.5, "oversample@1": 1.0, "oversample": 2.0},
        "gan": {"gan@0.5": 0.5, "gan@1": 1.0, "gan": 2.0},
    }
    assert definitions["gan@0.5"] == Arm.of({"recipe": "plain", "ratio": 0.5})
    # The arm by its own name uses all of the bank, as it does without a sweep.
    assert {name: definitions[name] for name in arms} == arms


@pytest.mark.parametrize("ratio", [2.0, [2.0], {"default": 2.0}, None])
def test_a_single_ratio_is_no_sweep(ratio):
    arms = {"none": {}, "gan": {"recipe": "plain"}}
    assert at_doses(arms, ratio) == (arms, {})
