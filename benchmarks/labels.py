"""Seconds and peak memory of the label stages on a CSV of CheXpert's size, as JSON.

    python benchmarks/labels.py --rows 223414 --patients 64540

Every stage runs in a process of its own, imports included; the memory is the process's largest
resident size. The CSV is random, with CheXpert's shares of views and of labels.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow/scripts"))

import numpy as np
import pandas as pd

from rarecxr.study.findings import FINDINGS

LIBRARY = sys.path[0]
TARGETS = ["Lung Lesion", "Pleural Other", "Fracture"]
# Every stage as a user's script would call it, in the folder of its files.
STAGES = {
    "index_images": """
from rarecxr.data.image_index import index_images
index_images({"train_csv": "train.csv"}, ["AP", "PA"], "images.parquet")""",
    "label_images": """
from rarecxr.data.labels import label_images
label_images("images.parquet", {"default": "ones"}, "zeros", "labels.parquet")""",
    "split_patients": f"""
from rarecxr.data.split import split_patients
split_patients("images.parquet", 10, 5, {TARGETS}, 1, "split.csv")""",
    "draw_patients": f"""
from rarecxr.data.split import draw_patients
draw_patients("images.parquet", "split.csv", {TARGETS}, 10, 1, 0, "draw0.csv")""",
}


def write_csv(path, rows, patients):
    """A random training CSV in CheXpert-v1.0-small's format."""
    random = np.random.default_rng(0)
    patient = np.sort(
        np.concatenate([np.arange(patients), random.integers(0, patients, rows - patients)])
    )
    image = pd.Series(np.arange(rows)).groupby(patient).cumcount()
    view = random.choice(["AP", "PA", ""], rows, p=[0.72, 0.13, 0.15])
    side = np.where(view == "", "Lateral", "Frontal")
    path_of = [
        f"CheXpert-v1.0-small/train/patient{p + 1:05d}/study{i + 1}/view1_{s.lower()}.jpg"
        for p, i, s in zip(patient, image, side, strict=True)
    ]
    table = pd.DataFrame({"Path": path_of})
    table["Sex"] = random.choice(["Female", "Male"], rows)
    table["Age"] = random.integers(18, 91, rows)
    table["Frontal/Lateral"], table["AP/PA"] = side, view
    for finding in FINDINGS:
        labels = ["", "1.0", "0.0", "-1.0"]
        table[finding] = random.choice(labels, rows, p=[0.75, 0.04, 0.15, 0.06])
    table.to_csv(path, index=False)


def measured(program, folder):
    """Seconds, seconds of processor time and peak MiB of one Python program."""
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", program], cwd=folder, env={**os.environ, "PYTHONPATH": LIBRARY}
    )
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    if status:
        raise SystemExit(f"the stage failed with status {status}")
    # Linux counts in KiB, macOS in bytes.
    unit = 1 << 20 if platform.system() == "Darwin" else 1 << 10
    return {
        "seconds": round(seconds, 2),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 2),
        "peak_mib": round(usage.ru_maxrss / unit),
    }


def main():
    """Measure all stages and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=223_414)
    parser.add_argument("--patients", type=int, default=64_540)
    parser.add_argument("--repeats", type=int, default=3, help="the fastest one counts")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write_csv(Path(folder, "train.csv"), arguments.rows, arguments.patients)
        results = {
            "rows": arguments.rows,
            "csv_mib": round(Path(folder, "train.csv").stat().st_size / 2**20),
        }
        for name, program in STAGES.items():
            runs = [measured(program, folder) for _ in range(arguments.repeats)]
            results[name] = min(runs, key=lambda run: run["seconds"])
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
