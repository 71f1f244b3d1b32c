"""The tables of the report, and the one that ends a run in a terminal."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from rarecxr.core.files import written_whole
from rarecxr.core.tables import read_csv
from rarecxr.report import wording as words
from rarecxr.statistics.comparisons import (
    BASELINE,
    BETTER,
    NO_DIFFERENCE,
    ROLES,
    TOO_FEW,
    WORSE,
    change_column,
    verdict_column,
)

# Marks that carry a verdict where colour cannot, and classes of their colours.
MARKS = {BETTER: "▲", WORSE: "▼", NO_DIFFERENCE: "="}
KINDS = {BETTER: "better", WORSE: "worse", NO_DIFFERENCE: "same"}


@dataclass(frozen=True)
class Cell:
    """One cell of a table on the page.

    Attributes:
        text: what it shows.
        sort: value by which its column is sorted.
        note: smaller text below it.
        kind: class for its colour: better, worse, same, or nothing.
        span: columns that it fills; only used in group headings.
    """

    text: str
    sort: float | str = ""
    note: str = ""
    kind: str = ""
    span: int = 1


@dataclass(frozen=True)
class Table:
    """A table on the page: headings, perhaps groups of headings, and rows of cells.

    Attributes:
        name: identifier on the page.
        columns: headings; those of numbers are in `numeric`.
        rows: as many cells each as there are columns.
        groups: headings that span columns, above `columns`; they add up to its length.
        numeric: places of columns that hold numbers.
        keys: for each row the values that name it (see `row_name`), where others refer to it.
        other: places of rows that are folded away at first.
    """

    name: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    groups: Sequence[Cell] = ()
    numeric: frozenset = field(default_factory=frozenset)
    keys: Sequence[Sequence] = ()
    other: frozenset = field(default_factory=frozenset)

    def row_name(self, number: int) -> str:
        """The identifier of a row on the page, or nothing."""
        return row_name(self.name, *self.keys[number]) if self.keys else ""


def row_name(table: str, *keys: str | float) -> str:
    """The identifier on the page of a row of a table, from the values that name it."""
    text = "-".join(format(key, "g") if isinstance(key, float) else str(key) for key in keys)
    return f"{table}-{re.sub(r'[^A-Za-z0-9.@-]+', '_', text)}"


def text(value: str, **more) -> Cell:
    """A cell of words, sorted by them."""
    return Cell(str(value), sort=str(value), **more)


def number(value: float, write: Callable[[float], str] = words.share, **more) -> Cell:
    """A cell of a number, sorted by its value."""
    return Cell(write(value), sort=value if pd.notna(value) else "", **more)


def share(row: pd.Series, name: str) -> Cell:
    """A measure of summary.csv with its interval below."""
    return number(row[name], note=words.interval(row[f"{name}_low"], row[f"{name}_high"]))


def change(row: pd.Series, role: str = BASELINE) -> Cell:
    """A change of summary.csv with its interval below."""
    name = change_column(role)
    reach = words.interval(row[f"{name}_low"], row[f"{name}_high"], words.signed)
    return number(row[name], words.signed, note=reach)


def verdict(row: pd.Series, role: str = BASELINE) -> Cell:
    """The verdict of a row of summary.csv, with its mark and colour."""
    word = row[verdict_column(role)]
    return Cell(f"{MARKS.get(word, '')} {word}".strip() or "–", sort=word, kind=KINDS.get(word, ""))


def read_summary(path: str | Path) -> pd.DataFrame:
    """summary.csv, expert.csv or external.csv, with empty text as such."""
    table = read_csv(path)
    for name in (*map(verdict_column, ROLES), "interval_over"):
        table[name] = table[name].fillna("").astype(str)
    return table


def console(summary_csv: str | Path, baseline: str) -> str:
    """A compact plain table: one line per cell, the baseline first, then every arm's change.

    After a change stands half the width of its 95 % interval.

    Args:
        summary_csv: summary.csv of a study.
        baseline: the arm that the others are compared with.
    """
    table = read_summary(summary_csv)
    others = [arm for arm in dict.fromkeys(table["arm"]) if arm != baseline]
    lines = [["finding", "fraction", baseline, *others]]
    for (finding, fraction), cell in table.groupby(["finding", "fraction"], sort=False):
        rows = cell.set_index("arm")
        without = rows["auc"].get(baseline, float("nan"))
        lines.append([finding, words.percent(fraction), words.share(without)])
        lines[-1] += [_change_in_words(rows.loc[arm]) for arm in others]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    lines.insert(1, ["-" * width for width in widths])
    shown = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]
    shown.append(
        f"AUROC of {baseline}, and the change of each other arm with its 95 % interval."
        " ▲ better, ▼ worse, = no difference that matters; without a mark: inconclusive."
    )
    too_few = table.loc[table[verdict_column(BASELINE)].isin(TOO_FEW), "finding"].unique()
    if len(too_few):
        shown.append(f"No interval, too few positive test patients: {', '.join(too_few)}.")
    return "\n".join(shown)


def write_console(summary_csv: str | Path, output: str | Path, baseline: str) -> None:
    """Write the table of `console` as a text file."""
    with written_whole(output) as temporary:
        temporary.write_text(console(summary_csv, baseline) + "\n", encoding="utf-8")


def _change_in_words(row):
    change, low, high = (row[change_column(BASELINE, part)] for part in ("", "low", "high"))
    shown = words.signed(change)
    if pd.notna(low):
        shown += f" ±{words.share((high - low) / 2)}"
    return f"{shown} {MARKS.get(row[verdict_column(BASELINE)], '')}".rstrip()
