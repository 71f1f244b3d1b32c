"""What the benchmarks share: measurements side by side, a table, and a JSON file.

Other work on a machine slows whatever is measured. So what is compared is measured in turns
within one run, several times, and the medians are compared: load then hits both sides alike.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from rarecxr.core.files import written_whole


def parser(description: str, repeats: int = 5) -> argparse.ArgumentParser:
    """The options that all of them have: --repeats and --output."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--repeats", type=int, default=repeats, help="turns; medians are given")
    made.add_argument("--output", type=Path, help="JSON file")
    return made


def in_turns(
    works: Mapping[str, Callable[[], Any]],
    repeats: int,
    clock: Callable[[], float] = time.process_time,
) -> dict[str, float]:
    """Seconds of each work, the medians of several turns in which each is done once.

    Args:
        works: what is measured, by name.
        repeats: number of turns; one more comes first, which is not counted.
        clock: processor time of this process by default, which other processes change least.
    """
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(repeats + 1):
        for name, work in works.items():
            begin = clock()
            work()
            if turn:
                seconds[name].append(clock() - begin)
    return {name: median(values) for name, values in seconds.items()}


def in_a_process(script: str, arguments: Sequence[str]) -> tuple[float, float, float]:
    """Wall-clock seconds, processor seconds and peak memory in MiB of a script in its own process.

    Its children's processor time counts, too.
    """
    environment = os.environ | dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    begin = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, script, *arguments],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{script} {' '.join(arguments)} failed\n{said.decode()[-4000:]}")
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def report(rows: Sequence[Mapping[str, Any]], output: Path | None) -> None:
    """Print rows with the same keys as a table, and write them as JSON if a file is given."""
    names = list(rows[0])
    cells = [names, *([_text(row[name]) for name in names] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        print("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)))
    if output is not None:
        with written_whole(output) as temporary:
            temporary.write_text(json.dumps(list(rows), indent=2) + "\n", encoding="utf-8")


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"
    return "" if value is None else str(value)
