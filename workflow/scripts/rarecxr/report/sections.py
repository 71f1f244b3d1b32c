"""The parts of the page: sentences and tables made from the study's CSV files."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from rarecxr.core.files import sha256
from rarecxr.data.image_notes import BITS, GREY_LEVELS, OTHER_PATIENT
from rarecxr.report import wording as words
from rarecxr.report.tables import Cell, Table, change, number, share, text, verdict
from rarecxr.statistics.comparisons import (
    BASELINE,
    CONTROL,
    References,
    change_column,
    verdict_column,
)


def overall_table(overall: pd.DataFrame) -> Table | None:
    """The mean change of every arm over all cells; None without any."""
    if overall.empty:
        return None
    rows = [
        [
            text(row.arm),
            text(row.reference),
            number(row.cells, words.count),
            number(row.change, words.signed, note=words.interval(row.low, row.high, words.signed)),
            number(row.p, words.p_value),
            number(row.p_equivalence, words.p_value),
            number(row.detectable),
        ]
        for row in overall.itertuples()
    ]
    columns = ["arm", "against", "cells", "mean change", "p", "p of equivalence", "detectable"]
    keys = list(overall[["arm", "reference"]].itertuples(index=False, name=None))
    return Table("overall", columns, rows, numeric=frozenset(range(2, 7)), keys=keys)


def draws_note(summary: pd.DataFrame) -> str:
    """What the intervals do not cover, by the number of draws and seeds."""
    if summary["draws"].max() > 1:
        return "The repetitions are draws: intervals cover the choice of training patients, too."
    if summary["seeds"].max() > 1:
        return (
            "There is one draw of training patients: intervals do not cover how results, and the"
            " GANs behind them, vary from draw to draw. At small fractions this variation is"
            " largest."
        )
    return (
        "Every arm was trained once: intervals and verdicts cover the choice of test patients"
        " alone. Another seed or another draw of training patients may change the results, even"
        " in sign."
    )


def facts(summary: pd.DataFrame, counts: pd.DataFrame) -> list[tuple[str, str]]:
    """The size of the study in a few numbers, each with its name."""
    test = counts[counts["split"] == "test"].iloc[0]
    cells = summary.groupby(["finding", "fraction"]).ngroups
    return [
        ("test patients", words.count(test["patients"])),
        ("test images", words.count(test["images"])),
        (_noun("cell", cells), words.count(cells)),
        (_noun("arm", summary["arm"].nunique()), words.count(summary["arm"].nunique())),
        (_noun("draw", summary["draws"].max()), words.count(summary["draws"].max())),
        (_noun("seed", summary["seeds"].max()), words.count(summary["seeds"].max())),
    ]


def _noun(one, number):
    return one if number == 1 else f"{one}s"


def published_table(compared: pd.DataFrame) -> Table:
    """The published table's layout: published values in both readings beside this study's."""
    rows = []
    for row in compared.itertuples():
        cells = [text(row.finding), number(row.fraction, words.percent)]
        for reading in ("as_printed", "by_column"):
            for training in ("real", "synthetic"):
                cells.append(number(getattr(row, f"{reading}_{training}")))
            cells.append(number(getattr(row, f"{reading}_change"), words.signed))
        cells += [number(row.ours_real), number(row.ours_synthetic)]
        reach = words.interval(row.change_low, row.change_high, words.signed)
        cells.append(number(row.change, words.signed, note=reach))
        cells.append(_against_published(row.larger))
        rows.append(cells)
    return Table(
        name="published",
        groups=[
            Cell("", span=2),
            Cell("published, as printed", span=3),
            Cell("published, by column", span=3),
            Cell("this study", span=4),
        ],
        columns=[
            *("finding", "fraction"),
            *(3 * ("real", "with synthetic", "change")),
            "against published",
        ],
        rows=rows,
        numeric=frozenset(range(1, 11)),
    )


def _against_published(larger):
    if pd.isna(larger):
        return Cell("–")
    if larger > 0:
        return Cell("▲ larger", sort=larger, kind="better")
    return Cell("▼ smaller" if larger < 0 else "= equal", sort=larger, kind="worse" * (larger < 0))


def changes_table(
    summary: pd.DataFrame, name: str, references: References, shown: Sequence[str]
) -> Table:
    """Every cell and arm: AUROC, changes with intervals, p-values and verdicts.

    Args:
        summary: summary.csv or expert.csv.
        name: of the table on the page.
        references: the arms that the others are compared with.
        shown: arms whose rows are not folded away.
    """
    roles = {BASELINE: references.baseline}
    if references.control in set(summary["arm"]):
        roles[CONTROL] = references.control
    rows = [
        [
            text(row["finding"]),
            number(row["fraction"], words.percent),
            text(row["arm"]),
            number(row["n_positive_patients"], words.count),
            share(row, "auc"),
            *(cell for role in roles for cell in _changes(row, role)),
        ]
        for _, row in summary.iterrows()
    ]
    columns = ["change", "p (Holm)", "detectable", "verdict"]
    return Table(
        name=name,
        groups=[
            Cell("", span=4),
            Cell("mean", span=1),
            *(Cell(f"AUROC against {roles[role]}", span=4) for role in roles),
        ],
        columns=["finding", "fraction", "arm", "positive patients", "AUROC"] + len(roles) * columns,
        rows=rows,
        numeric=frozenset([1, 3, 4, 5, 6, 7] + [9, 10, 11] * (len(roles) > 1)),
        keys=list(summary[["finding", "fraction", "arm"]].itertuples(index=False, name=None)),
        other=folded(summary, shown),
    )


def measures_table(summary: pd.DataFrame, name: str, shown: Sequence[str]) -> Table:
    """Every cell and arm: AUPRC beside the prevalence, Brier score, calibration error.

    Args:
        summary: summary.csv or expert.csv.
        name: of the table on the page.
        shown: arms whose rows are not folded away.
    """
    rows = [
        [
            text(row["finding"]),
            number(row["fraction"], words.percent),
            text(row["arm"]),
            share(row, "auc"),
            number(row["auc_sd_runs"]),
            share(row, "auprc"),
            number(row["prevalence"]),
            share(row, "brier"),
            number(row["ece"]),
        ]
        for _, row in summary.iterrows()
    ]
    columns = ["finding", "fraction", "arm", "AUROC", "sd over runs", "AUPRC", "prevalence"]
    return Table(
        name,
        [*columns, "Brier score", "ECE"],
        rows,
        numeric=frozenset([1, *range(3, 9)]),
        other=folded(summary, shown),
    )


def folded(table: pd.DataFrame, shown: Sequence[str]) -> frozenset:
    """Places of rows of other arms than those shown at first."""
    return frozenset(np.flatnonzero(~table["arm"].isin(shown)).tolist())


def _changes(row, role):
    if np.isnan(row[change_column(role)]) and not row[verdict_column(role)]:
        return [Cell("")] * 4
    return [
        change(row, role),
        number(row[change_column(role, "p_holm")], words.p_value),
        number(row[change_column(role, "detectable")]),
        verdict(row, role),
    ]


def other_findings(auc: pd.DataFrame, targets: set[str]) -> Table | None:
    """Mean AUROC of the findings that the study is not about, by arm and fraction.

    A gain in the target findings must not cost accuracy in the others. None if there are no others.
    """
    rest = auc[(auc["split"] == "test") & ~auc["finding"].isin(targets) & auc["auc"].notna()]
    if rest.empty:
        return None
    arms = list(dict.fromkeys(rest["arm"]))
    means = rest.groupby(["fraction", "arm"])["auc"].mean().unstack()
    rows = [
        [number(fraction, words.percent), *(number(line[arm]) for arm in arms)]
        for fraction, line in means.iterrows()
    ]
    columns = ["fraction", *arms]
    return Table("others", columns, rows, numeric=frozenset(range(len(columns))))


def subgroup_table(subgroups: pd.DataFrame, shown: Sequence[str], name: str = "subgroups") -> Table:
    """AUROC and change of every cell in the subgroups of the test patients, for some arms.

    Args:
        subgroups: subgroups.csv.
        shown: the arms; the others are in the file alone.
        name: of the table on the page.
    """
    subgroups = subgroups[subgroups["arm"].isin(shown)]
    rows = [
        [
            text(row["kind"]),
            text(row["subgroup"]),
            text(row["finding"]),
            number(row["fraction"], words.percent),
            text(row["arm"]),
            number(row["n_positive_patients"], words.count),
            share(row, "auc"),
            Cell("") if np.isnan(row[change_column(BASELINE)]) else change(row),
        ]
        for _, row in subgroups.iterrows()
    ]
    columns = [
        "by",
        "subgroup",
        "finding",
        "fraction",
        "arm",
        "positive patients",
        "AUROC",
        "change",
    ]
    return Table(name, columns, rows, numeric=frozenset([3, 5, 6, 7]))


def count_table(counts: pd.DataFrame, targets: set[str]) -> Table:
    """Images and patients of every part of the data set, and positives of the target findings."""
    names = [name for name in dict.fromkeys(counts["finding"]) if name in targets]
    rows = []
    keys = ["split", "fraction", "draw"]
    for (split, fraction, draw), part in counts.groupby(keys, sort=False, dropna=False):
        first = part.iloc[0]
        # An external test set may lack findings.
        of_finding = part.set_index("finding").reindex(names)
        rows.append(
            [
                text(split),
                number(fraction, words.percent),
                number(draw, words.count),
                number(first["patients"], words.count),
                number(first["images"], words.count),
                *(
                    number(
                        of_finding.at[name, "n_positive"],
                        words.count,
                        note=_patients(of_finding.at[name, "n_positive_patients"]),
                    )
                    for name in names
                ),
            ]
        )
    columns = ["split", "fraction", "draw", "patients", "images", *names]
    groups = [Cell("", span=5), Cell("images with the finding", span=len(names))]
    return Table("counts", columns, rows, groups, frozenset(range(1, len(columns))))


def _patients(number):
    return "" if np.isnan(number) else words.plural(number, "patient")


def patient_table(patients: pd.DataFrame) -> Table:
    """Sex, age and views of the patients in every part of the data set."""
    views = [name for name in patients if name.startswith("n_") and name[2:3].isupper()]
    rows = []
    for _, row in patients.iterrows():
        known = max(row["patients"], 1)
        rows.append(
            [
                text(row["split"]),
                number(row["fraction"], words.percent),
                number(row["draw"], words.count),
                number(row["patients"], words.count),
                *(
                    number(
                        row[name], words.count, note=words.percent(round(100 * row[name] / known))
                    )
                    for name in ("n_female", "n_male", "n_unknown_sex")
                ),
                number(
                    row["age_median"],
                    words.count,
                    note=f"{words.count(row['age_q1'])} to {words.count(row['age_q3'])}"
                    + (f", {row['n_unknown_age']} unknown" if row["n_unknown_age"] else ""),
                ),
                number(row["images"], words.count),
                *(number(row[name], words.count) for name in views),
                number(row["n_unreadable"], words.count),
            ]
        )
    columns = ["split", "fraction", "draw", "patients", "female", "male", "unknown", "age"]
    columns += ["images", *(name[2:] for name in views), "unreadable"]
    groups = [Cell("", span=3), Cell("patients", span=5), Cell("images", span=2 + len(views))]
    return Table("patients", columns, rows, groups, frozenset(range(1, len(columns))))


def image_notes(notes: pd.DataFrame, leakage: pd.DataFrame) -> tuple[str, bool]:
    """What is odd about images of the study, in words, and whether results may be too good by it.

    Args:
        notes: pixels_{resolution}_notes.csv.
        leakage: leakage.csv.
    """
    copies, unlike, bits = (
        int((notes["note"] == kind).sum()) for kind in (OTHER_PATIENT, GREY_LEVELS, BITS)
    )
    apart = int(leakage.loc[leakage["check"] == "copies", "noted"].sum())
    found = []
    if copies:
        found.append(
            f"{words.plural(copies, 'image')} with the same pixels as another patient's image,"
            f" saved as another file; {words.count(apart)} of them with a copy in another split"
        )
    if unlike:
        found.append(f"{words.plural(unlike, 'image')} whose grey levels differ from the others'")
    if bits:
        found.append(f"{words.plural(bits, 'image')} with another number of bits than most")
    if not found:
        return (
            "No image has the same pixels as another patient's image, and none has grey levels"
            " unlike the others'.",
            False,
        )
    return f"Noted, and left in the study: {'. '.join(found)}.", apart > 0


def leakage_table(leakage: pd.DataFrame) -> Table:
    """Every check for leakage, all of which held (leakage.csv)."""
    rows = [
        [
            text(row.check),
            text(row.promise),
            number(row.files, words.count),
            number(row.items, words.count),
            number(row.noted, words.count),
        ]
        for row in leakage.itertuples()
    ]
    columns = ["check", "what holds", "files", "compared", "noted"]
    return Table("leakage", columns, rows, numeric=frozenset([2, 3, 4]))


def file_table(sources: pd.DataFrame, made: Mapping[str, str | Path]) -> Table:
    """Files that the numbers of the page come from, with their SHA-256 digests.

    The predictions, one file per run, are not listed: sources.csv, which is, has their digests.

    Args:
        sources: sources.csv.
        made: path of each table that the page was made from.
    """
    files = sources[sources["arm"].isna()]
    rows = [[text(row.path), text(row.sha256)] for row in files.itertuples()]
    rows += [[text(Path(path).name), text(sha256(path))] for path in made.values()]
    return Table("files", ["file", "SHA-256"], rows)
