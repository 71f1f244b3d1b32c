"""The quality file of a bank: what it is compared with, and that copies and floors show."""

import json

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from rarecxr.bank.bank_file import write_bank
from rarecxr.data.image_file import write_image_file
from rarecxr.quality.bank_quality import QualityInputs, measure_bank
from rarecxr.study.configuration.bank import QualitySettings

SIDE = 32


def draw(number, seed, blur=2.0):
    """Smooth pictures without any meaning."""
    noise = np.random.default_rng(seed).normal(size=(number, SIDE, SIDE))
    smooth = gaussian_filter(noise, (0, blur, blur))
    scaled = 128 + 40 * smooth / smooth.std(axis=(1, 2), keepdims=True)
    return np.clip(scaled, 0, 255).astype(np.uint8)


def write_set(path, images, filters=None):
    columns = {"patient": [f"{path.stem}{number // 2}" for number in range(len(images))]}
    columns |= {} if filters is None else {"filter": filters}
    write_image_file(path, [images], len(images), SIDE, columns)
    return path


@pytest.fixture
def measured(tmp_path):
    """A function that measures a bank of given images, and reads what was written."""
    training = np.concatenate([draw(60, 1), np.zeros((60, SIDE, SIDE), np.uint8)])
    filters = ["none"] * 60 + ["minimum"] * 60
    positives = write_set(tmp_path / "training_set.h5", training, filters)

    def of(images, validation=80, min_reference=50):
        attributes = {"finding": "Fracture", "study": "test"}
        bank = tmp_path / "bank.h5"
        write_bank(bank, len(images), SIDE, [images], attributes)
        validation_set = write_set(tmp_path / "validation.h5", draw(validation, 2))
        measure_bank(
            QualityInputs(bank, positives, positives, validation_set),
            tmp_path / "quality.json",
            QualitySettings(
                spaces=["pixels"], max_images=1000, min_reference=min_reference, device="cpu"
            ),
            "test",
            "digest",
        )
        return json.loads((tmp_path / "quality.json").read_text(encoding="utf-8"))

    return of


def test_negatives_in_pairs_are_measured_beside_their_positives(tmp_path):
    """Half of each pair is common; in pixels and in every feature space asked for."""
    common, parts = draw(60, 1).astype(float), [draw(60, seed).astype(float) for seed in (5, 6)]
    banks = []
    for name, part in zip(("positives", "negatives"), parts, strict=True):
        images = ((common + part) / 2).astype(np.uint8)
        banks.append(tmp_path / f"{name}.h5")
        write_bank(banks[-1], 60, SIDE, [images], {"finding": name, "study": "test"})
    real = write_set(tmp_path / "set.h5", draw(60, 2))
    settings = QualitySettings(spaces=["pixels"], max_images=50, device="cpu")
    for paired_with, told in ((banks[0], True), (None, False)):
        inputs = QualityInputs(banks[1], real, real, real, paired_with=paired_with)
        measure_bank(inputs, tmp_path / "quality.json", settings, "test", "digest")
        quality = json.loads((tmp_path / "quality.json").read_text(encoding="utf-8"))
        assert ("alignment" in quality) == ("paired_with" in quality["provenance"]["inputs"])
        assert ("alignment" in quality) == told
        for space in ("pixels",) if told else ():
            found = quality["alignment"][space]
            assert found["pairs"] == pytest.approx(0.5, abs=0.1)
            assert found["others"] == pytest.approx(0, abs=0.05)
            assert found["images"] == 50


def test_a_bank_like_the_real_images_reaches_the_floor(measured):
    told = measured(draw(80, 3))
    assert told["reference"] == "validation"
    found = told["spaces"]["pixels"]
    assert found["images"] == 40
    assert set(found["bank"]) == set(found["floor"])
    assert found["bank"]["c2st"] == pytest.approx(found["floor"]["c2st"], abs=0.2)
    assert found["bank"]["coverage"] == pytest.approx(found["floor"]["coverage"], abs=0.1)
    assert found["bank"]["memorised"] <= 0.1


def test_a_bank_of_other_images_is_recognised(measured):
    found = measured(draw(80, 3) // 2)["spaces"]["pixels"]
    assert found["bank"]["c2st"] > found["floor"]["c2st"] + 0.3
    assert found["bank"]["kid"] > 10 * abs(found["floor"]["kid"])


def test_a_bank_of_copies_is_found_out_and_new_real_images_are_not(measured):
    copies = draw(60, 1).astype(int) + np.random.default_rng(4).integers(-2, 3, (60, SIDE, SIDE))
    found = measured(np.clip(copies, 0, 255).astype(np.uint8))["spaces"]["pixels"]
    assert found["bank"]["memorised"] == 1
    assert found["floor"]["memorised"] <= 0.1
    assert found["bank"]["nearest_ratio"] < 0.5 < 0.8 < found["floor"]["nearest_ratio"]


def test_with_few_validation_images_the_training_images_are_the_reference(measured):
    told = measured(draw(80, 3), validation=30)
    assert told["reference"] == "training"
    # Filtered copies are no real images.
    assert told["reference_images"] == 60
    found = told["spaces"]["pixels"]
    assert "memorised" in found["bank"]
    assert "memorised" not in found["floor"]
    assert measured(draw(8, 3))["spaces"]["pixels"] == {"too_few_images": True}
    assert measured(draw(80, 3), validation=0)["reference"] == "training"
