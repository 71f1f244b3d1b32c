"""How good a generator is while it trains: measured at every tick, and the best one kept."""

import copy
import logging
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rarecxr.core.order import evenly
from rarecxr.data.image_file import ImageFile
from rarecxr.gan.pixels import to_uint8
from rarecxr.quality.evaluation import FEWEST, RealImages, knows_by_heart
from rarecxr.quality.feature_spaces import FeatureSpace
from rarecxr.quality.near_copies import MOST_TRAINING_IMAGES, NearCopies, training_features
from rarecxr.study.configuration.gan import EvaluationSettings

_log = logging.getLogger(__name__)

# Images generated at once.
_BATCH = 64


class Evaluator:
    """Measures a generator against real images of its finding.

    Latents and real images are the same each time, so that two measurements differ by the
    generators alone. The reference are validation images where there are enough of them, the
    real training images otherwise (filtered copies are left out of both); never test images.

    The network of the space `classifier` was trained on the same training images. If it knows them
    by heart, all others are far from them, real ones too, and the lowest KID is no sign of the best
    networks. So the space `pixels` takes its place where training images are the reference, unless
    the few validation images show that this is not so (`RealImages.compare_with_unseen`).

    Args:
        settings: of the section `gan.evaluation`.
        training_set: training_set.h5 of this GAN.
        validation_set: validation images of the finding (HDF5), or None.
        space: the feature space that the settings name.
        latents: (K, latent_size) float32 on the device: one for each image that is generated.
        labels: (K, L) float32 for a conditional GAN, or None.

    Attributes:
        about: plain values for the record: space, reference ("validation" or "training"),
            reference_images, synthetic_images, training_images (real ones, among which near-copies
            are looked for), the floor (see `RealImages.floor`) and, in the space `classifier` with
            training images as the reference, unseen_real: how far validation images are from them.
    """

    def __init__(
        self,
        settings: EvaluationSettings,
        training_set: str | os.PathLike,
        validation_set: str | os.PathLike | None,
        space: FeatureSpace,
        latents: Tensor,
        labels: Tensor | None,
    ):
        training = ImageFile(training_set)
        validation = None if validation_set is None else ImageFile(validation_set)
        enough = validation is not None and len(validation) >= settings.min_reference
        reference = validation if enough else training
        rows = evenly(reference.unfiltered, settings.images)
        self._latents, self._labels = latents, labels
        self._space = None
        self.about = {
            "space": space.name,
            "reference": "validation" if enough else "training",
            "reference_images": len(rows),
            "synthetic_images": len(latents),
            "training_images": min(len(training.unfiltered), MOST_TRAINING_IMAGES),
            "floor": None,
        }
        if min(len(rows), len(latents)) < FEWEST:
            _log.warning(
                "the generator is not measured while it trains, and the last networks are kept: "
                "there are %d real and %d synthetic images, at least %d of each are needed",
                len(rows),
                len(latents),
                FEWEST,
            )
            return
        self._space = space
        images, patients = reference.read(rows), reference.columns["patient"][rows]
        self._real = RealImages(self._space(images), patients)
        if space.name == "classifier" and not enough and not self._sees_alike(validation):
            self.about["space"] = "pixels"
            self._space = FeatureSpace("pixels", latents.device)
            self._real = RealImages(self._space(images), patients)
        features, patients, _ = training_features(self._space, training, MOST_TRAINING_IMAGES)
        self._near_copies = NearCopies(features, patients)
        self.about["floor"] = self._real.floor()

    def _sees_alike(self, unseen: ImageFile | None) -> bool:
        """Whether the network puts real images of other patients where its training images are."""
        found = None
        if unseen is not None and len(unseen.unfiltered) >= FEWEST:
            rows = evenly(unseen.unfiltered, MOST_TRAINING_IMAGES)
            features = self._space(unseen.read(rows))
            found = self._real.compare_with_unseen(features, unseen.columns["patient"][rows])
        self.about["unseen_real"] = found
        if found is not None and not knows_by_heart(found):
            return True
        _log.warning(
            "the generator is measured in the space pixels: the network of the space classifier "
            "was trained on the %d images that generated ones are compared with, and %s",
            self.about["reference_images"],
            "there are too few validation images to see whether it knows them by heart"
            if found is None
            else f"knows them by heart (KID of {found['images']} validation images to them "
            f"{found['kid']:.2f}, p = {found['p']:.3f})",
        )
        return False

    @torch.no_grad()
    def measure(self, network: nn.Module) -> dict[str, float]:
        """The columns kid, precision, recall, density, coverage and memorised of training.csv.

        `memorised` is the share of near-copies of training images (`NearCopies`). Empty where
        there are too few real images.
        """
        if self._space is None:
            return {}
        parts = []
        for begin in range(0, len(self._latents), _BATCH):
            chosen = slice(begin, begin + _BATCH)
            labels = None if self._labels is None else self._labels[chosen]
            parts.append(to_uint8(network(self._latents[chosen], labels)[:, 0]).cpu().numpy())
        synthetic = self._space(np.concatenate(parts))
        memorised = self._near_copies.measures(synthetic)["memorised"]
        return {**self._real.compare(synthetic), "memorised": memorised}


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
