"""How far a training is that runs, from its log, its training.csv and its resume files."""

import csv
import json
import re
from pathlib import Path

from rarecxr.gan.schedule import Schedule
from rarecxr.progress.jobs import Job
from rarecxr.study.plan import Plan


def how_far(plan: Plan, job: Job, results: Path) -> tuple[float, str] | None:
    """Share of a job that is done, from 0 to 1, and the same in words; None where none is known.

    Args:
        plan: of the study.
        job: the job.
        results: the study's folder.
    """
    if job.rule == "train_gan":
        return _gan(plan, job, results / "state/gan" / job.place)
    if job.rule == "train_classifier":
        settings = plan.configuration.classifier
        total = settings.epochs
        if plan.definitions[dict(job.values)["arm"]].pretrain:
            total += max(round(total * settings.pretrain_share), 1)
    elif job.rule == "train_features":
        total = plan.configuration.features.epochs
    elif job.rule == "pretrain_classifier":
        total = plan.configuration.classifier.self_supervised.epochs
    else:
        return None
    return _epochs(results / "logs" / job.rule / f"{job.place}.log", total)


def _gan(plan: Plan, job: Job, state: Path) -> tuple[float, str] | None:
    parent = plan.parent(dict(job.values))
    total = Schedule(plan.configuration.gan, finetune=parent is not None).images / 1000
    done = max(_ticks(state / "training.csv"), _saved(state) / 1000)
    if not done:
        return None
    return min(done / total, 1.0), f"{done:.4g} of {total:.4g} kimg"


def _ticks(path: Path) -> float:
    """Thousands of images at the last row of a training.csv that grows."""
    try:
        with open(path, encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        return float(rows[-1]["kimg"])
    except (OSError, IndexError, KeyError, TypeError, ValueError):
        return 0.0


def _saved(state: Path) -> int:
    """Images at the newest resume file, by its first line; 0 where there is none."""
    found = [0]
    for path in state.glob("resume_*.pt"):
        try:
            with open(path, "rb") as file:
                found.append(int(json.loads(file.readline())["progress"]))
        except (OSError, KeyError, TypeError, ValueError):
            continue
    return max(found)


def _epochs(log: Path, total: int) -> tuple[float, str] | None:
    """Epochs that a log names; those of pretraining and of training count from 1 each."""
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    numbers = [int(number) for number in re.findall(r": epoch (\d+), images", text)]
    if not numbers:
        return None
    done = sum(
        last
        for last, following in zip(numbers, [*numbers[1:], 0], strict=True)
        if following <= last
    )
    done = min(done, total)
    return done / total, f"{done} of at most {total} epochs"
