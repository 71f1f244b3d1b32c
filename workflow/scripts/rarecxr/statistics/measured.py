"""AUROC, AUPRC and Brier score of all runs, as they are and in every resample of the patients."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from rarecxr.statistics import decisions
from rarecxr.statistics.auroc import Ranking, auroc, average_precision, brier
from rarecxr.statistics.bootstrap import Group, replicates
from rarecxr.statistics.calibration import expected_calibration_error, reliability
from rarecxr.statistics.predictions import Scores, label_counts

MEASURES = ("auc", "auprc", "brier")


@dataclass(frozen=True)
class Measured:
    """One finding's measures, R runs in the order of the scores' table of runs.

    Attributes:
        counts: positive and negative images and patients.
        labelled: number of images with a label.
        values: (3, R), the measures in the order of `MEASURES`; NaN without a class.
        resampled: (3, B, R), the same in each resample; None where there are too few patients.
        ece: (R,) expected calibration errors.
        too_few: the verdict where there are too few patients of a class, else empty.
    """

    counts: dict[str, int]
    labelled: int
    values: np.ndarray
    resampled: np.ndarray | None
    ece: np.ndarray
    too_few: str

    @property
    def informative(self) -> int:
        """Number of patients of the rarer class."""
        return min(self.counts["n_positive_patients"], self.counts["n_negative_patients"])


def measure(
    scores: Scores,
    findings: Sequence[str],
    resamples: int,
    min_positive_patients: int,
    seed: int,
    threads: int,
    label: str = "",
) -> dict[str, Measured]:
    """The measures of every run, by finding, all on the same resamples of the patients.

    Args:
        scores: the runs' scores on one split.
        findings: findings to measure.
        resamples: B, number of resamples of the patients.
        min_positive_patients: a finding with fewer patients of either class is not resampled.
        seed: seed of the resamples.
        threads: rankings that are measured at a time.
        label: what the progress bar says.
    """
    counts = {finding: label_counts(scores.images, finding) for finding in findings}
    too_few = {finding: _too_few(counts[finding], min_positive_patients) for finding in findings}
    rankings = [
        Ranking.of(scores.images[finding].to_numpy(), run, scores.patients, scores.n_patients)
        for finding in findings
        if not too_few[finding]
        for run in scores.of[finding]
    ]
    moved = replicates(rankings, scores.n_patients, resamples, seed, threads, label)
    found, start, runs = {}, 0, len(scores.runs)
    everyone = np.ones((scores.n_patients, 1), np.float32)
    for finding in findings:
        resampled = None
        labels = scores.images[finding].to_numpy()
        known = ~np.isnan(labels)
        values, ece = np.full((3, runs), np.nan), np.full(runs, np.nan)
        for number, run in enumerate(scores.of[finding][:, known]) if known.any() else ():
            if too_few[finding]:
                measures = (auroc, average_precision, brier)
                values[:, number] = [f(labels[known], run) for f in measures]
            else:
                values[:, number] = rankings[start + number].measure(everyone)[:, 0]
            ece[number] = expected_calibration_error(reliability(labels[known], run))
        if not too_few[finding]:
            resampled = moved[:, :, start : start + runs]
            start += runs
        found[finding] = Measured(
            counts[finding], int(known.sum()), values, resampled, ece, too_few[finding]
        )
    return found


def _too_few(counts, at_least):
    if counts["n_positive_patients"] < at_least:
        return decisions.TOO_FEW_POSITIVES
    return decisions.TOO_FEW_NEGATIVES if counts["n_negative_patients"] < at_least else ""


def repetitions(
    runs: pd.DataFrame,
    values: np.ndarray,
    resampled: np.ndarray,
    arm: np.ndarray,
    baseline: np.ndarray | None = None,
) -> list[Group]:
    """An arm's runs, or two arms' to be compared, as independent repetitions.

    With several draws a repetition is a draw, whose seeds are averaged; the draw's patients are
    the same in both arms, so arms are compared draw by draw. With one draw it is a seed, and
    seeds of different arms have nothing in common.

    Args:
        runs: table of R runs with `draw` and `seed`.
        values: (R,) a measure.
        resampled: (B, R) the same in each resample of the patients.
        arm: places of the arm's runs.
        baseline: places of the runs to be subtracted.
    """
    arms = [arm] if baseline is None else [arm, baseline]
    draws = [runs["draw"].to_numpy()[chosen] for chosen in arms]
    if len(np.unique(draws[0])) == 1:
        return [
            Group(values[chosen], resampled[:, chosen], sign)
            for chosen, sign in zip(arms, (1, -1), strict=False)
        ]
    by_draw = []
    for chosen, numbers in zip(arms, draws, strict=True):
        each = [chosen[numbers == number] for number in np.unique(numbers)]
        by_draw.append(
            Group(
                np.array([values[places].mean() for places in each]),
                np.stack([resampled[:, places].mean(axis=1) for places in each], axis=1),
            )
        )
    if baseline is None:
        return by_draw
    first, second = by_draw
    return [Group(first.values - second.values, first.replicates - second.replicates)]
