"""How much of what further real images would give an arm reaches, and how many they are worth.

The ceiling is what an arm gains that adds real positives of other patients. An arm's share of it
is its own gain over that of the ceiling, both as a mean over all cells. Its worth is the number of
further real positives, for each real one of the fraction, that gain as much.
"""

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import pandas as pd
from scipy import stats

from rarecxr.statistics.comparisons import References
from rarecxr.statistics.contrasts import CellMean, ratio_interval
from rarecxr.statistics.estimates import Estimate
from rarecxr.statistics.finding_metrics import FindingMetrics

NO_CEILING = "the ceiling is not shown to lie above the reference"
NO_INTERVAL = "the study cannot tell"

SHARE_COLUMNS = [
    *("arm", "role", "reference", "ceiling_arm", "cells"),
    *(f"{name}{end}" for name in ("change", "ceiling", "share") for end in ("", "_low", "_high")),
    "withheld",
]
WORTH_COLUMNS = [
    *("arm", "dose", "change", "change_low", "change_high"),
    *("worth", "worth_low", "worth_high", "most_real", "withheld"),
]
# Places between two doses of real images at which an arm is compared with the line through them.
_STEPS = 30


def share_table(
    metrics: Mapping[str, FindingMetrics], references: References, ceiling: str | None
) -> pd.DataFrame:
    """One row per arm and reference: its share of the ceiling.

    Where the ceiling's own interval does not lie above 0, the share is withheld: it would be a
    number over one that may be nothing.

    Args:
        metrics: of the target findings.
        references: the arms that the others are compared with.
        ceiling: name of the arm that adds real positives of other patients, or None.

    Returns:
        See docs/report.md, ceiling.csv.
    """
    mean = CellMean.of(metrics)
    if mean is None or not mean.has(ceiling):
        return pd.DataFrame(columns=SHARE_COLUMNS)
    rows = []
    for arm in mean.runs["arm"].unique():
        if arm == ceiling:
            continue
        for role, reference in references.of(arm):
            if mean.has(reference):
                about = {"arm": arm, "role": role, "reference": reference}
                about |= {"ceiling_arm": ceiling, "cells": mean.cells}
                rows.append(about | _share(mean, arm, reference, ceiling))
    return pd.DataFrame(rows, columns=SHARE_COLUMNS)


def _share(mean, arm, reference, ceiling):
    change = mean.estimate({arm: 1.0, reference: -1.0})
    above = mean.estimate({ceiling: 1.0, reference: -1.0})
    row = {**_with_interval("change", change), **_with_interval("ceiling", above), "withheld": ""}
    if not row["ceiling_low"] > 0:
        return row | {"withheld": NO_CEILING}
    share = change.value / above.value
    low, high = ratio_interval(
        share, lambda r: mean.estimate({arm: 1.0, reference: r - 1.0, ceiling: -r})
    )
    if not np.isfinite([low, high]).all():
        return row | {"withheld": NO_INTERVAL}
    return row | {"share": share, "share_low": low, "share_high": high}


def worth_table(
    metrics: Mapping[str, FindingMetrics],
    doses: pd.DataFrame,
    baseline: str,
) -> pd.DataFrame:
    """One row per arm with synthetic positives and dose: how many real ones have the same effect.

    The gain of real positives is taken as a line through the doses of the ceiling's arm, from 0. An
    arm is worth those doses at which it does not differ from the line; the interval holds all at
    which a difference is not shown.

    Args:
        metrics: of the target findings, with a run of every arm and dose under its own name.
        doses: name, kind (`reserve` or `synthetic`) and dose of the arms that add real or synthetic
            positives: how many, for each real positive of the fraction.
        baseline: the arm without additional images.

    Returns:
        See docs/report.md, worth.csv.
    """
    mean = CellMean.of(metrics)
    real = doses[doses["kind"] == "reserve"].sort_values("dose")
    if mean is None or not mean.has(baseline) or real.empty:
        return pd.DataFrame(columns=WORTH_COLUMNS)
    line = [(0.0, baseline), *zip(real["dose"], real["name"], strict=True)]
    above = mean.estimate({line[-1][1]: 1.0, baseline: -1.0})
    rows = []
    for row in doses[doses["kind"] == "synthetic"].itertuples():
        change = mean.estimate({row.name: 1.0, baseline: -1.0})
        about = {"arm": row.name, "dose": row.dose, "most_real": line[-1][0], "withheld": ""}
        about |= _with_interval("change", change)
        shown = above.interval()[0] > 0
        rows.append(about | (_worth(mean, row.name, line) if shown else {"withheld": NO_CEILING}))
    return pd.DataFrame(rows, columns=WORTH_COLUMNS)


def _worth(mean, arm, line):
    """Doses of real images at which the arm is on their line; infinite beyond its end."""
    places = np.unique(
        [np.linspace(left, right, _STEPS + 1) for (left, _), (right, _) in pairwise(line)]
    )
    apart = [_less_line(mean, arm, line, place) for place in places]
    differences = np.array([found.value for found in apart])
    reach = np.array([stats.t.ppf(0.975, found.df) * found.se for found in apart])
    worth = _first_below(places, differences)
    # Where a difference is not shown: neither wholly above the line nor wholly below it.
    most = places[-1]
    low = _first_below(places, differences - reach)
    high = max(most - _first_below(most - places[::-1], -(differences + reach)[::-1]), 0.0)
    if low == 0 and high == most:
        return {"withheld": NO_INTERVAL}
    return {"worth": worth, "worth_low": low, "worth_high": high if high < most else np.inf}


def _first_below(places, values):
    """The first place where a line through the values is 0 or less; infinite where it never is."""
    below = np.flatnonzero(values <= 0)
    if not len(below):
        return float("inf")
    at = below[0]
    if at == 0:
        return float(places[0])
    share = values[at - 1] / (values[at - 1] - values[at])
    return float(places[at - 1] + share * (places[at] - places[at - 1]))


def _less_line(mean, arm, line, dose) -> Estimate:
    """The arm less what real images gain at a dose, on the line between two that ran."""
    for (left, first), (right, second) in pairwise(line):
        if left <= dose <= right:
            share = (dose - left) / (right - left)
            weights: dict[str, float] = {arm: 1.0}
            for name, weight in ((first, share - 1), (second, -share)):
                weights[name] = weights.get(name, 0.0) + weight
            return mean.estimate(weights)
    raise AssertionError(f"{dose} is not on the line {line}")


def _with_interval(name: str, found: Estimate) -> dict[str, float]:
    low, high = found.interval()
    return {name: found.value, f"{name}_low": low, f"{name}_high": high}


def doses_of_runs(runs: pd.DataFrame, baseline: str) -> pd.DataFrame:
    """How many positives each arm adds for each real one, from what its runs were trained on.

    Args:
        runs: what `run_table` gives.
        baseline: the arm without additional images.

    Returns:
        name, kind (`reserve` or `synthetic`) and dose of the arms that add positives of one of the
        two kinds and no repeated ones, means over the runs.
    """
    rows = []
    for arm, part in runs.groupby("arm", sort=False):
        sums = part[["real_positives", "repeated", "synthetic_positives", "reserve"]].sum()
        kinds = [k for k in ("synthetic_positives", "reserve") if sums[k]]
        if arm == baseline or sums["repeated"] or len(kinds) != 1 or not sums["real_positives"]:
            continue
        kind = "reserve" if kinds == ["reserve"] else "synthetic"
        rows.append((arm, kind, sums[kinds[0]] / sums["real_positives"]))
    return pd.DataFrame(rows, columns=["name", "kind", "dose"])
