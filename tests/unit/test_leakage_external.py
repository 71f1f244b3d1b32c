"""The leak check of external test sets and of what the runs predict for them."""

import numpy as np
import pandas as pd
import pytest

from rarecxr.classifier.prediction_file import EXTERNAL, write_predictions
from rarecxr.core.files import sha256
from rarecxr.core.provenance import digest_of_images
from rarecxr.core.tensors import read_tensor_file, to_bytes
from rarecxr.data.file_digests import digest_of_files
from rarecxr.data.image_file import write_image_file
from rarecxr.data.study_files import ExternalFiles, StudyFiles
from rarecxr.leakage import check_leakage

SPLITS = ("train", "val", "reserve", "test", "expert", "unused")
OWN = [f"own{number}.png" for number in range(len(SPLITS))]
OTHERS = [f"other{number}.png" for number in range(4)]
CELL = {"fraction": "100", "draw": 0}


def pixels_of(images):
    """A picture (8, 8) of its own for each name; of the first of the others, nothing."""
    return np.stack(
        [
            np.random.default_rng([len(name), int(name[-5])]).integers(0, 256, (8, 8))
            for name in images
        ]
    ).astype(np.uint8)


def write_cache(path, images, pixels=None, digests=None):
    columns = {
        "image": list(images),
        "digest": list(digests or [f"file of {name}" for name in images]),
    }
    chosen = pixels_of(images) if pixels is None else pixels
    write_image_file(path, [chosen], len(images), 8, columns)


def provenance(seed):
    return {"inputs": {}, "settings": {"fraction": 100.0, "draw": 0}, "seed": seed, "study": "s"}


class Study:
    """Two runs of a study of one patient a split, and a set of four images of two patients.

    The patient of an external image may be called as one of the study's own.
    """

    def __init__(self, folder):
        self.folder = folder
        self.files = StudyFiles(
            *(folder / name for name in ("labels.parquet", "split.csv")),
            [folder / "draw0.csv"],
            folder / "rejected.csv",
        )
        patients = [f"patient{number}" for number in range(len(SPLITS))]
        pd.DataFrame({"image": OWN, "patient": patients}).to_parquet(self.files.labels)
        pd.DataFrame({"patient": patients, "split": SPLITS}).to_csv(self.files.split, index=False)
        pd.DataFrame({"patient": patients[:1], "rank": 0, "minimum": 0}).to_csv(
            self.files.draws[0], index=False
        )
        pd.DataFrame({"image": [], "patient": []}).to_csv(self.files.rejected, index=False)
        notes = pd.DataFrame({"image": [], "row": [], "note": [], "detail": []})
        notes.to_csv(folder / "notes.csv", index=False)
        self.pixels = folder / "pixels.h5"
        write_cache(self.pixels, OWN)
        self.models = [folder / f"model{seed}.pt" for seed in (0, 1)]
        self.runs = []
        inputs = {"labels": self.files.labels, "split": self.files.split}
        inputs |= {"draw": self.files.draws[0]}
        for seed, model in enumerate(self.models):
            origin = provenance(seed)
            origin["inputs"] = {name: sha256(path) for name, path in inputs.items()}
            model.write_bytes(to_bytes({"provenance": origin, "weights": seed}))
            judged = pd.DataFrame({"image": OWN[3:4], "patient": "patient3", "split": "test"})
            judged.attrs = {"trained_on": digest_of_images(OWN[:1]), "provenance": origin}
            path = folder / f"predictions{seed}.parquet"
            judged.to_parquet(path)
            kind = {"arm": "none", "real": True, "recipe": None, "negatives": False}
            self.runs.append(
                {**kind, **CELL, "seed": seed, "reserve": False, "unlabelled": False}
                | {"predictions": path}
            )
        self.external = ExternalFiles(
            "north",
            folder / "north_labels.parquet",
            folder / "north.h5",
            folder / "north_rejected.csv",
            [folder / f"external{seed}.parquet" for seed in (0, 1)],
        )
        labels = pd.DataFrame({"image": OTHERS, "patient": ["patient0"] * 2 + ["patient9"] * 2})
        labels.to_parquet(self.external.labels)
        write_cache(self.external.pixels, OTHERS)
        for seed in (0, 1):
            self.predict(seed)

    def predict(self, seed, model=None, name="north", images=None, digests=None, **settings):
        """Write what a run predicts for the set."""
        table = pd.read_parquet(self.external.labels) if images is None else images
        origin = provenance(seed)
        origin["settings"] |= settings
        files = digests or [f"file of {one}" for one in OTHERS]
        origin["inputs"] = {
            "model": sha256(model or self.models[seed]),
            "pixels": digest_of_files(OTHERS, files),
        }
        about = {"provenance": origin, "external": name}
        logits = np.zeros((len(table), 1), np.float32)
        rows = table.assign(split=EXTERNAL)
        write_predictions(self.external.predictions[seed], rows, logits, ["Edema"], about)

    def check(self):
        return self.looked(external=[self.external], pixels=self.pixels, models=self.models)

    def looked(self, **external):
        empty = ("gans", "validation_sets", "banks", "features", "pretrainings")
        check_leakage(
            files=self.files,
            notes=self.folder / "notes.csv",
            **{name: [] for name in empty},
            runs=self.runs,
            output=self.folder / "leakage.csv",
            **external,
        )
        return pd.read_csv(self.folder / "leakage.csv").set_index("check")

    def refused(self, message):
        with pytest.raises(ValueError, match=message):
            self.check()


@pytest.fixture
def study(tmp_path):
    return Study(tmp_path)


def test_a_set_of_other_images_is_no_leak(study):
    looked = study.check()
    assert looked.loc["external images", ["files", "items", "noted"]].tolist() == [1, 4, 0]
    assert looked.loc["external predictions", "files"] == 2
    assert looked.loc["external predictions", "items"] > 2 * 4
    # Nothing external is among what was compared before.
    assert looked.loc["mixtures", "files"] == 4


def test_a_study_without_sets_has_nothing_to_look_at(study):
    looked = study.looked()
    assert looked.loc["external images", "files"] == 0


@pytest.mark.parametrize("number", range(len(SPLITS)), ids=SPLITS)
def test_an_image_that_was_learned_from_is_found_by_its_file(study, number):
    digests = [f"file of {OWN[number]}", *(f"file of {name}" for name in OTHERS[1:])]
    write_cache(study.external.pixels, OTHERS, digests=digests)
    for seed in (0, 1):
        study.predict(seed, digests=digests)
    if SPLITS[number] in ("train", "val", "reserve"):
        study.refused(
            rf"external images: .*north\.h5: 1 images of north are files of images that the study "
            rf"learns from .*, the first is other0\.png, which is {OWN[number]}"
        )
    else:
        study.check()


@pytest.mark.parametrize("number", range(len(SPLITS)), ids=SPLITS)
def test_an_image_that_was_learned_from_is_found_by_its_pixels(study, number):
    pixels = np.concatenate([pixels_of(OWN[number : number + 1]), pixels_of(OTHERS[1:])])
    write_cache(study.external.pixels, OTHERS, pixels)
    if SPLITS[number] in ("train", "val", "reserve"):
        study.refused(r"external images: .*1 images of north have the pixels .* is other0\.png")
    else:
        study.check()


def test_pictures_of_nothing_are_noted(study):
    blank = np.zeros((1, 8, 8), np.uint8)
    write_cache(study.pixels, OWN, np.concatenate([blank, pixels_of(OWN[1:])]))
    write_cache(study.external.pixels, OTHERS, np.concatenate([blank, pixels_of(OTHERS[1:])]))
    assert study.check().loc["external images", "noted"] == 1


def test_predictions_of_another_network_are_found(study):
    study.predict(1, model=study.models[0])
    study.refused(r"external predictions: .*external1\.parquet: its network is")


def test_a_network_that_is_not_the_runs_own_is_found(study):
    told = read_tensor_file(study.models[1], "a network")
    told["provenance"]["settings"]["learning_rate"] = 0.5
    study.models[1].write_bytes(to_bytes(told))
    study.predict(1)
    study.refused(r"external1\.parquet: what its network says of its training is")


def test_predictions_for_another_set_are_found(study):
    study.predict(0, name="south")
    study.refused(r"external0\.parquet: its external test set is south, not north")


def test_predictions_for_other_image_files_are_found(study):
    write_cache(study.external.pixels, OTHERS, digests=["a", "b", "c", "d"])
    study.refused(r"external0\.parquet: what it was made from, by the image files, is")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.iloc[1:], r"1 images of .* are not predicted, the first is other0\.png"),
        (
            lambda t: t.assign(image=[*OTHERS[:3], "else.png"]),
            r"1 images have no label in .*, the first is else\.png",
        ),
        (
            lambda t: t.assign(patient="patient9"),
            r"2 images have another patient than in the labels, the first is other0\.png",
        ),
        (lambda t: pd.concat([t, t.iloc[:1]]), r"1 images are predicted twice"),
    ],
)
def test_predictions_of_other_images_than_the_labels_are_found(study, change, message):
    study.predict(0, images=change(pd.read_parquet(study.external.labels)))
    study.refused(rf"external predictions: .*external0\.parquet: {message}")


def test_predictions_at_another_size_are_a_mixture(study):
    for seed, size in ((0, 32), (1, 64)):
        study.predict(seed, resolution=size)
    study.refused(r"mixes results .*\n.*settings\.resolution is (32|64)")


def test_predictions_that_say_they_are_of_another_run_are_found(study):
    study.predict(0, draw=1)
    study.refused(r"mixtures: .*external0\.parquet: settings\.draw is 1, where 0 belongs")
