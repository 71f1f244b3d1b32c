"""Test sets of known AUROC with few positive patients, and how often intervals hold the truth."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats
from simulated_study import make_logits

from rarecxr.statistics import hypothesis_tests
from rarecxr.statistics.bootstrap import bootstrap_replicates
from rarecxr.statistics.finding_metrics import METRICS, FindingMetrics
from rarecxr.statistics.predictions import label_counts
from rarecxr.statistics.ranking import Ranking

# What becomes of the binormal logits: nothing; a dozen distinct values, so that most are tied; or
# so large that high probabilities are all 1 in float32.
KINDS = ("continuous", "ties", "saturated")


@dataclass(frozen=True)
class Design:
    """A study to be simulated: two arms on one test set.

    Attributes:
        positives: number of patients with the finding; None for a random number, 12 % of them.
        runs: runs of each arm.
        run_sd: standard deviation of the AUROC between runs.
        patients: number of test patients.
        auroc: the mean AUROC of the runs of either arm.
        kind: one of `KINDS`.
    """

    positives: int | None = None
    runs: int = 1
    run_sd: float = 0.0
    patients: int = 250
    auroc: tuple[float, float] = (0.8, 0.8)
    kind: str = "continuous"


def make_test_set(generator, patients=250, positives=None):
    """Labels and patients of a test set; half of the patients have two images or three."""
    counts = generator.choice([1, 1, 2, 3], patients)
    number = np.repeat(np.arange(patients), counts)
    ill = generator.random(patients) < 0.12
    if positives is not None:
        ill = np.isin(np.arange(patients), generator.permutation(patients)[:positives])
    labels = ill[number] & (generator.random(len(number)) < 0.8)
    if positives is not None:
        # Each of them has at least one image that shows it.
        first = np.r_[True, number[1:] != number[:-1]]
        shown = np.bincount(number, labels, patients) > 0
        labels |= first & (ill & ~shown)[number]
    return labels.astype(float), number


def make_runs(generator, labels, patients, auroc_of_runs):
    """Logits of runs on one test set: the patients' and images' parts are the same for all."""
    seed = generator.integers(1 << 30)
    return np.array(
        [
            make_logits(labels, patients, level, generator, shared=np.random.default_rng(seed))
            for level in auroc_of_runs
        ]
    )


def changed(logits, kind):
    """Logits as a design's `kind` has them; none of it depends on the labels."""
    if kind == "ties":
        # The normal latent values, to whole numbers.
        return np.round(latent(logits)).astype(np.float32)
    return logits * np.float32(15) if kind == "saturated" else logits


def latent(logits):
    """The normal value behind a binormal logit of `make_logits`."""
    x = np.asarray(logits, float)
    return np.where(
        x < 0, stats.norm.ppf(1 / (1 + np.exp(-x))), stats.norm.isf(1 / (1 + np.exp(x)))
    )


def true_auroc(level, kind, run_sd=0.0):
    """The mean AUROC of runs whose binormal AUROC is normal around `level`."""
    if kind != "ties":
        return level
    at = np.linspace(-3, 3, 61) if run_sd else np.zeros(1)
    edges = np.arange(-12, 16)[:, None]
    d = np.sqrt(2) * stats.norm.ppf(level + run_sd * at)
    below = [stats.norm.cdf(edges + 0.5 + 1.5 - shift) for shift in (d, 0 * d)]
    positives, negatives = (np.diff(share, axis=0) for share in below)
    lower = below[1][:-1]
    values = (positives * (lower + negatives / 2)).sum(axis=0)
    return float(np.average(values, weights=stats.norm.pdf(at)))


def true_values(level, prevalence):
    """AUROC, AUPRC and Brier score of continuous logits in the limit, by integration."""
    d = np.sqrt(2) * stats.norm.ppf(level)
    x = np.linspace(-10, 12, 40_001)
    positives, negatives = stats.norm.sf(x - d), stats.norm.sf(x)
    precision = prevalence * positives / (prevalence * positives + (1 - prevalence) * negatives)
    auprc = np.trapezoid(precision * stats.norm.pdf(x - d), x)
    probability = stats.norm.cdf(x - 1.5)
    squares = prevalence * stats.norm.pdf(x - d) * (1 - probability) ** 2
    squares += (1 - prevalence) * stats.norm.pdf(x) * probability**2
    return dict(zip(METRICS, (level, auprc, np.trapezoid(squares, x)), strict=True))


def simulate(seed, design, resamples=300):
    """One simulated study, evaluated as a study's own tables are.

    Returns:
        By name: whether the interval of the first arm's `auc` (and, with a random number of
        positives and continuous logits, `auprc` and `brier`) and that of the `change` hold the
        true value; `found`, whether the change's p-value is 0.05 or less.
    """
    generator = np.random.default_rng(seed)
    labels, number = make_test_set(generator, design.patients, design.positives)
    spread = design.run_sd * generator.normal(size=2 * design.runs)
    levels = np.clip(np.repeat(design.auroc, design.runs) + spread, 0.02, 0.995)
    logits = changed(make_runs(generator, labels, number, levels), design.kind)
    runs = pd.DataFrame({"draw": 0, "seed": np.tile(np.arange(design.runs), 2)})
    # As `compute_metrics`, without scikit-learn, whose checks take longer than these few images.
    rankings = [Ranking.of(labels, run, number, design.patients) for run in logits]
    everyone = np.ones((design.patients, 1), np.float32)
    found = FindingMetrics(
        runs=runs,
        counts=label_counts(pd.DataFrame({"patient": number, "x": labels}), "x"),
        labelled=len(labels),
        values=np.concatenate([ranking.metrics(everyone) for ranking in rankings], axis=1),
        ece=np.zeros(len(runs)),
        replicates=bootstrap_replicates(rankings, design.patients, resamples, seed),
        too_few="",
    )
    first, second = np.arange(2 * design.runs).reshape(2, -1)
    true = [true_auroc(level, design.kind, design.run_sd) for level in design.auroc]
    truths = {"auc": true[0]}
    if design.positives is None and design.kind == "continuous":
        truths = true_values(design.auroc[0], 0.12 * 0.8)
    held = {}
    for name, value in truths.items():
        low, high = found.mean(name, first).logit_interval()
        held[name] = low <= value <= high
    change = found.change(first, second)
    low, high = change.interval()
    held["change"] = low <= true[0] - true[1] <= high
    held["found"] = hypothesis_tests.p_difference(change.value, change.se, change.df) <= 0.05
    return held


def coverage(design, simulations, first_seed=1000, resamples=300):
    """The share of simulated studies for which each of `simulate`'s statements is true."""
    seeds = range(first_seed, first_seed + simulations)
    return pd.DataFrame([simulate(seed, design, resamples) for seed in seeds]).mean()
