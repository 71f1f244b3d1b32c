"""The quality of the banks, as a table for a file and for the page, and beside the AUROC."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from rarecxr.report import wording as words
from rarecxr.report.tables import Cell, Table, number, text
from rarecxr.statistics.comparisons import BASELINE, change_column
from rarecxr.study.recipes import paired, paired_with

KEYS = ["recipe", "finding", "fraction", "draw"]
# Measures with a floor, in the order of the page's columns: name in the file, heading.
MEASURES = {
    "kid": "KID",
    "precision": "precision",
    "recall": "recall",
    "density": "density",
    "coverage": "coverage",
    "c2st": "C2ST AUROC",
    "finding_auc": "finding AUROC",
    "memorised": "memorised",
    "nearest_ratio": "nearest ratio",
    "alignment": "alignment",
}
_SHOWN = {name: heading for name, heading in MEASURES.items() if name != "nearest_ratio"}
_COLUMNS = [
    *KEYS,
    *("space", "reference", "images"),
    *(f"{name}{end}" for name in MEASURES for end in ("", "_floor")),
    *("sharpness_real", "sharpness_synthetic"),
]


def read_qualities(
    banks: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The quality of all banks as tables.

    Args:
        banks: for each bank its recipe, finding, fraction and draw, and the content of its quality
            file (JSON).

    Returns:
        One row per bank and feature space, with the columns of quality.csv (docs/report.md), NaN
        for what was not measured. And one row per warning: the bank's recipe, finding, fraction
        and draw, and `warning`.
    """
    rows, warnings = [], []
    for bank, quality in banks:
        identity = {key: bank[key] for key in KEYS}
        warnings += [identity | {"warning": text} for text in quality.get("warnings", [])]
        common = identity | {"reference": quality["reference"]}
        for kind, value in quality["sharpness"].items():
            common[f"sharpness_{kind}"] = value
        for space, found in quality["spaces"].items():
            row = common | {"space": space, "images": found.get("images")}
            for name in MEASURES:
                for part, ending in (("bank", ""), ("floor", "_floor")):
                    row[f"{name}{ending}"] = found.get(part, {}).get(name)
            # Of negatives in pairs with positives; in the place of a floor, images of other pairs.
            aligned = quality.get("alignment", {}).get(space, {})
            row |= {"alignment": aligned.get("pairs"), "alignment_floor": aligned.get("others")}
            rows.append(row)
    table = pd.DataFrame(rows, columns=_COLUMNS)
    numbers = _COLUMNS[_COLUMNS.index("images") :]
    table = table.astype(dict.fromkeys(["fraction", *numbers], float))
    return table, pd.DataFrame(warnings, columns=[*KEYS, "warning"])


def warning_lines(warnings: pd.DataFrame) -> list[str]:
    """What is wrong with banks, one line per warning; the same text of several draws once.

    Args:
        warnings: recipe, finding, fraction and `warning`.
    """
    lines = [
        f"{row.finding}, {words.percent(row.fraction)}, recipe {row.recipe}: {row.warning}"
        for row in warnings.itertuples()
    ]
    return list(dict.fromkeys(lines))


def quality_and_change(
    qualities: pd.DataFrame, summary: pd.DataFrame, recipe_of: Mapping[str, str]
) -> pd.DataFrame:
    """Every cell and arm that uses a bank: the bank's measures and the change of the AUROC.

    Args:
        qualities: what `read_qualities` gives; draws are averaged.
        summary: summary.csv.
        recipe_of: the recipe of each arm that has one.

    Returns:
        arm, recipe, finding, fraction, space, each measure with its floor, change, change_low,
        change_high.
    """
    columns = {
        change_column(BASELINE, part): name
        for part, name in (("", "change"), ("low", "change_low"), ("high", "change_high"))
    }
    changes = summary[["finding", "fraction", "arm", *columns]].rename(columns=columns)
    changes = changes[changes["arm"].isin(recipe_of)]
    # As text also where no arm uses a bank: what is merged must have one type.
    changes = changes.assign(recipe=changes["arm"].map(recipe_of).astype(object))
    return changes.merge(_over_draws(qualities), on=["recipe", "finding", "fraction"])


def quality_table(
    qualities: pd.DataFrame,
    summary: pd.DataFrame,
    recipe_of: Mapping[str, str],
    pairs: Sequence[str] = (),
) -> Table | None:
    """The page's table: one row per bank and feature space; None without banks.

    Below each measure stands its floor.

    Args:
        qualities: what `read_qualities` gives; draws are averaged.
        summary: summary.csv.
        recipe_of: the recipe of each arm that has one.
        pairs: arms whose negatives are in pairs with their positives; they use that bank, too.
    """
    if qualities.empty:
        return None
    changes = summary.set_index(["arm", "finding", "fraction"])
    measured = [name for name in _SHOWN if qualities[name].notna().any()]
    rows = []
    for _, row in _over_draws(qualities).iterrows():
        arms = [
            changes.loc[arm, row["finding"], row["fraction"]]
            for arm, recipe in recipe_of.items()
            if _uses(arm, recipe, row["recipe"], pairs)
            and (arm, row["finding"], row["fraction"]) in changes.index
        ]
        rows.append(
            [
                text(row["finding"]),
                number(row["fraction"], words.percent),
                text(row["recipe"], note=_pair_of(row["recipe"])),
                _changes(arms),
                text(row["space"]),
                number(row["images"], words.count),
                *(_with_floor(row, name) for name in measured),
                number(row["sharpness_synthetic"], _short, note=_short(row["sharpness_real"])),
            ]
        )
    columns = ["finding", "fraction", "recipe", "change of the AUROC", "feature space", "images"]
    columns += [*(_SHOWN[name] for name in measured), "sharpness"]
    groups = [
        Cell("bank", span=3),
        Cell("arms with it", span=1),
        Cell("synthetic against real; below, real against real", span=3 + len(measured)),
    ]
    return Table("quality", columns, rows, groups, frozenset([1, 3, *range(5, len(columns))]))


def _uses(arm: str, recipe: str, bank: str, pairs: Sequence[str]) -> bool:
    """Whether an arm with a recipe uses a recipe's bank."""
    return bank == recipe or (arm in pairs and bank == paired(recipe))


def _over_draws(qualities):
    keys = ["recipe", "finding", "fraction", "space"]
    return qualities.groupby(keys, sort=False).mean(numeric_only=True).reset_index()


def _pair_of(recipe: str) -> str:
    """What a bank of negatives in pairs is, in words."""
    positives = paired_with(recipe)
    return "" if positives is None else f"negatives from the latents of {positives}"


def _with_floor(row, name):
    floor = row[f"{name}_floor"]
    return number(row[name], _short, note="" if pd.isna(floor) else _short(floor))


def _changes(arms):
    """The change of every arm that uses a bank, the largest first."""
    arms = sorted(arms, key=lambda row: -row[change_column(BASELINE)])
    if not arms:
        return Cell("–")
    first, *others = [f"{row.name[0]} {words.signed(row[change_column(BASELINE)])}" for row in arms]
    return Cell(first, sort=arms[0][change_column(BASELINE)], note=", ".join(others))


def _short(value):
    """Three digits or so, with a true minus: measures differ in size from space to space."""
    if pd.isna(value):
        return "–"
    if 0 < abs(value) < 0.001:
        return f"{value:.0e}".replace("-", "−")
    digits = 3 if abs(value) < 10 else 1
    return f"{value:.{digits}f}".replace("-", "−")
