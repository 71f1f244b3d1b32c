"""Which images enter a bank: near-copies and implausible ones are left out, and it is said why."""

import json

import h5py
import numpy as np
import pytest
import torch
from classifier_files import make_study, run
from gan_files import arguments, write_training_set
from scipy.spatial.distance import cdist

from rarecxr.bank.bank_file import Bank
from rarecxr.bank.generate import make_bank
from rarecxr.bank.selection import (
    COPY,
    IMPLAUSIBLE,
    KEPT,
    NOT_NEEDED,
    Copies,
    Plausibility,
    judge,
)
from rarecxr.classifier.prediction import predict
from rarecxr.gan.training import train

SELECT = {"space": "pixels", "copies": 1.0, "implausible": 0.0, "max_candidates": 4}


def as_features(images):
    """The pixels themselves."""
    return images.reshape(len(images), -1).astype(np.float64)


def grey(*levels):
    """Images of 4 x 4 pixels of one grey level each."""
    return np.array(levels, np.uint8)[:, None, None] * np.ones((1, 4, 4), np.uint8)


def copies_of(levels, patients, real, percentile=0):
    return Copies(
        as_features, grey(*levels), np.array(patients), np.array(real, bool), percentile=percentile
    )


def test_the_threshold_is_the_distance_of_real_images_of_two_patients():
    # The two images of patient a are 1 apart (4 in all, over 16 pixels), those of a and b 20; the
    # filtered copy of b is no real image.
    copies = copies_of([100, 101, 121, 124], ["a", "a", "b", "b"], [1, 1, 1, 0])
    assert copies.threshold == pytest.approx(4 * 20)
    distance, nearest = copies.of(grey(102, 125, 0))
    assert distance == pytest.approx([4 * 1, 4 * 1, 4 * 100])
    # Nearness to a filtered copy counts, too.
    assert nearest.tolist() == [1, 3, 0]


def test_the_threshold_is_a_percentile_of_the_distances():
    copies = copies_of([0, 10, 30, 70], ["a", "b", "c", "d"], [1, 1, 1, 1], percentile=50)
    # Nearest others are 10, 10, 20 and 40 away.
    assert copies.threshold == pytest.approx(4 * 15)


def test_a_single_patient_gives_no_threshold_and_nothing_is_a_copy():
    copies = copies_of([100, 130], ["a", "a"], [1, 1])
    judged = judge([grey(100, 101)], 2, copies, None, 0.0)
    assert copies.threshold is None
    assert judged.fate.tolist() == [KEPT, KEPT]


def test_copies_are_replaced_and_the_least_plausible_left_out():
    copies = copies_of([100, 120], ["a", "b"], [1, 1])  # nearer than 20 to either is a copy
    batches = [grey(0, 101, 10), grey(20, 30, 119), grey(40, 200, 210)]
    # Four are wanted, and a third of those that are no copies is left out: six are needed.
    judged = judge(batches, 4, copies, lambda images: -images[:, 0, 0].astype(np.float32), 1 / 3)
    fates = [KEPT, COPY, KEPT, KEPT, KEPT, COPY, IMPLAUSIBLE, IMPLAUSIBLE, NOT_NEEDED]
    assert judged.fate.tolist() == fates
    assert judged.plausibility.tolist() == [0, -101, -10, -20, -30, -119, -40, -200, -210]
    assert judged.counts() == {
        "candidates": 9,
        "kept": 4,
        "rejected_copies": 2,
        "rejected_implausible": 2,
        "not_needed": 1,
        "threshold": 80.0,
    }


def test_no_more_is_drawn_than_is_needed():
    def batches():
        yield grey(0, 10)
        yield grey(20, 30)
        raise AssertionError("the bank was full")

    assert judge(batches(), 4, None, None, 0.0).fate.tolist() == [KEPT] * 4


def test_a_generator_that_copies_is_told_so():
    copies = copies_of([100, 120], ["a", "b"], [1, 1])
    message = r"4 images were drawn for a bank of 2, which needs 2, and 3 of them are near-copies"
    with pytest.raises(ValueError, match=message):
        judge([grey(100, 101, 102, 250)], 2, copies, None, 0.0)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A folder with a training set of ten patients and a generator."""
    folder = tmp_path_factory.mktemp("study")
    images = write_training_set(folder / "training_set.h5", count=20, side=32)
    train(**arguments(images, folder, resolution=32, final_kimg=0.02))
    return folder


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    folder = tmp_path_factory.mktemp("classifier")
    return run(make_study(folder / "study", patients=30), folder / "run", epochs=1)["model"]


def bank(study, path, **changes):
    keywords = {
        "generator": study / "generator.pt",
        "training_set": study / "training_set.h5",
        "bank": path,
        "number": 24,
        "batch_size": 8,
        "seed": 5,
        "study": "test",
        "finding": "Lung Lesion",
        "recipe": "plain",
        "fraction": 10.0,
        "draw": 0,
        "threads": 1,
        "device": "cpu",
    }
    make_bank(**(keywords | changes))
    return path


def images_of(path):
    with Bank(path) as source:
        return source.read()


def candidates_of(path):
    with h5py.File(path) as file:
        return {name: values[:] for name, values in file["candidates"].items()}


def at_16(images):
    """The feature space `pixels` by hand: the mean of each 2 x 2 pixels, in [-1, 1]."""
    means = images.reshape(len(images), 16, 2, 16, 2).mean(axis=(2, 4))
    return (means / 127.5 - 1).reshape(len(images), -1)


def test_a_bank_holds_the_candidates_that_are_no_copies_and_says_what_became_of_all(
    study, tmp_path
):
    # All images that may be drawn, and a percentile that takes about half of them for copies.
    every = images_of(bank(study, tmp_path / "all.h5", number=96))
    with h5py.File(study / "training_set.h5") as file:
        training, patients = file["images"][:], file["patient"].asstr()[:]
    distance = cdist(at_16(every), at_16(training)).min(axis=1)
    between = cdist(at_16(training), at_16(training))
    between[patients[:, None] == patients] = np.inf
    own = between.min(axis=1)
    percentile = float((own < np.median(distance)).mean() * 100)
    threshold = np.percentile(own, percentile)

    path = bank(study, tmp_path / "bank.h5", select=SELECT | {"copies": percentile})
    told = candidates_of(path)
    seen = len(told["fate"])
    np.testing.assert_allclose(told["distance"], distance[:seen], rtol=1e-4)
    fresh = np.flatnonzero(distance >= threshold)[:24]
    np.testing.assert_array_equal(np.flatnonzero(told["fate"] == KEPT), fresh)
    np.testing.assert_array_equal(images_of(path), every[fresh])
    with Bank(path) as source:
        selection = json.loads(source.attributes["selection"])
    assert selection["copies"] == percentile
    assert selection["rejected_copies"] == (told["fate"] == COPY).sum() > 0
    assert selection["threshold"] == pytest.approx(threshold, rel=1e-4)


def test_without_selection_the_first_images_are_taken_as_they_come(study, tmp_path):
    plain = images_of(bank(study, tmp_path / "plain.h5"))
    idle = bank(study, tmp_path / "idle.h5", select=SELECT | {"copies": None})
    np.testing.assert_array_equal(images_of(idle), plain)
    assert (candidates_of(idle)["fate"] == KEPT).all()


def test_the_least_plausible_images_are_those_that_the_classifier_scores_lowest(
    study, classifier, tmp_path
):
    choice = SELECT | {"copies": None, "implausible": 0.25}
    path = bank(study, tmp_path / "bank.h5", select=choice, features=classifier)
    every = images_of(bank(study, tmp_path / "all.h5", number=32))
    fate = candidates_of(path)["fate"]
    # 24 and a quarter more that is left out: the lowest scores of all 32, by another way to them.
    logits = predict(classifier, every, device="cpu")[:, 1]
    assert set(np.flatnonzero(fate == IMPLAUSIBLE)) == set(np.argsort(logits)[:8])
    np.testing.assert_array_equal(images_of(path), every[fate == KEPT])


def test_a_negatives_plausibility_is_that_it_shows_no_target_finding(classifier):
    images = np.random.default_rng(0).integers(0, 256, (5, 32, 32), dtype=np.uint8)
    logits = predict(classifier, images, device="cpu")[:, 1:].max(axis=1)
    found = Plausibility(classifier, "negatives", torch.device("cpu"))(images)
    np.testing.assert_allclose(found, -logits, rtol=1e-4)


def test_a_selected_bank_is_the_same_to_the_byte_again(study, classifier, tmp_path):
    choice = {"space": "classifier", "copies": 5.0, "implausible": 0.1, "max_candidates": 4}
    first, again = (
        bank(study, tmp_path / name, select=choice, features=classifier).read_bytes()
        for name in ("first.h5", "again.h5")
    )
    assert first == again
