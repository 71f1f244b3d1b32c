"""Time, memory and size of the report at paper scale: 12 cells, 7 arms, 5 seeds, 24 banks.

    python benchmarks/report.py

A study is simulated first: predictions of known AUROC, the tables of rule evaluate, and pictures
for every GAN. Then rule make_report is measured in a process of its own, from these files alone.
"""

import pickle
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if __name__ == "__main__":
    # In the place of this folder, one of whose files has the name of a module of Python's own.
    sys.path[:1] = [str(ROOT), str(ROOT / "workflow/scripts"), str(ROOT / "tests/unit")]

from benchmarks.timing import in_a_process, median, parser, report

ARGUMENTS = "arguments.pickle"


def simulate(folder, asked):
    """A study's files and the arguments of `make_report`."""
    from simulated_study import GAIN, SimulatedStudy

    from rarecxr.statistics.evaluation import evaluate

    study = SimulatedStudy(
        Path(folder, "study"),
        patients=asked.patients,
        seeds=5,
        fractions=(1, 10, 50, 100),
        arms=tuple(GAIN),
    )
    evaluate(**study.evaluate(resamples=200, subgroup_resamples=100))
    arguments = study.make_report(study.make_gans())
    Path(folder, ARGUMENTS).write_bytes(pickle.dumps(arguments))
    return Path(arguments["folder"], "index.html")


def main():
    """Simulate, measure, print."""
    options = parser(__doc__.splitlines()[0], repeats=3)
    options.add_argument("--patients", type=int, default=500)
    options.add_argument("--from", dest="source", type=Path, help=ARGUMENTS)
    asked = options.parse_args()
    if asked.source:
        from rarecxr.report.page import make_report

        make_report(**pickle.loads(asked.source.read_bytes()))
        return
    with tempfile.TemporaryDirectory() as folder:
        page = simulate(folder, asked)
        arguments = ("--from", str(Path(folder, ARGUMENTS)))
        runs = [in_a_process(__file__, arguments) for _ in range(asked.repeats)]
        wall, processor, memory = (median(each) for each in zip(*runs, strict=True))
        row = {
            "wall_s": wall,
            "CPU_s": processor,
            "peak_MiB": memory,
            "page_MB": page.stat().st_size / 1e6,
        }
        report([row], asked.output)


if __name__ == "__main__":
    main()
