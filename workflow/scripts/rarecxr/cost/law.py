"""Laws of time and memory, one for each rule, fitted to the jobs of a finished study.

A job takes a start, which is the same for every job of its rule, and a time for each unit of its
work. Units of a kind that the finished study does not hold take as much longer as they have more
operations, within a family; another family is not foreseen at all.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import nnls

from rarecxr.cost.jobs import Job, Key, Part
from rarecxr.cost.measured import Sample

# Rules whose jobs load PyTorch, seconds of their start.
_TORCH = frozenset(
    (
        "check_leakage",
        "explain_classifiers",
        "make_bank",
        "measure_bank",
        "pretrain_classifier",
        "train_classifier",
        "train_features",
        "train_gan",
    )
)
# Where the largest job has less than this times the work of the smallest, start and work cannot be
# told apart.
_SPREAD = 1.5


class NotForeseen(ValueError):
    """A job is of a kind that the finished study says nothing about."""


@dataclass(frozen=True)
class Law:
    """What a job of one rule takes.

    Attributes:
        rule: the rule.
        start: seconds of a job without work.
        rates: seconds of a unit, by kind.
        parts: by kind one part of a measured job.
        load: processors that a job uses on average.
        gpu: whether the jobs computed on a GPU.
        memory: most memory of a measured job in bytes.
        held: what of it follows from its work (`Job.held`).
    """

    rule: str
    start: float
    rates: dict[Key, float]
    parts: dict[Key, Part]
    load: float
    gpu: bool
    memory: float
    held: float
    notes: list[str] = field(default_factory=list)

    def seconds(self, job: Job) -> tuple[float, list[str]]:
        """Seconds of a job, and in words what of it was not measured as it is.

        Raises:
            NotForeseen: says what was not measured, and what was.
        """
        total, notes = self.start, []
        for part in job.parts:
            rate, note = self._rate(part)
            total += rate * part.units
            notes += [note] if note else []
        return total, notes

    def _rate(self, part: Part) -> tuple[float, str]:
        if part.key in self.rates:
            return self.rates[part.key], ""
        family = [known for known in self.parts.values() if known.family == part.family]
        if not family or not part.operations:
            measured = "; ".join(
                dict.fromkeys(known.family or known.kind for known in self.parts.values())
            )
            raise NotForeseen(
                f"{part.family or part.kind} was not measured, only {measured}: times of one say "
                "nothing about the other; run a small study with these settings"
            )
        near = min(family, key=lambda known: abs(np.log(known.operations / part.operations)))
        factor = part.operations / near.operations
        return self.rates[near.key] * factor, (
            f"{part.kind}: from {near.kind}, times {factor:.3g} for the operations"
        )

    def peak(self, job: Job) -> float:
        """Most memory of a job in bytes: the measured one, and what this one holds beyond it."""
        return self.memory + max(0.0, job.held - self.held)


def fit_laws(samples: Iterable[Sample]) -> dict[str, Law]:
    """One law for each rule that has run."""
    by_rule: dict[str, list[Sample]] = {}
    for sample in samples:
        by_rule.setdefault(sample.job.rule, []).append(sample)
    floors = {
        heavy: min(
            (
                sample.measured.seconds
                for rule, jobs in by_rule.items()
                if (rule in _TORCH) == heavy
                for sample in jobs
            ),
            default=0.0,
        )
        for heavy in (True, False)
    }
    return {rule: _fit(rule, jobs, floors[rule in _TORCH]) for rule, jobs in by_rule.items()}


def _fit(rule: str, jobs: list[Sample], floor: float) -> Law:
    seconds = np.array([job.measured.seconds for job in jobs])
    parts: dict[Key, Part] = {}
    for job in jobs:
        for part in job.job.parts:
            parts.setdefault(part.key, part)
    kinds = list(parts)
    work = np.zeros((len(jobs), len(kinds)))
    for row, job in enumerate(jobs):
        for part in job.job.parts:
            work[row, kinds.index(part.key)] += part.units
    logged = {kind: [job.rates[kind] for job in jobs if kind in job.rates] for kind in kinds}
    if all(logged.values()):
        # The log knows how long a unit takes at each resolution; measurements of the generator and
        # files, which the log leaves out, grow with the work as well.
        rates = np.array([np.median(logged[kind]) for kind in kinds])
        start = min(floor, float(seconds.min()))
        rates *= max(float(np.sum(seconds - start) / np.sum(work @ rates)), 1.0)
    else:
        start, rates = _start_and_rates(seconds, work, floor)
    loads = [job.measured for job in jobs if job.measured.load is not None]
    weights = sum(measured.seconds for measured in loads)
    load = sum(measured.load * measured.seconds for measured in loads) / weights if weights else 1.0
    largest = max(jobs, key=lambda job: job.measured.memory or 0.0)
    return Law(
        rule,
        start,
        dict(zip(kinds, map(float, rates), strict=True)),
        parts,
        load,
        any(job.gpu for job in jobs),
        largest.measured.memory or 0.0,
        largest.job.held,
    )


def _start_and_rates(
    seconds: np.ndarray, work: np.ndarray, floor: float
) -> tuple[float, np.ndarray]:
    """Least squares of relative errors, neither start nor rates below 0.

    Args:
        seconds: (N,) of the jobs.
        work: (N, K) units of each kind.
        floor: the start where jobs differ too little to show it.
    """
    together = work.sum(axis=1)
    if together.max() < _SPREAD * together.min():
        start = min(floor, float(seconds.min()))
        # What is left is never nothing: a start that takes all would let any work be free.
        rates, _ = nnls(work / seconds[:, None], (seconds - start) / seconds)
        return start, rates
    design = np.column_stack([np.ones(len(seconds)), work]) / seconds[:, None]
    scale = design.max(axis=0)
    scale[scale == 0] = 1.0
    solution, _ = nnls(design / scale, np.ones(len(seconds)))
    return float(solution[0] / scale[0]), solution[1:] / scale[1:]
