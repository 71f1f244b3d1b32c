"""What a planned study will cost, rule by rule, and as a table."""

from collections.abc import Iterable
from dataclasses import dataclass

from rarecxr.cost.disk import foreseen
from rarecxr.cost.jobs import Job
from rarecxr.cost.law import Law, NotForeseen, fit_laws
from rarecxr.cost.measured import Study
from rarecxr.study.configuration.study import Configuration

# Sections whose `device` says where a rule computes.
_SECTIONS = {
    "train_gan": "gan",
    "make_bank": "bank",
    "measure_bank": "quality",
    "pretrain_classifier": "classifier",
    "train_features": "features",
    "train_classifier": "classifier",
    "explain_classifiers": "classifier",
}


@dataclass(frozen=True)
class Row:
    """The jobs of one rule.

    Attributes:
        rule: the rule.
        jobs: how many.
        hours: of all of them, one after another; None where that cannot be foreseen.
        processor_hours: hours that processors are busy with them; None likewise.
        gpu_hours: hours that a GPU is held; 0 on the CPU, None likewise.
        memory: most memory of a job in bytes; None where it was not measured.
        notes: what was not measured as it is.
    """

    rule: str
    jobs: int
    hours: float | None
    processor_hours: float | None
    gpu_hours: float | None
    memory: float | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Estimate:
    """Rows by rule, and bytes by kind of file (None: not known)."""

    rows: list[Row]
    disk: dict[str, float | None]
    device: str


def estimate(configuration: Configuration, jobs: Iterable[Job], study: Study) -> Estimate:
    """The cost of jobs, from the laws of a finished study.

    Args:
        configuration: the planned study's.
        jobs: its jobs.
        study: the finished one.
    """
    laws = fit_laws(study.samples)
    by_rule: dict[str, list[Job]] = {}
    for job in jobs:
        by_rule.setdefault(job.rule, []).append(job)
    rows = [_row(configuration, rule, some, laws.get(rule)) for rule, some in by_rule.items()]
    measured = [sample.job for sample in study.samples]
    planned = [job for some in by_rule.values() for job in some]
    return Estimate(rows, foreseen(study.results, measured, planned), study.device)


def _row(configuration: Configuration, rule: str, jobs: list[Job], law: Law | None) -> Row:
    if law is None:
        return _unknown(rule, jobs, None, f"{rule} did not run in the small study")
    section = _SECTIONS.get(rule)
    device = getattr(configuration, section).device if section else "auto"
    memory = max(law.peak(job) for job in jobs) or None
    if device != "auto" and (device == "cuda") != law.gpu:
        there = "a GPU" if law.gpu else "the CPU"
        return _unknown(
            rule,
            jobs,
            memory,
            f"{section}.device is {device}, and the small study computed on {there}, whose times "
            "say nothing about it; run a small study there",
        )
    seconds, notes = 0.0, {}
    try:
        for job in jobs:
            more, said = law.seconds(job)
            seconds += more
            notes.update(dict.fromkeys(said))
    except NotForeseen as error:
        return _unknown(rule, jobs, memory, str(error))
    hours = seconds / 3600
    gpu = hours if law.gpu else 0.0
    return Row(rule, len(jobs), hours, hours * law.load, gpu, memory, tuple(notes))


def _unknown(rule: str, jobs: list[Job], memory: float | None, note: str) -> Row:
    return Row(rule, len(jobs), None, None, None, memory, (note,))


def table(found: Estimate) -> str:
    """The estimate as text for the console."""
    lines = [
        f"{'rule':20}{'jobs':>6}{'hours':>10}{'CPU-hours':>11}{'GPU-hours':>11}{'memory, GB':>12}"
    ]
    for row in sorted(found.rows, key=lambda row: -(row.hours or float("inf"))):
        lines.append(
            f"{row.rule:20}{row.jobs:6}{_number(row.hours):>10}{_number(row.processor_hours):>11}"
            f"{_number(row.gpu_hours):>11}{_number(row.memory and row.memory / 1e9):>12}"
        )
    unknown = any(row.hours is None for row in found.rows)
    least = "at least " if unknown else ""
    sums = [
        sum(getattr(row, name) or 0 for row in found.rows)
        for name in ("hours", "processor_hours", "gpu_hours")
    ]
    most = max((row.memory or 0 for row in found.rows), default=0)
    lines += [
        "",
        f"together: {least}{sums[0]:,.3g} hours of jobs one after another, {least}{sums[1]:,.3g} "
        f"CPU-hours, {least}{sums[2]:,.3g} GPU-hours; {most / 1e9:,.3g} GB of memory in the "
        "largest job",
        "",
        f"{'files':32}{'GB':>10}",
    ]
    known = {kind: size for kind, size in found.disk.items() if size is not None}
    for kind, size in sorted(known.items(), key=lambda item: -item[1]):
        lines.append(f"{kind:32}{size / 1e9:10.3f}")
    for kind in found.disk:
        if kind not in known:
            lines.append(f"{kind:32}{'?':>10}  the small study has none left")
    lines.append(f"{'together':32}{sum(known.values()) / 1e9:10.3f}")
    notes = [f"  {row.rule}: {note}" for row in found.rows for note in row.notes]
    if notes:
        lines += ["", "Not measured as it is:", *notes]
    return "\n".join(lines)


def _number(value: float | None) -> str:
    if value is None:
        return "?"
    return "0" if value == 0 else f"{value:,.3g}" if value >= 0.001 else "<0.001"
