"""The parts of the page: sentences and tables made from the study's CSV files."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from rarecxr.core.files import sha256
from rarecxr.report import wording as words
from rarecxr.report.tables import Cell, Table, change, number, share, text, verdict

_NO_DIFFERENCE = "no difference that matters"


def answer(summary: pd.DataFrame, overall: pd.DataFrame, arm: str | None) -> dict[str, str]:
    """The study's answer: `word` (yes, no, …), `sentence`, and `control` about `oversample`.

    Args:
        summary: summary.csv.
        overall: overall.csv.
        arm: the arm that stands for synthetic images; None if the study has none.
    """
    if arm is None:
        return {
            "word": "Not asked",
            "sentence": "No arm of this study uses synthetic images.",
            "control": "",
        }
    rows = summary[summary["arm"] == arm]
    found = rows["verdict"].value_counts()
    better, worse = found.get("better", 0), found.get("worse", 0)
    same = found.get(_NO_DIFFERENCE, 0)
    if better and worse:
        word = "It depends"
    elif better:
        word = "Yes" if better == len(rows) else "In part"
    elif worse or same == len(rows):
        word = "No"
    else:
        word = "Not shown"
    sentence = (
        f"With synthetic images (arm {arm}) the AUROC is {_tally(rows, '')}."
        f"{_mean_change(overall, arm, 'none')}"
    )
    control = ""
    rows = rows[rows["change_oversample"].notna()]
    if len(rows):
        control = (
            "Against repeating the real positives as often (arm oversample), the control for class"
            f" balance alone, it is {_tally(rows, '_oversample')}."
            f"{_mean_change(overall, arm, 'oversample')}"
        )
    return {"word": word, "sentence": sentence, "control": control}


def _mean_change(overall, arm, baseline):
    rows = overall[(overall["arm"] == arm) & (overall["baseline"] == baseline)]
    if rows.empty:
        return ""
    row = rows.iloc[0]
    reach = words.interval(row["low"], row["high"], words.signed)
    return f" Mean change over the cells: {words.signed(row['change'])} {reach}."


def overall_table(overall: pd.DataFrame) -> Table | None:
    """The mean change over all cells of every arm against every baseline; None without any."""
    if overall.empty:
        return None
    rows = [
        [
            text(row.arm),
            text(row.baseline),
            number(row.cells, words.count),
            number(row.change, words.signed, note=words.interval(row.low, row.high, words.signed)),
            number(row.p, words.p_value),
            number(row.p_equivalence, words.p_value),
            number(row.detectable),
        ]
        for row in overall.itertuples()
    ]
    columns = ["arm", "against", "cells", "mean change", "p", "p of equivalence", "detectable"]
    return Table("overall", columns, rows, numeric=frozenset(range(2, 7)))


def _tally(rows, ending):
    """As in: better in 7 of 12 cells, worse in none, inconclusive in 5."""
    found = rows[f"verdict{ending}"].value_counts()
    parts = [
        f"better in {found.get('better', 0)} of {words.plural(len(rows), 'cell')}",
        f"worse in {found.get('worse', 0) or 'none'}",
    ]
    if found.get(_NO_DIFFERENCE, 0):
        parts.append(f"without a difference that matters in {found[_NO_DIFFERENCE]}")
    if found.get("inconclusive", 0):
        parts.append(f"inconclusive in {found['inconclusive']}")
    too_few = sum(found.get(f"too few {kind}", 0) for kind in ("positives", "negatives"))
    if too_few:
        parts.append(f"not judged in {too_few}, which have too few test patients of a class")
    return ", ".join(parts)


def facts(summary: pd.DataFrame, counts: pd.DataFrame) -> list[tuple[str, str]]:
    """The size of the study in a few numbers, each with its name."""
    test = counts[counts["split"] == "test"].iloc[0]
    cells = summary.groupby(["finding", "fraction"]).ngroups
    return [
        ("test patients", words.count(test["patients"])),
        ("test images", words.count(test["images"])),
        ("cells", words.count(cells)),
        ("arms", words.count(summary["arm"].nunique())),
        ("draws", words.count(summary["draws"].max())),
        ("seeds", words.count(summary["seeds"].max())),
    ]


def published_table(compared: pd.DataFrame) -> Table:
    """The published table's layout, theirs in both readings beside ours."""
    rows = []
    for row in compared.itertuples():
        cells = [text(row.finding), number(row.fraction, words.percent)]
        for reading in ("as_printed", "by_column"):
            none, gan = getattr(row, f"{reading}_none"), getattr(row, f"{reading}_gan")
            cells += [number(none), number(gan)]
            cells.append(number(getattr(row, f"{reading}_change"), words.signed))
        cells += [number(row.ours_none), number(row.ours_gan)]
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
            *(2 * ("none", "GAN", "change")),
            *("none", "GAN", "change", "against published"),
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


def changes_table(summary: pd.DataFrame, name: str) -> Table:
    """Every cell and arm: AUROC, changes with intervals, p-values and verdicts."""
    rows = [
        [
            text(row["finding"]),
            number(row["fraction"], words.percent),
            text(row["arm"]),
            number(row["n_positive_patients"], words.count),
            share(row, "auc"),
            *_changes(row, "", itself=row["arm"] == "none"),
            *_changes(row, "_oversample", itself=row["arm"] in ("none", "oversample")),
        ]
        for _, row in summary.iterrows()
    ]
    columns = ["change", "p (Holm)", "detectable", "verdict"]
    return Table(
        name=name,
        groups=[
            Cell("", span=4),
            Cell("mean", span=1),
            Cell("AUROC against none", span=4),
            Cell("AUROC against oversample", span=4),
        ],
        columns=["finding", "fraction", "arm", "positive patients", "AUROC", *columns, *columns],
        rows=rows,
        numeric=frozenset([1, 3, 4, 5, 6, 7, 9, 10, 11]),
    )


def measures_table(summary: pd.DataFrame, name: str) -> Table:
    """Every cell and arm: AUPRC beside the prevalence, Brier score, calibration error."""
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
    return Table(name, [*columns, "Brier score", "ECE"], rows, numeric=frozenset([1, *range(3, 9)]))


def _changes(row, ending, itself):
    if itself:
        return [Cell("")] * 4
    name = f"change{ending}"
    return [
        change(row, ending),
        number(row[f"{name}_p_holm"], words.p_value),
        number(row[f"{name}_detectable"]),
        verdict(row, ending),
    ]


def other_findings(auc: pd.DataFrame, targets: set[str]) -> Table | None:
    """Mean AUROC of the findings that the study is not about, by arm and fraction.

    Target findings must not be bought with the others. None if there are no others.
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


def subgroup_table(subgroups: pd.DataFrame) -> Table:
    """AUROC and change of every cell and arm in the subgroups of the test patients."""
    rows = [
        [
            text(row["kind"]),
            text(row["subgroup"]),
            text(row["finding"]),
            number(row["fraction"], words.percent),
            text(row["arm"]),
            number(row["n_positive_patients"], words.count),
            share(row, "auc"),
            Cell("") if row["arm"] == "none" else change(row),
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
    return Table("subgroups", columns, rows, numeric=frozenset([3, 5, 6, 7]))


def count_table(counts: pd.DataFrame, targets: set[str]) -> Table:
    """Images and patients of every part of the data set, and positives of the target findings."""
    names = [name for name in dict.fromkeys(counts["finding"]) if name in targets]
    rows = []
    keys = ["split", "fraction", "draw"]
    for (split, fraction, draw), part in counts.groupby(keys, sort=False, dropna=False):
        first = part.iloc[0]
        of_finding = part.set_index("finding")
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
                        note=words.plural(of_finding.at[name, "n_positive_patients"], "patient"),
                    )
                    for name in names
                ),
            ]
        )
    columns = ["split", "fraction", "draw", "patients", "images", *names]
    groups = [Cell("", span=5), Cell("images with the finding", span=len(names))]
    return Table("counts", columns, rows, groups, frozenset(range(1, len(columns))))


def patient_table(patients: pd.DataFrame) -> Table:
    """Who the patients of every part of the data set are, and how their images were taken."""
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


def leakage_table(leakage: pd.DataFrame) -> Table:
    """Every check that found no patient where they must not be (leakage.csv)."""
    rows = [
        [
            text(row.check),
            text(row.promise),
            number(row.files, words.count),
            number(row.items, words.count),
        ]
        for row in leakage.itertuples()
    ]
    columns = ["check", "what holds", "files", "compared"]
    return Table("leakage", columns, rows, numeric=frozenset([2, 3]))


def file_table(sources: pd.DataFrame, made: Mapping[str, str | Path]) -> Table:
    """Every file that a number of the page comes from, with its SHA-256 digest."""
    rows = [
        [
            text(row.path),
            text("" if pd.isna(row.arm) else row.arm),
            Cell("") if np.isnan(row.fraction) else number(row.fraction, words.percent),
            Cell("") if np.isnan(row.draw) else number(row.draw, words.count),
            Cell("") if np.isnan(row.seed) else number(row.seed, words.count),
            text(row.sha256),
        ]
        for row in sources.itertuples()
    ]
    rows += [[text(Path(path).name), *[Cell("")] * 4, text(sha256(path))] for path in made.values()]
    columns = ["file", "arm", "fraction", "draw", "seed", "SHA-256"]
    return Table("files", columns, rows, numeric=frozenset([2, 3, 4]))
