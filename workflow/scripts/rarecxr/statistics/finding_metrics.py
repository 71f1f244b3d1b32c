"""AUROC, AUPRC, Brier score and calibration error of all runs, with bootstrap replicates."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from rarecxr.statistics.bootstrap import bootstrap_replicates
from rarecxr.statistics.calibration import expected_calibration_error, reliability
from rarecxr.statistics.comparisons import TOO_FEW_NEGATIVES, TOO_FEW_POSITIVES
from rarecxr.statistics.estimates import Estimate, estimate, repetitions
from rarecxr.statistics.metrics import auroc, average_precision, brier_score
from rarecxr.statistics.predictions import Predictions, label_counts
from rarecxr.statistics.ranking import Ranking

# In the order of the first axis of `FindingMetrics.values` and `.replicates`.
METRICS = ("auc", "auprc", "brier")


@dataclass(frozen=True)
class Resampling:
    """How uncertainty is estimated.

    Attributes:
        resamples: B, number of resamples of the patients.
        min_positive_patients: a finding with fewer patients of either class gets no interval.
        seed: seed of the resamples.
        threads: rankings that are evaluated at a time; results do not depend on it.
    """

    resamples: int
    min_positive_patients: int
    seed: int
    threads: int = 1


@dataclass(frozen=True)
class FindingMetrics:
    """One finding's metrics, with R runs in the order of `runs`.

    Attributes:
        runs: table of R runs: `arm`, `fraction`, `draw`, `seed`.
        counts: positive and negative images and patients.
        labelled: number of images with a label.
        values: (3, R), the metrics in the order of `METRICS`; NaN without a class.
        ece: (R,) expected calibration errors; NaN without a label.
        replicates: (3, B, R), the metrics in each resample of the patients; None where there are
            too few patients of a class or the finding was not resampled.
        too_few: the verdict where there are too few patients of a class, else empty.
    """

    runs: pd.DataFrame
    counts: Mapping[str, int]
    labelled: int
    values: np.ndarray
    ece: np.ndarray
    replicates: np.ndarray | None
    too_few: str

    @property
    def informative(self) -> int:
        """Number of patients of the rarer class."""
        return min(self.counts["n_positive_patients"], self.counts["n_negative_patients"])

    def mean(self, metric: str, rows: np.ndarray) -> Estimate:
        """The mean of a metric over the runs at `rows`; needs `replicates`."""
        number = METRICS.index(metric)
        values, replicates = self.values[number], self.replicates[number]
        groups = repetitions(self.runs, values, replicates, rows)
        return estimate(groups, self.informative, change=False)

    def change(self, rows: np.ndarray, reference: np.ndarray) -> Estimate:
        """The mean AUROC of the runs at `rows` less that of those at `reference`."""
        values, replicates = self.values[0], self.replicates[0]
        groups = repetitions(self.runs, values, replicates, rows, reference)
        return estimate(groups, self.informative, change=True)


def compute_metrics(
    predictions: Predictions,
    findings: Sequence[str],
    resampling: Resampling,
    resampled: Collection[str] | None = None,
    label: str = "",
) -> dict[str, FindingMetrics]:
    """The metrics of every run, by finding, all on the same resamples of the patients.

    Args:
        predictions: the runs' predictions on one split.
        findings: findings to evaluate.
        resampling: how uncertainty is estimated.
        resampled: those of the findings that get bootstrap replicates; None for all.
        label: text of the progress bar.
    """
    images, of_patients = predictions.images, (predictions.patients, predictions.n_patients)
    counts = {finding: label_counts(images, finding) for finding in findings}
    too_few = {name: _too_few(counts[name], resampling.min_positive_patients) for name in findings}
    chosen = [
        name for name in findings if not too_few[name] and (resampled is None or name in resampled)
    ]
    rankings = [
        Ranking.of(images[finding].to_numpy(), logits, *of_patients)
        for finding in chosen
        for logits in predictions.logits[finding]
    ]
    replicates = bootstrap_replicates(
        rankings,
        predictions.n_patients,
        resampling.resamples,
        resampling.seed,
        resampling.threads,
        label,
    )
    runs = len(predictions.runs)
    by_finding = {
        finding: replicates[:, :, number * runs : (number + 1) * runs]
        for number, finding in enumerate(chosen)
    }
    return {
        finding: FindingMetrics(
            predictions.runs,
            counts[finding],
            int(images[finding].notna().sum()),
            *_of_all_images(predictions, finding),
            by_finding.get(finding),
            too_few[finding],
        )
        for finding in findings
    }


def _of_all_images(predictions, finding):
    """Values (3, R) and expected calibration errors (R,) without any resampling."""
    labels = predictions.images[finding].to_numpy()
    known = ~np.isnan(labels)
    labels = labels[known]
    if not len(labels):
        runs = len(predictions.runs)
        return np.full((len(METRICS), runs), np.nan), np.full(runs, np.nan)
    values, ece = [], []
    for logits, probabilities in zip(
        predictions.logits[finding], predictions.probabilities(finding), strict=True
    ):
        values.append(
            (
                auroc(labels, logits[known]),
                average_precision(labels, logits[known]),
                brier_score(labels, probabilities[known]),
            )
        )
        ece.append(expected_calibration_error(reliability(labels, probabilities[known])))
    return np.array(values).T, np.array(ece)


def _too_few(counts, at_least):
    if counts["n_positive_patients"] < at_least:
        return TOO_FEW_POSITIVES
    return TOO_FEW_NEGATIVES if counts["n_negative_patients"] < at_least else ""
