"""AUROC, average precision and Brier score, of one set of scores or of many resamples of it."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.stats import rankdata


def auroc(labels: np.ndarray, scores: np.ndarray) -> float:
    """The probability that a positive scores above a negative; a tie counts half.

    Args:
        labels: (N,) of 0 and 1.
        scores: (N,), any order-preserving scale.

    Returns:
        A value in [0, 1]; NaN where a class is missing.
    """
    positive = np.asarray(labels) == 1
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    if not n_positive or not n_negative:
        return float("nan")
    # The Mann-Whitney statistic: ranks of the positives beyond the least they could have.
    ranks = rankdata(scores)[positive].sum()
    return float((ranks - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative))


def average_precision(labels: np.ndarray, scores: np.ndarray) -> float:
    """Area under the precision-recall curve as a sum of steps (AUPRC).

    For each distinct score as threshold: precision times the recall gained there, without
    interpolation. A classifier that knows nothing has the prevalence, not 0.5.

    Args:
        labels: (N,) of 0 and 1.
        scores: (N,), any order-preserving scale.

    Returns:
        A value in [0, 1]; NaN where there is no positive.
    """
    positive = np.asarray(labels) == 1
    if not positive.any():
        return float("nan")
    true, chosen, _ = _counts_at_thresholds(positive, scores)
    return float(np.sum(np.diff(true, prepend=0) * true / chosen) / true[-1])


def brier(labels: np.ndarray, scores: np.ndarray) -> float:
    """Mean squared difference of score and label (Brier 1950); 0 is best.

    Args:
        labels: (N,) of 0 and 1.
        scores: (N,) in [0, 1].
    """
    return float(np.mean((np.asarray(scores, float) - np.asarray(labels, float)) ** 2))


def roc(labels: np.ndarray, scores: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Sensitivity at given false positive rates, straight between the points of the curve.

    Args:
        labels: (N,) of 0 and 1, both present.
        scores: (N,).
        at: (G,) false positive rates in [0, 1].

    Returns:
        (G,) in [0, 1]. At a rate where the curve is a vertical line: its upper end.
    """
    positive = np.asarray(labels) == 1
    true, chosen, _ = _counts_at_thresholds(positive, scores)
    false = chosen - true
    return _on_curve(at, np.append(0, false) / false[-1], np.append(0, true) / true[-1])


def _counts_at_thresholds(positive, scores):
    """True positives and chosen images at each distinct score from the highest on: (K,) each."""
    order = np.argsort(-np.asarray(scores), kind="stable")
    ordered = np.asarray(scores)[order]
    last = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)
    return np.cumsum(positive[order])[last], last + 1, ordered[last]


def _on_curve(at, x, y):
    """The curve through points whose x does not fall, at `at`; of a vertical part its upper end."""
    left = np.searchsorted(x, at, side="right") - 1
    right = np.minimum(left + 1, len(x) - 1)
    width = x[right] - x[left]
    part = np.divide(at - x[left], width, out=np.zeros(len(at)), where=width > 0)
    return y[left] + part * (y[right] - y[left])


def _running_sum(counts, block=16):
    """Sums of whole numbers down each column: (K, B) float32, exact below 2**23.

    Block by block, in steps over all blocks at once: ten times as quick as `numpy.cumsum` along
    the first axis.
    """
    blocks = -(-len(counts) // block)
    sums = np.zeros((blocks, block, counts.shape[1]), np.float32)
    sums.reshape(blocks * block, -1)[: len(counts)] = counts
    for row in range(1, block):
        sums[:, row] += sums[:, row - 1]
    sums[1:] += np.cumsum(sums[:-1, -1], axis=0)[:, None]
    if sums.size and sums[-1, -1].max() >= 2**23:
        raise ValueError("more than 8 million images of a class in a test set cannot be counted")
    return sums.reshape(blocks * block, -1)[: len(counts)]


@dataclass(frozen=True)
class Ranking:
    """One run's scores on labelled images, sorted once, to be measured under any patient weights.

    K is the number of distinct scores of positives, P that of patients. A resample of the
    patients is a column of weights (how often each patient was drawn); every statistic
    then needs only, for each positive's score, the weight of the negatives above it and
    level with it. Sums over images are products of sparse matrices with the weights, and
    exact: all weights are small whole numbers. None of it is left to BLAS, whose own threads
    would stand in the way of those that measure several rankings at a time.

    Attributes:
        positives: (K, P) number of a patient's positive images with the k-th highest score.
        above: (K, P) number of a patient's negatives between the k-th and the next higher one.
        level: (K, P) number of a patient's negatives with that very score; None if there are none.
        totals: (3, P) of a patient the number of negatives, the sum of (score - label)^2 over all
            images, and the number of images.
    """

    positives: sparse.csr_matrix
    above: sparse.csr_matrix
    level: sparse.csr_matrix | None
    totals: sparse.csr_matrix

    @classmethod
    def of(cls, labels, scores, patients, n_patients: int) -> "Ranking":
        """Sort one run's scores.

        Args:
            labels: (N,) of 0, 1 and NaN; NaN is left out.
            scores: (N,) in [0, 1].
            patients: (N,) numbers below `n_patients`.
            n_patients: P, the length of the weights to come.
        """
        known = ~np.isnan(labels)
        positive = labels[known] == 1
        scores, patients = scores[known], patients[known]
        thresholds = np.unique(scores[positive])[::-1]
        # The place of a score among the thresholds: how many of them lie strictly above it.
        above = np.searchsorted(-thresholds, -scores, side="left")
        level = np.zeros(len(scores), bool)
        inside = above < len(thresholds)
        level[inside] = thresholds[above[inside]] == scores[inside]

        def matrix(chosen):
            rows = above[chosen]
            shape = (len(thresholds), n_patients)
            values = (np.ones(len(rows), np.float32), (rows, patients[chosen]))
            return sparse.csr_matrix(values, shape=shape)

        def total(values, chosen=slice(None)):
            return np.bincount(patients[chosen], values, n_patients)

        tied = level & ~positive
        return cls(
            positives=matrix(positive),
            above=matrix(~positive & ~level & inside),
            level=matrix(tied) if tied.any() else None,
            totals=sparse.csr_matrix(
                [
                    total(None, ~positive),
                    total((scores.astype(np.float64) - positive) ** 2),
                    total(None),
                ]
            ),
        )

    def measure(self, weights: np.ndarray) -> np.ndarray:
        """AUROC, AUPRC and Brier score under each column of weights.

        Args:
            weights: (P, B) float32, whole numbers.

        Returns:
            (3, B) float64; NaN in columns without a positive, or for the AUROC without a negative.
        """
        positives = self.positives @ weights
        above = _running_sum(self.above @ weights)
        if self.level is None:
            reached = middle = above
        else:
            level = self.level @ weights
            reached = above + _running_sum(level)
            middle = reached - level / 2
        n_negative, squares, n_images = self.totals @ weights.astype(np.float64)
        n_positive = positives.sum(axis=0, dtype=np.float64)
        chosen = _running_sum(positives)
        positives = positives.astype(np.float64)
        with np.errstate(invalid="ignore", divide="ignore"):
            auc = 1 - np.einsum("kb,kb->b", positives, middle) / (n_positive * n_negative)
            # Thresholds that no drawn positive has reached yet have nothing to divide, nor to add.
            precision = np.divide(
                chosen,
                chosen + reached,
                out=np.zeros(chosen.shape),
                where=chosen > 0,
                dtype=np.float64,
            )
            auprc = np.einsum("kb,kb->b", positives, precision) / n_positive
            squares = squares / n_images
        return np.stack([auc, auprc, squares])

    def roc(self, weights: np.ndarray, at: np.ndarray) -> np.ndarray:
        """Sensitivity at given false positive rates under each column of weights.

        Args:
            weights: (P, B) float32, whole numbers.
            at: (G,) false positive rates in [0, 1].

        Returns:
            (G, B) float64; a positive counts once half of the negatives level with it do. NaN in
            columns without a positive.
        """
        chosen = _running_sum(self.positives @ weights)
        reached = _running_sum(self.above @ weights)
        if self.level is not None:
            level = self.level @ weights
            reached = reached + _running_sum(level) - level / 2
        resamples = weights.shape[1]
        # A resample without negatives has no curve; it must only not spoil those of the others.
        share = np.nan_to_num(reached / (self.totals[0] @ weights.astype(np.float64)), nan=1)
        # One search for all columns: each is moved to an interval of its own.
        offset = 2.0 * np.arange(resamples)
        places = np.searchsorted(
            (share + offset).T.ravel(), (at[:, None] + offset).ravel(), side="right"
        ).reshape(len(at), resamples)
        places -= np.arange(resamples) * len(share)
        steps = np.vstack([np.zeros(resamples), chosen / chosen[-1]])
        return np.take_along_axis(steps, places, axis=0)
