"""What Snakemake's own log says of a study: which jobs run now, and which failed."""

import os
import re
import socket
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

_TIME = "%a %b %d %H:%M:%S %Y"
_BLOCK = re.compile(r"^(?:local)?(?:rule|checkpoint) (\w+):$")
# What the log ends with, whichever way the workflow ended by itself.
_ENDED = ("Complete log(s):", "Exiting because a job execution failed", "Nothing to be done")


@dataclass
class Run:
    """The newest run of Snakemake that worked on a study.

    Attributes:
        log: its log file.
        host: the machine that it was started on; empty where the log does not say.
        ended: whether the log says that it is over.
        running: by job (rule/place) when it was started; None where the log does not say.
        failed: jobs that failed and were not started again.
        last: when the log was last written to.
    """

    log: Path
    host: str
    ended: bool
    running: dict[str, datetime | None] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    last: datetime | None = None


def newest_run(directory: str | os.PathLike, results: str) -> Run | None:
    """The newest run that started a job of a study; None where there is no log of one.

    Args:
        directory: where Snakemake runs.
        results: the study's folder as Snakemake's log has it, `results/{study}`.
    """
    logs = sorted((Path(directory) / ".snakemake/log").glob("*.snakemake.log"), reverse=True)
    for log in logs:
        text = log.read_text(encoding="utf-8", errors="replace")
        # Dry runs start nothing; a job on a cluster has a log of its own, of itself alone.
        jobs = re.search(r"^total +(\d+)$", text, re.M)
        if jobs is None or f"{results}/benchmarks/" not in text or "dry-run" in text:
            continue
        if int(jobs[1]) == 1 and "--mode remote" in text:
            continue
        return parse(log, text, results)
    return None


def parse(log: Path, text: str, results: str) -> Run:
    """One log.

    Args:
        log: its path.
        text: its content.
        results: as in `newest_run`.
    """
    host = re.search(r"^  Host: (\S+)$", text, re.M)
    run = Run(log, host[1] if host else "", any(end in text for end in _ENDED))
    if log.exists():
        run.last = datetime.fromtimestamp(log.stat().st_mtime)
    begun: dict[str, str] = {}
    time = number = None
    in_error = False
    mark = re.compile(rf"{re.escape(results)}/benchmarks/(\S+)\.tsv")
    for line in text.splitlines():
        if line.startswith("[") and line.endswith("]"):
            time = _time(line[1:-1])
        elif _BLOCK.match(line):
            number, in_error = None, False
        elif line.startswith("Error in rule "):
            number, in_error = None, True
        elif found := re.match(r"    jobid: (\d+)$", line):
            number = found[1]
            if in_error and number in begun:
                name = begun[number]
                run.running.pop(name, None)
                run.failed.append(name)
        elif (found := re.match(r"    benchmark: (.+)$", line)) and not in_error:
            if place := mark.search(found[1]):
                begun[number] = place[1]
                run.running[place[1]] = time
                run.failed = [name for name in run.failed if name != place[1]]
        elif found := re.match(r"Finished jobid: (\d+)", line):
            run.running.pop(begun.get(found[1]), None)
    return run


def alive(run: Run, directory: str | os.PathLike) -> bool | None:
    """Whether a run's Snakemake still works; None where that cannot be seen from this machine."""
    if run.ended:
        return False
    if run.host and run.host != socket.gethostname():
        return None
    processes = Path("/proc")
    if not processes.is_dir():
        return None
    place = Path(directory).resolve()
    for process in processes.glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
            if b"snakemake" in command and (process / "cwd").resolve() == place:
                return True
        except OSError:
            continue
    return False


def _time(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, _TIME)
    except ValueError:
        return None
