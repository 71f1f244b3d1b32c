"""How good a generator is while it trains: measured at every tick, and the best one kept."""

import copy
import logging
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torchvision  # noqa: F401 - what a GAN was made with is noted before its images are measured
from torch import Tensor, nn

from rarecxr.data.image_file import ImageFile
from rarecxr.gan.pixels import to_uint8
from rarecxr.quality.comparison import FEWEST, Comparison, evenly
from rarecxr.quality.feature_spaces import FeatureSpace
from rarecxr.study.configuration.gan import EvaluationSettings

_log = logging.getLogger(__name__)

# Images drawn at once.
_BATCH = 64
# Training images among which the nearest one is looked for, at most.
_TRAINING_IMAGES = 2000


class Evaluation:
    """Measures a generator against real images of its finding.

    Latents and real images are the same each time, so that two measurements differ by the
    generators alone. The reference are validation images where there are enough of them, the
    real training images otherwise (filtered copies are left out of both); never test images.

    Args:
        settings: of the section `gan.evaluation`.
        training_set: training_set.h5 of this GAN.
        validation_set: validation images of the finding (HDF5), or None.
        model: for the feature space `classifier`: its model.pt.
        weights_dir: for the feature space `imagenet`: folder of the file of weights, or None.
        latents: (K, latent_size) float32 on the device: one for each image that is drawn.
        labels: (K, L) float32 for a conditional GAN, or None.

    Attributes:
        about: plain values for the record: space, reference ("validation" or "training"),
            reference_images, synthetic_images and the floor (see `Comparison.floor`).
    """

    def __init__(
        self,
        settings: EvaluationSettings,
        training_set: str | os.PathLike,
        validation_set: str | os.PathLike | None,
        model: str | os.PathLike | None,
        weights_dir: str | os.PathLike | None,
        latents: Tensor,
        labels: Tensor | None,
    ):
        training, real = _training_images(training_set, settings.images)
        validation = _images(validation_set, settings.images)
        enough = len(validation) >= settings.min_reference
        reference = validation if enough else real
        self._latents, self._labels = latents, labels
        self._comparison = None
        self.about = {
            "space": settings.space,
            "reference": "validation" if enough else "training",
            "reference_images": len(reference),
            "synthetic_images": len(latents),
            "floor": None,
        }
        if min(len(reference), len(training), len(latents)) < FEWEST:
            _log.warning("%d real images are too few to measure a generator", len(reference))
            return
        space = FeatureSpace(settings.space, latents.device, model, weights_dir)
        self._comparison = Comparison(space, reference, training)
        self.about["floor"] = self._comparison.floor()

    @torch.no_grad()
    def measure(self, network: nn.Module) -> dict[str, float]:
        """The columns kid, precision, recall, density, coverage and memorised of training.csv.

        `memorised` is the share of images that lie nearer to a training image than nearly all
        real images lie to each other (`rarecxr.quality.metrics.copies`). Empty where there are
        too few real images.
        """
        if self._comparison is None:
            return {}
        parts = []
        for begin in range(0, len(self._latents), _BATCH):
            chosen = slice(begin, begin + _BATCH)
            labels = None if self._labels is None else self._labels[chosen]
            parts.append(to_uint8(network(self._latents[chosen], labels)[:, 0]).cpu().numpy())
        told = self._comparison.of(np.concatenate(parts))
        names = ("kid", "precision", "recall", "density", "coverage")
        return {name: told[name] for name in names} | {"memorised": told["copies"]["share"]}


class BestNetworks:
    """The networks with the lowest KID so far.

    Attributes:
        kid: their KID, infinite while there are none.
        images: number of images that they had been trained with.
        networks: their state_dicts by name, on their device.
    """

    def __init__(self):
        self.kid = float("inf")
        self.images = 0
        self.networks: dict[str, Mapping[str, Tensor]] = {}

    def offer(self, kid: float, images: int, networks: Mapping[str, nn.Module]) -> None:
        """Keep copies of `networks` if they are better than all before."""
        if kid < self.kid:
            self.kid, self.images = kid, images
            self.networks = {
                name: copy.deepcopy(network.state_dict()) for name, network in networks.items()
            }

    def state(self) -> dict[str, Any]:
        """Tensors and plain values for a resume file."""
        return {"kid": self.kid, "images": self.images, "networks": dict(self.networks)}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from `state()`."""
        self.kid, self.images = state["kid"], state["images"]
        self.networks = state["networks"]


def _training_images(path: str | os.PathLike, number: int) -> tuple[np.ndarray, np.ndarray]:
    """All training images, and those that no filter changed; evenly chosen where they are many."""
    file = ImageFile(path)
    training = file.read(evenly(np.arange(len(file)), _TRAINING_IMAGES))
    return training, file.read(evenly(file.unfiltered, number))


def _images(path: str | os.PathLike | None, number: int) -> np.ndarray:
    if path is None:
        return np.zeros((0, 1, 1), np.uint8)
    file = ImageFile(path)
    return file.read(evenly(np.arange(len(file)), number))
