"""Time and memory of the full grid's statistics, and how often their intervals hold.

    python benchmarks/statistics.py grid        12 cells, 6 arms, 5 seeds, 22,000 test images
    python benchmarks/statistics.py grid --fractions 100        a quarter of it
    python benchmarks/statistics.py coverage    simulated studies of known AUROC; takes an hour

The grid is measured in a process of its own, on 2 threads.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
# In the place of this folder, whose name for this file is that of a module of Python's own.
sys.path[:1] = [str(ROOT / "workflow/scripts"), str(ROOT / "tests/unit")]

FRACTIONS = (1, 10, 50, 100)


def grid(folder, fractions):
    """Make the study, then measure it in another process."""
    from simulated_study import SimulatedStudy

    study = SimulatedStudy(
        folder, patients=36_700, expert_patients=200, fractions=fractions, seeds=5
    )
    test = study.images["patient"].isin(study.split.query("split == 'test'")["patient"]).sum()
    print(f"{len(study.runs)} runs, {test} test images", flush=True)
    import pickle

    (Path(folder) / "arguments.pickle").write_bytes(
        pickle.dumps(study.evaluate(resamples=2000, subgroup_resamples=500, threads=2))
    )
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "2")
    command = [sys.executable, __file__, "measure", folder]
    subprocess.run(command, check=True, env=os.environ | threads)


def measure(folder):
    """Run the statistics and print what they took."""
    import pickle

    from rarecxr.statistics.evaluation import evaluate

    arguments = pickle.loads((Path(folder) / "arguments.pickle").read_bytes())
    begin, used = time.monotonic(), time.process_time()
    evaluate(**arguments)
    seconds, processor = time.monotonic() - begin, time.process_time() - used
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"evaluate: {seconds:.0f} s ({processor:.0f} s of processor time), peak {peak:.0f} MiB")


def report_coverage(simulations, resamples):
    """Share of 95 % intervals that hold the truth, and of changes found that are not there."""
    from simulated_scores import KINDS, Design, coverage

    def table(designs, columns):
        names = ["patients with the finding", "logits", "AUROC", "runs", "sd between runs"]
        print("|", " | ".join([*names, *columns]), "|")
        print("|", " | ".join(["---"] * (len(names) + len(columns))), "|")
        for design in designs:
            held = coverage(design, simulations, resamples=resamples)
            about = [
                "12 % of the patients" if design.positives is None else str(design.positives),
                design.kind,
                " and ".join(map(str, design.auroc)),
                str(design.runs),
                str(design.run_sd),
            ]
            print(
                "|", " | ".join(about + [f"{held[name]:.3f}" for name in columns]), "|", flush=True
            )
        print()

    runs = ((1, 0.0), (3, 0.02), (5, 0.02))
    large = [
        Design(runs=number, run_sd=sd, patients=patients)
        for patients in (250, 500)
        for number, sd in ((1, 0.0), (3, 0.02), (5, 0.01))
    ]
    print("Of 250 (the first three rows) and of 500 test patients:\n")
    table(large, ["auc", "auprc", "brier", "change", "found"])
    few = [
        Design(positives=positives, runs=number, run_sd=sd, auroc=auroc, kind=kind)
        for kind in KINDS
        for auroc in ((0.8, 0.8), (0.9, 0.87))
        for positives in (10, 15, 25)
        for number, sd in runs
    ]
    print("Of 250 test patients:\n")
    table(few, ["auc", "change"])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["grid", "coverage", "measure"])
    parser.add_argument("folder", nargs="?", help="of the simulated study; only for measure")
    parser.add_argument("--simulations", type=int, default=500, help="a design, for coverage")
    parser.add_argument("--resamples", type=int, default=300, help="of the patients, for coverage")
    parser.add_argument(
        "--fractions", type=int, nargs="+", default=FRACTIONS, help="percent; three cells each"
    )
    options = parser.parse_args()
    if options.what == "grid":
        with tempfile.TemporaryDirectory() as folder:
            grid(folder, options.fractions)
    elif options.what == "measure":
        measure(options.folder)
    else:
        report_coverage(options.simulations, options.resamples)


if __name__ == "__main__":
    main()
