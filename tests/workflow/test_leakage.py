"""Leaks of every kind, planted into the files of the finished tiny study: each is found."""

import json
import shutil
from types import SimpleNamespace

import h5py
import numpy as np
import pandas as pd
import pytest
from hdf5_files import amended

from rarecxr.core.files import digest_file
from rarecxr.data.study_files import StudyFiles
from rarecxr.leakage import check_leakage

REAL = {
    "real": True,
    "recipe": None,
    "negatives": False,
    "reserve": False,
    "unlabelled": False,
}
ARMS = {
    "none": REAL,
    "oversample": REAL,
    "filtered_gan": {**REAL, "recipe": "filtered"},
    "balanced_gan": {**REAL, "recipe": "filtered", "negatives": True},
    "more_real": {**REAL, "reserve": True},
    "pretrained_unlabelled": {**REAL, "unlabelled": True},
}
FRACTIONS = ("50", "100")
SET_OF_50 = "gan/filtered/50/draw0/lung_lesion/training_set.h5"
RESERVE_OF_50 = "classifier/more_real/50/draw0/seed0/predictions.parquet"
RUN_OF_50 = "classifier/balanced_gan/50/draw0/seed0/predictions.parquet"

FEATURES = "features/{}/draw0/model.pt"


def files_of(results):
    """Arguments of `check_leakage` for the tiny study."""
    places = [
        {"recipe": recipe, "fraction": fraction, "draw": 0, "finding": finding}
        for recipe, finding in (("filtered", "Lung Lesion"), ("base", None))
        for fraction in FRACTIONS
    ]
    gans, banks = [], []
    for place in places:
        name = "negatives" if place["finding"] is None else "lung_lesion"
        inside = f"{place['recipe']}/{place['fraction']}/draw0/{name}"
        gan = results / "gan" / inside
        own = {
            "training_set": gan / "training_set.h5",
            "generator": gan / "generator.pt",
            "metadata": gan / "generator.json",
        }
        base = None if place["finding"] is None else place | {"recipe": "base", "finding": None}
        gans.append(place | own | {"parent": base})
        banks.append(place | {"bank": results / "bank" / f"{inside}.h5"})
    runs = [
        {
            **{"arm": arm, "fraction": fraction, "draw": 0, "seed": 0, **added},
            "predictions": results / f"classifier/{arm}/{fraction}/draw0/seed0/predictions.parquet",
        }
        for arm, added in ARMS.items()
        for fraction in FRACTIONS
    ]
    return {
        "files": StudyFiles(
            labels=results / "dataset/labels.parquet",
            split=results / "dataset/split.csv",
            draws=[results / "dataset/draw0.csv"],
            rejected=results / "dataset/pixels_32_rejected.csv",
        ),
        "notes": results / "dataset/pixels_32_notes.csv",
        "gans": gans,
        "validation_sets": sorted((results / "dataset/validation").glob("*.h5")),
        "banks": banks,
        "features": [
            {"fraction": fraction, "draw": 0, "model": results / FEATURES.format(fraction)}
            for fraction in FRACTIONS
        ],
        "pretrainings": [{"seed": 0, "pretrained": results / "unlabelled/seed0/model.pt"}],
        "runs": runs,
        "output": results / "report/leakage_again.csv",
    }


@pytest.fixture
def study(finished, tmp_path):
    """A copy of what the tiny study made, and who is where in it."""
    results = tmp_path / "tiny"
    shutil.copytree(finished.folder / "results/tiny", results)
    # Whoever forges a file on purpose forges its digest.
    for digest in results.rglob(".*.sha256"):
        digest.unlink()
    split = pd.read_csv(results / "dataset/split.csv").set_index("patient")["split"]
    order = pd.read_csv(results / "dataset/draw0.csv").sort_values("rank")["patient"].tolist()
    labels = pd.read_parquet(results / "dataset/labels.parquet")
    return SimpleNamespace(
        results=results,
        split=split,
        inside=order[: round(len(order) / 2)],
        outside=order[round(len(order) / 2) :],
        labels=labels,
        image_of=labels.groupby("patient")["image"].first(),
    )


def swap_image(path, image=None, patient=None):
    """Put another image in the place of a training set's first one."""
    with amended(path) as file:
        for name, value in (("image", image), ("patient", patient)):
            if value is not None:
                values = file[name].asstr()[:].astype(object)
                values[0] = value
                del file[name]
                file[name] = values.tolist()


def a_patient_in_two_splits(study):
    path = study.results / "dataset/split.csv"
    patient = study.split.index[study.split == "train"][0]
    path.write_text(path.read_text(encoding="utf-8") + f"{patient},test\n", encoding="utf-8")
    return "splits: .*1 patients have several rows"


def a_test_patient_in_the_draw(study):
    path = study.results / "dataset/draw0.csv"
    patient = study.split.index[study.split == "test"][0]
    path.write_text(
        path.read_text(encoding="utf-8") + f"{patient},{len(study.inside + study.outside)},0\n",
        encoding="utf-8",
    )
    return f"draws: .*1 patients are not for training, the first is {patient}"


def a_test_image_in_a_training_set(study):
    patient = study.split.index[study.split == "test"][0]
    swap_image(study.results / SET_OF_50, study.image_of[patient], patient)
    return f"training sets: .*1 patients are outside the fraction .*{patient}"


def a_patient_outside_the_fraction_in_a_training_set(study):
    patient = study.outside[0]
    swap_image(study.results / SET_OF_50, study.image_of[patient], patient)
    return f"training sets: .*1 patients are outside the fraction .50 %., the first is {patient}"


def a_test_image_under_a_training_patients_name(study):
    patient = study.split.index[study.split == "test"][0]
    swap_image(study.results / SET_OF_50, image=study.image_of[patient])
    return "training sets: .*1 images are another patient's than it says"


def a_test_image_in_a_validation_set(study):
    patient = study.split.index[study.split == "test"][0]
    swap_image(study.results / "dataset/validation/negatives.h5", study.image_of[patient], patient)
    return "validation sets: .*1 images are of patients who are not for validation"


def a_fraction_that_is_not_nested(study):
    small, large = (
        study.results / f"gan/base/{name}/draw0/negatives/training_set.h5" for name in FRACTIONS
    )
    with h5py.File(small) as one, h5py.File(large) as other:
        shared = set(one["image"].asstr()[:])
        where = np.flatnonzero([image in shared for image in other["image"].asstr()[:]])[0]
    with amended(large) as file:
        for name in ("image", "patient", "filter"):
            values = np.delete(file[name].asstr()[:].astype(object), where)
            del file[name]
            file[name] = values.tolist()
        for name in ("images", "labels"):
            values = np.delete(file[name][:], where, axis=0)
            del file[name]
            file[name] = values
    return "nested fractions: .*1 images of the next smaller fraction are missing"


def a_base_gan_of_another_fraction(study):
    for name in ("generator.pt", "generator.json"):
        place = "gan/base/{}/draw0/negatives/" + name
        shutil.copy(study.results / place.format(100), study.results / place.format(50))
    return "generators: .*filtered/50.*the base GAN that it started from is"


def a_generator_that_saw_more(study):
    for name in ("generator.pt", "generator.json"):
        place = "gan/filtered/{}/draw0/lung_lesion/" + name
        shutil.copy(study.results / place.format(100), study.results / place.format(50))
    return "generators: .*filtered/50.*its training set is"


def a_network_that_saw_more_and_chose_the_checkpoint(study):
    shutil.copy(study.results / FEATURES.format(100), study.results / FEATURES.format(50))
    return "(?s)generators: .*filtered/50.*the network that chose is"


def a_network_of_the_features_that_saw_more(study):
    shutil.copy(study.results / FEATURES.format(100), study.results / FEATURES.format(50))
    return "networks of the features: .*features/50.*what it was trained on is"


def a_bank_of_another_fraction(study):
    place = "bank/filtered/{}/draw0/lung_lesion.h5"
    shutil.copy(study.results / place.format(100), study.results / place.format(50))
    return "banks: .*filtered/50.*its generator is"


def a_classifier_that_saw_more(study):
    shutil.copy(study.results / RUN_OF_50.replace("50", "100"), study.results / RUN_OF_50)
    return "classifiers: .*what it was trained on is"


def a_classifier_with_another_bank(study):
    def change(table):
        table.attrs["provenance"]["inputs"]["bank Lung Lesion"] = "0" * 64

    rewrite(study.results / RUN_OF_50, change)
    return "classifiers: .*its bank Lung Lesion is 000"


def a_real_arm_that_used_a_bank(study):
    path = "classifier/{}/50/draw0/seed0/predictions.parquet"
    shutil.copy(
        study.results / path.format("filtered_gan"), study.results / path.format("oversample")
    )
    return "classifiers: .*oversample.*1 banks do not belong to this arm"


def a_test_image_called_validation(study):
    def change(table):
        table.loc[table.index[table["split"] == "test"][0], "split"] = "val"

    rewrite(study.results / RUN_OF_50, change)
    return "predictions: .*1 images have another split than their patient"


def a_training_image_that_was_tested_on(study):
    def change(table):
        row = table.index[table["split"] == "test"][0]
        table.loc[row, "image"] = study.image_of[study.inside[0]]
        table.loc[row, "patient"] = study.inside[0]

    rewrite(study.results / RUN_OF_50, change)
    return "predictions: .*1 images are of patients that the run was trained on"


def a_reserve_patient(study):
    return study.split.index[study.split == "reserve"][0]


def a_reserve_patient_in_the_draw(study):
    path, patient = study.results / "dataset/draw0.csv", a_reserve_patient(study)
    path.write_text(
        path.read_text(encoding="utf-8") + f"{patient},{len(study.inside + study.outside)},0\n",
        encoding="utf-8",
    )
    return f"(?s)draws: .*not for training.*reserve: .*1 patients were set apart, .*{patient}"


def a_reserve_image_in_a_training_set(study):
    patient = a_reserve_patient(study)
    swap_image(study.results / SET_OF_50, study.image_of[patient], patient)
    return "reserve: .*training_set.h5: 1 images are of patients who were set apart"


def a_reserve_image_in_a_validation_set(study):
    image = study.image_of[a_reserve_patient(study)]
    swap_image(study.results / "dataset/validation/negatives.h5", image)
    return "reserve: .*negatives.h5: 1 images are of patients who were set apart"


def a_reserve_image_that_was_tested_on(study):
    def change(table):
        patient = a_reserve_patient(study)
        row = table.index[table["split"] == "test"][0]
        table.loc[row, ["image", "patient"]] = study.image_of[patient], patient

    rewrite(study.results / RUN_OF_50, change)
    return "reserve: .*balanced_gan.*1 images are of patients who were set apart"


def a_reserve_image_in_another_arm(study):
    def change(table):
        table.attrs["reserve"] = {"Lung Lesion": [study.image_of[a_reserve_patient(study)]]}

    rewrite(study.results / RUN_OF_50, change)
    return "reserve: .*balanced_gan.*1 findings have images of patients who were set apart"


def a_training_image_among_those_of_the_reserve(study):
    def change(table):
        table.attrs["reserve"]["Lung Lesion"][0] = study.image_of[study.outside[0]]

    rewrite(study.results / RESERVE_OF_50, change)
    return "reserve: .*more_real.*1 images added for Lung Lesion are not of patients .* set apart"


def a_reserve_image_that_is_repeated(study):
    def change(table):
        used = table.attrs["reserve"]["Lung Lesion"]
        used.append(used[0])

    rewrite(study.results / RESERVE_OF_50, change)
    return "reserve: .*more_real.*1 images are repeated for Lung Lesion"


def a_reserve_image_without_the_finding(study):
    labels = pd.read_parquet(study.results / "dataset/labels.parquet")
    apart = labels["patient"].map(study.split) == "reserve"
    image = labels.loc[apart & (labels["Lung Lesion"] == 0), "image"].iloc[0]

    def change(table):
        table.attrs["reserve"]["Lung Lesion"][0] = image

    rewrite(study.results / RESERVE_OF_50, change)
    return "reserve: .*more_real.*1 images added for Lung Lesion do not show it"


def a_seed_that_was_trained_with_another_learning_rate(study):
    def change(table):
        table.attrs["provenance"]["settings"]["learning_rate"] = 0.5

    rewrite(study.results / RUN_OF_50, change)
    return "mixtures: .*balanced_gan/50.*settings.learning_rate is 0.5, but .* in .*predictions"


def a_run_of_another_pixel_cache(study):
    def change(table):
        table.attrs["provenance"]["inputs"]["pixels"] = "0" * 64

    rewrite(study.results / RUN_OF_50, change)
    return "mixtures: .*balanced_gan/50.*pixels is .000.*, but "


def a_run_of_another_seed(study):
    def change(table):
        table.attrs["provenance"]["seed"] = 1

    rewrite(study.results / RUN_OF_50, change)
    return "mixtures: .*balanced_gan/50.*seed is 1, where 0 belongs"


def a_gan_of_another_batch(study):
    path = study.results / "gan/filtered/100/draw0/lung_lesion/generator.json"
    about = json.loads(path.read_text(encoding="utf-8"))
    about["settings"]["batch_size"] = 7
    path.write_text(json.dumps(about), encoding="utf-8")
    return "mixtures: .*filtered/100.*settings.batch_size is 7, but .*filtered/50.*generator.json"


def a_training_set_of_another_cache(study):
    with amended(study.results / SET_OF_50) as file:
        file.attrs["pixels"] = "0" * 64
    return "(?s)mixtures: .*filtered/50.*training_set.h5: pixels is .000"


def rewrite(path, change):
    table = pd.read_parquet(path)
    change(table)
    digest_file(path).unlink(missing_ok=True)
    table.to_parquet(path, index=False)


LEAKS = [
    a_patient_in_two_splits,
    a_test_patient_in_the_draw,
    a_test_image_in_a_training_set,
    a_patient_outside_the_fraction_in_a_training_set,
    a_test_image_under_a_training_patients_name,
    a_test_image_in_a_validation_set,
    a_fraction_that_is_not_nested,
    a_base_gan_of_another_fraction,
    a_generator_that_saw_more,
    a_network_that_saw_more_and_chose_the_checkpoint,
    a_network_of_the_features_that_saw_more,
    a_bank_of_another_fraction,
    a_classifier_that_saw_more,
    a_classifier_with_another_bank,
    a_real_arm_that_used_a_bank,
    a_test_image_called_validation,
    a_training_image_that_was_tested_on,
    a_reserve_patient_in_the_draw,
    a_reserve_image_in_a_training_set,
    a_reserve_image_in_a_validation_set,
    a_reserve_image_that_was_tested_on,
    a_reserve_image_in_another_arm,
    a_training_image_among_those_of_the_reserve,
    a_reserve_image_that_is_repeated,
    a_reserve_image_without_the_finding,
    a_seed_that_was_trained_with_another_learning_rate,
    a_run_of_another_pixel_cache,
    a_run_of_another_seed,
    a_gan_of_another_batch,
    a_training_set_of_another_cache,
]


@pytest.mark.parametrize("plant", LEAKS, ids=[plant.__name__ for plant in LEAKS])
def test_a_planted_leak_is_found(study, plant):
    message = plant(study)
    arguments = files_of(study.results)
    with pytest.raises(ValueError, match=message):
        check_leakage(**arguments)
    assert not arguments["output"].exists()


def test_the_study_itself_has_none_and_says_what_was_looked_at(study):
    check_leakage(**files_of(study.results))
    again = (study.results / "report/leakage_again.csv").read_text(encoding="utf-8")
    assert again == (study.results / "report/leakage.csv").read_text(encoding="utf-8")
    table = pd.read_csv(study.results / "report/leakage.csv").set_index("check")
    assert table.loc["splits", "items"] == len(study.split)
    assert table.loc["draws", "items"] == (study.split == "train").sum()
    assert table.loc["predictions", "files"] == len(ARMS) * len(FRACTIONS)
    # It has no external test set.
    outside = table.index.str.startswith("external")
    assert (table["items"] > 0).tolist() == (~outside).tolist()


def test_a_picture_in_two_splits_is_noted_and_counted_and_no_leak(study):
    """Decoded pixels that are equal under a training and a test patient, as two files."""
    image = {
        name: study.image_of[study.split.index[study.split == name]].tolist()
        for name in ("train", "test")
    }
    pairs = [
        (image["train"][0], image["test"][0]),
        # Of one split: odd, and of no use to a classifier.
        (image["test"][1], image["test"][2]),
    ]
    rows = [row for one, other in pairs for row in ((one, other), (other, one))]
    path = study.results / "dataset/pixels_32_notes.csv"
    text = "".join(f"{row[0]},0,same pixels under another patient,as {row[1]}\n" for row in rows)
    path.write_text(f"image,row,note,detail\n{text}", encoding="utf-8")
    check_leakage(**files_of(study.results))
    table = pd.read_csv(study.results / "report/leakage_again.csv").set_index("check")
    assert table.loc["copies", "noted"] == 2
    assert table["noted"].sum() == 2
    assert table.loc["copies", "items"] == len(study.labels)


def test_nothing_is_published_of_a_study_that_leaks(done):
    study = SimpleNamespace(results=done.folder / "results/tiny")
    a_test_image_called_validation(study)
    output = done.snakemake(check=False)
    assert "the study leaks, so that nothing is published" in output
    assert not (done.folder / "results/tiny/report/leakage.csv").exists()
    assert {"evaluate", "make_report"} < done.stale_rules()
