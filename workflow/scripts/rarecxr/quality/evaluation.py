"""Synthetic images against real ones, beside what real images reach against each other.

All comparisons of distributions are made here: while a GAN trains, and of finished banks. A floor
is what real images reach against other real images, so what a perfect generator would reach.
"""

from collections.abc import Mapping

import numpy as np

from rarecxr.core.order import evenly
from rarecxr.quality import metrics
from rarecxr.quality.two_sample_test import c2st

# In smaller sets nothing can be said about a distribution.
FEWEST = 10
# Random halvings of the real images that are averaged.
_HALVINGS = 4
# Of a permutation test, and below which p its two sets are not alike.
_PERMUTATIONS = 199
_UNLIKE = 0.01


class RealImages:
    """Real images in one feature space, which synthetic ones are compared with.

    Features are shifted and scaled by one number each, taken from the real images, since their
    size differs by orders of magnitude from space to space.

    Args:
        features: (N, D), N at least `FEWEST`.
        patients: (N,) whose image each is.

    Raises:
        ValueError: fewer than `FEWEST` images.
    """

    def __init__(self, features: np.ndarray, patients: np.ndarray):
        if len(features) < FEWEST:
            raise ValueError(f"at least {FEWEST} real images are needed, got {len(features)}")
        self._patients = np.asarray(patients)
        self._centre, self._scale = features.mean(), features.std() or 1.0
        self._features = self._scaled(features)

    def compare(self, synthetic: np.ndarray) -> dict[str, float]:
        """All real images against synthetic ones (M, D), as `distribution_measures`.

        The numbers of images of both kinds are made equal for all measures but KID.
        """
        synthetic = self._scaled(synthetic)
        number = min(len(self._features), len(synthetic))
        near = metrics.neighbourhood(evenly(self._features, number), synthetic[:number])
        return {"kid": metrics.kid(self._features, synthetic), **_without_k(near)}

    def floor(self, seed: int = 0) -> dict[str, float] | None:
        """The same measures between halves of the real images that share no patient.

        Means over several halvings. Halves have fewer images than the whole, so that their numbers
        scatter more.

        Returns:
            kid, precision, recall, density and coverage; None where a half has fewer than
            `FEWEST` images.
        """
        generator = np.random.default_rng(seed)
        found = []
        for _ in range(_HALVINGS):
            halves = _halves(self._patients, generator)
            size = min(map(len, halves))
            if size < FEWEST:
                return None
            first, second = (generator.choice(half, size, replace=False) for half in halves)
            found.append(distribution_measures(self._features[first], self._features[second]))
        return _means(found)

    def compare_with_floor(self, synthetic: np.ndarray, seed: int = 0) -> dict:
        """As the function of this name, of these images and synthetic ones (M, D)."""
        scaled = self._scaled(synthetic)
        return compare_with_floor(self._features, self._patients, scaled, seed)

    def compare_with_unseen(
        self, features: np.ndarray, patients: np.ndarray, seed: int = 0
    ) -> dict[str, float] | None:
        """These images, which a feature network was trained on, against real ones that it was not.

        A network that knows its training images by heart puts all others far from them, however
        real these are. A permutation test of the KID tells: patients change sides.

        Args:
            features: (M, D) of images of other patients.
            patients: (M,) whose they are.
            seed: of the permutations.

        Returns:
            images, the number M; kid, of the two sets; p, the share of permutations with a KID at
            least as high, one-sided. None with fewer than `FEWEST` images, which tell nothing.
        """
        if len(features) < FEWEST:
            return None
        both = np.concatenate([self._features, self._scaled(features)])
        whose = np.concatenate([np.asarray(self._patients), np.asarray(patients)]).astype(str)
        names, number = np.unique(whose, return_inverse=True)
        size = np.bincount(number)
        values = metrics.kid_kernel(both, both)
        unseen = np.arange(len(both)) >= len(self._features)
        kid = _kid_of_sides(values, unseen)
        generator = np.random.default_rng(seed)
        higher = 0
        for _ in range(_PERMUTATIONS):
            order = generator.permutation(len(names))
            before = np.cumsum(size[order]) - size[order]
            higher += _kid_of_sides(values, np.isin(number, order[before < len(features)])) >= kid
        return {"images": len(features), "kid": kid, "p": (1 + higher) / (1 + _PERMUTATIONS)}

    def _scaled(self, features: np.ndarray) -> np.ndarray:
        return (features - self._centre) / self._scale


def knows_by_heart(unseen: Mapping[str, float] | None) -> bool:
    """Whether `RealImages.compare_with_unseen` says that images of other patients are unlike."""
    return unseen is not None and unseen["p"] <= _UNLIKE


def compare_with_floor(
    real: np.ndarray, patients: np.ndarray, synthetic: np.ndarray, seed: int = 0
) -> dict:
    """Synthetic against real images, and real against real, in sets of the same size.

    The real images are halved by patients. Each half is compared with as many synthetic images,
    and with the other half: the floor, what a perfect generator would reach. All sets have the
    same number of images, on which most of these measures depend, and no patient is in both
    halves. Means over several halvings.

    Args:
        real: (N, D) features of real images.
        patients: (N,) whose image it is.
        synthetic: (M, D) features.
        seed: seed of the halvings and of the synthetic images that are taken.

    Returns:
        `images`, the number in each set; `bank` and `floor`, each with the measures of
        `distribution_measures` and c2st (AUROC of a classifier two-sample test, 0.5 is best; NaN
        with fewer than five patients in a half). Only `too_few_images: True` where a set would
        have fewer than `FEWEST`.
    """
    generator = np.random.default_rng(seed)
    found: dict[str, list] = {"bank": [], "floor": []}
    sizes = []
    for number in range(_HALVINGS):
        halves = _halves(patients, generator)
        size = min(*map(len, halves), len(synthetic))
        if size < FEWEST:
            return {"too_few_images": True}
        sizes.append(size)
        first, second = (generator.choice(half, size, replace=False) for half in halves)
        # Different synthetic images for both halves, where there are enough.
        order = generator.permutation(len(synthetic))
        for half, chosen in ((first, order[:size]), (second, order[-size:])):
            found["bank"].append(
                distribution_measures(real[half], synthetic[chosen])
                | {"c2st": c2st(real[half], synthetic[chosen], patients[half], None, number)}
            )
        groups = (patients[first], patients[second])
        found["floor"].append(
            distribution_measures(real[first], real[second])
            | {"c2st": c2st(real[first], real[second], *groups, number)}
        )
    return {"images": int(np.min(sizes)), **{name: _means(each) for name, each in found.items()}}


def distribution_measures(real: np.ndarray, synthetic: np.ndarray) -> dict[str, float]:
    """kid, precision, recall, density and coverage (`rarecxr.quality.metrics`) of features."""
    near = metrics.neighbourhood(real, synthetic)
    return {"kid": metrics.kid(real, synthetic), **_without_k(near)}


def _without_k(near: dict[str, float]) -> dict[str, float]:
    return {name: near[name] for name in ("precision", "recall", "density", "coverage")}


def _means(found: list[dict[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([values[name] for values in found])) for name in found[0]}


def _kid_of_sides(values: np.ndarray, second: np.ndarray) -> float:
    """KID of two parts of the images of a kernel matrix (N, N); `second` (N,) bool is one of them.

    0 where a part has a single image.
    """
    n, m = np.count_nonzero(~second), np.count_nonzero(second)
    if min(n, m) < 2:
        return 0.0
    to_second = values @ second.astype(np.float64)
    across = to_second[~second].sum()
    diagonal = np.diagonal(values)
    within_second = to_second[second].sum() - diagonal[second].sum()
    within_first = values.sum() - 2 * across - to_second[second].sum() - diagonal[~second].sum()
    return float(
        within_first / (n * (n - 1)) + within_second / (m * (m - 1)) - 2 * across / (n * m)
    )


def _halves(patients: np.ndarray, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rows of two halves of the images, about equal, with no patient in both."""
    names, number = np.unique(patients, return_inverse=True)
    images = np.bincount(number)
    order = generator.permutation(len(names))
    before = np.cumsum(images[order]) - images[order]
    first = order[before + images[order] / 2 < len(patients) / 2]
    inside = np.isin(number, first)
    return np.flatnonzero(inside), np.flatnonzero(~inside)
