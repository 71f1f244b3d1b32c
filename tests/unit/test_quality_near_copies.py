"""Near-copies of training images: one definition wherever they are looked for."""

import json

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from scipy.spatial.distance import cdist

from rarecxr.bank.bank_file import write_bank
from rarecxr.bank.selection import CopyFilter
from rarecxr.data.filters import apply
from rarecxr.data.image_file import ImageFile, write_image_file
from rarecxr.gan.evaluation import Evaluator
from rarecxr.quality.bank_quality import QualityInputs, measure_bank
from rarecxr.quality.feature_spaces import FeatureSpace
from rarecxr.quality.near_copies import NearCopies, training_features
from rarecxr.study.configuration.bank import QualitySettings
from rarecxr.study.configuration.gan import EvaluationSettings

SIDE = 32
FILTERS = {
    "gaussian": {"kind": "gaussian", "size_px": 5, "sigma_px": 1.1},
    "unsharp": {"kind": "unsharp", "sigma_px": 2.0, "amount": 1.0},
    "minimum": {"kind": "minimum", "size_px": 3},
}


def draw(number, seed):
    """Smooth pictures, of two patients in each four, whose pictures resemble each other."""
    random = np.random.default_rng(seed)
    noise = random.normal(size=(number // 2, SIDE, SIDE)).repeat(2, axis=0)
    noise += 0.3 * random.normal(size=noise.shape)
    smooth = gaussian_filter(noise, (0, 3, 3))
    return np.clip(128 + 40 * smooth / smooth.std(axis=(1, 2), keepdims=True), 0, 255).astype(
        np.uint8
    )


def training_set(path, recipe):
    """100 real images of 50 patients and, in the recipe `filtered`, their copies."""
    images = [draw(100, 0)]
    filters = ["none"] * 100
    if recipe == "filtered":
        for name, settings in FILTERS.items():
            images.append(apply(images[0], **settings))
            filters += [name] * 100
    patients = [f"patient{number // 2}" for number in range(100)] * len(images)
    columns = {"patient": patients, "filter": filters}
    write_image_file(path, images, len(filters), SIDE, columns, {"finding": "Fracture"})
    return path


class Drawer(torch.nn.Module):
    """A generator that draws given images."""

    def __init__(self, images):
        super().__init__()
        self.images = torch.from_numpy(images.astype(np.float32) / 127.5 - 1)

    def forward(self, latents, labels=None):
        drawn, self.images = self.images.split([len(latents), len(self.images) - len(latents)])
        return drawn.unsqueeze(1)


def shares(tmp_path, recipe, images):
    """The share of near-copies as training, the bank's quality and the selection see it."""
    path = training_set(tmp_path / f"{recipe}.h5", recipe)
    settings = EvaluationSettings(space="pixels", images=len(images), min_reference=50)
    space = FeatureSpace("pixels", torch.device("cpu"))
    evaluator = Evaluator(settings, path, None, space, torch.zeros(len(images), 8), None)
    while_training = evaluator.measure(Drawer(images))["memorised"]

    write_bank(
        tmp_path / "bank.h5",
        len(images),
        SIDE,
        [images],
        {"finding": "Fracture", "study": "test", "recipe": recipe},
    )
    columns = {"patient": [f"other{number // 2}" for number in range(60)]}
    write_image_file(tmp_path / "validation.h5", [draw(60, 5)], 60, SIDE, columns)
    measure_bank(
        QualityInputs(tmp_path / "bank.h5", path, path, tmp_path / "validation.h5"),
        tmp_path / "quality.json",
        QualitySettings(spaces=["pixels"], max_images=1000, min_reference=50, device="cpu"),
        "test",
        "digest",
    )
    quality = json.loads((tmp_path / "quality.json").read_text(encoding="utf-8"))
    of_the_bank = quality["spaces"]["pixels"]["bank"]["memorised"]

    space = FeatureSpace("pixels", torch.device("cpu"))
    copies = CopyFilter(space, ImageFile(path), percentile=1.0)
    selected = float((copies.nearest(images)[0] < copies.threshold).mean())
    return [while_training, of_the_bank, selected]


def test_near_copies_and_new_images_score_alike_for_every_recipe_and_use(tmp_path):
    noise = np.random.default_rng(1).integers(-6, 7, (100, SIDE, SIDE))
    copies = np.clip(draw(100, 0) + noise, 0, 255).astype(np.uint8)
    new = draw(100, 9)
    for recipe in ("plain", "filtered"):
        assert shares(tmp_path, recipe, copies) == [1.0, 1.0, 1.0], recipe
    plain, filtered = (shares(tmp_path, recipe, new) for recipe in ("plain", "filtered"))
    assert plain == filtered
    assert len(set(plain)) == 1
    assert plain[0] <= 0.1


def test_the_threshold_is_a_percentile_of_the_distances_between_patients():
    features = np.array([[0.0], [10.0], [30.0], [70.0]])
    # Nearest others are 10, 10, 20 and 40 away.
    copies = NearCopies(features, np.array(["a", "b", "c", "d"]), percentile=50)
    assert copies.threshold == copies.median == pytest.approx(15)
    distance, row = copies.nearest(np.array([[12.0], [69.0]]))
    assert distance == pytest.approx([2, 1])
    assert row.tolist() == [1, 3]


def test_images_of_one_patient_are_no_neighbours():
    """By the whole table of distances, with patients of one to nine images."""
    random = np.random.default_rng(2)
    patients = random.permutation(np.repeat(np.arange(9), np.arange(1, 10)))
    features = random.normal(size=(9, 5))[patients] + 0.01 * random.normal(size=(45, 5))
    between = cdist(features, features)
    between[patients[:, None] == patients] = np.inf
    for percentile in (1, 20, 50):
        copies = NearCopies(features, patients, percentile)
        assert copies.threshold == pytest.approx(np.percentile(between.min(axis=1), percentile))


def test_measures_are_a_share_and_a_ratio_of_medians():
    copies = NearCopies(np.array([[0.0], [10.0], [30.0], [70.0]]), np.arange(4), percentile=50)
    found = copies.measures(np.array([[1.0], [35.0], [100.0]]))
    # Distances 1, 5 and 30; the threshold and the median are 15.
    assert found["memorised"] == pytest.approx(2 / 3)
    assert found["nearest_ratio"] == pytest.approx(5 / 15)


def test_with_a_single_patient_nothing_can_be_said():
    copies = NearCopies(np.array([[0.0], [1.0], [2.0]]), np.zeros(3))
    assert copies.threshold is None
    assert all(np.isnan(value) for value in copies.measures(np.array([[1.0]])).values())


def test_training_features_are_those_of_the_real_images(tmp_path):
    path = training_set(tmp_path / "set.h5", "filtered")
    flat = lambda images: images.reshape(len(images), -1)  # noqa: E731
    features, patients, rows = training_features(flat, ImageFile(path), most=10)
    assert rows.tolist() == [0, 11, 22, 33, 44, 55, 66, 77, 88, 99]
    np.testing.assert_array_equal(features, flat(draw(100, 0)[rows]))
    assert patients.tolist() == [f"patient{row // 2}" for row in rows]
