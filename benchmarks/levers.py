"""What the arms of a study change on its validation patients: choices are made on these alone.

    python benchmarks/levers.py results/evidence [REFERENCE]

Reads the predictions of every run that is there, whether or not the study has finished; of each
file the validation rows. Prints for each arm, against REFERENCE (default none): the change of the
AUROC in each cell and over all findings, with 95 % intervals over validation patients and runs.
The epoch of every run was chosen on these patients, in all arms alike.
"""

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


def main():
    if len(sys.argv) not in (2, 3):
        raise SystemExit(__doc__)
    study, reference = Path(sys.argv[1]), (*sys.argv[2:], "none")[0]
    runs, paths = found_runs(study)
    images = read_labels(study / "dataset/labels.parquet", study / "dataset/split.csv")
    findings = target_findings(paths[0].parent / "history.csv")
    of_fractions = []
    for fraction, own in runs.groupby("fraction"):
        arms = complete(own, reference)
        rows = own[own["arm"].isin(arms)]
        chosen = [paths[row] for row in rows.index]
        val = read_predictions(images, chosen, rows.to_dict("records"), findings)["val"]
        metrics = compute_metrics(val, findings, Resampling(_RESAMPLES, _LEAST, 1))
        against = References(reference, None)
        cells = summary_table(val, metrics, _MARGIN, against)
        overall = overall_table(metrics, _MARGIN, against)
        of_fractions.append((fraction, cells, overall))
    for fraction, cells, overall in of_fractions:
        print(f"\n{fraction:g} % of the patients, against {reference}")
        change = [change_column("baseline", part) for part in ("", "low", "high")]
        table = cells.set_index(["arm", "finding"])
        lines = {}
        for arm in cells["arm"].unique():
            own = table.loc[arm]
            line = {"seeds": own["seeds"].iloc[0]}
            for finding in findings:
                value, low, high = own.loc[finding, change]
                auc = own.loc[finding, "auc"]
                line[finding] = f"{auc:.3f}" if arm == reference else _interval(value, low, high)
            mean = overall[overall["arm"] == arm]
            if len(mean):
                line["mean"] = _interval(*mean[["change", "low", "high"]].iloc[0])
            lines[arm] = line
        print(pd.DataFrame(lines).T.to_string(na_rep=""))


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


def _interval(value, low, high):
    return f"{value:+.3f} ±{(high - low) / 2:.3f}"


if __name__ == "__main__":
    main()
