"""The criterion of an epoch: the area under the ROC curve.

Not taken from `rarecxr.statistics`, so that work on the report's numbers retrains nothing, and not
from scikit-learn, whose import costs a training job 2.4 s of processor time, half as much again as
all its other imports together, for this one number.
"""

import numpy as np


def auroc(labels: np.ndarray, scores: np.ndarray) -> float:
    """Probability that a positive scores above a negative; a tie counts half.

    Args:
        labels: (N,) in {0, 1, NaN}; NaN is left out.
        scores: (N,), any order-preserving scale.

    Returns:
        A value in [0, 1]; NaN where a class is missing.
    """
    known = ~np.isnan(labels)
    positive = labels[known] == 1
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    if not n_positive or not n_negative:
        return float("nan")
    _, place, count = np.unique(scores[known], return_inverse=True, return_counts=True)
    # The middle of the ranks that equal scores share; then the Mann-Whitney statistic.
    rank = (np.cumsum(count) - (count - 1) / 2)[place]
    above = rank[positive].sum() - n_positive * (n_positive + 1) / 2
    return float(above / (n_positive * n_negative))
