"""The tables of the report, and the one that ends a run in a terminal."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from rarecxr.core.files import written_whole
from rarecxr.report import wording as words

# Marks that carry a verdict where colour cannot.
MARKS = {"better": "▲", "worse": "▼", "no difference that matters": "="}


@dataclass(frozen=True)
class Cell:
    """One cell of a table on the page.

    Attributes:
        text: what it shows.
        sort: what its column is sorted by.
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
    """

    name: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    groups: Sequence[Cell] = ()
    numeric: frozenset = field(default_factory=frozenset)


def text(value: str, **more) -> Cell:
    """A cell of words, sorted by them."""
    return Cell(str(value), sort=str(value), **more)


def number(value: float, write: Callable[[float], str] = words.share, **more) -> Cell:
    """A cell of a number, sorted by its value."""
    return Cell(write(value), sort=value if pd.notna(value) else "", **more)


def share(row: pd.Series, name: str) -> Cell:
    """A measure of summary.csv with its interval below."""
    return number(row[name], note=words.interval(row[f"{name}_low"], row[f"{name}_high"]))


def change(row: pd.Series, ending: str = "") -> Cell:
    """A change of summary.csv with its interval below, coloured by its verdict."""
    name = f"change{ending}"
    reach = words.interval(row[f"{name}_low"], row[f"{name}_high"], words.signed)
    return number(row[name], words.signed, note=reach)


def verdict(row: pd.Series, ending: str = "") -> Cell:
    """The verdict of a row of summary.csv, with its mark and colour."""
    word = row[f"verdict{ending}"]
    kind = {"better": "better", "worse": "worse", "no difference that matters": "same"}
    return Cell(f"{MARKS.get(word, '')} {word}".strip() or "–", sort=word, kind=kind.get(word, ""))


def read_summary(path: str | Path) -> pd.DataFrame:
    """summary.csv or expert.csv, with empty text as such."""
    table = pd.read_csv(path)
    for name in ("verdict", "verdict_oversample", "interval_over"):
        table[name] = table[name].fillna("").astype(str)
    return table


def console(summary_csv: str | Path) -> str:
    """A compact plain table: a line a cell, `none` first, then every arm's change.

    The width behind a change is half of its 95 % interval.

    Args:
        summary_csv: summary.csv of a study.
    """
    table = read_summary(summary_csv)
    others = [arm for arm in dict.fromkeys(table["arm"]) if arm != "none"]
    lines = [["finding", "fraction", "none", *others]]
    for (finding, fraction), cell in table.groupby(["finding", "fraction"], sort=False):
        rows = cell.set_index("arm")
        baseline = rows["auc"].get("none", float("nan"))
        lines.append([finding, words.percent(fraction), words.share(baseline)])
        lines[-1] += [_change_in_words(rows.loc[arm]) for arm in others]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    lines.insert(1, ["-" * width for width in widths])
    shown = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]
    shown.append(
        "AUROC of none, and each arm's change against it with its 95 % interval."
        " ▲ better, ▼ worse, = no difference that matters; without a mark: inconclusive."
    )
    too_few = table.loc[table["verdict"].str.startswith("too few"), "finding"].unique()
    if len(too_few):
        shown.append(f"No interval, too few positive test patients: {', '.join(too_few)}.")
    return "\n".join(shown)


def write_console(summary_csv: str | Path, output: str | Path) -> None:
    """Write the table of `console` as a text file."""
    with written_whole(output) as temporary:
        temporary.write_text(console(summary_csv) + "\n", encoding="utf-8")


def _change_in_words(row):
    shown = words.signed(row["change"])
    if pd.notna(row["change_low"]):
        shown += f" ±{words.share((row['change_high'] - row['change_low']) / 2)}"
    return f"{shown} {MARKS.get(row['verdict'], '')}".rstrip()
