"""Resamples of the test patients, and every run's metrics in each of them.

Patients are resampled whole, with all their images, because images of one patient are correlated.
All runs see the same resamples, so that differences between arms are paired.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from rarecxr.core.job_log import Progress
from rarecxr.statistics.ranking import Ranking

# Resamples that are held in memory at a time.
CHUNK = 128


def patient_weights(n_patients: int, resamples: int, generator: np.random.Generator) -> np.ndarray:
    """How often each patient is drawn when as many as there are are drawn with replacement.

    Returns:
        (n_patients, resamples) float32; each column adds up to n_patients.
    """
    drawn = generator.integers(0, n_patients, (resamples, n_patients))
    drawn += np.arange(resamples)[:, None] * n_patients
    counts = np.bincount(drawn.ravel(), minlength=resamples * n_patients)
    return np.ascontiguousarray(counts.reshape(resamples, n_patients).T, dtype=np.float32)


def bootstrap_replicates(
    rankings: Sequence[Ranking],
    n_patients: int,
    resamples: int,
    seed: int,
    threads: int = 1,
    label: str = "",
) -> np.ndarray:
    """AUROC, AUPRC and Brier score of each ranking under the same resamples of patients.

    Args:
        rankings: R sorted runs over the same numbering of patients.
        n_patients: number of patients.
        resamples: B, number of resamples.
        seed: seed of the resamples; their first ones are the same for any `resamples`.
        threads: rankings that are evaluated at a time. The result does not depend on it.
        label: text of the progress bar.

    Returns:
        (3, B, R) float64; NaN where a resample holds no positive or no negative.
    """
    replicates = np.empty((3, resamples, len(rankings)))
    generator = np.random.default_rng(seed)
    with (
        ThreadPoolExecutor(threads) as pool,
        Progress(resamples * len(rankings), unit="resamples", label=label) as bar,
    ):
        for start in range(0, resamples, CHUNK):
            # Always whole chunks, so that the first resamples do not depend on their number.
            weights = patient_weights(n_patients, CHUNK, generator)[:, : resamples - start]
            weights = np.ascontiguousarray(weights)
            computed = pool.map(lambda ranking, w=weights: ranking.metrics(w), rankings)
            for number, values in enumerate(computed):
                replicates[:, start : start + CHUNK, number] = values
                bar.update(weights.shape[1])
    return replicates
