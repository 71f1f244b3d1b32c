"""Time and memory of the full grid's statistics, and how often their intervals hold.

    python benchmarks/statistics.py grid        12 cells, 6 arms, 5 seeds, 22,000 test images
    python benchmarks/statistics.py grid --fractions 100        a quarter of it
    python benchmarks/statistics.py coverage    simulated studies of known AUROC; takes minutes

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


def coverage(simulations):
    """Share of 95 % intervals that hold the truth, and of arms found to differ that do not."""
    import numpy as np
    from test_statistics_bootstrap import simulate_study

    print("| test patients | runs | sd between runs | AUROC | AUPRC | Brier score | false |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for patients in (250, 500):
        for runs, run_sd in ((1, 0.0), (3, 0.02), (5, 0.01)):
            studies = [
                simulate_study(1000 + seed, runs, run_sd, patients) for seed in range(simulations)
            ]
            *held, p = np.transpose(studies)
            shares = [f"{share:.3f}" for share in (*np.mean(held, axis=1), (p <= 0.05).mean())]
            row = (patients, runs, run_sd, *shares)
            print("|", " | ".join(map(str, row)), "|", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["grid", "coverage", "measure"])
    parser.add_argument("folder", nargs="?", help="of the simulated study; only for measure")
    parser.add_argument("--simulations", type=int, default=500, help="a setting, for coverage")
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
        coverage(options.simulations)


if __name__ == "__main__":
    main()
