"""What others published, and whether our change is larger."""

from pathlib import Path

import pandas as pd

from rarecxr.study.findings import FINDINGS

COLUMNS = ["finding", "fraction", "arm", "as_printed", "by_column", "source"]
# Both ways to read a published number: under the name it was printed with, and under the
# name of the column that it was computed from.
READINGS = ("as_printed", "by_column")


def read_published(path: str | Path) -> pd.DataFrame:
    """Published AUROCs, one row a finding, fraction and arm (config/published.csv).

    Raises:
        ValueError: wrong columns, an unknown finding, a row that occurs twice, or a value
            outside [0, 1].
    """
    table = pd.read_csv(path)
    if list(table.columns) != COLUMNS:
        raise ValueError(f"{path}: columns are {list(table.columns)}; takes {COLUMNS}")
    for line, row in enumerate(table.itertuples(), start=2):
        if row.finding not in FINDINGS:
            raise ValueError(f"{path}, line {line}: no finding {row.finding!r}; takes {FINDINGS}")
        for reading in READINGS:
            value = getattr(row, reading)
            if pd.notna(value) and not 0 <= value <= 1:
                raise ValueError(f"{path}, line {line}: {reading} is {value}; takes 0 to 1")
    twice = table.duplicated(["finding", "fraction", "arm"])
    if twice.any():
        raise ValueError(f"{path}, line {twice.idxmax() + 2}: this row occurs twice")
    return table


def comparison(summary: pd.DataFrame, published: pd.DataFrame, arm: str | None) -> pd.DataFrame:
    """The published table's layout: one row a cell, with theirs beside ours.

    A published change is only formed from two values of one source: between data sets and
    splits of different authors there is more than a GAN.

    Args:
        summary: summary.csv.
        published: what `read_published` gives.
        arm: our arm that stands for the GAN; None if the study has none.

    Returns:
        finding, fraction; for each reading `{reading}_none`, `{reading}_gan`,
        `{reading}_change`; source_none, source_gan; ours_none, and of our arm ours_gan, change,
        change_low, change_high, verdict; `larger`: our change less the published one by column
        (as printed where there is no other), NaN without either.
    """
    rows = []
    for (finding, fraction), cell in summary.groupby(["finding", "fraction"], sort=False):
        here = published[(published["finding"] == finding) & (published["fraction"] == fraction)]
        none = here[here["arm"] == "none"]
        gan = here[here["arm"] != "none"]
        row = {"finding": finding, "fraction": fraction}
        row["source_none"], row["source_gan"] = (
            _first(none, "source", ""),
            _first(gan, "source", ""),
        )
        together = row["source_none"] == row["source_gan"]
        for reading in READINGS:
            theirs = _first(none, reading), _first(gan, reading)
            row[f"{reading}_none"], row[f"{reading}_gan"] = theirs
            row[f"{reading}_change"] = theirs[1] - theirs[0] if together else float("nan")
        ours = cell.set_index("arm")
        row["ours_none"] = ours["auc"].get("none", float("nan"))
        for name, column in (
            ("ours_gan", "auc"),
            *((name, name) for name in ("change", "change_low", "change_high", "verdict")),
        ):
            row[name] = ours.at[arm, column] if arm else float("nan")
        theirs = [row["by_column_change"], row["as_printed_change"]]
        row["larger"] = row["change"] - next((x for x in theirs if pd.notna(x)), float("nan"))
        rows.append(row)
    return pd.DataFrame(rows)


def _first(table, column, default=float("nan")):
    return table[column].iloc[0] if len(table) else default
