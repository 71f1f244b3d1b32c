"""Feature spaces: each is what it says, by another way of computing it."""

import hashlib

import numpy as np
import pytest
import torch
import torchvision
from classifier_files import make_study, run
from torch.nn import functional as F

from rarecxr.classifier.prediction import read_model
from rarecxr.quality.feature_spaces import FeatureSpace

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (70, 32, 32), dtype=np.uint8)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("classifier")
    return run(make_study(folder), folder / "run", epochs=1)["model"]


def test_pixels_are_means_of_the_image_at_16_pixels(images):
    expected = images.reshape(70, 16, 2, 16, 2).mean(axis=(2, 4)).reshape(70, 256) / 127.5 - 1
    np.testing.assert_allclose(FeatureSpace("pixels", CPU)(images), expected, atol=1e-6)


def test_random_features_are_the_same_each_time_and_leave_the_random_state(images):
    before = torch.random.get_rng_state()
    first, second = (FeatureSpace("random", CPU)(images[:4]) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert first.shape == (4, 512)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_classifier_features_are_what_its_last_layer_gets_at_one_length(images, model):
    features = torch.from_numpy(FeatureSpace("classifier", CPU, model)(images))
    torch.testing.assert_close(features.square().mean(dim=1), torch.ones(len(images)))
    network, _ = read_model(model)
    found = F.normalize(F.linear(features, network.fc.weight), dim=1)
    x = torch.from_numpy(images).unsqueeze(1).float() / 255
    mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
    with torch.no_grad():
        logits = network((x - mean) / std)
    expected = F.normalize(logits - network.fc.bias, dim=1)
    scale = expected.std().item()
    torch.testing.assert_close(found, expected, atol=0.05 * scale, rtol=0.05)


def test_imagenet_features_come_from_a_local_file_alone(images, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "hub"))
    with pytest.raises(FileNotFoundError, match="densenet121-a639ec97.pth is not on this machine"):
        FeatureSpace("imagenet", CPU, weights_dir=tmp_path)
    torch.manual_seed(1)
    network = torchvision.models.densenet121().eval()
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    digest = hashlib.sha256((tmp_path / "weights.pth").read_bytes()).hexdigest()
    path = (tmp_path / "weights.pth").rename(tmp_path / f"densenet121-{digest[:8]}.pth")
    weights = torchvision.models.get_model_weights("densenet121")
    monkeypatch.setattr(
        torchvision.models,
        "get_model_weights",
        lambda name: _Weights(path.name, weights.DEFAULT.transforms),
    )
    features = FeatureSpace("imagenet", CPU, weights_dir=tmp_path)(images[:3])
    assert features.shape == (3, 1024)
    assert (features >= 0).all()
    assert features.std() > 0


class _Weights:
    """torchvision's entry of an architecture, with another file."""

    def __init__(self, name, transforms):
        self.DEFAULT = self
        self.url = f"https://example.org/{name}"
        self.transforms = transforms


def test_an_unknown_space_and_a_classifier_without_a_model_are_refused():
    with pytest.raises(ValueError, match="got 'inception'; takes one of classifier, imagenet"):
        FeatureSpace("inception", CPU)
    with pytest.raises(ValueError, match="needs the model.pt"):
        FeatureSpace("classifier", CPU)
