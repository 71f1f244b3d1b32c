"""Means over runs and differences of such means, with standard errors over patients and runs.

Runs of one arm differ by their seed (and draw). On the same test patients, a run's AUROC is

    mean + run + patients + run x patients,

the model of multi-reader multi-case studies with runs in the place of readers. What is estimated is
the mean over all runs that could have been trained. Resampling patients and runs together counts
the last term up to three times (Owen 2007, The pigeonhole bootstrap, Annals of Applied Statistics
1), and underestimates the second one when there are few runs. Here the resamples of the patients,
with the runs as they are, give the variance of the last two terms, and the spread between runs
beyond the last term gives that of the second, as in Obuchowski and Rockette (1995, Communications
in Statistics 24), with the degrees of freedom of Hillis (2007, Statistics in Medicine 26).
docs/statistics.md has the coverage of the intervals.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats


@dataclass(frozen=True)
class Repetitions:
    """Independent repetitions of one training, evaluated on the same test patients.

    Attributes:
        values: (U,) the statistic of each.
        replicates: (B, U) the same in each resample of the patients.
        sign: +1, or -1 where their mean is subtracted.
    """

    values: np.ndarray
    replicates: np.ndarray
    sign: int = 1


@dataclass(frozen=True)
class Estimate:
    """A mean over runs, or a difference of such means, with its uncertainty.

    Attributes:
        value: the mean or difference.
        se: its standard error over patients and runs; over patients alone if there is one run.
        df: degrees of freedom of the standard error.
        se_patients: the part of the standard error that more test patients would reduce.
    """

    value: float
    se: float
    df: float
    se_patients: float

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """The two-sided interval by Student's t, on the scale of the value itself."""
        reach = stats.t.ppf((1 + level) / 2, self.df) * self.se
        return self.value - reach, self.value + reach

    def logit_interval(self, level: float = 0.95) -> tuple[float, float]:
        """The same for a value in (0, 1), built on its logit, so that it stays inside.

        A value of exactly 0 or 1 has no such interval: NaN.
        """
        spread = self.value * (1 - self.value)
        if not spread > 0:
            return float("nan"), float("nan")
        centre = np.log(self.value / (1 - self.value))
        reach = stats.t.ppf((1 + level) / 2, self.df) * self.se / spread
        return float(1 / (1 + np.exp(reach - centre))), float(1 / (1 + np.exp(-reach - centre)))


def repetitions(
    runs: pd.DataFrame,
    values: np.ndarray,
    replicates: np.ndarray,
    rows: np.ndarray,
    reference: np.ndarray | None = None,
) -> list[Repetitions]:
    """The independent repetitions of one arm, or of two arms to be compared.

    With several draws a repetition is a draw, whose seeds are averaged; the draw's patients are
    the same in both arms, so arms are compared draw by draw. With one draw it is a seed, and
    seeds of different arms are independent.

    Args:
        runs: table of R runs with `draw` and `seed`.
        values: (R,) a metric.
        replicates: (B, R) the same in each resample of the patients.
        rows: places of the arm's runs.
        reference: places of the runs whose mean is subtracted.

    Returns:
        What `estimate` takes: one group of repetitions, or two of opposite sign.
    """
    arms = [rows] if reference is None else [rows, reference]
    draws = [runs["draw"].to_numpy()[chosen] for chosen in arms]
    if len(np.unique(draws[0])) == 1:
        return [
            Repetitions(values[chosen], replicates[:, chosen], sign)
            for chosen, sign in zip(arms, (1, -1), strict=False)
        ]
    by_draw = []
    for chosen, numbers in zip(arms, draws, strict=True):
        each = [chosen[numbers == number] for number in np.unique(numbers)]
        by_draw.append(
            Repetitions(
                np.array([values[places].mean() for places in each]),
                np.stack([replicates[:, places].mean(axis=1) for places in each], axis=1),
            )
        )
    if reference is None:
        return by_draw
    first, second = by_draw
    return [Repetitions(first.values - second.values, first.replicates - second.replicates)]


def estimate(groups: Sequence[Repetitions], n_informative: int, change: bool) -> Estimate:
    """The signed sum of the groups' means, with its variance over patients and runs.

    Args:
        groups: one for a mean, two of opposite sign for a difference of arms; independent of each
            other as to runs, resampled together as to patients.
        n_informative: number of patients of the rarer class, at least 2, which limits how well
            the spread over resamples is known (degrees of freedom: one less).
        change: whether the estimate is a difference of arms. The spread over resamples is around
            the sample's own mean, and so too small by (n - 1) / n; the varying number of positives
            in the resamples makes it too large by about as much. For a change the two cancel. A
            mean's distribution is skewed besides: with the first corrected nevertheless, its
            interval holds the truth as often as it should.
    """
    value = float(sum(group.sign * np.mean(group.values) for group in groups))
    replicates = sum(group.sign * group.replicates.mean(axis=1) for group in groups)
    of_patients = float(np.nanvar(replicates, ddof=1))
    if not change:
        of_patients *= n_informative / (n_informative - 1)
    # Variance between runs beyond run x patients, which the resamples of the patients have already.
    of_runs, uncertainty_runs, least_df = 0.0, 0.0, 0
    for group in groups:
        units = len(group.values)
        if units == 1:
            continue
        between = float(np.var(group.values, ddof=1))
        own = group.replicates - group.replicates.mean(axis=1, keepdims=True)
        interaction = float(np.nanmean(np.nanvar(own, axis=0, ddof=1))) * units / (units - 1)
        of_runs += (between - interaction) / units
        uncertainty_runs += (between / units) ** 2 / (units - 1)
        least_df = units - 1
    # A sum of variances below zero counts as zero, and is then known.
    if of_runs <= 0:
        of_runs, uncertainty_runs, least_df = 0.0, 0.0, 0
    variance = of_patients + of_runs
    uncertainty = uncertainty_runs + of_patients**2 / (n_informative - 1)
    df = variance**2 / uncertainty if uncertainty > 0 else float("inf")
    return Estimate(
        value=value,
        se=variance**0.5,
        # As in Hillis: what is subtracted from the variance between runs never makes the standard
        # error less certain than that variance by itself.
        df=max(df, least_df),
        se_patients=of_patients**0.5,
    )
