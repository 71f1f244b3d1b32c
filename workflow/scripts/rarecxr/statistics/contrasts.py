"""Weighted sums of arms' mean AUROCs over all cells of a study, and ratios of two such sums.

The mean over all cells is more precise than any cell. A run predicts all findings at once, so its
mean over the findings is one value; runs at different fractions are independent, unless they share
their draw.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import optimize, stats

from rarecxr.statistics.estimates import Estimate, Repetitions, estimate
from rarecxr.statistics.finding_metrics import FindingMetrics
from rarecxr.statistics.predictions import rows_by_arm

# Beyond this many times the first step away from the estimate an interval has no end.
_DOUBLINGS = 40


@dataclass(frozen=True)
class CellMean:
    """Every run's AUROC as a mean over the findings that have an interval.

    Attributes:
        runs: table of R runs: `arm`, `fraction`, `draw`, `seed`.
        values: (R,) the means.
        replicates: (B, R) the same in each resample of the patients.
        informative: number of patients of the rarest class among those findings.
        findings: number of the findings.
    """

    runs: pd.DataFrame
    values: np.ndarray
    replicates: np.ndarray
    informative: int
    findings: int

    @classmethod
    def of(cls, metrics: Mapping[str, FindingMetrics]) -> "CellMean | None":
        """The mean over the findings of `metrics` that were resampled; None where none was."""
        usable = [found for found in metrics.values() if found.replicates is not None]
        if not usable:
            return None
        return cls(
            runs=usable[0].runs,
            values=np.mean([found.values[0] for found in usable], axis=0),
            replicates=np.mean([found.replicates[0] for found in usable], axis=0),
            informative=min(found.informative for found in usable),
            findings=len(usable),
        )

    @property
    def cells(self) -> int:
        """Number of cells: findings times fractions."""
        return self.findings * self.runs["fraction"].nunique()

    def has(self, arm: str | None) -> bool:
        """Whether an arm of this name ran."""
        return bool((self.runs["arm"] == arm).any())

    def estimate(self, weights: Mapping[str, float]) -> Estimate:
        """The weighted sum of arms' means over all cells.

        With several draws an independent repetition is a draw, which all arms and fractions share;
        with one it is a run.

        Args:
            weights: the weight of each arm by its name. A sum of 0 is a change.
        """
        cells = rows_by_arm(self.runs)
        share = 1 / len(cells)
        draws = self.runs["draw"].to_numpy()
        numbers = np.unique(draws)
        change = abs(sum(weights.values())) < 1e-9
        if len(numbers) == 1:
            groups = [
                Repetitions(
                    weight * share * self.values[arms[arm]],
                    weight * share * self.replicates[:, arms[arm]],
                )
                for _, arms in cells
                for arm, weight in weights.items()
                if weight
            ]
            return estimate(groups, self.informative, change)
        values, replicates = np.zeros(len(numbers)), np.zeros((len(self.replicates), len(numbers)))
        for _, arms in cells:
            for arm, weight in weights.items():
                for place, number in enumerate(numbers):
                    rows = arms[arm][draws[arms[arm]] == number]
                    values[place] += weight * share * self.values[rows].mean()
                    replicates[:, place] += weight * share * self.replicates[:, rows].mean(axis=1)
        return estimate([Repetitions(values, replicates)], self.informative, change)


def ratio_interval(
    ratio: float, less: Callable[[float], Estimate], level: float = 0.95
) -> tuple[float, float]:
    """The interval of a ratio of two changes, by Fieller's method.

    It holds the ratios r for which "numerator - r denominator is 0" is not rejected, so it is as
    skewed as the ratio's distribution, and it has no end where the denominator may be 0.

    Fieller (1954), Some problems in interval estimation, J. R. Stat. Soc. B 16.

    Args:
        ratio: the ratio itself.
        less: the estimate of numerator - r denominator for any r.
        level: of the interval.

    Returns:
        The two ends; infinite where there is none.
    """

    def beyond(r: float) -> float:
        found = less(r)
        return abs(found.value) - stats.t.ppf((1 + level) / 2, found.df) * found.se

    # From the ratio outwards, where nothing is rejected.
    step = max(abs(ratio), 1.0) / 8
    ends = []
    for sign in (-1, 1):
        inside = ratio
        for doubling in range(_DOUBLINGS):
            outside = ratio + sign * step * 2**doubling
            if beyond(outside) > 0:
                ends.append(float(optimize.brentq(beyond, inside, outside, xtol=1e-6)))
                break
            inside = outside
        else:
            ends.append(sign * float("inf"))
    return ends[0], ends[1]
