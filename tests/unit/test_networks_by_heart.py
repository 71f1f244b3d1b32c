"""A feature network that knows its training images by heart, with real networks trained here."""

import json

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from rarecxr.bank.bank_file import write_bank
from rarecxr.classifier.networks import build, network_input
from rarecxr.core.tensors import to_bytes
from rarecxr.data.image_file import write_image_file
from rarecxr.gan.evaluation import Evaluator
from rarecxr.quality.bank_quality import QualityInputs, measure_bank
from rarecxr.quality.evaluation import RealImages, knows_by_heart
from rarecxr.quality.feature_spaces import FeatureSpace
from rarecxr.quality.metrics import kid
from rarecxr.study.configuration.bank import QualitySettings
from rarecxr.study.configuration.gan import EvaluationSettings

ARCHITECTURE, SIDE = "small_resnet10", 32
TRAINING, VALIDATION = 40, 24
CPU = torch.device("cpu")


def noise(number, seed):
    """Images (N, SIDE, SIDE) uint8 of one distribution, with nothing to learn in them."""
    blocks = np.random.default_rng(seed).integers(0, 256, (number, 8, 8), dtype=np.uint8)
    return blocks.repeat(4, axis=1).repeat(4, axis=2)


def write_set(path, images):
    columns = {"patient": [f"{path.stem}{number // 2}" for number in range(len(images))]}
    about = {"finding": "Fracture", "recipe": "plain", "fraction": 10.0, "draw": 0}
    write_image_file(path, [images], len(images), SIDE, columns, about)
    return path


def write_network(path, positives, steps):
    """A network trained to tell some images from others of the same distribution."""
    torch.manual_seed(0)
    network = build(ARCHITECTURE, 1, SIDE, seed=0).train()
    images = np.concatenate([positives, noise(len(positives), 9)])
    x = network_input(torch.from_numpy(images).unsqueeze(1).float() / 255, ARCHITECTURE)
    labels = torch.arange(len(images)).lt(len(positives)).float().unsqueeze(1)
    optimiser = torch.optim.Adam(network.parameters(), 0.003)
    for _ in range(steps):
        optimiser.zero_grad()
        F.binary_cross_entropy_with_logits(network(x), labels).backward()
        optimiser.step()
    content = {
        **{"format": 1, "state_dict": network.state_dict(), "architecture": ARCHITECTURE},
        **{"findings": ["Fracture"], "settings": {"resolution": SIDE}},
    }
    path.write_bytes(to_bytes(content))
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    training = noise(TRAINING, 1)
    write_bank(folder / "bank.h5", 40, SIDE, [noise(40, 3)], {"finding": "Fracture", "study": "t"})
    return {
        "bank": folder / "bank.h5",
        "training": write_set(folder / "training.h5", training),
        "validation": write_set(folder / "validation.h5", noise(VALIDATION, 2)),
        "few": write_set(folder / "few.h5", noise(9, 2)),
        "by heart": write_network(folder / "by_heart.pt", training, steps=60),
        "sound": write_network(folder / "sound.pt", training, steps=0),
    }


@pytest.mark.parametrize(
    ("network", "validation", "space"),
    [
        ("by heart", "validation", "pixels"),
        ("sound", "validation", "classifier"),
        # Nobody knows.
        ("sound", "few", "pixels"),
        ("sound", None, "pixels"),
    ],
)
def test_gans_are_judged_in_pixels_where_the_network_knows_their_images(
    files, network, validation, space, caplog
):
    settings = EvaluationSettings(space="classifier", images=40, min_reference=50)
    validation = None if validation is None else files[validation]
    latents = torch.zeros(40, 8)
    classifier = FeatureSpace("classifier", CPU, files[network])
    found = Evaluator(settings, files["training"], validation, classifier, latents, None)
    assert found.about["space"] == space
    assert ("measured in the space pixels" in caplog.text) == (space == "pixels")
    if space == "pixels":
        by_name = Evaluator(
            EvaluationSettings(space="pixels", images=40, min_reference=50),
            *(files["training"], None, FeatureSpace("pixels", CPU), latents, None),
        )
        assert found.about["floor"] == by_name.about["floor"]
        assert "unseen_real" not in by_name.about


def test_validation_images_as_the_reference_need_no_such_check(files, caplog):
    settings = EvaluationSettings(space="classifier", images=40, min_reference=20)
    classifier = FeatureSpace("classifier", CPU, files["by heart"])
    found = Evaluator(
        *(settings, files["training"], files["validation"], classifier),
        *(torch.zeros(40, 8), None),
    )
    assert found.about["space"] == "classifier"
    assert "unseen_real" not in found.about
    assert not caplog.text


@pytest.mark.parametrize(
    ("network", "validation", "min_reference", "warned"),
    [
        ("by heart", "validation", 50, True),
        ("by heart", "validation", 20, False),
        ("by heart", "few", 50, False),
        ("sound", "validation", 50, False),
    ],
)
def test_a_bank_measured_by_such_a_network_has_a_warning(
    files, tmp_path, network, validation, min_reference, warned
):
    measure_bank(
        QualityInputs(
            *(files["bank"], files["training"], files["training"], files[validation]),
            features=files[network],
        ),
        tmp_path / "quality.json",
        QualitySettings(spaces=["pixels", "classifier"], min_reference=min_reference, device="cpu"),
        "test",
        "digest",
    )
    quality = json.loads((tmp_path / "quality.json").read_text(encoding="utf-8"))
    told = [text for text in quality["warnings"] if "knows them by heart" in text]
    assert len(told) == warned
    assert "unseen_real" not in quality["spaces"]["pixels"]
    unseen = quality["spaces"]["classifier"].get("unseen_real")
    assert (unseen is not None) == (min_reference == 50 and validation == "validation")
    if warned:
        assert f"{VALIDATION} real images" in told[0]
        assert f"KID of {unseen['kid']:.2f}" in told[0]


def draw(number, seed, shift=0.0):
    return shift + np.random.default_rng(seed).normal(size=(number, 12))


def test_images_of_one_distribution_are_alike_and_others_are_not():
    patients, others = np.arange(80) // 2, 1000 + np.arange(20) // 2
    found = [
        RealImages(draw(80, seed), patients).compare_with_unseen(draw(20, seed + 500), others)
        for seed in range(60)
    ]
    # At a level of 1 %, of 60 at most three with a probability of 99.7 %.
    assert sum(map(knows_by_heart, found)) <= 3
    assert 0.3 < np.mean([entry["p"] for entry in found]) < 0.7
    apart = RealImages(draw(80, 0), patients).compare_with_unseen(draw(20, 1, shift=2.0), others)
    assert knows_by_heart(apart)
    assert apart["images"] == 20
    assert apart["p"] == 1 / 200


def test_patients_whose_images_are_alike_are_no_sign():
    """Twelve images of each: as if images were independent, chance would look like a cause."""
    found = []
    for seed in range(30):
        people = np.random.default_rng(seed).normal(size=(10, 12))
        images = people.repeat(12, axis=0) + 0.1 * draw(120, seed + 100)
        whose = np.arange(10).repeat(12)
        real = RealImages(images[:96], whose[:96])
        found.append(
            (
                real.compare_with_unseen(images[96:], whose[96:])["p"],
                RealImages(images[:96], np.arange(96)).compare_with_unseen(
                    images[96:], 1000 + np.arange(24)
                )["p"],
            )
        )
    by_patient, by_image = np.array(found).T
    assert np.mean(by_patient <= 0.05) <= 0.2
    assert np.mean(by_image <= 0.05) >= 0.8


def test_its_kid_is_the_kid():
    real, unseen = draw(40, 0), draw(15, 1, shift=0.3)
    images = RealImages(real, np.arange(40))
    found = images.compare_with_unseen(unseen, 1000 + np.arange(15))
    centre, scale = real.mean(), real.std()
    expected = kid((real - centre) / scale, (unseen - centre) / scale)
    assert found["kid"] == pytest.approx(expected, rel=1e-9)
    assert images.compare_with_unseen(unseen[:9], np.arange(9)) is None
    assert not knows_by_heart(None)
