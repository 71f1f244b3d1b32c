"""AUROC, average precision, Brier score and ROC curve of one run.

The values are scikit-learn's. What is added: NaN where a class is missing, and scores in
float64 whatever they were stored in.
"""

import numpy as np
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score, roc_curve


def auroc(labels: np.ndarray, scores: np.ndarray) -> float:
    """Area under the ROC curve: the probability that a positive scores above a negative.

    Args:
        labels: (N,) of 0 and 1.
        scores: (N,), on any scale; equal scores count half.

    Returns:
        A value in [0, 1]; NaN where a class is missing.
    """
    if len(np.unique(labels)) < 2:
        return float("nan")
    return float(roc_auc_score(labels, _float64(scores)))


def average_precision(labels: np.ndarray, scores: np.ndarray) -> float:
    """Area under the precision-recall curve as a sum of steps (AUPRC).

    A classifier without any information reaches the prevalence, not 0.5.

    Args:
        labels: (N,) of 0 and 1.
        scores: (N,), on any scale.

    Returns:
        A value in [0, 1]; NaN where there is no positive.
    """
    if not np.any(np.asarray(labels) == 1):
        return float("nan")
    return float(average_precision_score(labels, _float64(scores)))


def brier_score(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Mean squared difference of probability and label (Brier 1950); 0 is best.

    Args:
        labels: (N,) of 0 and 1.
        probabilities: (N,) in [0, 1].

    Returns:
        A value in [0, 1]; NaN without any image.
    """
    if not len(labels):
        return float("nan")
    return float(brier_score_loss(labels, _float64(probabilities), pos_label=1))


def sensitivity_at(labels: np.ndarray, scores: np.ndarray, rates: np.ndarray) -> np.ndarray:
    """The ROC curve at given false positive rates, interpolated linearly between its points.

    Args:
        labels: (N,) of 0 and 1, both present.
        scores: (N,), on any scale.
        rates: (G,) false positive rates in [0, 1].

    Returns:
        (G,) in [0, 1]. Where the curve rises vertically: the upper end.
    """
    false, true, _ = roc_curve(labels, _float64(scores), drop_intermediate=False)
    return np.interp(rates, false, true)


def _float64(scores):
    return np.asarray(scores, np.float64)
