"""Banks beside their floor: sets of features whose likeness is known."""

import numpy as np
import pytest

from rarecxr.quality.evaluation import FEWEST, RealImages, compare_with_floor

WIDTH = 24


def draw(number, seed, shift=0.0, scale=1.0):
    generator = np.random.default_rng(seed)
    return shift + scale * generator.normal(size=(number, WIDTH))


def test_a_perfect_generator_reaches_the_floor():
    real, patients = draw(240, 0), np.repeat(np.arange(120), 2)
    found = [compare_with_floor(real, patients, draw(400, seed)) for seed in (1, 2, 3)]
    assert {entry["images"] for entry in found} == {120}
    for name in ("precision", "recall", "coverage", "density", "c2st"):
        bank = np.mean([entry["bank"][name] for entry in found])
        assert bank == pytest.approx(found[0]["floor"][name], abs=0.08), name
    assert np.mean([entry["bank"]["kid"] for entry in found]) == pytest.approx(0, abs=0.05)


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
    found = compare_with_floor(draw(240, 0), np.arange(240), synthetic)
    for name, sign in worse.items():
        assert sign * (found["bank"][name] - found["floor"][name]) > 0.05, name


def test_the_floor_knows_that_images_of_a_patient_are_alike():
    generator = np.random.default_rng(1)
    patients = np.repeat(np.arange(40), 6)
    real = generator.normal(size=(40, WIDTH))[patients] + 0.05 * draw(240, 2)
    by_patient = compare_with_floor(real, patients, real)["floor"]
    blind = compare_with_floor(real, np.arange(240), real)["floor"]
    # Halves that share patients look alike; halves of different people do not.
    assert blind["coverage"] > 0.9
    assert by_patient["coverage"] < 0.5


def test_the_smaller_set_says_how_many_images_are_compared():
    assert compare_with_floor(draw(200, 0), np.arange(200), draw(30, 1))["images"] == 30
    few = compare_with_floor(draw(200, 0), np.arange(200), draw(9, 1))
    assert few == {"too_few_images": True}
    one_patient = compare_with_floor(draw(200, 0), np.zeros(200), draw(90, 1))
    assert one_patient == {"too_few_images": True}


def test_a_comparison_does_not_depend_on_the_scale_of_the_features():
    real, synthetic = draw(60, 0), draw(50, 1, shift=0.3)
    patients = np.arange(60)
    one, other = (
        RealImages(factor * real + shift, patients) for factor, shift in ((1, 0), (50, 9))
    )
    for name, value in one.compare(synthetic).items():
        assert other.compare(50 * synthetic + 9)[name] == pytest.approx(value, rel=1e-9)
    assert other.floor() == pytest.approx(one.floor(), rel=1e-9)
    assert other.compare_with_floor(50 * synthetic + 9)["bank"] == pytest.approx(
        one.compare_with_floor(synthetic)["bank"], rel=1e-6
    )


def test_the_floor_of_training_is_that_of_halves_without_a_common_patient():
    generator = np.random.default_rng(1)
    patients = np.repeat(np.arange(40), 6)
    real = generator.normal(size=(40, WIDTH))[patients] + 0.05 * draw(240, 2)
    by_patient = RealImages(real, patients).floor()
    blind = RealImages(real, np.arange(240)).floor()
    assert set(by_patient) == {"kid", "precision", "recall", "density", "coverage"}
    assert blind["coverage"] > 0.9
    assert by_patient["coverage"] < 0.5


def test_in_fewer_images_nothing_is_measured():
    with pytest.raises(ValueError, match="at least 10 real images are needed, got 9"):
        RealImages(draw(FEWEST - 1, 0), np.arange(FEWEST - 1))
    assert RealImages(draw(2 * FEWEST - 1, 0), np.arange(2 * FEWEST - 1)).floor() is None
    assert RealImages(draw(2 * FEWEST, 0), np.arange(2 * FEWEST)).floor() is not None
