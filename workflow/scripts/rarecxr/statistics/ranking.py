"""AUROC, average precision, Brier score and ROC curve under many resamples of the patients.

Own code, since nothing kept elsewhere serves: thousands of weighted AUROCs of one set of scores
cost one sort here, and one each with `sklearn.metrics.roc_auc_score`.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.special import expit


def _cumulative_sum(counts, block=16):
    """Cumulative sums of whole numbers down each column: (K, B) float32, exact below 2**23.

    Block by block, in steps over all blocks at once: ten times as fast as `numpy.cumsum` along
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
    """One run's logits on labelled images, sorted once, for metrics under any patient weights.

    K is the number of distinct scores of positives, P that of patients. A resample of the
    patients is a column of weights (how often each patient was drawn); every statistic
    then needs only, for each positive's score, the weight of the negatives above it and
    level with it. Sums over images are products of sparse matrices with the weights, and
    exact: all weights are small whole numbers. None of it is left to BLAS, whose own threads
    would compete with those that work on several rankings at a time.

    Attributes:
        positives: (K, P) number of a patient's positive images with the k-th highest score.
        above: (K, P) number of a patient's negatives between the k-th and the next higher one.
        level: (K, P) number of a patient's negatives with that very score; None if there are none.
        totals: (3, P) of a patient the number of negatives, the sum of (probability - label)^2
            over all images, and the number of images.
    """

    positives: sparse.csr_matrix
    above: sparse.csr_matrix
    level: sparse.csr_matrix | None
    totals: sparse.csr_matrix

    @classmethod
    def of(cls, labels, logits, patients, n_patients: int) -> "Ranking":
        """Sort one run's logits.

        Args:
            labels: (N,) of 0, 1 and NaN; NaN is left out.
            logits: (N,) logits of the probabilities that the Brier score is about.
            patients: (N,) numbers below `n_patients`.
            n_patients: P, the length of the weights to come.
        """
        known = ~np.isnan(labels)
        positive = labels[known] == 1
        scores, patients = np.asarray(logits, np.float64)[known], patients[known]
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
                    total((expit(scores) - positive) ** 2),
                    total(None),
                ]
            ),
        )

    def metrics(self, weights: np.ndarray) -> np.ndarray:
        """AUROC, AUPRC and Brier score under each column of weights.

        Args:
            weights: (P, B) float32, whole numbers.

        Returns:
            (3, B) float64; NaN in columns without a positive, or for the AUROC without a negative.
        """
        positives = self.positives @ weights
        above = _cumulative_sum(self.above @ weights)
        if self.level is None:
            reached = middle = above
        else:
            level = self.level @ weights
            reached = above + _cumulative_sum(level)
            middle = reached - level / 2
        n_negative, squares, n_images = self.totals @ weights.astype(np.float64)
        n_positive = positives.sum(axis=0, dtype=np.float64)
        chosen = _cumulative_sum(positives)
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
        chosen = _cumulative_sum(self.positives @ weights)
        reached = _cumulative_sum(self.above @ weights)
        if self.level is not None:
            level = self.level @ weights
            reached = reached + _cumulative_sum(level) - level / 2
        resamples = weights.shape[1]
        # A resample without negatives has no curve; it must not change those of the others.
        share = np.nan_to_num(reached / (self.totals[0] @ weights.astype(np.float64)), nan=1)
        # One search for all columns: each is shifted to an interval of its own.
        offset = 2.0 * np.arange(resamples)
        places = np.searchsorted(
            (share + offset).T.ravel(), (at[:, None] + offset).ravel(), side="right"
        ).reshape(len(at), resamples)
        places -= np.arange(resamples) * len(share)
        steps = np.vstack([np.zeros(resamples), chosen / chosen[-1]])
        return np.take_along_axis(steps, places, axis=0)
