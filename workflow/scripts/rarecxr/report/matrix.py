"""The overview at the top of the page: cells against arms, coloured by the change of the AUROC."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from rarecxr.report import wording as words
from rarecxr.report.tables import MARKS, row_name
from rarecxr.statistics.comparisons import (
    BASELINE,
    TOO_FEW,
    References,
    change_column,
    verdict_column,
)

# Where the colour changes, as multiples of the smallest change that matters.
STEPS = (1, 2, 4)


@dataclass(frozen=True)
class MatrixCell:
    """One arm in one cell of the study.

    Attributes:
        text: the change, or the AUROC of the baseline.
        mark: of the verdict; empty for an inconclusive one.
        level: -3 to 3, how large the change is in `STEPS`; None without a change.
        certain: whether there is an interval.
        row: name of the row of the page's tables that has the numbers.
        label: finding, fraction and arm in words.
    """

    text: str
    mark: str
    level: int | None
    certain: bool
    row: str
    label: str


@dataclass(frozen=True)
class Matrix:
    """The overview.

    Attributes:
        arms: headings of the columns; the first is the baseline's.
        rows: finding (empty where it is the one above), fraction, and a cell or None per arm.
        means: for each arm its mean change over all cells, or None.
        steps: the changes at which the colour changes.
    """

    arms: Sequence[str]
    rows: Sequence[tuple[str, str, Sequence[MatrixCell | None]]]
    means: Sequence[MatrixCell | None]
    steps: Sequence[float]


def matrix(
    summary: pd.DataFrame,
    overall: pd.DataFrame,
    references: References,
    headline: str | None,
    margin: float,
) -> Matrix:
    """The overview of a study.

    Args:
        summary: summary.csv.
        overall: overall.csv.
        references: the arms that the others are compared with.
        headline: the arm that the answer is about, whose column comes after the baseline's.
        margin: smallest change that matters, which the colours are scaled by.
    """
    baseline = references.baseline
    run = list(dict.fromkeys(summary["arm"]))
    first = [arm for arm in (headline, references.control) if arm in run]
    arms = list(dict.fromkeys([baseline, *first, *run]))
    rows, above = [], None
    for (finding, fraction), cell in summary.groupby(["finding", "fraction"], sort=False):
        by_arm = {row["arm"]: row for _, row in cell.iterrows()}
        cells = [_cell(by_arm[arm], baseline, margin) if arm in by_arm else None for arm in arms]
        rows.append((finding if finding != above else "", words.percent(fraction), cells))
        above = finding
    against = overall[overall["role"] == BASELINE].set_index("arm")
    means = [
        MatrixCell(
            text=words.signed(against.at[arm, "change"]),
            mark="",
            level=_level(against.at[arm, "change"], margin),
            certain=True,
            row=row_name("overall", arm, baseline),
            label=f"mean over all cells, {arm}",
        )
        if arm in against.index
        else None
        for arm in arms
    ]
    return Matrix(arms, rows, means, [step * margin for step in STEPS])


def _cell(row, baseline, margin):
    change, verdict = row[change_column(BASELINE)], row[verdict_column(BASELINE)]
    return MatrixCell(
        text=words.share(row["auc"]) if row["arm"] == baseline else words.signed(change),
        mark=MARKS.get(verdict, ""),
        level=None if pd.isna(change) else _level(change, margin),
        certain=verdict not in TOO_FEW,
        row=row_name("changes", row["finding"], row["fraction"], row["arm"]),
        label=f"{row['finding']}, {words.percent(row['fraction'])}, {row['arm']}",
    )


def _level(change, margin):
    reached = sum(abs(change) >= step * margin for step in STEPS)
    return reached if change > 0 else -reached
