"""Feature spaces, by name: what a distance between images is measured in.

None of them has seen a test image, and none is fetched when a job runs.
"""

import os
from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from rarecxr.classifier.images import resize
from rarecxr.core.devices import autocast, choose_precision

SPACES = ("classifier", "imagenet", "pixels", "random")

_IMAGENET_ARCHITECTURE = "densenet121"
# Torchvision's classification networks were made for 224 pixels. Enlarging small images that far
# shows nothing new, but below 64 pixels little is left to average after five halvings.
_SMALLEST, _LARGEST = 64, 224
_BATCH = 64

# What a feature space does: images (N, H, H) uint8 to features (N, D) float32.
Space = Callable[[np.ndarray], np.ndarray]

Extractor = Callable[[torch.Tensor], torch.Tensor]


class FeatureSpace:
    """One feature space, made once and used for any number of image sets.

    - `pixels`: the image itself, reduced to 16x16: D = 256. Sees layout, not texture.
    - `random`: the convolutions of a VGG16 with random weights, averaged over the image:
      D = 512. Where images are far from ImageNet's, random embeddings rank generators more
      soundly than pretrained ones (Naeem et al. 2020, arXiv 2002.09797, section 4.2).
    - `imagenet`: DenseNet-121 as torchvision trained it on ImageNet, before its last layer:
      D = 1024. The file of weights must be on the machine.
    - `classifier`: a study's own network before its last layer, trained on the real images of
      one fraction: it knows what findings look like, and has seen no patient outside the fraction.
      Each image's features are scaled to a mean square of 1: nothing else bounds them on images
      unlike those it was trained on, and the KID, of third power, would be about the largest few.

    Args:
        name: one of `SPACES`.
        device: where to compute.
        model: for `classifier`: its model.pt.
        weights_dir: for `imagenet`: where the file of weights is looked for before torch.hub's
            own folder.

    Raises:
        ValueError: there is no such space, or `classifier` without a model.
        FileNotFoundError: for `imagenet`: says which file belongs where.
    """

    def __init__(
        self,
        name: str,
        device: torch.device,
        model: str | os.PathLike | None = None,
        weights_dir: str | os.PathLike | None = None,
    ):
        if name not in SPACES:
            raise ValueError(f"feature space: got {name!r}; takes one of {', '.join(SPACES)}")
        if name == "classifier" and model is None:
            raise ValueError("feature space: classifier needs the model.pt of a trained classifier")
        self.name = name
        self.device = device
        if name == "pixels":
            self._features = _pixels
        elif name == "random":
            self._features = _random(device)
        elif name == "imagenet":
            self._features = _imagenet(device, weights_dir)
        else:
            self._features = _classifier(device, model)

    @torch.inference_mode()
    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Features of grey images.

        Args:
            images: (N, H, H) uint8, N at least 1.

        Returns:
            (N, D) float32.

        Raises:
            ValueError: there are no images.
        """
        if not len(images):
            raise ValueError("no images to take features of")
        parts = []
        for start in range(0, len(images), _BATCH):
            x = torch.from_numpy(np.ascontiguousarray(images[start : start + _BATCH]))
            parts.append(self._features(x.to(self.device)).float().cpu().numpy())
        return np.concatenate(parts)


def _pixels(x: torch.Tensor) -> torch.Tensor:
    return F.adaptive_avg_pool2d(x.unsqueeze(1) / 127.5 - 1, 16).flatten(1)


# Torchvision takes a second or more to load, and the space `pixels` does without: it is imported
# where a network is built.


def _random(device: torch.device) -> Extractor:
    import torchvision

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = torchvision.models.vgg16(weights=None).features
    network = network.to(device).eval()

    def features(x):
        x = _between(x, _SMALLEST, _LARGEST).unsqueeze(1) / 127.5 - 1
        return network(x.expand(-1, 3, -1, -1)).mean(dim=(2, 3))

    return features


def _imagenet(device: torch.device, weights_dir: str | os.PathLike | None) -> Extractor:
    from rarecxr.classifier.networks import build
    from rarecxr.classifier.weights import find_weights

    path, _ = find_weights(_IMAGENET_ARCHITECTURE, "imagenet", weights_dir, fetch=False)
    network = build(_IMAGENET_ARCHITECTURE, 1, _LARGEST, seed=0, weights=path)
    trunk = _without_head(network, _IMAGENET_ARCHITECTURE, device)
    return lambda x: trunk(_between(x, _SMALLEST, _LARGEST))


def _classifier(device: torch.device, model: str | os.PathLike) -> Extractor:
    from rarecxr.classifier.prediction import read_model

    network, about = read_model(model)
    trunk = _without_head(network, about["architecture"], device)
    side = about["settings"]["resolution"]

    def features(x):
        found = trunk(resize(x, side)).float()
        return F.normalize(found, dim=1) * found.shape[1] ** 0.5

    return features


def _without_head(network: nn.Module, architecture: str, device: torch.device) -> Extractor:
    """From images (N, H, H) uint8 to what the network's last layer would get, (N, D)."""
    from rarecxr.classifier.networks import head_name, network_input

    network.set_submodule(head_name(network), nn.Identity())
    network = network.to(device, memory_format=torch.channels_last).eval()
    precision = choose_precision("auto", device)

    def features(x):
        with autocast(precision, device):
            return network(network_input(x.unsqueeze(1) / 255, architecture)).flatten(1)

    return features


def _between(x: torch.Tensor, low: int, high: int) -> torch.Tensor:
    """Images (N, H, H) uint8 with a side of at least `low` and at most `high` pixels."""
    return resize(x, min(max(x.shape[-1], low), high))
