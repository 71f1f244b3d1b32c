"""The study's answer: which arm it is about, and what its changes say in a few sentences."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from rarecxr.report import wording as words
from rarecxr.statistics.comparisons import (
    BASELINE,
    BETTER,
    CONTROL,
    INCONCLUSIVE,
    NO_DIFFERENCE,
    TOO_FEW,
    WORSE,
    References,
    verdict_column,
)


@dataclass(frozen=True)
class Answer:
    """What the top of the page says.

    Attributes:
        word: the answer in a word or two.
        sentences: what it rests on, one paragraph each.
    """

    word: str
    sentences: Sequence[str]


def answer(
    summary: pd.DataFrame,
    overall: pd.DataFrame,
    arm: str | None,
    references: References,
    definitions: Mapping[str, Mapping[str, Any]],
) -> Answer:
    """The study's answer to whether synthetic images help.

    Args:
        summary: summary.csv.
        overall: overall.csv.
        arm: the arm that the answer is about; None if no arm uses synthetic images.
        references: the arms that the others are compared with.
        definitions: section `arms` of the configuration.
    """
    baseline, control = references.baseline, references.control
    if definitions.get(baseline, {}).get("recipe"):
        sentence = (
            f"The baseline, arm {baseline}, is itself trained on synthetic images: changes against"
            " it do not say whether such images help. Name an arm without a recipe as"
            " report.baseline."
        )
        return Answer("Not answered", [sentence])
    if arm is None:
        return Answer("Not asked", ["No arm of this study adds synthetic images to real ones."])
    rows = summary[summary["arm"] == arm]
    if baseline in set(summary["arm"]):
        word = _word(rows[verdict_column(BASELINE)])
        sentences = [
            f"With synthetic images (arm {arm}), compared with arm {baseline}, the AUROC is"
            f" {_tally(rows, BASELINE)}.{_mean_change(overall, arm, BASELINE)}"
        ]
    else:
        word = "Not answered"
        sentences = [
            f"The baseline, arm {baseline}, was not run: there is nothing that arm {arm} could be"
            " compared with to see whether synthetic images help."
        ]
    if control in set(summary["arm"]):
        what = f"Compared with the control (arm {control})"
        if definitions.get(control, {}).get("oversample"):
            what = (
                "Compared with as many repeated real positives"
                f" (arm {control}), the control for class balance,"
            )
        sentences.append(
            f"{what} it is {_tally(rows, CONTROL)}.{_mean_change(overall, arm, CONTROL)}"
        )
    return Answer(word, sentences)


def _word(verdicts):
    better, worse = (verdicts == BETTER).sum(), (verdicts == WORSE).sum()
    if better and worse:
        return "It depends"
    if better:
        return "Yes" if better == len(verdicts) else "In part"
    if worse or (verdicts == NO_DIFFERENCE).all():
        return "No"
    return "Not shown"


def _mean_change(overall, arm, role):
    rows = overall[(overall["arm"] == arm) & (overall["role"] == role)]
    if rows.empty:
        return ""
    row = rows.iloc[0]
    reach = words.interval(row["low"], row["high"], words.signed)
    return f" Mean change over the cells: {words.signed(row['change'])} {reach}."


def _tally(rows, role):
    """As in: better in 7 of 12 cells, worse in none, inconclusive in 5."""
    found = rows[verdict_column(role)].value_counts()
    parts = [
        f"better in {found.get(BETTER, 0)} of {words.plural(len(rows), 'cell')}",
        f"worse in {found.get(WORSE, 0) or 'none'}",
    ]
    if found.get(NO_DIFFERENCE, 0):
        parts.append(f"without a difference that matters in {found[NO_DIFFERENCE]}")
    if found.get(INCONCLUSIVE, 0):
        parts.append(f"inconclusive in {found[INCONCLUSIVE]}")
    too_few = sum(found.get(verdict, 0) for verdict in TOO_FEW)
    if too_few:
        parts.append(f"not tested in {too_few} with too few test patients of a class")
    return ", ".join(parts)
