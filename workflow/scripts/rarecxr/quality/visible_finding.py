"""Whether synthetic images show their finding: does a classifier of real images see it in them?

A generator can draw faultless X-rays and miss the finding that it was fine-tuned on. Distances
between distributions hardly notice: most of an image is not the finding.
"""

from collections.abc import Callable, Mapping

import numpy as np
from sklearn.metrics import roc_auc_score

from rarecxr.quality.evaluation import FEWEST

# Below, the classifier itself hardly sees the finding, and says nothing about a bank.
_SEEN = 0.6
# Of what the AUROC of real images is above chance.
_HALF = 0.5


def visible_finding(
    logit: Callable[[np.ndarray], np.ndarray],
    synthetic: np.ndarray,
    positives: np.ndarray,
    negatives: np.ndarray,
) -> dict[str, float | int | None]:
    """How well a classifier tells images with a finding from real ones without any target finding.

    Args:
        logit: (N, R, R) uint8 to (N,), of a network that has not seen the real images.
        synthetic: (M, R, R) uint8, drawn to show the finding.
        positives: (P, R, R) uint8, real images that show it.
        negatives: (Q, R, R) uint8, real images without any target finding.

    Returns:
        bank and floor: AUROC of the synthetic and of the real positives against the negatives,
        None with fewer than `FEWEST` images of a kind; positives and negatives: how many.
    """
    counts = {"positives": len(positives), "negatives": len(negatives)}
    if len(negatives) < FEWEST:
        return {"bank": None, "floor": None, **counts}
    without = logit(negatives)

    def auroc(images):
        if len(images) < FEWEST:
            return None
        labels = np.repeat([1, 0], [len(images), len(without)])
        return float(roc_auc_score(labels, np.concatenate([logit(images), without])))

    return {"bank": auroc(synthetic), "floor": auroc(positives), **counts}


def hardly_visible(shown: Mapping[str, float | int | None] | None) -> bool:
    """Whether a bank does not show what real images show: less than half as far above chance.

    A difference that so few real positives can have by chance (two standard errors, Hanley and
    McNeil 1982) is none.

    Args:
        shown: what `visible_finding` gives, or None.
    """
    if not shown or shown["bank"] is None or shown["floor"] is None or shown["floor"] < _SEEN:
        return False
    bank, real = shown["bank"], shown["floor"]
    first, second = real / (2 - real), 2 * real * real / (1 + real)
    positives, negatives = shown["positives"], shown["negatives"]
    variance = real * (1 - real)
    variance += (positives - 1) * (first - real * real) + (negatives - 1) * (second - real * real)
    error = (variance / (positives * negatives)) ** 0.5
    return bank - 0.5 < _HALF * (real - 0.5) and real - bank > 2 * error
