"""How time and memory of every stage grow with the data: one study at 1, 4 and 16 times its size.

    python benchmarks/growth.py [--patients 500] [--cores 2] [--figure FILE.svg]

The same small study of phantoms is run with so many patients, four times and sixteen times as many;
its GANs are shown images in proportion. Processor time and memory come from Snakemake's benchmark
files. A job has a start that does not grow, so the steps are compared: what a stage takes more at
16 times than at 4, over what it takes more at 4 times than at 1, is 4 for work that grows as the
data do. The power is its logarithm: 1 for such work, 2 where time grows with the square.
Results are kept in results/growth-{size}, so that an interrupted run goes on.
"""

import math
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if __name__ == "__main__":
    # In the place of this folder, one of whose files has the name of a module of Python's own.
    sys.path[:1] = [str(ROOT), str(ROOT / "workflow/scripts")]

import yaml
from benchmarks.timing import parser, report

from rarecxr.cost.benchmarks import read_benchmarks

SIZES = (1, 4, 16)
# Below it a step is lost in what a start takes more or less from time to time.
LEAST_S = 1.0
# No Python is smaller: such a job was over before its memory was first measured.
LEAST_MIB = 20


def settings(size, patients):
    """The study at one of its sizes."""
    return {
        "study": f"growth-{size}",
        "dataset": {
            "resolution": 32,
            "fractions": [100],
            "min_positive_patients": 2,
            "reserve_percent": 10,
        },
        "phantom": {"patients": size * patients, "expert_patients": 20},
        "features": {"epochs": 2, "resolution": 32, "device": "cpu"},
        "gan": {
            "resolution": 32,
            "fmap_base": 128,
            "fmap_max": 16,
            "latent_size": 16,
            "fade_kimg": 0.064 * size,
            "stabilise_kimg": 0.064 * size,
            "final_kimg": 0.128 * size,
            "finetune_kimg": 0.128 * size,
            "tick_kimg": 0.064 * size,
            "evaluation": None,
            "device": "cpu",
        },
        "bank": {"select": {"max_candidates": 20}, "device": "cpu"},
        "quality": {"max_images": 20000, "device": "cpu"},
        "classifier": {
            "arms": ["none", "oversample", "gan", "more_real"],
            "resolution": 32,
            "epochs": 2,
            "device": "cpu",
        },
        "report": {"statistics": {"resamples": 200, "subgroup_resamples": 100}},
    }


def run(size, asked):
    """Processor seconds and peak memory in MiB of every rule's jobs; memory of the largest job."""
    made = settings(size, asked.patients)
    with tempfile.NamedTemporaryFile("w", suffix=".yaml", encoding="utf-8") as file:
        yaml.safe_dump(made, file)
        file.flush()
        command = ["-m", "snakemake", "--cores", str(asked.cores), "--configfile", file.name]
        subprocess.run([sys.executable, *command], cwd=ROOT, check=True)
    seconds, memory = {}, {}
    for job in read_benchmarks(ROOT / "results" / made["study"]):
        spent = job.seconds * (1 if job.load is None else job.load)
        seconds[job.rule] = seconds.get(job.rule, 0) + spent
        memory[job.rule] = max(memory.get(job.rule, 0), (job.memory or 0) / 2**20)
    return seconds, memory


def power(values):
    """The power with which the growing part grows, None where it is too small to tell."""
    first, second = values[1] - values[0], values[2] - values[1]
    # Not known, either, where phantoms of an earlier study were used again.
    if not (first > 0 and second >= LEAST_S):
        return None
    return math.log(second / first, SIZES[1])


def draw(rows, path):
    """Time and memory of each rule over the size of the data."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot as plt

    plt.rcParams["svg.hashsalt"] = "growth"
    figure, panels = plt.subplots(1, 2, figsize=(10, 4.6), layout="constrained")
    names = [f"{size}×" for size in SIZES]
    for panel, unit, label in (
        (panels[0], "s", "processor time of all its jobs, s"),
        (panels[1], "mib", "memory of its largest job, MiB"),
    ):
        for number, row in enumerate(rows):
            style = ("-", "--", ":")[number // 10]
            values = [max(row[f"{unit}_{size}"], 0.1) for size in SIZES]
            if unit == "mib":
                values = [math.nan if value < LEAST_MIB else value for value in values]
            panel.plot(SIZES, values, style, marker="o", markersize=3, label=row["rule"])
        panel.set(xscale="log", yscale="log", xlabel="size of the data", ylabel=label)
        panel.set_xticks(SIZES, names)
        panel.minorticks_off()
        panel.grid(alpha=0.3)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right", fontsize=7)
    figure.savefig(path, metadata={"Date": None})


def main():
    """Run, compare, print."""
    options = parser(__doc__.splitlines()[0])
    options.add_argument("--patients", type=int, default=500, help="of the smallest study")
    options.add_argument("--cores", type=int, default=2)
    options.add_argument("--figure", type=Path, help="SVG file")
    asked = options.parse_args()
    runs = [run(size, asked) for size in SIZES]
    rows = []
    for rule in sorted(runs[-1][0], key=lambda name: -runs[-1][0][name]):
        seconds = [run_[0].get(rule, math.nan) for run_ in runs]
        memory = [run_[1].get(rule, math.nan) for run_ in runs]
        rows.append(
            {
                "rule": rule,
                **{f"s_{size}": value for size, value in zip(SIZES, seconds, strict=True)},
                "power": power(seconds),
                **{f"mib_{size}": value for size, value in zip(SIZES, memory, strict=True)},
            }
        )
    report(rows, asked.output)
    if asked.figure:
        draw(rows, asked.figure)


if __name__ == "__main__":
    main()
