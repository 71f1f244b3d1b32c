"""Arms of synthetic images alone beside the arm of real ones: what the images teach by themselves.

Training on synthetic images and testing on real ones is called GAN-train (Shmelkov et al. 2018,
arXiv 1807.09499): the better images and labels fit real ones, the nearer the two come.
"""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from rarecxr.report import wording as words
from rarecxr.report.tables import Table, number, text
from rarecxr.statistics.comparisons import BASELINE, References, change_column

_NUMBERS = ("synthetic_positives", "synthetic_negatives", "real_positives", "real_images")
COLUMNS = [
    *("finding", "fraction", "arm", "auc", "auc_low", "auc_high"),
    *("auc_real", "change", "change_low", "change_high", "share"),
    *_NUMBERS,
]


def alone_results(
    summary: pd.DataFrame,
    runs: pd.DataFrame,
    definitions: Mapping[str, Mapping[str, Any]],
    references: References,
) -> pd.DataFrame:
    """One row for each cell and arm without real images.

    Args:
        summary: summary.csv.
        runs: runs.csv.
        definitions: section `arms` of the configuration.
        references: the arms that the others are compared with; the baseline has real images alone.

    Returns:
        finding, fraction, arm; AUROC of the arm with its interval and of the baseline, and the
        change from one to the other with its interval, as in summary.csv; share: what the arm has
        above 0.5 over what the baseline has above 0.5, NaN where that is not positive; images that
        the arm was trained on for the finding and that the baseline was trained on, means over
        runs. Empty without such arms.
    """
    arms = [
        arm
        for arm in dict.fromkeys(summary["arm"])
        if not definitions.get(arm.split("@")[0], {}).get("real", True)
    ]
    trained = runs.groupby(["arm", "fraction", "finding"])[[*_NUMBERS]].mean()
    cells = summary.set_index(["arm", "fraction", "finding"])
    rows = []
    for _, row in summary[summary["arm"].isin(arms)].iterrows():
        place = row["fraction"], row["finding"]
        of_real = (references.baseline, *place)
        real = cells["auc"].get(of_real, float("nan"))
        counts = {
            name: trained[name].get(key, float("nan"))
            for names, key in ((_NUMBERS[:2], (row["arm"], *place)), (_NUMBERS[2:], of_real))
            for name in names
        }
        rows.append(
            {
                **{name: row[name] for name in COLUMNS[:6]},
                "auc_real": real,
                **{
                    name: row[change_column(BASELINE, part)]
                    for name, part in (
                        ("change", ""),
                        ("change_low", "low"),
                        ("change_high", "high"),
                    )
                },
                "share": (row["auc"] - 0.5) / (real - 0.5) if real > 0.5 else float("nan"),
                **counts,
            }
        )
    return pd.DataFrame(rows, columns=COLUMNS)


def alone_table(results: pd.DataFrame) -> Table | None:
    """The page's table of `alone_results`; None without such arms."""
    if results.empty:
        return None
    rows = [
        [
            text(row.finding),
            number(row.fraction, words.percent),
            text(row.arm),
            number(row.auc, note=words.interval(row.auc_low, row.auc_high)),
            number(row.auc_real),
            number(
                row.change,
                words.signed,
                note=words.interval(row.change_low, row.change_high, words.signed),
            ),
            number(row.share, _percent),
            number(row.synthetic_positives, words.count, note=_negatives(row.synthetic_negatives)),
            number(row.real_positives, words.count, note=f"of {words.count(row.real_images)}"),
        ]
        for row in results.itertuples()
    ]
    columns = [
        *("finding", "fraction", "arm", "synthetic images alone", "real images alone"),
        *("change", "share of what real images teach"),
        *("synthetic positives", "real positives"),
    ]
    return Table("alone", columns, rows, numeric=frozenset([1, *range(3, 9)]))


def _negatives(count: float) -> str:
    return f"and {words.count(count)} negatives"


def _percent(value: float) -> str:
    return "–" if pd.isna(value) else f"{100 * value:.0f} %"
