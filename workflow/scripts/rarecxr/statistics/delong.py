"""Standard errors of AUROCs by DeLong's method, also where patients have several images.

DeLong, DeLong and Clarke-Pearson 1988 (Biometrics 44); for clusters Obuchowski 1997
(Biometrics 53). No resampling: a cross-check of the bootstrap for single runs.
"""

import numpy as np
from scipy.stats import norm, rankdata


def delong(labels, scores, patients=None) -> tuple[np.ndarray, np.ndarray]:
    """AUROCs of several classifiers on the same images, and their covariance.

    Args:
        labels: (N,) of 0 and 1, both present.
        scores: (A, N), one row a classifier.
        patients: (N,) whose image it is; None if every image is another patient's.

    Returns:
        (A,) AUROCs and (A, A) covariance.

    Raises:
        ValueError: a class is missing, or has only one patient.
    """
    labels = np.asarray(labels)
    scores = np.atleast_2d(scores)
    positive = labels == 1
    m, n = int(positive.sum()), int((~positive).sum())
    if not m or not n:
        raise ValueError(f"AUROC needs both classes, got {m} positives and {n} negatives")
    # Placements: for a positive the share of negatives below it, for a negative the share of
    # positives above it, ties half. Ranks among all less ranks among their own class give both.
    placed = np.empty(scores.shape)
    for row, score in enumerate(scores):
        everyone = rankdata(score)
        placed[row, positive] = (everyone[positive] - rankdata(score[positive])) / n
        placed[row, ~positive] = 1 - (everyone[~positive] - rankdata(score[~positive])) / m
    auc = placed[:, positive].mean(axis=1)
    if patients is None:
        return auc, np.cov(placed[:, positive]).reshape(len(auc), -1) / m + np.cov(
            placed[:, ~positive]
        ).reshape(len(auc), -1) / n
    _, number = np.unique(patients, return_inverse=True)
    total = number.max() + 1
    # Each patient's sum of deviations, as a positive and as a negative.
    centred = placed - auc[:, None]
    sums = [
        np.array([np.bincount(number[chosen], row[chosen], total) for row in centred])
        for chosen in (positive, ~positive)
    ]
    holders = [len(np.unique(number[chosen])) for chosen in (positive, ~positive)]
    if min(holders) < 2:
        raise ValueError(
            f"needs two patients of each class, got {holders[0]} with positives and"
            f" {holders[1]} with negatives"
        )
    scale = [
        holder / (holder - 1) / count**2 for holder, count in zip(holders, (m, n), strict=True)
    ]
    cross = sums[0] @ sums[1].T / (m * n) * total / (total - 1)
    covariance = scale[0] * sums[0] @ sums[0].T + scale[1] * sums[1] @ sums[1].T + cross + cross.T
    return auc, covariance


def difference(labels, scores, patients=None) -> tuple[float, float, float]:
    """Change of the AUROC from the second row of scores to the first.

    Args:
        labels: (N,) of 0 and 1, both present.
        scores: (2, N).
        patients: (N,) whose image it is, or None.

    Returns:
        Difference, its standard error, and the two-sided p-value by the normal
        distribution (1 where both rows rank alike).
    """
    auc, covariance = delong(labels, scores, patients)
    contrast = np.array([1.0, -1.0])
    change = float(contrast @ auc)
    se = float(np.sqrt(max(contrast @ covariance @ contrast, 0)))
    return change, se, float(2 * norm.sf(abs(change) / se)) if se > 0 else float(change == 0)
