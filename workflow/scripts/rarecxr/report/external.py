"""External test sets on the page: what holds at home beside what holds elsewhere."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from rarecxr.report import sections
from rarecxr.report import wording as words
from rarecxr.report.tables import Cell, Table, change, number, share, text, verdict
from rarecxr.statistics.comparisons import BASELINE, References, change_column
from rarecxr.statistics.test_sets import split_of


@dataclass(frozen=True)
class ExternalSet:
    """What the page shows of one external test set.

    Attributes:
        name: in the configuration.
        title: its own name.
        size: patients and images, in words.
        sentences: what the study finds there.
        at_chance: findings whose baseline is not shown to be better than chance there.
        overall: mean changes over all cells, at home and there; None without any.
        cells: AUROC and change against the baseline of each cell and arm, at home and there; None
            where the baseline did not run.
        changes: the table of the study's own test set, of this one.
        measures: likewise.
        subgroups: likewise.
    """

    name: str
    title: str
    size: str
    sentences: Sequence[str]
    at_chance: Sequence[str]
    overall: Table | None
    cells: Table | None
    changes: Table
    measures: Table
    subgroups: Table


def external_sets(
    tables: Mapping[str, pd.DataFrame],
    settings: Mapping[str, Mapping[str, Any]],
    references: References,
    headline: str | None,
    shown: Sequence[str],
) -> list[ExternalSet]:
    """Every external test set of a study.

    Args:
        tables: summary, overall, counts, external, external_overall and external_subgroups.
        settings: of the sets by their names, section dataset.external.
        references: the arms that the others are compared with.
        headline: the arm that the answer is about; None if there is none.
        shown: arms whose rows are not folded away.
    """
    found = []
    for name in dict.fromkeys(tables["external"]["set"]):
        rows, overall, subgroups = (
            _of_set(tables[kind], name)
            for kind in ("external", "external_overall", "external_subgroups")
        )
        counts = tables["counts"]
        first = counts[counts["split"] == split_of(name)].iloc[0]
        title = settings.get(name, {}).get("name") or name
        with_baseline = references.baseline in set(rows["arm"])
        found.append(
            ExternalSet(
                name=name,
                title=title,
                size=f"{words.plural(first['patients'], 'patient')}, "
                f"{words.plural(first['images'], 'image')}",
                sentences=list(_found(tables["overall"], overall, title, references, headline)),
                at_chance=_at_chance(rows, references.baseline),
                overall=_overall_table(tables["overall"], overall, name),
                cells=_cells(tables["summary"], rows, name, shown) if with_baseline else None,
                changes=sections.changes_table(rows, f"{name}-changes", references, shown),
                measures=sections.measures_table(rows, f"{name}-measures", shown),
                subgroups=sections.subgroup_table(subgroups, shown, f"{name}-subgroups"),
            )
        )
    return found


def _of_set(table: pd.DataFrame, name: str) -> pd.DataFrame:
    return table[table["set"] == name].drop(columns="set").reset_index(drop=True)


def _found(own, other, title, references, headline):
    """One sentence about the headline arm: its mean change at home and there."""
    if headline is None:
        return
    here, there = (_mean_change(table, headline) for table in (own, other))
    if there is None:
        yield (
            f"External test ({title}): too few positive patients of each finding for an interval, "
            "so nothing is concluded."
        )
        return
    yield (
        f"External test ({title}): the mean change of arm {headline} against arm "
        f"{references.baseline} is {_written(there)}"
        + (f", on the study's own test patients {_written(here)}" if here is not None else "")
        + f". {_survives(here, there)}"
    )


def _survives(here, there) -> str:
    """What two mean changes say about each other."""
    gained = here is not None and here["low"] > 0
    if there["low"] > 0:
        return "The gain is found there, too." if gained else "There is a gain in the external set."
    if there["high"] < 0:
        return "In the external set there is a loss."
    if gained:
        return "The gain is not shown there: its interval includes no change."
    return "No change is shown there: its interval includes zero."


def _mean_change(overall, arm):
    """The row of an arm against the baseline; None without an interval."""
    rows = overall[(overall["arm"] == arm) & (overall["role"] == BASELINE)]
    rows = rows[rows["low"].notna()]
    return None if rows.empty else rows.iloc[0]


def _written(row) -> str:
    return f"{words.signed(row['change'])} {words.interval(row['low'], row['high'], words.signed)}"


def _at_chance(rows, baseline) -> list[str]:
    """Findings whose baseline has an interval in every fraction, none of them above 0.5."""
    of_baseline = rows[(rows["arm"] == baseline) & rows["auc_low"].notna()]
    highest = of_baseline.groupby("finding", sort=False)["auc_low"].max()
    return highest.index[highest <= 0.5].tolist()


def _overall_table(own, other, name) -> Table | None:
    """The mean change of every arm over all cells with an interval, at home and there."""
    if other.empty:
        return None
    at_home = {(row["arm"], row["role"]): row for _, row in own.iterrows()}
    rows = []
    for _, row in other.iterrows():
        home = at_home.get((row["arm"], row["role"]))
        rows.append(
            [
                text(row["arm"]),
                text(row["reference"]),
                Cell("–") if home is None else _mean(home),
                _mean(row),
                number(row["p"], words.p_value),
                number(row["p_equivalence"], words.p_value),
                number(row["detectable"]),
            ]
        )
    return Table(
        f"{name}-overall",
        ["arm", "against", "own test set", "external", "p", "p of equivalence", "detectable"],
        rows,
        groups=[Cell("", span=2), Cell("mean change", span=2), Cell("external", span=3)],
        numeric=frozenset(range(2, 7)),
    )


def _mean(row) -> Cell:
    reach = words.interval(row["low"], row["high"], words.signed)
    cells = words.plural(int(row["cells"]), "cell")
    return number(row["change"], words.signed, note=f"{reach} {cells}")


def _cells(own, other, name, shown) -> Table:
    """AUROC and change of every cell and arm, at home and there."""
    keys = ["finding", "fraction", "arm"]
    at_home = own.set_index(keys)
    rows = []
    for _, row in other.iterrows():
        home = at_home.loc[tuple(row[key] for key in keys)]
        is_baseline = pd.isna(row[change_column(BASELINE)])
        rows.append(
            [
                text(row["finding"]),
                number(row["fraction"], words.percent),
                text(row["arm"]),
                number(home["n_positive_patients"], words.count),
                number(row["n_positive_patients"], words.count),
                share(home, "auc"),
                share(row, "auc"),
                *(
                    [Cell("")] * 4
                    if is_baseline
                    else [change(home), change(row), verdict(home), verdict(row)]
                ),
            ]
        )
    pair = ["own test set", "external"]
    return Table(
        f"{name}-cells",
        [*keys, *(4 * pair)],
        rows,
        groups=[
            Cell("", span=3),
            Cell("positive patients", span=2),
            Cell("AUROC", span=2),
            Cell("change", span=2),
            Cell("verdict", span=2),
        ],
        numeric=frozenset(range(3, 9)) | {1},
        other=sections.folded(other, shown),
    )
