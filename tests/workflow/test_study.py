"""The tiny study, run end to end: what it made is complete, traceable and free of leaks."""

import json
import os
import shutil
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from house import make_real_images
from sklearn.metrics import roc_auc_score

from rarecxr.bank.bank_file import Bank
from rarecxr.core.files import sha256
from rarecxr.core.provenance import digest_of_images
from rarecxr.core.tensors import read_tensor_file

ARMS = [
    "none",
    "oversample",
    "filtered_gan",
    "balanced_gan",
    "more_real",
    "pretrained_unlabelled",
]
FRACTIONS = [50, 100]


@pytest.fixture(scope="module")
def results(finished):
    return finished.folder / "results/tiny"


def fraction_of(results, fraction):
    order = pd.read_csv(results / "dataset/draw0.csv").sort_values("rank")
    return set(order.patient[: round(fraction / 100 * len(order))])


def test_the_summary_holds_every_cell_and_arm(results):
    summary = pd.read_csv(results / "report/summary.csv")
    wanted = {("Lung Lesion", fraction, arm) for fraction in FRACTIONS for arm in ARMS}
    assert set(zip(summary.finding, summary.fraction, summary.arm, strict=True)) == wanted
    assert summary.auc.between(0, 1).all()


def test_a_reported_auc_is_that_of_predictions_and_labels(results):
    auc = pd.read_csv(results / "report/auc.csv").query("split == 'test'")
    labels = pd.read_parquet(results / "dataset/labels.parquet").set_index("image")
    for fraction in FRACTIONS:
        for arm in ARMS:
            run = results / f"classifier/{arm}/{fraction}/draw0/seed0/predictions.parquet"
            predictions = pd.read_parquet(run).query("split == 'test'").set_index("image")
            for finding in ("Lung Lesion", "Support Devices"):
                row = auc.query(
                    "finding == @finding and fraction == @fraction and arm == @arm and seed == 0"
                )
                expected = roc_auc_score(
                    labels.loc[predictions.index, finding], predictions[finding]
                )
                assert row.auc.item() == pytest.approx(expected, abs=1e-5)


def test_no_patient_is_where_it_must_not_be(results):
    split = pd.read_csv(results / "dataset/split.csv")
    assert split.patient.is_unique
    parts = split.groupby("split").patient.apply(set)
    assert fraction_of(results, 50) < fraction_of(results, 100) == parts["train"]
    for path in (results / "gan").rglob("training_set.h5"):
        fraction = float(path.parts[-4])
        with h5py.File(path) as file:
            patients = set(file["patient"].asstr()[:])
        assert patients
        assert patients <= fraction_of(results, fraction)
    assert len(parts["reserve"]) == 9
    for path in (results / "classifier").rglob("predictions.parquet"):
        predictions = pd.read_parquet(path)
        assert set(predictions.patient).isdisjoint(parts["reserve"])
        for part in ("val", "test", "expert"):
            assert set(predictions.patient[predictions.split == part]) <= parts[part]


def test_the_training_sets_hold_the_positives_and_their_filtered_copies(results):
    labels = pd.read_parquet(results / "dataset/labels.parquet")
    for fraction in FRACTIONS:
        inside = labels[labels.patient.isin(fraction_of(results, fraction))]
        place = results / f"gan/filtered/{fraction}/draw0/lung_lesion/training_set.h5"
        with h5py.File(place) as file:
            images, filters = file["image"].asstr()[:], file["filter"].asstr()[:]
        positive = set(inside.image[inside["Lung Lesion"] == 1])
        for name in ("none", "gaussian", "unsharp", "minimum"):
            assert set(images[filters == name]) == positive
        place = results / f"gan/base/{fraction}/draw0/negatives/training_set.h5"
        with h5py.File(place) as file:
            # A planned finding is none of the negatives' either.
            without = (inside[["Lung Lesion", "Consolidation"]] == 0).all(axis=1)
            assert set(file["image"].asstr()[:]) == set(inside.image[without])


def test_every_arm_makes_the_same_steps_and_sees_each_real_image_in_every_epoch(results):
    runs = pd.read_csv(results / "report/runs.csv")
    assert len(runs) == len(ARMS) * len(FRACTIONS)
    labels = pd.read_parquet(results / "dataset/labels.parquet")
    split = pd.read_csv(results / "dataset/split.csv").set_index("patient")["split"]
    reserve = labels[labels.patient.map(split) == "reserve"]
    for fraction, part in runs.groupby("fraction"):
        part = part.set_index("arm")
        inside = labels[labels.patient.isin(fraction_of(results, fraction))]
        positives = int(inside["Lung Lesion"].sum())
        assert (part.real_images == len(inside)).all()
        # One epoch, as long as that of the arm with two images of either kind a positive.
        assert (part.images_shown == -(-(len(inside) + 4 * positives) // 32) * 32).all()
        assert part.real_passes.min() >= 1
        assert part.real_passes["none"] == pytest.approx(part.images_shown["none"] / len(inside))
        assert part.real_passes.idxmin() == "balanced_gan"
        assert part.synthetic_positives["filtered_gan"] == 2 * positives
        assert (
            part.synthetic_negatives["balanced_gan"] == part.repeated["oversample"] == 2 * positives
        )
        there = int(reserve["Lung Lesion"].sum())
        assert part.wanted["more_real"] == 2 * positives
        assert part.reserve["more_real"] == min(2 * positives, there)


def test_one_network_of_all_training_images_is_where_an_arm_starts_at_every_fraction(results):
    labels = pd.read_parquet(results / "dataset/labels.parquet")
    training = labels.image[labels.patient.isin(fraction_of(results, 100))]
    network = results / "unlabelled/seed0/model.pt"
    told = read_tensor_file(network, "a network")
    assert told["trained_on"] == digest_of_images(training)
    assert (network.parent / "history.csv").exists()
    for fraction in FRACTIONS:
        for arm in ARMS:
            run = results / f"classifier/{arm}/{fraction}/draw0/seed0/predictions.parquet"
            about = pd.read_parquet(run, columns=["image"]).attrs
            own = arm == "pretrained_unlabelled"
            assert about["unlabelled"] == (len(training) if own else 0)
            start = about["provenance"]["inputs"].get("pretrained")
            assert start == (sha256(network) if own else None)


def test_every_bank_is_traced_back_to_the_images(results):
    banks = sorted((results / "bank").rglob("*.h5"))
    assert len(banks) == 4
    for path in banks:
        gan = results / "gan" / path.relative_to(results / "bank").with_suffix("")
        with Bank(path) as bank:
            told = bank.attributes
            assert bank.read(0, 1).shape == (1, 16, 16)
            assert "synthetic" in told["notice"].lower()
        assert told["generator_digest"] == sha256(gan / "generator.pt")
        assert told["training_digest"] == sha256(gan / "training_set.h5")
        metadata = json.loads((gan / "generator.json").read_text(encoding="utf-8"))
        assert metadata["inputs"]["images"] == told["training_digest"]
        with h5py.File(gan / "training_set.h5") as file:
            inputs = json.loads(file.attrs["inputs"])
            real = int(np.sum(file["filter"].asstr()[:] == "none"))
        assert inputs["split"] == sha256(results / "dataset/split.csv")
        if path.stem == "lung_lesion":
            with Bank(path) as bank:
                assert len(bank) == 2 * real
            quality = json.loads(
                path.with_name("lung_lesion_quality.json").read_text(encoding="utf-8")
            )
            assert np.isfinite(quality["sharpness"]["synthetic"])
            table = pd.read_csv(results / "report/quality.csv")
            assert set(table["space"]) == set(quality["spaces"])
        datasheet = path.with_name(f"{path.stem}_datasheet.md").read_text(encoding="utf-8")
        assert sha256(path) in datasheet
        assert sha256(gan / "generator.pt") in datasheet


def test_every_bank_is_judged_by_a_detector_of_its_fraction(results):
    for fraction in FRACTIONS:
        told = json.loads(
            (results / f"bank/filter_leak/{fraction}/draw0.json").read_text(encoding="utf-8")
        )
        banks = {(bank["recipe"], bank["finding"]) for bank in told["banks"]}
        assert banks == {("filtered", "Lung Lesion"), ("base", "negatives")}
        assert set(told["detectors"]) == {"gaussian", "unsharp", "minimum"}
        assert set(told["provenance"]["inputs"].values()) >= {
            sha256(results / f"bank/filtered/{fraction}/draw0/lung_lesion.h5"),
            sha256(results / f"gan/base/{fraction}/draw0/negatives/training_set.h5"),
        }


def test_the_table_and_the_pages_address_are_printed_at_the_end(finished, results):
    output = (finished.folder / "output.txt").read_text(encoding="utf-8")
    assert (results / "report/summary.txt").read_text(encoding="utf-8") in output
    assert "results/tiny/report/index.html" in output


def test_a_run_that_made_something_else_prints_no_table(done):
    results = "results/tiny"
    table = (done.folder / results / "report/summary.txt").read_text(encoding="utf-8")
    output = done.snakemake(f"{results}/dataset/split.csv", "--force")
    assert "split_patients" in output
    assert table not in output
    assert "The report:" not in output


def test_snakemakes_own_report_holds_the_page_and_the_tables(done):
    done.snakemake("--report", "report.zip")
    with zipfile.ZipFile(done.folder / "report.zip") as archive:
        names = archive.namelist()
    for name in (
        "index.html",
        "summary.csv",
        "quality.csv",
        "forest.svg",
        "samples.png",
        "lung_lesion_datasheet.md",
    ):
        assert any(place.endswith(name) for place in names), name


def test_states_stay_until_they_are_cleaned_and_what_is_not_done_keeps_its_own(done):
    state = done.folder / "results/tiny/state"
    kept = done.folder / "results/tiny/gan/base/50/draw0/negatives/generator.json"
    assert len(list(state.rglob("resume_*.pt"))) == 4 + 2 + 1 + 12  # GANs, features, start, runs
    kept.unlink()
    stale = done.stale_jobs()
    done.snakemake("clean_states")
    left = [path.parent for path in state.rglob("resume_*.pt")]
    assert left == [state / "gan/base/50/draw0/negatives"]
    log = (done.folder / "results/tiny/logs/clean_states.log").read_text(encoding="utf-8")
    assert f"kept, there is no {kept.relative_to(done.folder)}" in log
    assert done.stale_jobs() == stale


def test_banks_of_positives_are_held_against_validation_images_without_the_finding(results):
    qualities = sorted(results.glob("bank/*/*/draw0/*_quality.json"))
    assert qualities
    for path in qualities:
        inputs = json.loads(path.read_text(encoding="utf-8"))["provenance"]["inputs"]
        if path.name == "negatives_quality.json":
            assert "negatives" not in inputs
        else:
            assert inputs["negatives"] == sha256(results / "dataset/validation/negatives.h5")


@pytest.mark.long
def test_the_same_study_again_gives_the_same_bytes(finished, results, tmp_path):
    again = finished.copy(tmp_path / "again")
    kept = {}
    for path in sorted((again.folder / "results/tiny").rglob("*")):
        made = path.suffix in (".pt", ".parquet", ".h5", ".png", ".html", ".csv", ".svg")
        if made and "100" in path.parts or path.parent.name == "report" and path.is_file():
            kept[path] = sha256(path)
    # What one fraction is made of is enough, and then the report.
    runs = (again.folder / "results/tiny/classifier").glob("*/100/draw0/seed0/predictions.parquet")
    targets = [str(path.relative_to(again.folder)) for path in runs]
    assert len(targets) == 6
    again.snakemake(*targets, "--forcerun", "make_training_set", "train_classifier")
    again.snakemake("--forcerun", "evaluate")
    # Seconds a thousand images, the only clock in a result.
    assert len(kept) > 30
    changed = [path.name for path, digest in kept.items() if sha256(path) != digest]
    assert set(changed) <= {"training.csv", "index.html"}


@pytest.mark.long
def test_one_conditional_gan_draws_the_banks_of_all_findings_with_real_label_vectors(done):
    done.configure(classifier__arms=["none", "conditional_gan"], dataset__fractions=[100])
    done.snakemake()
    place = "results/tiny/{}/conditional{}/100/draw0/{}"
    with h5py.File(done.folder / place.format("gan", "", "all/training_set.h5")) as file:
        patients = set(file["patient"].asstr()[:])
    assert patients == fraction_of(done.folder / "results/tiny", 100)
    with Bank(done.folder / place.format("bank", "", "lung_lesion.h5")) as bank:
        labels, findings = bank.labels, bank.findings
    assert len(findings) == 14
    assert (labels[:, findings.index("Lung Lesion")] == 1).all()
    table = pd.read_parquet(done.folder / "results/tiny/dataset/labels.parquet")
    real = table[(table["Lung Lesion"] == 1) & table["patient"].isin(patients)]
    known = {tuple(row) for row in real[findings].fillna(0).to_numpy()}
    assert {tuple(row) for row in labels} <= known


@pytest.mark.long
def test_several_draws_and_an_arm_that_pretrains_reach_the_report(done):
    done.configure(
        classifier__arms=["none", "pretrained_gan"],
        classifier__epochs=2,
        dataset__fractions=[100],
        draws=2,
    )
    done.snakemake()
    results = done.folder / "results/tiny"
    summary = pd.read_csv(results / "report/summary.csv").set_index("arm")
    assert set(summary.index) == {"none", "pretrained_gan"}
    assert (summary["draws"] == 2).all()
    auc = pd.read_csv(results / "report/auc.csv").query(
        "finding == 'Lung Lesion' and split == 'test'"
    )
    for arm in summary.index:
        runs = auc[auc["arm"] == arm]
        assert sorted(runs["draw"]) == [0, 1]
        assert summary.loc[arm, "auc"] == pytest.approx(runs["auc"].mean(), abs=1e-5)
    banks = set()
    for draw in (0, 1):
        run = results / f"classifier/pretrained_gan/100/draw{draw}/seed0"
        assert list(pd.read_csv(run / "history.csv")["phase"]) == [
            *("pretrain", "finetune", "finetune")
        ]
        inputs = pd.read_parquet(run / "predictions.parquet").attrs["provenance"]["inputs"]
        banks.add(inputs["bank Lung Lesion"])
        assert inputs["bank Lung Lesion"] == sha256(
            results / f"bank/filtered/100/draw{draw}/lung_lesion.h5"
        )
    assert len(banks) == 2
    page = (results / "report/index.html").read_text(encoding="utf-8")
    assert "pretrained_gan" in page
    looked_at = pd.read_csv(results / "report/leakage.csv").set_index("check")["items"]
    # With one fraction there is nothing to be nested.
    assert (looked_at.drop("nested fractions") > 0).all()


def test_a_bank_holds_its_number_after_selection_and_says_what_was_rejected(results):
    for path in sorted((results / "bank/filtered").rglob("*.h5")):
        with Bank(path) as bank:
            size, told = len(bank), json.loads(bank.attributes["selection"])
            inputs = json.loads(bank.attributes["inputs"])
        assert told["kept"] == size
        assert told["rejected_implausible"] == np.ceil(size / 0.9) - size
        assert inputs["features"] == sha256(results / f"features/{path.parts[-3]}/draw0/model.pt")


def test_a_wrong_setting_stops_before_any_job(house):
    house.configure(dataset__fractions=[0])
    output = house.snakemake(check=False)
    assert "dataset.fractions[0]: got 0; takes a number from 0.01 to 100" in output
    assert not (house.folder / "results").exists()


def test_weights_that_vanished_stop_a_finished_study(done):
    before = (done.folder / "results/tiny/report/index.html").read_bytes()
    done.configure(classifier__weights="nosuch.pth", classifier__epochs=7)
    output = done.snakemake(check=False)
    assert f"classifier.weights: nosuch.pth in {done.folder}" in output
    assert (done.folder / "results/tiny/report/index.html").read_bytes() == before


def test_what_was_hardly_meant_is_said_once_and_runs(house):
    make_real_images(house)
    house.configure(gan__resolution=8, classifier__resolution=32)
    output = house.snakemake("--until", "index_images", "--quiet", "rules")
    assert output.count("classifier.resolution (32) is above gan.resolution (8)") == 1


def test_a_section_that_stands_twice_and_a_second_configfile_flag_are_refused(house):
    lines = (house.folder / "study.yaml").read_text(encoding="utf-8").splitlines()
    first, again = lines.index("gan:") + 1, len(lines) + 1
    with open(house.folder / "study.yaml", "a", encoding="utf-8") as file:
        file.write("gan: {}\n")
    text = f"gan is in line {first} and again in line {again}"
    assert text in house.snakemake(check=False)
    shutil.copy(house.folder / "config/config.yaml", house.folder / "study.yaml")
    twice = ["--configfile", "config/chexpert.yaml"]
    assert "--configfile is given 2 times" in house.snakemake(*twice, check=False)


def test_a_folder_that_is_not_there_is_named(house):
    output = house.snakemake(check=False)
    assert "dataset.root: there is no folder data/Phantom-v1.0-small" in output


def test_no_artifact_names_a_folder_of_this_machine_or_a_variable_of_the_environment(finished):
    """What is passed on must not tell whose machine it was made on."""
    # It ran under another name in the same folder.
    secrets = {str(finished.folder.parent), str(Path.home()), os.environ["PATH"]}
    # A home like / would be found everywhere.
    secrets = [text.encode() for text in secrets if len(text) > 4]
    files = [path for path in (finished.folder / "results").rglob("*") if path.is_file()]
    assert len(files) > 100
    for path in files:
        content = path.read_bytes()
        for secret in secrets:
            assert secret not in content, f"{path.relative_to(finished.folder)}: {secret.decode()}"
