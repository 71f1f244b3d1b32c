"""Which of a generator's images enter a bank: no near-copies, none that are implausible."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from rarecxr.data.image_file import ImageFile
from rarecxr.quality.feature_spaces import Space
from rarecxr.quality.near_copies import NearCopies, training_features

# What became of a candidate, in `Selection.outcome`.
KEPT, NEAR_COPY, IMPLAUSIBLE, NOT_NEEDED = range(4)


@dataclass(frozen=True)
class Selection:
    """What became of the candidates, all images generated for a bank, in their order.

    Attributes:
        outcome: (C,) uint8: KEPT, NEAR_COPY, IMPLAUSIBLE or NOT_NEEDED (the bank was full).
        distance: (C,) float32, to the nearest real training image in the feature space; None where
            near-copies were not looked for.
        nearest: (C,) int32, row of that image in the training set; likewise.
        plausibility: (C,) float32, see `rarecxr.classifier.plausibility`; None where all are taken
            for plausible.
        threshold: a smaller distance makes a near-copy.
    """

    outcome: np.ndarray
    distance: np.ndarray | None
    nearest: np.ndarray | None
    plausibility: np.ndarray | None
    threshold: float | None

    def counts(self) -> dict[str, int | float | None]:
        """Numbers of candidates by outcome, and the threshold."""
        names = {
            "kept": KEPT,
            "rejected_copies": NEAR_COPY,
            "rejected_implausible": IMPLAUSIBLE,
            "not_needed": NOT_NEEDED,
        }
        counts = {name: int((self.outcome == value).sum()) for name, value in names.items()}
        return {"candidates": len(self.outcome), **counts, "threshold": self.threshold}

    def columns(self) -> dict[str, np.ndarray]:
        """The arrays that there are, by name."""
        names = ("outcome", "distance", "nearest", "plausibility")
        every = {name: getattr(self, name) for name in names}
        return {name: values for name, values in every.items() if values is not None}


class CopyFilter:
    """Near-copies among images, with the training images that they are nearest to.

    Args:
        space: a feature space.
        training_set: what the generator was trained on.
        percentile: see `NearCopies`.

    Attributes:
        threshold: see `NearCopies`.
    """

    def __init__(self, space: Space, training_set: ImageFile, percentile: float):
        features, patients, self._rows = training_features(space, training_set)
        self._space, self._copies = space, NearCopies(features, patients, percentile)
        self.threshold = self._copies.threshold

    def nearest(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Distance of images (M, H, H) uint8 to the nearest real training image, and its row."""
        distance, place = self._copies.nearest(self._space(images))
        return distance, self._rows[place]


def select_images(
    batches: Iterable[np.ndarray],
    size: int,
    copies: CopyFilter | None,
    plausibility: Callable[[np.ndarray], np.ndarray] | None,
    implausible: float,
) -> Selection:
    """Choose `size` of the images that come, generating no more than are needed.

    Images nearer than the threshold to a training image are near-copies. The given share of the
    others, the least plausible ones, is left out, and the rest is kept in its order.

    Args:
        batches: images (n, H, H) uint8, as many as may be generated at most.
        size: number of images that are wanted.
        copies: None to take none for a near-copy.
        plausibility: see `rarecxr.classifier.plausibility`; None to take all for plausible.
        implausible: share of the images that are no near-copies to leave out, 0 to below 1.

    Raises:
        ValueError: the images that came are too few.
    """
    share = implausible if plausibility is not None else 0.0
    wanted = int(np.ceil(size / (1 - share) - 1e-9))
    threshold = None if copies is None else copies.threshold
    distance, nearest, scores, copied, fresh, count = [], [], [], [], 0, 0
    for images in batches:
        count += len(images)
        mask = np.zeros(len(images), bool)
        if copies is not None:
            apart, row = copies.nearest(images)
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
            f"{count} images were generated for a bank of {size}, which needs {wanted}, and "
            f"{count - fresh} of them are near-copies of training images. A generator that copies "
            "was trained for too long or on too few images: lower gan.finetune_kimg or use "
            "gan.ada. Or allow more candidates with a larger bank.select.max_candidates, reject "
            "fewer with a lower bank.select.copies, or give the bank a smaller ratio"
        )
    outcome = np.full(len(copied), NOT_NEEDED, np.uint8)
    outcome[copied] = NEAR_COPY
    usable = np.flatnonzero(~copied)[:wanted]
    outcome[usable] = KEPT
    if wanted > size:
        ranked = usable[np.argsort(np.concatenate(scores)[usable], kind="stable")]
        outcome[ranked[: wanted - size]] = IMPLAUSIBLE
    return Selection(
        outcome,
        np.concatenate(distance) if distance else None,
        np.concatenate(nearest) if nearest else None,
        np.concatenate(scores) if scores else None,
        threshold,
    )
