"""Detectors of filters, on textures of which a known share is filtered."""

import json

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from rarecxr.bank.bank_file import write_bank
from rarecxr.data.filters import apply
from rarecxr.data.image_file import write_image_file
from rarecxr.quality.filter_leak import (
    FEWEST_IMAGES,
    Detector,
    MeasuredBank,
    features,
    measure_filters,
)

FILTERS = {
    "gaussian": {"kind": "gaussian", "size_px": 5, "sigma_px": 1.1},
    "unsharp": {"kind": "unsharp", "sigma_px": 2.0, "amount": 1.0},
    "minimum": {"kind": "minimum", "size_px": 3},
}


def textures(count, seed, resolution=32):
    """Soft shapes with fine grain, of differing contrast, (count, R, R) uint8."""
    rng = np.random.default_rng(seed)
    shape = (count, resolution, resolution)
    soft = gaussian_filter(rng.normal(size=shape), (0, 4, 4))
    grain = gaussian_filter(rng.normal(size=shape), (0, 0.6, 0.6))
    images = soft / soft.std() * rng.uniform(25, 45, (count, 1, 1)) + 8 * grain / grain.std()
    return (images + 128).clip(0, 255).astype(np.uint8)


def write_set(path, images, first_patient, copies=0):
    copies = min(copies, len(images))
    numbers = [*range(len(images)), *range(copies)]
    columns = {
        "image": [f"p{first_patient + n // 2}/view{n % 2}.jpg" for n in numbers],
        "patient": [f"p{first_patient + n // 2}" for n in numbers],
        "filter": ["none"] * len(images) + ["gaussian"] * copies,
    }
    batches = [images, images[:copies]]
    write_image_file(path, batches, len(numbers), images.shape[-1], columns)
    return path


def measured(folder, bank_images, base=80, positives=40, filters=FILTERS):
    about = {"finding": "fracture", "study": "test"}
    side = bank_images.shape[-1]
    write_bank(folder / "bank.h5", len(bank_images), side, [bank_images], about)
    training_set = write_set(folder / "set.h5", textures(positives, 1), 1000, copies=10)
    bank = MeasuredBank("filtered", "Fracture", folder / "bank.h5", training_set)
    measure_filters(
        banks=[bank],
        base_training_set=write_set(folder / "base.h5", textures(base, 2), 0),
        output=folder / "leak.json",
        filters=filters,
        fraction=10.0,
        draw=0,
        max_images=200,
        study="test",
    )
    return json.loads((folder / "leak.json").read_text(encoding="utf-8"))


def test_the_share_of_filtered_images_in_a_bank_is_found(tmp_path):
    images = textures(120, 3)
    images[:36] = apply(images[:36], **FILTERS["gaussian"])
    images[36:54] = apply(images[36:54], **FILTERS["minimum"])
    told = measured(tmp_path, images)
    assert told["real_images"] == 120
    assert told["real_patients"] == 60
    for name, truth in (("gaussian", 0.30), ("minimum", 0.15)):
        assert told["detectors"][name]["accuracy"] > 0.95
        found = told["banks"][0]["filters"][name]
        assert found["corrected"] == pytest.approx(truth, abs=0.06)
        assert found["low"] <= truth <= found["high"]
        assert found["real_share"] < 0.1
    assert told["banks"][0]["filters"]["unsharp"]["corrected"] < 0.1


def test_sharpness_of_bank_and_real_images_stands_beside_the_shares(tmp_path):
    told = measured(tmp_path, apply(textures(60, 3), **FILTERS["gaussian"]))
    own = told["banks"][0]["sharpness"]
    assert own["bank"]["high_quartile"] < own["real"]["low_quartile"]
    assert told["sharpness"]["gaussian"]["median"] < told["sharpness"]["real"]["median"]
    assert told["sharpness"]["unsharp"]["median"] > told["sharpness"]["real"]["median"]


def test_rates_are_those_of_patients_that_the_detector_has_not_seen():
    # Each patient's images are alike, and nothing in them tells real ones from copies: who had
    # learnt the patients by heart would find all of them.
    rng = np.random.default_rng(0)
    patients = np.repeat([f"p{n}" for n in range(20)], 3)
    real = np.repeat(rng.normal(size=(20, 30)), 3, axis=0)
    copies = np.repeat(rng.normal(size=(20, 30)), 3, axis=0)
    detector = Detector.fit(real, {"any": copies}, patients)
    assert detector.rates["any"]["held_out_images"] == 60
    assert 0.25 < detector.rates["any"]["accuracy"] < 0.75
    by_heart = [detector.shares(part)["any"]["share"] for part in (real, copies)]
    assert by_heart[0] < 0.15
    assert by_heart[1] > 0.85


def test_the_corrected_share_undoes_the_detectors_errors():
    # By hand: 80 % of copies and 10 % of real images are called copies; of a bank 45 %. If s are
    # filtered, 0.8 s + 0.1 (1 - s) = 0.45, so s = 0.5.
    class Model:
        def predict(self, x):
            return (np.arange(len(x)) < 0.45 * len(x)).astype(int)

    judged = np.stack([np.arange(100) < 10, np.arange(100) < 80]).astype(int)
    detector = Detector(Model(), ["any"], judged)
    assert detector.real_shares(np.arange(100) < 20) == {"any": 0.5}
    found = detector.shares(np.zeros((200, 1)))["any"]
    assert found["share"] == pytest.approx(0.45)
    assert found["corrected"] == pytest.approx(0.5)
    # sqrt(0.45 0.55 / 200 + 0.25 0.8 0.2 / 100 + 0.25 0.1 0.9 / 100) / 0.7, times 1.96 either way.
    assert found["high"] - found["low"] == pytest.approx(2 * 0.1207, rel=0.15)


def test_a_detector_that_sees_no_difference_corrects_nothing(tmp_path):
    same = {"faint": {"kind": "unsharp", "sigma_px": 1.0, "amount": 0.001}}
    found = measured(tmp_path, textures(30, 3), filters=same)["banks"][0]["filters"]["faint"]
    assert found["corrected"] is None
    assert 0 <= found["share"] <= 1


def test_too_few_real_images_are_stated_and_train_no_detector(tmp_path):
    told = measured(tmp_path, textures(20, 3), base=FEWEST_IMAGES - 4, positives=3)
    assert told["detectors"]["gaussian"] == {"kind": "gaussian", "too_few_images": True}
    assert told["banks"][0]["filters"] == {}
    assert told["banks"][0]["sharpness"]["bank"]["median"] > 0


def test_features_ignore_brightness_and_contrast_and_are_the_same_again():
    images = textures(8, 0)
    assert np.array_equal(features(images), features(images))
    flatter = (images * 0.8 + 20).round().astype(np.uint8)
    change = np.abs(features(flatter) - features(images))
    assert np.median(change / features(images).std(axis=0)) < 0.5
    assert np.isfinite(features(images)).all()
