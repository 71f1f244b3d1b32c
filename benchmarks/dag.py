"""Time and memory that Snakemake needs for the plan of the paper-scale study, without running it.

    python benchmarks/dag.py [--factor 1 10]

The study of config/chexpert.yaml with three draws (12 fractions and draws, 7 arms, 5 seeds), and
the same with ten times as many draws. For each, a dry run of a study of which nothing is there
(new), and a run of one that is finished (done). Beside them a workflow of as many jobs that have
nothing but an output each: what Snakemake itself costs.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow/scripts"))

from rarecxr.phantoms.dataset import HEADER

DRAWS = 3
TRIVIAL = """
rule all:
    input: [f"made/{{i}}.txt" for i in range({number})]
rule make:
    output: "made/{{i}}.txt"
    log: "logs/{{i}}.log"
    shell: "touch {{output}}"
"""
# What the profile has: without it Snakemake compares code too.
TRIGGERS = ("--rerun-triggers", "mtime", "params", "input", "software-env")


def measure(arguments: list[str], folder: Path) -> tuple[str, float, float, float]:
    """Output, wall-clock and processor seconds and the largest memory in MiB of one Snakemake."""
    command = [sys.executable, "-m", "snakemake", *arguments]
    with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
        start = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read()
    if process.returncode:
        sys.exit(f"{' '.join(command)}\n{text[-4000:]}")
    return text, seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def write_outputs(dry_run: str, folder: Path) -> None:
    """Make every file and folder that the jobs of a dry run would make, empty."""
    for kind, line in re.findall(r"^    (output|log|benchmark): (.*)$", dry_run, re.M):
        for name in line.split(", "):
            path = folder / name
            if kind == "output" and not path.suffix:
                path.mkdir(parents=True, exist_ok=True)
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()


def study(folder: Path, configfile: Path, draws: int | None = None) -> list[str]:
    """A data set of one empty image each, and Snakemake's arguments for the study on it."""
    root = folder / "CheXpert"
    for number, split in enumerate(("train", "valid"), start=1):
        image = f"{split}/patient{number:05d}/study1/view1_frontal.jpg"
        (root / image).parent.mkdir(parents=True)
        (root / image).touch()
        row = [f"CheXpert-v1.0-small/{image}", "Female", "60", "Frontal", "AP", *[""] * 14]
        lines = [",".join(HEADER), ",".join(row), ""]
        (root / f"{split}.csv").write_text("\n".join(lines), encoding="utf-8")
    return [
        *("--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder)),
        *("--configfile", str(configfile), "--config", f"dataset={{root: {root}}}"),
        *([f"draws={draws}"] if draws else []),
    ]


def job_counts(dry_run: str) -> dict[str, int]:
    """Number of jobs by rule, from what a dry run says first."""
    table = dry_run.split("Job stats:", 1)[1].split("total ", 1)[0]
    return {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", table, re.M)}


def trivial(folder: Path, number: int) -> list[str]:
    """As many jobs that only have an output."""
    (folder / "Snakefile").write_text(TRIVIAL.format(number=number), encoding="utf-8")
    return ["--workflow-profile", "none", *TRIGGERS]


def new_and_done(arguments: list[str], folder: Path) -> dict[str, tuple]:
    """Measurements of a dry run and of a run that has nothing to do; and the number of jobs."""
    text, *new = measure([*arguments, "--dry-run"], folder)
    jobs = sum(job_counts(text).values())
    write_outputs(text, folder)
    measure([*arguments, "--touch", "--cores", "1", "--quiet", "all"], folder)
    text, *done = measure([*arguments, "--cores", "1"], folder)
    if "Nothing to be done" not in text:
        sys.exit(f"the finished study is not finished\n{text[-4000:]}")
    return {"jobs": jobs, "new": new, "done": done}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--factor", type=int, nargs="+", default=[1, 10])
    factors = parser.parse_args().factor
    print(f"{'':10} {'jobs':>6} {'run':>5} {'wall s':>8} {'CPU s':>8} {'MiB':>6}")
    for factor in factors:
        rows = {}
        number = None
        for name in ("study", "trivial"):
            folder = Path(tempfile.mkdtemp())
            try:
                if number is None:
                    arguments = study(folder, ROOT / "config/chexpert.yaml", DRAWS * factor)
                else:
                    arguments = trivial(folder, number - 1)
                rows[name] = new_and_done(arguments, folder)
            finally:
                shutil.rmtree(folder)
            number = rows[name]["jobs"]
            for run in ("new", "done"):
                wall, processor, memory = rows[name][run]
                print(f"{name:10} {number:6} {run:>5} {wall:8.1f} {processor:8.1f} {memory:6.0f}")
        for run in ("new", "done"):
            ratio = rows["study"][run][1] / rows["trivial"][run][1]
            print(f"{'ratio':10} {'':6} {run:>5} {'':8} {ratio:8.2f}")


if __name__ == "__main__":
    main()
