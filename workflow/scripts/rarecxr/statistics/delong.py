"""Standard errors of AUROCs by DeLong's method, also where patients have several images.

DeLong, DeLong and Clarke-Pearson 1988 (Biometrics 44); for clusters Obuchowski 1997
(Biometrics 53). Without resampling: a cross-check of the bootstrap for single runs.
"""

import numpy as np
from scipy.stats import norm, rankdata


def delong(labels, scores, patients=None) -> tuple[np.ndarray, np.ndarray]:
    """AUROCs of several classifiers on the same images, and their covariance.

    Args:
        labels: (N,) of 0 and 1, both present.
        scores: (A, N), one row per classifier, on any scale.
        patients: (N,) the patient of each image; None if all images are of different patients.

    Returns:
        (A,) AUROCs and (A, A) covariance.

    Raises:
        ValueError: a class is missing, or has only one patient.
    """
    labels = np.asarray(labels)
    # `rankdata` ranks float32 in float32, whose sums are wrong in the eighth digit.
    scores = np.atleast_2d(np.asarray(scores, np.float64))
    positive = labels == 1
    m, n = int(positive.sum()), int((~positive).sum())
    if not m or not n:
        raise ValueError(f"AUROC needs both classes, got {m} positives and {n} negatives")
    # Placements: for a positive the share of negatives below it, for a negative the share of
    # positives above it, ties half: rank among all images less rank within the own class.
    placements = np.empty(scores.shape)
    for row, score in enumerate(scores):
        overall = rankdata(score)
        placements[row, positive] = (overall[positive] - rankdata(score[positive])) / n
        placements[row, ~positive] = 1 - (overall[~positive] - rankdata(score[~positive])) / m
    auc = placements[:, positive].mean(axis=1)
    if patients is None:
        return auc, np.cov(placements[:, positive]).reshape(len(auc), -1) / m + np.cov(
            placements[:, ~positive]
        ).reshape(len(auc), -1) / n
    _, number = np.unique(patients, return_inverse=True)
    n_patients = number.max() + 1
    # Each patient's sum of deviations over positive and over negative images.
    centred = placements - auc[:, None]
    sums = [
        np.array([np.bincount(number[chosen], row[chosen], n_patients) for row in centred])
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
    cross = sums[0] @ sums[1].T / (m * n) * n_patients / (n_patients - 1)
    covariance = scale[0] * sums[0] @ sums[0].T + scale[1] * sums[1] @ sums[1].T + cross + cross.T
    return auc, covariance


def difference(labels, scores, patients=None) -> tuple[float, float, float]:
    """Change of the AUROC from the second row of scores to the first.

    Args:
        labels: (N,) of 0 and 1, both present.
        scores: (2, N).
        patients: (N,) the patient of each image, or None.

    Returns:
        Difference, its standard error, and the two-sided p-value by the normal
        distribution (1 where both rows give the same ranking).
    """
    auc, covariance = delong(labels, scores, patients)
    contrast = np.array([1.0, -1.0])
    change = float(contrast @ auc)
    se = float(np.sqrt(max(contrast @ covariance @ contrast, 0)))
    return change, se, float(2 * norm.sf(abs(change) / se)) if se > 0 else float(change == 0)
