"""Sets of images compared in one feature space: all distances of `metrics` at once."""

from typing import Any

import numpy as np

from rarecxr.quality import metrics
from rarecxr.quality.feature_spaces import FeatureSpace

# With fewer images of any kind nothing can be said about their distribution.
FEWEST = 4


class Comparison:
    """Real images in one feature space, which synthetic ones are compared with.

    Features are shifted and scaled by one number each, taken from the real images, since their
    size differs by orders of magnitude from space to space.

    Args:
        space: the feature space.
        reference: (N, H, H) uint8, real images that the synthetic ones should resemble.
        training: (M, H, H) uint8, images that the generator was trained on, for `copies`.

    Raises:
        ValueError: fewer than `FEWEST` images of either kind.
    """

    def __init__(self, space: FeatureSpace, reference: np.ndarray, training: np.ndarray):
        if min(len(reference), len(training)) < FEWEST:
            raise ValueError(
                f"at least {FEWEST} images of each kind are needed, got {len(reference)} "
                f"and {len(training)}"
            )
        self._space = space
        real = space(reference)
        self._centre, self._scale = real.mean(), real.std() or 1.0
        self._real = self._scaled(real)
        self._training = self._scaled(space(training))

    def of(self, synthetic: np.ndarray) -> dict[str, Any]:
        """Distances of synthetic images (K, H, H) uint8, K at least `FEWEST`.

        Returns:
            kid, of all images; precision, recall, density, coverage and k, of as many real as
            synthetic ones; copies, see `metrics.copies`.
        """
        fake = self._scaled(self._space(synthetic))
        number = min(len(self._real), len(fake))
        return {
            "kid": metrics.kid(self._real, fake),
            **metrics.neighbourhood(evenly(self._real, number), fake[:number]),
            "copies": metrics.copies(self._training, fake),
        }

    def floor(self) -> dict[str, Any]:
        """The same between two halves of the reference: what a perfect generator would reach.

        Halves have fewer images, so that their numbers scatter more.
        """
        half = len(self._real) // 2
        first, second = self._real[: 2 * half : 2], self._real[1 : 2 * half : 2]
        return {"kid": metrics.kid(first, second), **metrics.neighbourhood(first, second)}

    def _scaled(self, features: np.ndarray) -> np.ndarray:
        return (features - self._centre) / self._scale


def evenly(items: np.ndarray, number: int) -> np.ndarray:
    """`number` of the items at even distances; all where there are no more."""
    if len(items) <= number:
        return items
    return items[np.linspace(0, len(items) - 1, number).astype(int)]
