"""Synthetic images against real ones, beside what real images reach against each other."""

import numpy as np

from rarecxr.quality import metrics
from rarecxr.quality.two_sample_test import c2st

# Random halvings of the real images that are averaged.
_HALVINGS = 4
# In smaller halves nothing can be said about a distribution.
FEWEST = 10


def against_floor(
    real: np.ndarray, patients: np.ndarray, synthetic: np.ndarray, seed: int = 0
) -> dict:
    """KID, precision, recall, density, coverage and how well a classifier tells both apart.

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
        `images`, the number in each set; `bank` and `floor`, each with kid, precision, recall,
        density, coverage and c2st (AUROC, 0.5 is best; NaN with fewer than five patients
        in a half). Only `too_few_images: True` where a set would have fewer than `FEWEST`.
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
            pair = (real[half], synthetic[chosen], patients[half], None)
            found["bank"].append(_compare(*pair, seed=number))
        pair = (real[first], real[second], patients[first], patients[second])
        found["floor"].append(_compare(*pair, seed=number))
    means = {
        name: {key: float(np.mean([values[key] for values in each])) for key in each[0]}
        for name, each in found.items()
    }
    return {"images": int(np.min(sizes)), **means}


def _compare(first, second, first_groups, second_groups, seed):
    near = metrics.neighbourhood(first, second)
    return {
        "kid": metrics.kid(first, second),
        **{name: near[name] for name in ("precision", "recall", "density", "coverage")},
        "c2st": c2st(first, second, first_groups, second_groups, seed),
    }


def _halves(patients, generator):
    """Rows of two halves of the images, about equal, with no patient in both."""
    names, number = np.unique(patients, return_inverse=True)
    images = np.bincount(number)
    order = generator.permutation(len(names))
    before = np.cumsum(images[order]) - images[order]
    first = order[before + images[order] / 2 < len(patients) / 2]
    inside = np.isin(number, first)
    return np.flatnonzero(inside), np.flatnonzero(~inside)
