"""What the arms of a study change on its validation patients: choices are made on these alone.

    python benchmarks/levers.py results/evidence [--against oversample] [--csv FILE]

Reads the predictions of every run that is there, whether or not the study has finished; of each
file the validation rows. Prints for each arm, against one of them (none): the change of the
AUROC in each cell and over all findings, with 95 % intervals over validation patients and runs.
The epoch of every run was chosen on these patients, in all arms alike.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow" / "scripts"))

import pandas as pd

from rarecxr.core.tables import read_csv
from rarecxr.statistics.comparisons import References, change_column
from rarecxr.statistics.finding_metrics import Resampling, compute_metrics
from rarecxr.statistics.predictions import read_labels, read_predictions
from rarecxr.statistics.summary import overall_table, summary_table
from rarecxr.study.findings import FINDINGS, slug

_RESAMPLES, _LEAST, _MARGIN = 1000, 10, 0.01
MEAN = "mean"


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("study", type=Path)
    parser.add_argument("--against", default="none")
    parser.add_argument("--csv", type=Path)
    options = parser.parse_args()
    table = changes(options.study, options.against)
    if options.csv is not None:
        table.to_csv(options.csv, index=False, float_format="%.6g")
    for fraction, rows in table.groupby("fraction"):
        print(f"\n{fraction:g} % of the patients, against {options.against}")
        rows = rows.assign(shown=[_shown(row) for row in rows.itertuples()])
        print(rows.pivot(index=["arm", "seeds"], columns="finding", values="shown").to_string())


def changes(study, reference):
    """One row for each fraction, arm and finding, and for the mean of the findings."""
    runs, paths = found_runs(study)
    images = read_labels(study / "dataset/labels.parquet", study / "dataset/split.csv")
    findings = target_findings(paths[0].parent / "history.csv")
    rows = []
    for fraction, own in runs.groupby("fraction"):
        chosen = own[own["arm"].isin(complete(own, reference))]
        val = read_predictions(
            images, [paths[row] for row in chosen.index], chosen.to_dict("records"), findings
        )["val"]
        metrics = compute_metrics(val, findings, Resampling(_RESAMPLES, _LEAST, 1))
        against = References(reference, None)
        cells = summary_table(val, metrics, _MARGIN, against)
        parts = [change_column("baseline", part) for part in ("", "low", "high")]
        for _, cell in cells.iterrows():
            row = {name: cell[name] for name in ("fraction", "arm", "seeds", "finding", "auc")}
            rows.append(row | dict(zip(("change", "low", "high"), cell[parts], strict=True)))
        seeds = cells.groupby("arm")["seeds"].first()
        for mean in overall_table(metrics, _MARGIN, against).itertuples():
            row = {"fraction": fraction, "arm": mean.arm, "seeds": seeds[mean.arm], "finding": MEAN}
            rows.append(row | {"change": mean.change, "low": mean.low, "high": mean.high})
    return pd.DataFrame(rows)


def found_runs(study):
    """The runs of a study that have predictions, and these."""
    paths = sorted(study.glob("classifier/*/*/draw*/seed*/predictions.parquet"))
    if not paths:
        raise SystemExit(f"{study}: has no classifier/…/predictions.parquet; run the study first")
    rows = []
    for path in paths:
        *_, arm, fraction, draw, seed, _ = path.parts
        draw, seed = int(draw.removeprefix("draw")), int(seed.removeprefix("seed"))
        rows.append({"arm": arm, "fraction": float(fraction), "draw": draw, "seed": seed})
    return pd.DataFrame(rows), paths


def target_findings(history):
    """The findings whose validation AUROC a training recorded."""
    columns = read_csv(history).columns
    return [name for name in FINDINGS if f"val_auroc_{slug(name)}" in columns]


def complete(runs, reference):
    """The arms of a fraction that ran with the very seeds of the reference."""
    seeds = runs.groupby("arm")[["draw", "seed"]].apply(
        lambda own: set(own.itertuples(index=False))
    )
    if reference not in seeds:
        raise SystemExit(f"no run of {reference} at {runs['fraction'].iloc[0]:g} %")
    return [arm for arm in seeds.index if seeds[arm] == seeds[reference]]


def _shown(row):
    if pd.isna(row.change):
        return f"{row.auc:.3f}"
    return f"{row.change:+.3f} ±{(row.high - row.low) / 2:.3f}"


if __name__ == "__main__":
    main()
