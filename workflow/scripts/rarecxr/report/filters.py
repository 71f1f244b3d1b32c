"""What share of the banks looks filtered, as one table: for a file and for the page."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from rarecxr.core.json_file import read_json
from rarecxr.report import wording as words
from rarecxr.report.tables import Cell, Table, number, text

_SHARES = ("share", "real_share", "corrected", "low", "high")
COLUMNS = [
    *("recipe", "finding", "fraction", "draw", "filter", "images"),
    *_SHARES,
    *("detector_accuracy", "sharpness_bank", "sharpness_real"),
]


def read_filter_leaks(paths: Sequence[str | Path]) -> pd.DataFrame:
    """What rule measure_filters found, one row per bank and filter.

    Args:
        paths: bank/filter_leak/{fraction}/draw{draw}.json of the study.

    Returns:
        The columns of filters.csv (docs/report.md); NaN for what was not measured.
    """
    rows = []
    for path in paths:
        leak = read_json(path, ["banks", "detectors", "draw", "fraction"])
        for bank in leak["banks"]:
            row = {
                "recipe": bank["recipe"],
                "finding": bank["finding"],
                "fraction": leak["fraction"],
                "draw": leak["draw"],
                "images": bank["images"],
                "sharpness_bank": bank["sharpness"]["bank"]["median"],
                "sharpness_real": bank["sharpness"]["real"]["median"],
            }
            for name, detector in leak["detectors"].items():
                found = bank["filters"].get(name, {})
                row_of_filter = {"filter": name, "detector_accuracy": detector.get("accuracy")}
                rows.append(row | row_of_filter | {share: found.get(share) for share in _SHARES})
    table = pd.DataFrame(rows, columns=COLUMNS)
    return table.astype(dict.fromkeys(["fraction", *COLUMNS[5:]], float))


def filter_table(leaks: pd.DataFrame) -> Table | None:
    """The page's table: one row per bank, one column per filter; None without any.

    Args:
        leaks: what `read_filter_leaks` gives; draws are averaged.
    """
    if leaks.empty:
        return None
    filters = list(dict.fromkeys(leaks["filter"]))
    keys = ["recipe", "finding", "fraction"]
    means = leaks.groupby([*keys, "filter"], sort=False).mean(numeric_only=True).reset_index()
    rows = []
    for (recipe, finding, fraction), bank in means.groupby(keys, sort=False):
        by_filter = bank.set_index("filter")
        sharpness = bank.iloc[0]
        rows.append(
            [
                text(finding),
                number(fraction, words.percent),
                text(recipe),
                *(_share(by_filter.loc[name]) for name in filters),
                number(sharpness["sharpness_bank"], note=words.share(sharpness["sharpness_real"])),
            ]
        )
    groups = [
        Cell("bank", span=3),
        Cell("share that looks filtered; below, its 95 % interval", span=len(filters)),
        Cell("median; below, real", span=1),
    ]
    columns = ["finding", "fraction", "recipe", *filters, "sharpness"]
    return Table("filters", columns, rows, groups, frozenset([1, *range(3, len(columns))]))


def detectors(leaks: pd.DataFrame) -> str:
    """The accuracy of the detector of each filter, in words."""
    accuracy = leaks.groupby("filter", sort=False)["detector_accuracy"].agg(["min", "max"])
    return ", ".join(
        f"{name} {words.share(row['min'], 2)} to {words.share(row['max'], 2)}"
        for name, row in accuracy.dropna().iterrows()
    )


def _share(row):
    """The corrected share where the detector is accurate enough, else the uncorrected one."""
    if pd.isna(row["corrected"]):
        return number(row["share"], note="" if pd.isna(row["share"]) else "uncorrected")
    return number(row["corrected"], note=words.interval(row["low"], row["high"]))
