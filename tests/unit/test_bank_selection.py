"""Which images enter a bank: near-copies and implausible ones are left out, and it is said why."""

import json

import numpy as np
import pytest
import torch
from classifier_files import make_study, run
from gan_files import arguments, bank_arguments
from scipy.spatial.distance import cdist

from rarecxr.bank.bank_file import Bank
from rarecxr.bank.generate import make_bank
from rarecxr.bank.selection import (
    IMPLAUSIBLE,
    KEPT,
    NEAR_COPY,
    NOT_NEEDED,
    CopyFilter,
    select_images,
)
from rarecxr.classifier.plausibility import Plausibility
from rarecxr.classifier.prediction import predict
from rarecxr.data.image_file import ImageFile, write_image_file
from rarecxr.gan.training import train_gan

SELECT = {"space": "pixels", "copies": 1.0, "implausible": 0.0, "max_candidates": 4}


def space(images):
    """The pixels themselves."""
    return images.reshape(len(images), -1).astype(np.float64)


def grey(*levels):
    """Images of 4 x 4 pixels of one grey level each."""
    return np.array(levels, np.uint8)[:, None, None] * np.ones((1, 4, 4), np.uint8)


@pytest.fixture
def copies_of(tmp_path):
    def made(levels, patients, filters=None, percentile=0):
        columns = {"patient": patients, "filter": filters or ["none"] * len(levels)}
        path = tmp_path / "training_set.h5"
        write_image_file(path, [grey(*levels)], len(levels), 4, columns)
        return CopyFilter(space, ImageFile(path), percentile)

    return made


def test_the_nearest_image_is_a_real_one_by_its_row_in_the_training_set(copies_of):
    filters = ["gaussian", "none", "none", "none", "gaussian"]
    copies = copies_of([102, 100, 101, 121, 125], ["a", "a", "a", "b", "b"], filters)
    # The images of patients a and b are 20 apart (80 in all, over 16 pixels).
    assert copies.threshold == pytest.approx(4 * 20)
    distance, nearest = copies.nearest(grey(102, 125, 0))
    assert distance == pytest.approx([4 * 1, 4 * 4, 4 * 100])
    assert nearest.tolist() == [2, 3, 1]


def test_a_single_patient_gives_no_threshold_and_nothing_is_a_copy(copies_of):
    copies = copies_of([100, 130], ["a", "a"])
    selection = select_images([grey(100, 101)], 2, copies, None, 0.0)
    assert selection.threshold is None
    assert selection.outcome.tolist() == [KEPT, KEPT]


def test_copies_are_replaced_and_the_least_plausible_left_out(copies_of):
    copies = copies_of([100, 120], ["a", "b"])  # nearer than 20 to either is a copy
    batches = [grey(0, 101, 10), grey(20, 30, 119), grey(40, 200, 210)]
    # Four are wanted, and a third of those that are no copies is left out: six are needed.
    scores = lambda images: -images[:, 0, 0].astype(np.float32)  # noqa: E731
    selection = select_images(batches, 4, copies, scores, 1 / 3)
    outcome = [KEPT, NEAR_COPY, KEPT, KEPT, KEPT, NEAR_COPY, IMPLAUSIBLE, IMPLAUSIBLE, NOT_NEEDED]
    assert selection.outcome.tolist() == outcome
    assert selection.plausibility.tolist() == [0, -101, -10, -20, -30, -119, -40, -200, -210]
    assert selection.counts() == {
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

    assert select_images(batches(), 4, None, None, 0.0).outcome.tolist() == [KEPT] * 4


def test_a_generator_that_copies_is_an_error_that_says_so(copies_of):
    copies = copies_of([100, 120], ["a", "b"])
    message = (
        r"4 images were generated for a bank of 2, which needs 2, and 3 of them are near-copies"
    )
    with pytest.raises(ValueError, match=message):
        select_images([grey(100, 101, 102, 250)], 2, copies, None, 0.0)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A folder with a training set of ten patients and a generator.

    Contrast rises from image to image, so that some are near to each other and some far away.
    """
    folder = tmp_path_factory.mktemp("study")
    images = np.random.default_rng(0).integers(-127, 128, (20, 8, 8)).repeat(4, 1).repeat(4, 2)
    images = (128 + images * np.linspace(0.05, 1, 20)[:, None, None]).astype(np.uint8)
    columns = {"patient": [f"patient{n % 10}" for n in range(20)], "filter": ["none"] * 20}
    path = folder / "training_set.h5"
    write_image_file(path, [images], 20, 32, columns, {"finding": "Lung Lesion"})
    train_gan(**arguments(path, folder, resolution=32, final_kimg=0.02))
    return folder


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    folder = tmp_path_factory.mktemp("classifier")
    return run(make_study(folder / "study", patients=30), folder / "run", epochs=1)["model"]


def bank(study, path, **changes):
    files = (study / "generator.pt", study / "training_set.h5", path)
    make_bank(**bank_arguments(*files, **{"number": 24, "batch_size": 8} | changes))
    return path


def images_of(path):
    with Bank(path) as source:
        return source.read()


def candidates_of(path):
    with Bank(path) as source:
        return source.candidates


def at_16(images):
    """The feature space `pixels` by hand: the mean of each 2 x 2 pixels, in [-1, 1]."""
    means = images.reshape(len(images), 16, 2, 16, 2).mean(axis=(2, 4))
    return (means / 127.5 - 1).reshape(len(images), -1)


def test_a_bank_holds_the_candidates_that_are_no_copies_and_says_what_became_of_all(
    study, tmp_path
):
    # All images that may be drawn, and a percentile that takes about half of them for copies.
    every = images_of(bank(study, tmp_path / "all.h5", number=96))
    real = ImageFile(study / "training_set.h5")
    training, patients = real.read(), real.columns["patient"]
    distance = cdist(at_16(every), at_16(training)).min(axis=1)
    between = cdist(at_16(training), at_16(training))
    between[patients[:, None] == patients] = np.inf
    own = np.sort(between.min(axis=1))
    percentile = float(np.interp(np.median(distance), own, np.linspace(0, 100, len(own))))
    threshold = np.percentile(own, percentile)
    assert 0.4 < (distance < threshold).mean() < 0.6

    path = bank(study, tmp_path / "bank.h5", select=SELECT | {"copies": percentile})
    candidates = candidates_of(path)
    seen = len(candidates["outcome"])
    np.testing.assert_allclose(candidates["distance"], distance[:seen], rtol=1e-4)
    fresh = np.flatnonzero(distance >= threshold)[:24]
    np.testing.assert_array_equal(np.flatnonzero(candidates["outcome"] == KEPT), fresh)
    np.testing.assert_array_equal(images_of(path), every[fresh])
    with Bank(path) as source:
        selection = json.loads(source.attributes["selection"])
    assert selection["copies"] == percentile
    assert selection["rejected_copies"] == (candidates["outcome"] == NEAR_COPY).sum() > 0
    assert selection["threshold"] == pytest.approx(threshold, rel=1e-4)


def test_without_selection_the_first_images_are_taken_as_they_come(study, tmp_path):
    plain = images_of(bank(study, tmp_path / "plain.h5"))
    idle = bank(study, tmp_path / "idle.h5", select=SELECT | {"copies": None})
    np.testing.assert_array_equal(images_of(idle), plain)
    assert (candidates_of(idle)["outcome"] == KEPT).all()


def test_the_least_plausible_images_are_those_that_the_classifier_scores_lowest(
    study, classifier, tmp_path
):
    choice = SELECT | {"copies": None, "implausible": 0.25}
    path = bank(study, tmp_path / "bank.h5", select=choice, features=classifier)
    every = images_of(bank(study, tmp_path / "all.h5", number=32))
    outcome = candidates_of(path)["outcome"]
    # 24 and a quarter more that is left out: the lowest scores of all 32, by another way to them.
    logits = predict(classifier, every, device="cpu")[:, 1]
    assert set(np.flatnonzero(outcome == IMPLAUSIBLE)) == set(np.argsort(logits)[:8])
    np.testing.assert_array_equal(images_of(path), every[outcome == KEPT])


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
