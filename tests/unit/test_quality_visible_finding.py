"""Whether a bank shows its finding: with a real network, banks that do and banks that do not."""

import json

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from rarecxr.bank.bank_file import write_bank
from rarecxr.classifier.networks import build, network_input
from rarecxr.core.tensors import to_bytes
from rarecxr.data.image_file import write_image_file
from rarecxr.quality.bank_quality import QualityInputs, measure_bank
from rarecxr.quality.visible_finding import hardly_visible, visible_finding
from rarecxr.report.banks import read_qualities
from rarecxr.study.configuration.bank import QualitySettings

ARCHITECTURE, SIDE = "small_resnet10", 32


def images(number, seed, spot):
    """(N, SIDE, SIDE) uint8: noise, with a bright spot somewhere as the finding."""
    generator = np.random.default_rng(seed)
    noise = generator.normal(100, 25, (number, SIDE, SIDE))
    for image, (row, column) in zip(
        noise, generator.integers(0, SIDE - 8, (number, 2)), strict=True
    ):
        image[row : row + 8, column : column + 8] += 70 * spot
    return np.clip(noise, 0, 255).astype(np.uint8)


def grey(*levels):
    return np.stack([np.full((4, 4), level, np.uint8) for level in levels])


def brightness(pixels):
    return pixels.mean(axis=(1, 2))


def test_auroc_by_hand():
    negatives, positives = grey(*range(10)), grey(*range(5, 15))
    # Each of 0 to 9 is above as many negatives as its number, and ties with one.
    assert visible_finding(brightness, grey(*range(10)), positives, negatives) == {
        "bank": pytest.approx(0.5),
        # 10 to 14 above all ten; 5 to 9 above 5 to 9 of them, and tied with one.
        "floor": pytest.approx((50 + 35 + 2.5) / 100),
        **{"positives": 10, "negatives": 10},
    }


def test_with_few_images_nothing_is_said():
    some, few = grey(*range(10)), grey(*range(9))
    assert visible_finding(brightness, some, few, some)["floor"] is None
    assert visible_finding(brightness, few, some, some)["bank"] is None
    nothing = visible_finding(brightness, some, some, few)
    assert nothing == {"bank": None, "floor": None, "positives": 10, "negatives": 9}


@pytest.mark.parametrize(
    ("bank", "real", "positives", "hardly"),
    [
        (0.55, 0.85, 50, True),
        (0.70, 0.85, 50, False),  # more than half
        (0.50, 0.58, 500, False),  # the network itself hardly sees it
        (0.60, 0.75, 10, False),  # ten real positives may be better than that by chance
        (0.60, 0.75, 200, True),
        (None, 0.85, 50, False),
        (0.55, None, 5, False),
    ],
)
def test_what_is_hardly_visible(bank, real, positives, hardly):
    shown = {"bank": bank, "floor": real, "positives": positives, "negatives": 300}
    assert hardly_visible(shown) == hardly
    assert not hardly_visible(None)


def write_set(path, pixels):
    columns = {"patient": [f"{path.stem}{number // 2}" for number in range(len(pixels))]}
    write_image_file(path, [pixels], len(pixels), SIDE, columns)
    return path


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Everything but a bank: real images, and a network that learned what a spot is."""
    folder = tmp_path_factory.mktemp("files")
    torch.manual_seed(0)
    network = build(ARCHITECTURE, 2, SIDE, seed=0).train()
    pixels = np.concatenate([images(96, 1, spot=1), images(96, 2, spot=0)])
    x = network_input(torch.from_numpy(pixels).unsqueeze(1).float() / 255, ARCHITECTURE)
    shows = torch.arange(len(pixels)).lt(96).float()
    # The other finding is the opposite: the column must be the bank's.
    labels = torch.stack([1 - shows, shows], dim=1)
    optimiser = torch.optim.Adam(network.parameters(), 0.003)
    for _ in range(25):
        optimiser.zero_grad()
        F.binary_cross_entropy_with_logits(network(x), labels).backward()
        optimiser.step()
    model = folder / "model.pt"
    content = {
        **{"format": 1, "state_dict": network.state_dict(), "architecture": ARCHITECTURE},
        **{"findings": ["Edema", "Fracture"], "settings": {"resolution": SIDE}},
    }
    model.write_bytes(to_bytes(content))
    training = write_set(folder / "training_set.h5", images(60, 3, spot=1))
    return {
        **{"training_set": training, "positives": training, "features": model},
        "validation_set": write_set(folder / "validation.h5", images(60, 4, spot=1)),
        "negatives": write_set(folder / "negatives.h5", images(60, 5, spot=0)),
    }


def quality_of(tmp_path, spot, **files):
    bank = tmp_path / "bank.h5"
    attributes = {"finding": "Fracture", "study": "test", "recipe": "plain"}
    write_bank(bank, 60, SIDE, [images(60, 6, spot)], attributes)
    settings = QualitySettings(spaces=["pixels", "classifier"], max_images=1000, device="cpu")
    measure_bank(QualityInputs(bank, **files), tmp_path / "quality.json", settings, "test")
    return json.loads((tmp_path / "quality.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("spot", [1, 0])
def test_a_bank_is_told_by_whether_it_shows_the_finding(tmp_path, inputs, spot):
    quality = quality_of(tmp_path, spot, **inputs)
    found = quality["spaces"]["classifier"]
    assert found["floor"]["finding_auc"] > 0.9
    assert found["bank"]["finding_auc"] == pytest.approx(0.5 + 0.45 * spot, abs=0.1)
    assert found["visible_finding"]["negatives"] == 60
    # Distances between pixels have nothing to say about it.
    assert "finding_auc" not in quality["spaces"]["pixels"]["bank"]
    warned = [text for text in quality["warnings"] if "the finding can hardly be seen" in text]
    assert len(warned) == 1 - spot
    assert "negatives" in quality["provenance"]["inputs"]
    bank = {"recipe": "plain", "finding": "Fracture", "fraction": 100.0, "draw": 0}
    table = read_qualities([(bank, quality)])[0].set_index("space")
    assert table.loc["classifier", "finding_auc"] == found["bank"]["finding_auc"]
    assert table.loc["classifier", "finding_auc_floor"] == found["floor"]["finding_auc"]
    assert np.isnan(table.loc["pixels", "finding_auc"])


def test_without_negatives_it_is_not_measured(tmp_path, inputs):
    files = {name: path for name, path in inputs.items() if name != "negatives"}
    quality = quality_of(tmp_path, 0, **files)
    assert "visible_finding" not in quality["spaces"]["classifier"]
    assert not quality["warnings"]
