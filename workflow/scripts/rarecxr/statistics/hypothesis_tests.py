"""Tests of a change with its standard error: p-values, their correction, power and verdict."""

from collections.abc import Sequence

import numpy as np
from scipy import stats

from rarecxr.statistics.comparisons import BETTER, INCONCLUSIVE, NO_DIFFERENCE, WORSE


def p_difference(value: float, se: float, df: float) -> float:
    """Two-sided p-value of "there is no difference", by Student's t."""
    if se == 0:
        # No spread at all: the value is exact.
        return float(value == 0)
    return float(2 * stats.t.sf(abs(value) / se, df))


def p_equivalence(value: float, se: float, df: float, margin: float) -> float:
    """p-value of "the difference is at least `margin` in either direction".

    Two one-sided tests (Schuirmann 1987, Journal of Pharmacokinetics and Biopharmaceutics 15):
    the larger p-value of the two.
    """
    if se == 0:
        return float(abs(value) >= margin)
    return float(stats.t.sf((margin - abs(value)) / se, df))


def detectable(se: float, df: float, power: float = 0.8, alpha: float = 0.05) -> float:
    """The true difference that a two-sided test detects with the given power.

    The probability of a significant result of the wrong sign is neglected.
    """
    return float((stats.t.ppf(1 - alpha / 2, df) + stats.t.ppf(power, df)) * se)


def holm(p: Sequence[float]) -> np.ndarray:
    """p-values corrected for their number, in the same order (Holm 1979, Scandinavian J. Stat. 6).

    NaN, a test that could not be made, stays NaN and does not count.
    """
    p = np.asarray(p, dtype=float)
    corrected = np.full(len(p), np.nan)
    made = np.flatnonzero(~np.isnan(p))
    order = made[np.argsort(p[made], kind="stable")]
    steps = p[order] * np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return corrected


def verdict(value: float, p: float, p_equivalent: float, alpha: float = 0.05) -> str:
    """One of better, worse, no difference that matters, inconclusive.

    A difference that is shown to be smaller than the margin does not matter, even where it is
    significantly different from zero. Both p-values are the corrected ones.

    Args:
        value: the difference.
        p: p-value of "there is no difference".
        p_equivalent: p-value of "it is as large as the margin".
        alpha: level of both tests.
    """
    if p_equivalent <= alpha:
        return NO_DIFFERENCE
    if p <= alpha:
        return BETTER if value > 0 else WORSE
    return INCONCLUSIVE
