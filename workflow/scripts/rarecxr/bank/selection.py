"""Which of a generator's images enter a bank: no near-copies, none that are implausible."""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch

from rarecxr.classifier.images import resize
from rarecxr.quality.metrics import distances
from rarecxr.study.findings import NEGATIVES, slug

# What became of a candidate.
KEPT, COPY, IMPLAUSIBLE, NOT_NEEDED = range(4)

# Distances of one step, so that memory does not grow with the training set.
_STEP = 1 << 24
# Real images at most whose nearest ones make the threshold.
_ASKED = 2000

Features = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Judged:
    """What became of every image that was drawn for a bank, in the order in which they were drawn.

    Attributes:
        fate: (C,) uint8: KEPT, COPY, IMPLAUSIBLE or NOT_NEEDED (the bank was full).
        distance: (C,) float32, to the nearest training image in the feature space; None where
            copies were not looked for.
        nearest: (C,) int32, row of that image in the training set; likewise.
        plausibility: (C,) float32, see `Plausibility`; None where all are taken for plausible.
        threshold: a smaller distance makes a copy.
    """

    fate: np.ndarray
    distance: np.ndarray | None
    nearest: np.ndarray | None
    plausibility: np.ndarray | None
    threshold: float | None

    def counts(self) -> dict[str, int | float | None]:
        """Numbers of candidates by fate, and the threshold."""
        names = {
            "kept": KEPT,
            "rejected_copies": COPY,
            "rejected_implausible": IMPLAUSIBLE,
            "not_needed": NOT_NEEDED,
        }
        told = {name: int((self.fate == value).sum()) for name, value in names.items()}
        return {"candidates": len(self.fate), **told, "threshold": self.threshold}

    def columns(self) -> dict[str, np.ndarray]:
        """The arrays that there are, by name."""
        every = {name: getattr(self, name) for name in ("fate", "distance", "nearest")}
        every["plausibility"] = self.plausibility
        return {name: values for name, values in every.items() if values is not None}


class Copies:
    """Finds images that lie nearer to a training image than real images of two patients do.

    Args:
        features: a feature space.
        training: (N, H, H) uint8, all images that the generator was trained on.
        patients: (N,) whose they are.
        real: (N,) bool, which are real images rather than filtered copies.
        percentile: of the distances from each real image to the nearest one of another patient:
            the threshold. Without a second patient there is none, and nothing is a copy.
    """

    def __init__(
        self,
        features: Features,
        training: np.ndarray,
        patients: np.ndarray,
        real: np.ndarray,
        percentile: float,
    ):
        self._features = features
        self._training = features(training)
        own, of = self._training[real], np.unique(patients[real], return_inverse=True)[1]
        self.threshold = None
        if of.max() > 0:
            asked = np.linspace(0, len(own) - 1, min(len(own), _ASKED)).astype(int)
            between, _ = _nearest(own[asked], own, (of[asked], of))
            self.threshold = float(np.percentile(between, percentile))

    def of(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Distance of each image (M, H, H) to the nearest training image, and that image's row."""
        return _nearest(self._features(images), self._training)


class Plausibility:
    """How sure a classifier is that an image shows the bank's finding, as a logit.

    For negatives it is how sure it is that an image shows none of its target findings: less the
    largest of their logits.

    Args:
        model: model.pt of a network that was trained on the fraction's real images alone.
        finding: the finding by name or name in paths, or negatives.
        device: where to compute.
    """

    def __init__(self, model: str | os.PathLike, finding: str, device: torch.device):
        # Here and not above: most banks need no network to choose by, and torchvision loads slowly.
        from rarecxr.classifier.prediction import read_model

        network, self._about = read_model(model)
        self._network, self._device = network.to(device), device
        names = [slug(name) for name in self._about["findings"]]
        self._negatives = slug(finding) == NEGATIVES
        wanted = self._about["settings"]["target_findings"] if self._negatives else [finding]
        self._columns = [names.index(slug(name)) for name in wanted]

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Plausibilities (M,) float32 of images (M, H, H) uint8."""
        from rarecxr.classifier.prediction import BATCH, predict_logits

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


def judge(
    batches: Iterable[np.ndarray],
    size: int,
    copies: Copies | None,
    plausibility: Plausibility | None,
    implausible: float,
) -> Judged:
    """Choose `size` of the images that come, drawing no more than are needed.

    Images nearer than the threshold to a training image are copies. The given share of the
    others, the least plausible ones, is left out, and the rest is kept in its order.

    Args:
        batches: images (n, H, H) uint8, as many as may be drawn at most.
        size: number of images that are wanted.
        copies: None to take none for a copy.
        plausibility: None to take all for plausible.
        implausible: share of the images that are no copies to leave out, 0 to below 1.

    Raises:
        ValueError: the images that came are too few.
    """
    share = implausible if plausibility is not None else 0.0
    wanted = int(np.ceil(size / (1 - share) - 1e-9))
    threshold = None if copies is None else copies.threshold
    distance, nearest, scores, copied, fresh, drawn = [], [], [], [], 0, 0
    for images in batches:
        drawn += len(images)
        mask = np.zeros(len(images), bool)
        if copies is not None:
            apart, row = copies.of(images)
            distance.append(apart.astype(np.float32))
            nearest.append(row.astype(np.int32))
            mask = mask if threshold is None else apart < threshold
        if plausibility is not None:
            scores.append(plausibility(images))
        copied.append(mask)
        fresh += int((~mask).sum())
        if fresh >= wanted:
            break
    copied = np.concatenate(copied)
    if fresh < wanted:
        raise ValueError(
            f"{drawn} images were drawn for a bank of {size}, which needs {wanted}, and "
            f"{drawn - fresh} of them are near-copies of training images. A generator that copies "
            "was trained for too long or on too few images: lower gan.finetune_kimg or use "
            "gan.ada. Or let more be drawn with a larger bank.select.max_candidates, reject fewer "
            "with a lower bank.select.copies, or give the bank a smaller ratio"
        )
    fate = np.full(len(copied), NOT_NEEDED, np.uint8)
    fate[copied] = COPY
    usable = np.flatnonzero(~copied)[:wanted]
    fate[usable] = KEPT
    if wanted > size:
        ranked = usable[np.argsort(np.concatenate(scores)[usable], kind="stable")]
        fate[ranked[: wanted - size]] = IMPLAUSIBLE
    return Judged(
        fate,
        np.concatenate(distance) if distance else None,
        np.concatenate(nearest) if nearest else None,
        np.concatenate(scores) if scores else None,
        threshold,
    )


def _nearest(x, y, groups=None):
    """Distance of each row of x to the nearest row of y (of another group), and which one it is."""
    apart, rows = np.empty(len(x)), np.empty(len(x), int)
    step = max(1, _STEP // len(y))
    for first in range(0, len(x), step):
        part = slice(first, first + step)
        between = distances(x[part].astype(np.float64), y.astype(np.float64))
        if groups is not None:
            between[groups[0][part, None] == groups[1]] = np.inf
        rows[part] = between.argmin(axis=1)
        apart[part] = between.min(axis=1)
    return apart, rows
