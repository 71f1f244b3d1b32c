"""How sure a classifier is that images show a finding."""

import os

import numpy as np
import torch

from rarecxr.classifier.images import resize
from rarecxr.classifier.prediction import BATCH, predict_logits, read_model
from rarecxr.study.findings import NEGATIVES


class Plausibility:
    """How sure a classifier is that an image shows a finding, as a logit.

    For negatives it is how sure it is that an image shows none of its target findings: minus the
    largest of their logits.

    Args:
        model: model.pt of a network that was trained on the fraction's real images alone.
        finding: the finding's name, or `NEGATIVES`.
        device: where to compute.
    """

    def __init__(self, model: str | os.PathLike, finding: str, device: torch.device):
        network, self._about = read_model(model)
        self._network, self._device = network.to(device), device
        self._negatives = finding == NEGATIVES
        wanted = self._about["settings"]["target_findings"] if self._negatives else [finding]
        self._columns = [self._about["findings"].index(name) for name in wanted]

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Plausibilities (M,) float32 of images (M, H, H) uint8."""
        pixels = torch.from_numpy(np.ascontiguousarray(images))
        size = self._about["settings"]["resolution"]
        batches = (
            resize(part.to(self._device), size).unsqueeze(1).float().div_(255)
            for part in pixels.split(BATCH)
        )
        architecture = self._about["architecture"]
        logits = predict_logits(self._network, batches, architecture, "fp32", self._device)
        logits = logits[:, self._columns].numpy()
        return -logits.max(axis=1) if self._negatives else logits[:, 0]
