"""Whether a classifier distinguishes two sets of features whose likeness is known."""

import numpy as np
import pytest

from rarecxr.quality.two_sample_test import c2st

WIDTH = 24


def draw(number, seed, shift=0.0):
    return shift + np.random.default_rng(seed).normal(size=(number, WIDTH))


def test_a_classifier_recognises_shifted_sets_and_like_sets_not():
    like = [c2st(draw(120, seed), draw(120, seed + 100)) for seed in range(12)]
    assert np.mean(like) == pytest.approx(0.5, abs=0.03)
    # Two normal distributions a distance d apart have the AUROC Phi(d / sqrt 2), here 0.917.
    shift = 1.96 / np.sqrt(WIDTH)
    apart = [c2st(draw(400, seed), draw(400, seed + 100, shift)) for seed in range(4)]
    assert np.mean(apart) == pytest.approx(0.917, abs=0.02)


def test_images_of_one_patient_are_never_both_learned_from_and_tried():
    generator = np.random.default_rng(0)
    patients = np.repeat(np.arange(30), 8)
    # Each patient's images are almost one image: who has seen one knows the others.
    first = generator.normal(size=(30, WIDTH))[patients] + 0.01 * draw(240, 1)
    second = generator.normal(size=(30, WIDTH))[patients] + 0.01 * draw(240, 2)
    assert c2st(first, second) > 0.75
    assert c2st(first, second, patients, patients) < 0.65


def test_with_fewer_than_five_patients_there_is_no_two_sample_test():
    patients = np.repeat(np.arange(4), 10)
    assert np.isnan(c2st(draw(40, 0), draw(40, 1), patients))
