"""What makes a bank useless is found, and nothing else is."""

import copy

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from rarecxr.quality.bank_faults import appearance, find_faults


def test_appearance_by_hand():
    chess = np.indices((8, 8)).sum(axis=0) % 2
    found = appearance(np.stack([10 + 20 * chess, 50 + 40 * chess]).astype(np.uint8))
    # Within an image grey levels are 10 and 20 from their mean; from image to image 20 and 30.
    assert found["contrast"] == pytest.approx(15)
    assert found["variety"] == pytest.approx(((20**2 + 30**2) / 2) ** 0.5)
    assert found["mean_grey"] == pytest.approx(45)
    # The neighbours of a pixel are all 8 of its contrast away: 4 neighbours, twice the contrast.
    assert found["sharpness"] == pytest.approx(8)


def xrays(number=40, seed=0):
    smooth = gaussian_filter(np.random.default_rng(seed).normal(size=(number, 32, 32)), (0, 3, 3))
    scaled = 128 + 50 * smooth / smooth.std(axis=(1, 2), keepdims=True)
    return np.clip(scaled, 0, 255).astype(np.uint8)


def quality_of(synthetic, c2st, memorised=0.01):
    looks = {"real": appearance(xrays(seed=1)), "synthetic": appearance(synthetic)}
    names = looks["real"]
    spaces = {
        "classifier": {"bank": {"c2st": None if c2st is None else 0.8, "memorised": memorised}},
        "pixels": {"bank": {"c2st": c2st, "memorised": None}},
        "random": {"too_few_images": True},
    }
    return {n: {kind: look[n] for kind, look in looks.items()} for n in names} | {"spaces": spaces}


def grey(level=128):
    return np.full((40, 32, 32), level, np.uint8)


def noisy(seed=0):
    noise = np.random.default_rng(seed).normal(128, 50, (40, 32, 32))
    return np.clip(noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (grey(), ["hardly any contrast", "hardly differ from each other"]),
        (noisy(), ["unlike real ones: sharpness"]),
        (xrays(1).repeat(40, axis=0), ["hardly differ from each other"]),
    ],
)
@pytest.mark.parametrize("c2st", [1.0, None])
def test_flat_noisy_and_equal_images_are_faults(images, words, c2st):
    faults = find_faults(quality_of(images, c2st))
    assert len(faults) == len(words)
    for fault, part in zip(faults, words, strict=True):
        assert part in fault
        assert "real images: " in fault
        assert "learned nothing or has diverged" in fault


def test_the_two_sample_test_is_named_where_it_was_done():
    assert "AUROC of 1.000" in find_faults(quality_of(noisy(), 1.0))[0]
    assert "AUROC" not in find_faults(quality_of(noisy(), None))[0]


def test_images_like_real_ones_are_no_fault_even_where_a_classifier_recognises_them():
    assert find_faults(quality_of(xrays(seed=2), 1.0)) == []


def test_images_that_a_classifier_takes_for_real_are_no_fault():
    assert find_faults(quality_of(noisy(), 0.9)) == []


def test_a_bank_of_near_copies_is_a_fault():
    assert (
        "50 % of the images are near-copies"
        in find_faults(quality_of(xrays(seed=2), 0.6, memorised=0.5))[0]
    )
    assert find_faults(quality_of(xrays(seed=2), 0.6, memorised=0.49)) == []


def test_differences_below_a_factor_of_two_are_no_fault():
    quality = quality_of(xrays(seed=2), 1.0)
    for name in ("contrast", "variety", "sharpness"):
        for factor, faults in ((0.51, 0), (0.49, 1), (1.99, 0), (2.01, 1)):
            changed = copy.deepcopy(quality)
            changed[name]["synthetic"] = factor * changed[name]["real"]
            assert len(find_faults(changed)) == faults, (name, factor)
