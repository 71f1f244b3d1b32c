"""Snakemake's benchmark files: time, processor time and memory of every job that has ended."""

import csv
import math
import os
from pathlib import Path
from typing import NamedTuple

# Snakemake looks at a job every half second for 15 seconds, then every 30 seconds. What a job did
# after the last look is not in its `cpu_time`.
_OFTEN_S = 15.0
_LATER_S = 30.0


class Measured(NamedTuple):
    """One job.

    Attributes:
        rule: its rule.
        place: the file below the rule's folder without its ending, as in `none/20/draw0/seed0`;
            empty for a rule of a single job.
        seconds: from its start to its end.
        load: processors that it used on average; None where it ended before the first look.
        memory: most memory in bytes; None likewise.
    """

    rule: str
    place: str
    seconds: float
    load: float | None
    memory: float | None


def read_benchmarks(results: str | os.PathLike) -> list[Measured]:
    """Every job of a study that has a benchmark file.

    Args:
        results: the study's folder, `results/{study}`.

    Raises:
        ValueError: there is none, or one is not as Snakemake writes them.
    """
    folder = Path(results) / "benchmarks"
    found = [_read(folder, path) for path in sorted(folder.rglob("*.tsv"))]
    if not found:
        raise ValueError(
            f"{folder}: there are no benchmark files (….tsv); give the folder results/{{study}} of "
            "a study that has run"
        )
    return found


def _read(folder: Path, path: Path) -> Measured:
    rule, *place = path.relative_to(folder).with_suffix("").parts
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    try:
        row = rows[-1]
        seconds = float(row["s"])
        processor, memory = _number(row["cpu_time"]), _number(row["max_rss"])
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path}: is no benchmark file of Snakemake ({error!r}): its columns s, max_rss and "
            "cpu_time are needed; run the job again, or remove the file"
        ) from None
    return Measured(
        rule,
        "/".join(place),
        seconds,
        processor / last_look(seconds) if processor else None,
        None if memory is None else memory * 2**20,
    )


def last_look(seconds: float) -> float:
    """When Snakemake looked at a job of this length for the last time, in seconds."""
    if seconds <= _OFTEN_S + _LATER_S:
        return max(min(seconds, _OFTEN_S), 0.5)
    return _OFTEN_S + _LATER_S * math.floor((seconds - _OFTEN_S) / _LATER_S)


def _number(text: str) -> float | None:
    """A number, or None for what Snakemake could not measure."""
    return None if text in ("-", "NA", "") else float(text)
