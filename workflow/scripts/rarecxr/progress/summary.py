"""The state of a study, in lines for the console."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from rarecxr.cost.benchmarks import Measured, read_benchmarks
from rarecxr.progress.how_far import how_far
from rarecxr.progress.jobs import STAGE_OF, STAGES, Job, planned
from rarecxr.progress.snakemake_log import Run, alive, newest_run
from rarecxr.study.plan import Plan


@dataclass(frozen=True)
class Progress:
    """How far a study is.

    Attributes:
        plan: of the study.
        results: its folder.
        jobs: all its jobs.
        done: those that have a benchmark file, by rule/place.
        run: the newest run of Snakemake; None where it has not begun.
        works: whether that still works; None where that cannot be seen from here.
    """

    plan: Plan
    results: Path
    jobs: list[Job]
    done: dict[str, Measured]
    run: Run | None
    works: bool | None


def read_progress(plan: Plan, directory: Path) -> Progress:
    """Look at a study; reads files alone, and no lock is taken.

    Args:
        plan: of the study.
        directory: where Snakemake runs.
    """
    results = directory / plan.paths.results
    try:
        done = {f"{one.rule}/{one.place}".rstrip("/"): one for one in read_benchmarks(results)}
    except ValueError:
        done = {}
    run = newest_run(directory, plan.paths.results)
    works = alive(run, directory) if run is not None else False
    return Progress(plan, results, planned(plan), done, run, works)


def lines(progress: Progress, now: datetime) -> Iterator[str]:
    """What a person wants to see of it."""
    left = [job for job in progress.jobs if job.name not in progress.done]
    name = progress.plan.configuration.study
    yield f"{name}: {_state(progress, left)}"
    yield ""
    running = _running(progress)
    for stage in STAGES:
        jobs = [job for job in progress.jobs if STAGE_OF[job.rule] == stage]
        if not jobs:
            continue
        done = sum(job.name in progress.done for job in jobs)
        active = sum(job.name in running for job in jobs)
        text = f"  {stage:18}{done:5} of {len(jobs)}"
        yield text + (f", {active} running" if active else "")
    shares: dict[str, float] = {}
    if running:
        yield ""
        yield "now:"
    known = {job.name: job for job in progress.jobs}
    for place, since in running.items():
        job = known.get(place)
        found = how_far(progress.plan, job, progress.results) if job else None
        words = []
        if found:
            shares[place] = found[0]
            words.append(f"{found[1]} ({100 * found[0]:.0f} %)")
        if since is not None:
            words.append(f"for {duration((now - since).total_seconds())}")
        rule, _, where = place.partition("/")
        yield f"  {f'{rule} {where}'.strip()}: {', '.join(words) or 'running'}"
    if progress.run is not None:
        failed = [place for place in progress.run.failed if place not in progress.done]
        if failed:
            yield ""
            yield "failed:"
        for place in failed:
            yield f"  {place.replace('/', ' ', 1)}: see {progress.results}/logs/{place}.log"
    if left and progress.done:
        yield ""
        yield from _time_left(progress, left, running, shares, now)


def _state(progress: Progress, left: list[Job]) -> str:
    number = f"{len(progress.jobs) - len(left)} of {len(progress.jobs)} jobs done"
    run = progress.run
    if not left:
        return f"finished, {number}; the report is {progress.results}/report/index.html"
    if run is None:
        return f"has not begun, {number}" if not progress.done else f"is not running, {number}"
    if progress.works:
        return f"running, {number}"
    if progress.works is None:
        when = f"{run.last:%d %b %H:%M}" if run.last else "an unknown time"
        return (
            f"as of {when} on {run.host or 'another machine'}, {number}; whether Snakemake still "
            "works cannot be seen from this machine"
        )
    if any(place not in progress.done for place in run.failed):
        return f"failed, {number}; mend what the logs say and start Snakemake again"
    if run.ended:
        return f"is not running, {number}: the last run made what it was asked for"
    return f"was interrupted, {number}; start Snakemake again (after --unlock, if it asks)"


def _running(progress: Progress) -> dict[str, datetime | None]:
    """Jobs that run, by rule/place, and since when."""
    if progress.run is None or progress.works is False:
        return {}
    return {
        place: since for place, since in progress.run.running.items() if place not in progress.done
    }


def _time_left(
    progress: Progress,
    left: list[Job],
    running: dict[str, datetime | None],
    shares: dict[str, float],
    now: datetime,
) -> Iterator[str]:
    """Hours of jobs that are left, from those of the same kind that have ended."""
    like: dict[tuple[str, str], list[float]] = defaultdict(list)
    rule: dict[str, list[float]] = defaultdict(list)
    for job in progress.jobs:
        if job.name in progress.done:
            seconds = progress.done[job.name].seconds
            like[job.rule, job.like].append(seconds)
            rule[job.rule].append(seconds)
    total, unknown = 0.0, defaultdict(int)
    for job in left:
        known = like.get((job.rule, job.like)) or rule.get(job.rule)
        share, since = shares.get(job.name, 0.0), running.get(job.name)
        if known:
            whole = sum(known) / len(known)
            spent = (now - since).total_seconds() if since else 0.0
            total += whole * (1 - share) if share else max(whole - spent, 0.0)
        elif share and since:
            # None of the kind has ended, but this one says itself how far it is.
            total += (now - since).total_seconds() * (1 - share) / share
        else:
            unknown[job.rule] += 1
    at_once = max(len(running), 1)
    together = f", {at_once} at a time" if at_once > 1 else ""
    least = "at least " if unknown else "about "
    yield f"left: {least}{duration(total / at_once)} ({duration(total)} of jobs{together})"
    for name, number in unknown.items():
        yield f"  not in it: {number} of {name}, of which none has ended yet"


def duration(seconds: float) -> str:
    """A time in words, to about two digits."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02} min" if hours < 48 else f"{hours / 24:.1f} days"
