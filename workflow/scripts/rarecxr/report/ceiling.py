"""What the study could detect, and the share of the gain by further real images that arms reach."""

import math

import pandas as pd

from rarecxr.report import wording as words
from rarecxr.report.tables import Cell, Table, number, text
from rarecxr.statistics.comparisons import BASELINE, change_column


def reach(summary: pd.DataFrame, overall: pd.DataFrame, ceiling: pd.DataFrame, arm) -> str:
    """What is said before any result: the smallest detectable change, and the ceiling.

    Args:
        summary: summary.csv.
        overall: overall.csv.
        ceiling: ceiling.csv; may be empty.
        arm: the headline arm; None without synthetic images.

    Returns:
        Sentences; empty where no change has an interval.
    """
    rows = overall[(overall["arm"] == arm) & (overall["role"] == BASELINE)]
    if rows.empty:
        return ""
    row = rows.iloc[0]
    cells = summary.loc[summary["arm"] == arm, change_column(BASELINE, "detectable")]
    said = (
        "With 80 % power this study detects a true mean change of the AUROC of"
        f" {words.share(row['detectable'])} over its {words.plural(row['cells'], 'cell')}, and of"
        f" {words.share(cells.median())} in a single cell (median)."
    )
    own = ceiling[(ceiling["arm"] == arm) & (ceiling["role"] == BASELINE)]
    if own.empty:
        return said
    top = own.iloc[0]
    span = words.interval(top["ceiling_low"], top["ceiling_high"], words.signed)
    said += (
        f" The ceiling, which is the mean change by as many further real images (arm"
        f" {top['ceiling_arm']}), is {words.signed(top['ceiling'])} {span}."
    )
    if pd.isna(top["share"]):
        return f"{said} The share of it that arm {arm} reaches is not given: {top['withheld']}."
    span = words.interval(top["share_low"], top["share_high"], _percent)
    return f"{said} Arm {arm} reaches {_percent(top['share'])} of it {span}."


def share_table(ceiling: pd.DataFrame) -> Table | None:
    """Shares of the ceiling of every arm (ceiling.csv); None without a ceiling."""
    if ceiling.empty:
        return None
    rows = [
        [
            text(row["arm"]),
            text(row["reference"]),
            *(
                number(
                    row[name],
                    words.signed,
                    note=words.interval(row[f"{name}_low"], row[f"{name}_high"], words.signed),
                )
                for name in ("change", "ceiling")
            ),
            _withheld(row)
            or number(
                row["share"],
                _percent,
                note=words.interval(row["share_low"], row["share_high"], _percent),
            ),
        ]
        for _, row in ceiling.iterrows()
    ]
    columns = ["arm", "against", "mean change", "ceiling", "share of the ceiling"]
    return Table("ceiling", columns, rows, numeric=frozenset({2, 3, 4}))


def worth_table(worth: pd.DataFrame) -> Table | None:
    """Numbers of further real images with the same effect (worth.csv); None without a ceiling."""
    if worth.empty:
        return None
    rows = [
        [
            text(row["arm"]),
            number(row["dose"], _times),
            number(
                row["change"],
                words.signed,
                note=words.interval(row["change_low"], row["change_high"], words.signed),
            ),
            _withheld(row) or Cell(_worth(row), sort=row["worth"], note=_worth_span(row)),
        ]
        for _, row in worth.iterrows()
    ]
    columns = [
        "arm",
        "synthetic positives per real positive",
        "mean change",
        "worth in real positives",
    ]
    return Table("worth", columns, rows, numeric=frozenset({1, 2, 3}))


def _withheld(row):
    return Cell("–", note=row["withheld"]) if isinstance(row["withheld"], str) else None


def _worth(row):
    return f"above {_times(row['most_real'])}" if math.isinf(row["worth"]) else _times(row["worth"])


def _worth_span(row):
    low, high = row["worth_low"], row["worth_high"]
    if math.isinf(low):
        return ""
    return f"{_times(low)} or more" if math.isinf(high) else f"{_times(low)} to {_times(high)}"


def _times(value: float) -> str:
    return f"{value:.2f} ×"


def _percent(value: float) -> str:
    return f"{round(100 * value)} %".replace("-", "−")
