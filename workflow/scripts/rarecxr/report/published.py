"""What others published, and whether our change is larger."""

from pathlib import Path

import pandas as pd

from rarecxr.core.tables import read_csv
from rarecxr.statistics.comparisons import BASELINE, change_column
from rarecxr.study.findings import FINDINGS

COLUMNS = ["finding", "fraction", "trained_on", "as_printed", "by_column", "source"]
# What a published classifier was trained on.
REAL, SYNTHETIC = "real", "real and synthetic"
# Both ways to read a published number: under the name it was printed with, and under the
# name of the column that it was computed from.
READINGS = ("as_printed", "by_column")


def read_published(path: str | Path) -> pd.DataFrame:
    """Published AUROCs, one row per finding, fraction and training (config/published.csv).

    Raises:
        ValueError: wrong columns, an unknown finding or training, a row that occurs twice, or a
            value outside [0, 1].
    """
    table = read_csv(path)
    if list(table.columns) != COLUMNS:
        raise ValueError(f"{path}: columns are {list(table.columns)}; takes {COLUMNS}")
    for line, row in enumerate(table.itertuples(), start=2):
        if row.finding not in FINDINGS:
            raise ValueError(f"{path}, line {line}: no finding {row.finding!r}; takes {FINDINGS}")
        if row.trained_on not in (REAL, SYNTHETIC):
            raise ValueError(
                f"{path}, line {line}: trained_on is {row.trained_on!r}; takes {REAL!r} or"
                f" {SYNTHETIC!r}"
            )
        for reading in READINGS:
            value = getattr(row, reading)
            known = isinstance(value, float | int) and 0 <= value <= 1
            if pd.notna(value) and not known:
                raise ValueError(f"{path}, line {line}: {reading} is {value}; takes 0 to 1")
    twice = table.duplicated(["finding", "fraction", "trained_on"])
    if twice.any():
        raise ValueError(f"{path}, line {twice.idxmax() + 2}: this row occurs twice; remove one")
    return table


def comparison(
    summary: pd.DataFrame, published: pd.DataFrame, arm: str | None, baseline: str
) -> pd.DataFrame:
    """The published table's layout: one row per cell, published values beside this study's.

    A published change is only formed from two values of one source: the data sets and splits of
    different authors differ in more than the synthetic images.

    Args:
        summary: summary.csv.
        published: what `read_published` gives.
        arm: our arm that the answer is about; None if the study has none.
        baseline: our arm that it is compared with.

    Returns:
        finding, fraction; for each reading `{reading}_real`, `{reading}_synthetic`,
        `{reading}_change`; source_real, source_synthetic; ours_real (of the baseline), and of our
        arm ours_synthetic, change, change_low, change_high; `larger`: our change less the published
        one by column (as printed where there is no other), NaN without either.
    """
    rows = []
    for (finding, fraction), cell in summary.groupby(["finding", "fraction"], sort=False):
        here = published[(published["finding"] == finding) & (published["fraction"] == fraction)]
        real = here[here["trained_on"] == REAL]
        synthetic = here[here["trained_on"] == SYNTHETIC]
        row = {"finding": finding, "fraction": fraction}
        row["source_real"] = _first(real, "source", "")
        row["source_synthetic"] = _first(synthetic, "source", "")
        one_source = row["source_real"] == row["source_synthetic"]
        for reading in READINGS:
            theirs = _first(real, reading), _first(synthetic, reading)
            row[f"{reading}_real"], row[f"{reading}_synthetic"] = theirs
            row[f"{reading}_change"] = theirs[1] - theirs[0] if one_source else float("nan")
        ours = cell.set_index("arm")
        row["ours_real"] = ours["auc"].get(baseline, float("nan"))
        for name, column in (
            ("ours_synthetic", "auc"),
            ("change", change_column(BASELINE)),
            ("change_low", change_column(BASELINE, "low")),
            ("change_high", change_column(BASELINE, "high")),
        ):
            row[name] = ours.at[arm, column] if arm else float("nan")
        theirs = [row["by_column_change"], row["as_printed_change"]]
        row["larger"] = row["change"] - next((x for x in theirs if pd.notna(x)), float("nan"))
        rows.append(row)
    return pd.DataFrame(rows)


def _first(table, column, default=float("nan")):
    return table[column].iloc[0] if len(table) else default
