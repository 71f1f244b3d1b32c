"""Intervals that count both chances: which patients were tested, and which runs were trained.

Patients are resampled whole, with all their images, since images of one patient are alike.
All arms see the same resamples, so that differences between arms are paired.

Runs of one arm differ by their seed (and draw). On the same test patients, a run's AUROC is

    mean + run + patients + run x patients,

as a reader's is in studies of many readers and many cases, and what is wanted is the mean over all
runs that could have been trained. Resampling patients and runs naively counts the
last term up to three times (Owen 2007, The pigeonhole bootstrap, Annals of Applied Statistics 1),
and too little of the second one when there are few runs. So resampled patients move all runs
as they are, and resampled runs add their own deviations, scaled so that the variance is that
of Obuchowski and Rockette (1995, Communications in Statistics 24) with the degrees of
freedom of Hillis (2007, Statistics in Medicine 26). docs/statistics.md shows how well it holds.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from scipy import stats

from rarecxr.core.job_log import Progress
from rarecxr.statistics.auroc import Ranking

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


def replicates(
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
        threads: rankings that are measured at a time. The result does not depend on it.
        label: what the progress bar says.

    Returns:
        (3, B, R) float64; NaN where a resample holds no positive or no negative.
    """
    result = np.empty((3, resamples, len(rankings)))
    generator = np.random.default_rng(seed)
    with (
        ThreadPoolExecutor(threads) as pool,
        Progress(resamples * len(rankings), unit="resamples", label=label) as bar,
    ):
        for start in range(0, resamples, CHUNK):
            # Always whole chunks, so that the first resamples do not depend on their number.
            weights = patient_weights(n_patients, CHUNK, generator)[:, : resamples - start]
            weights = np.ascontiguousarray(weights)
            measured = pool.map(lambda ranking, w=weights: ranking.measure(w), rankings)
            for number, values in enumerate(measured):
                result[:, start : start + CHUNK, number] = values
                bar.update(weights.shape[1])
    return result


@dataclass(frozen=True)
class Group:
    """Independent repetitions of one training, measured on the same test patients.

    Attributes:
        values: (U,) the statistic of each.
        replicates: (B, U) the same in each resample of the patients.
        sign: +1, or -1 where the group is subtracted.
    """

    values: np.ndarray
    replicates: np.ndarray
    sign: int = 1


@dataclass(frozen=True)
class Estimate:
    """A mean over runs, or a difference of such means, with what is uncertain about it.

    Attributes:
        value: the mean or difference.
        se: its standard error over patients and runs; over patients alone if `runs` is False.
        df: degrees of freedom of the standard error.
        runs: whether several runs were there to say how much runs differ.
        se_patients: the part of the standard error that more test patients would reduce.
    """

    value: float
    se: float
    df: float
    runs: bool
    se_patients: float

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """The two-sided interval by Student's t, on the scale of the value itself."""
        reach = stats.t.ppf((1 + level) / 2, self.df) * self.se
        return self.value - reach, self.value + reach

    def interval_of_share(self, level: float = 0.95) -> tuple[float, float]:
        """The same for a value in (0, 1), built on its logit, so that it stays inside.

        A value of exactly 0 or 1 has no such interval: NaN.
        """
        spread = self.value * (1 - self.value)
        if not spread > 0:
            return float("nan"), float("nan")
        centre = np.log(self.value / (1 - self.value))
        reach = stats.t.ppf((1 + level) / 2, self.df) * self.se / spread
        return float(1 / (1 + np.exp(reach - centre))), float(1 / (1 + np.exp(-reach - centre)))


def estimate(groups: Sequence[Group], n_informative: int, seed: int) -> Estimate:
    """The signed sum of the groups' means, under resampled patients and resampled runs.

    Args:
        groups: one for a mean, two of opposite sign for a difference of arms. Groups are
            resampled independently of each other as to runs, together as to patients.
        n_informative: number of patients of the rarer class, at least 2, which bounds what the
            spread over resamples can know (degrees of freedom: one less).
        seed: seed of the resampled runs.
    """
    generator = np.random.default_rng(seed)
    value = float(sum(group.sign * np.mean(group.values) for group in groups))
    moved = sum(group.sign * group.replicates.mean(axis=1) for group in groups)
    # A spread around the sample's own mean falls short of that around the true one.
    moved = value + (moved - np.nanmean(moved)) * np.sqrt(n_informative / (n_informative - 1))
    variance_patients = float(np.nanvar(moved, ddof=1))
    uncertain_runs = 0.0
    for group in groups:
        units = len(group.values)
        if units == 1:
            continue
        between = float(np.var(group.values, ddof=1))
        own = group.replicates - group.replicates.mean(axis=1, keepdims=True)
        interaction = float(np.nanmean(np.nanvar(own, axis=0, ddof=1))) * units / (units - 1)
        if between > interaction:
            uncertain_runs += (between / units) ** 2 / (units - 1)
            # Residuals of drawn runs, shrunk to what is not run x patients, which the resampled
            # patients carry already, and widened as above.
            scale = np.sqrt((1 - interaction / between) * units / (units - 1))
            drawn = generator.integers(0, units, (len(moved), units))
            residuals = np.asarray(group.values) - np.mean(group.values)
            moved = moved + group.sign * scale * residuals[drawn].mean(axis=1)
    variance = float(np.nanvar(moved, ddof=1))
    uncertain = uncertain_runs + variance_patients**2 / (n_informative - 1)
    return Estimate(
        value=value,
        se=variance**0.5,
        df=variance**2 / uncertain if uncertain > 0 else float("inf"),
        runs=all(len(group.values) > 1 for group in groups),
        se_patients=variance_patients**0.5,
    )
