"""Banks beside their floor: sets of features whose likeness is known."""

import numpy as np
import pytest

from rarecxr.quality.evaluation import against_floor
from rarecxr.quality.two_sample_test import c2st

WIDTH = 24


def draw(number, seed, shift=0.0, scale=1.0):
    generator = np.random.default_rng(seed)
    return shift + scale * generator.normal(size=(number, WIDTH))


def test_a_classifier_tells_shifted_sets_apart_and_like_sets_not():
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


def test_with_fewer_than_five_patients_nothing_is_told():
    patients = np.repeat(np.arange(4), 10)
    assert np.isnan(c2st(draw(40, 0), draw(40, 1), patients))


def test_a_perfect_generator_reaches_the_floor():
    real, patients = draw(240, 0), np.repeat(np.arange(120), 2)
    told = [against_floor(real, patients, draw(400, seed)) for seed in (1, 2, 3)]
    assert {entry["images"] for entry in told} == {120}
    for name in ("precision", "recall", "coverage", "density", "c2st"):
        bank = np.mean([entry["bank"][name] for entry in told])
        assert bank == pytest.approx(told[0]["floor"][name], abs=0.08), name
    assert np.mean([entry["bank"]["kid"] for entry in told]) == pytest.approx(0, abs=0.05)


@pytest.mark.parametrize(
    ("synthetic", "worse"),
    [
        (draw(400, 5, shift=0.5), {"kid": 1, "c2st": 1, "precision": -1}),
        # Too little variety: every image is plausible, most real ones have none like them.
        (draw(400, 6, scale=0.4), {"kid": 1, "recall": -1}),
        # Too much of it.
        (draw(400, 7, scale=2.0), {"kid": 1, "precision": -1, "density": -1}),
    ],
)
def test_a_worse_generator_is_beyond_the_floor(synthetic, worse):
    told = against_floor(draw(240, 0), np.arange(240), synthetic)
    for name, sign in worse.items():
        assert sign * (told["bank"][name] - told["floor"][name]) > 0.05, name


def test_the_floor_knows_that_images_of_a_patient_are_alike():
    generator = np.random.default_rng(1)
    patients = np.repeat(np.arange(40), 6)
    real = generator.normal(size=(40, WIDTH))[patients] + 0.05 * draw(240, 2)
    by_patient = against_floor(real, patients, real)["floor"]
    blind = against_floor(real, np.arange(240), real)["floor"]
    # Halves that share patients look alike; halves of different people do not.
    assert blind["coverage"] > 0.9
    assert by_patient["coverage"] < 0.5


def test_the_smaller_set_says_how_many_images_are_compared():
    assert against_floor(draw(200, 0), np.arange(200), draw(30, 1))["images"] == 30
    few = against_floor(draw(200, 0), np.arange(200), draw(9, 1))
    assert few == {"too_few_images": True}
    one_patient = against_floor(draw(200, 0), np.zeros(200), draw(90, 1))
    assert one_patient == {"too_few_images": True}
