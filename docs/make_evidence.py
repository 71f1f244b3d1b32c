"""Put the tables of finished studies into docs/evidence.md.

    python docs/make_evidence.py RESULTS NAME   copies a study's tables to docs/evidence/NAME
    python docs/make_evidence.py                writes the marked tables of docs/evidence.md anew

A marked table begins with the line `<!-- table: KIND NAME -->` and ends with `<!-- end -->`. Kinds:
changes (every cell and arm), pairs (further comparisons of arms), ceiling (share of what real
positives give), quality (the banks), pooled (studies of several folds, made by `make pool`), levers
(what arms changed on validation patients, made by benchmarks/levers.py).
"""

import re
import shutil
import sys
from pathlib import Path

import pandas as pd

DOCS = Path(__file__).parent
PAGE = DOCS / "evidence.md"
TABLES = (
    *("auc", "ceiling", "counts", "filters", "leakage", "overall", "quality", "runs"),
    *("summary", "worth"),
)
_MARKED = re.compile(r"(<!-- table: (\w+) ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def main():
    if len(sys.argv) == 3:
        collect(Path(sys.argv[1]), DOCS / "evidence" / sys.argv[2])
    elif len(sys.argv) != 1:
        raise SystemExit(__doc__)
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


def collect(results, folder):
    """Copy what a study reports into a folder; a table without rows is left out."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in TABLES:
        table = results / f"report/{name}.csv"
        if len(pd.read_csv(table)):
            shutil.copyfile(table, folder / table.name)
    shutil.copyfile(results / "report/summary.txt", folder / "summary.txt")
    shutil.copyfile(results / "report/figures/forest.svg", folder / "forest.svg")


def filled(text):
    """The page with every marked table made anew from the CSV files."""

    def table(match):
        start, kind, name, end = match.groups()
        return f"{start}\n{KINDS[kind](DOCS / 'evidence' / name)}\n\n{end}"

    return _MARKED.sub(table, text)


def changes(folder):
    """AUROC of the baseline, and what every arm changes: cells, mean, and against the control."""
    cells = pd.read_csv(folder / "summary.csv")
    overall = pd.read_csv(folder / "overall.csv")
    baseline = overall.loc[overall["role"] == "baseline", "reference"].iloc[0]
    arms = [arm for arm in cells["arm"].unique() if arm != baseline]
    rows = [["finding", "fraction", "positives", baseline, *arms]]
    for (finding, fraction), cell in cells.groupby(["finding", "fraction"], sort=False):
        cell = cell.set_index("arm")
        at = [_cell(cell.loc[arm], "change_vs_baseline", "verdict_vs_baseline") for arm in arms]
        line = [finding, f"{fraction:g} %", f"{cell.loc[baseline, 'n_positive']:.0f}"]
        rows.append([*line, f"{cell.loc[baseline, 'auc']:.3f}", *at])
    for _, of_role in overall[overall["role"] != "pair"].groupby("role", sort=False):
        of_role = of_role.set_index("arm")
        title = f"mean of {of_role['cells'].iloc[0]} cells, against {of_role['reference'].iloc[0]}"
        found = [_mean(of_role.loc[arm]) if arm in of_role.index else "" for arm in arms]
        rows.append([f"**{title}**", "", "", "", *found])
    return _markdown(rows)


def pairs(folder):
    """Further comparisons over all cells (`report.pairs`)."""
    overall = pd.read_csv(folder / "overall.csv")
    found = [
        [row.arm, row.reference, row.cells, _mean(row._asdict()), f"{row.detectable:.3f}"]
        for row in overall[overall["role"] == "pair"].itertuples()
    ]
    return _markdown([["arm", "against", "cells", "mean change", "detectable"], *found])


def ceiling(folder):
    """What share of the ceiling each arm reaches."""
    rows = [["arm", "against", "change", "real positives of the reserve give", "share"]]
    for row in pd.read_csv(folder / "ceiling.csv").itertuples():
        share = f"{row.share:.2f} ({row.share_low:.2f} to {row.share_high:.2f})"
        withheld = isinstance(row.withheld, str)
        rows.append(
            [
                row.arm,
                row.reference,
                f"{row.change:+.3f} ({row.change_low:+.3f} to {row.change_high:+.3f})",
                f"{row.ceiling:+.3f} ({row.ceiling_low:+.3f} to {row.ceiling_high:+.3f})",
                f"withheld: {row.withheld}" if withheld else share,
            ]
        )
    return _markdown(rows)


def pooled(folder):
    """Changes over all cells and folds."""
    table = pd.read_csv(folder / "pooled.csv")
    found = [
        [
            row.arm,
            row.reference,
            row.folds,
            _mean(row._asdict()),
            _number(row.p),
            f"{row.detectable:.3f}",
        ]
        for row in table[table["fraction"].isna()].itertuples()
    ]
    return _markdown([["arm", "against", "folds", "mean change", "p", "detectable"], *found])


def quality(folder):
    """How close the banks are to real images, in the features of the fraction's own network."""
    table = pd.read_csv(folder / "quality.csv")
    shown = ["images"]
    shown += [f"{name}{end}" for name in ("kid", "c2st", "finding_auc") for end in ("", "_floor")]
    columns = [name for name in shown if name in table]
    rows = [["finding", "recipe", "fraction", *columns]]
    for row in table.to_dict("records"):
        values = [_number(row[name]) for name in columns]
        rows.append([row["finding"], row["recipe"], f"{row['fraction']:g} %", *values])
    return _markdown(rows)


def levers(folder):
    """What every arm changed on validation patients, as benchmarks/levers.py wrote it."""
    table = pd.read_csv(folder / "levers.csv")
    findings = list(table["finding"].unique())
    rows = [["fraction", "arm", "seeds", *findings]]
    for (fraction, arm, seeds), own in table.groupby(["fraction", "arm", "seeds"], sort=False):
        own = own.set_index("finding")
        values = [_lever(own.loc[name]) if name in own.index else "" for name in findings]
        rows.append([f"{fraction:g} %", arm, seeds, *values])
    return _markdown(rows)


KINDS = {
    **{"changes": changes, "pairs": pairs},
    **{"ceiling": ceiling, "levers": levers, "pooled": pooled, "quality": quality},
}


def _cell(row, change, verdict):
    if pd.isna(row[change]):
        return ""
    half = (row[f"{change}_high"] - row[f"{change}_low"]) / 2
    mark = {"better": " ▲", "worse": " ▼"}.get(row[verdict], "")
    return f"{row[change]:+.3f} ±{half:.3f}{mark}".replace("-", "−")


def _lever(row):
    if pd.isna(row["change"]):
        return f"{row['auc']:.3f}"
    return f"{row['change']:+.3f} ±{(row['high'] - row['low']) / 2:.3f}".replace("-", "−")


def _mean(row):
    half = (row["high"] - row["low"]) / 2
    return f"**{row['change']:+.3f}** ±{half:.3f}".replace("-", "−")


def _number(value):
    if pd.isna(value):
        return ""
    return f"{value:g}" if float(value).is_integer() else f"{value:.3f}"


def _markdown(rows):
    head, *body = rows
    lines = [head, ["---"] * len(head), *body]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


if __name__ == "__main__":
    main()
