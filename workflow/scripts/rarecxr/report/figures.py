"""The figures of results: changes in every cell, ROC curves, reliability, dose and response."""

from collections.abc import Sequence

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from rarecxr.report import wording as words
from rarecxr.report.drawing import INK, STYLE, WIDTH, ArmStyles, grid, legend, to_svg
from rarecxr.statistics.comparisons import BASELINE, change_column


def forest(summary: pd.DataFrame, styles: ArmStyles, margin: float, published: pd.DataFrame) -> str:
    """Changes of the AUROC against the baseline with intervals: one panel per finding.

    Args:
        summary: summary.csv.
        styles: of the arms.
        margin: smallest change that matters; drawn as a band around zero.
        published: what `published.comparison` gives; its changes by column are dotted lines.
    """
    rows = summary[summary[change_column(BASELINE)].notna()]
    change, low, high = (rows[change_column(BASELINE, part)] for part in ("", "low", "high"))
    rows = rows.assign(change=change, below=change - low, above=high - change)
    arms = [arm for arm in styles.names if arm in set(rows["arm"])]
    findings = list(dict.fromkeys(summary["finding"]))
    fractions = sorted(summary["fraction"].unique())
    step = len(arms) + 1.2
    with matplotlib.rc_context(STYLE):
        height = 0.9 + len(findings) * (0.35 + 0.15 * step * len(fractions))
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        panels = figure.subplots(len(findings), 1, sharex=True, squeeze=False)[:, 0]
        for finding, axes in zip(findings, panels, strict=True):
            axes.axvspan(-margin, margin, color="#888888", alpha=0.18, linewidth=0)
            axes.axvline(0, color=INK, linewidth=0.8)
            for row in rows[rows["finding"] == finding].itertuples():
                place = step * fractions.index(row.fraction) + arms.index(row.arm)
                reach = None if pd.isna(row.below) else [[row.below], [row.above]]
                axes.errorbar(
                    row.change,
                    place,
                    xerr=reach,
                    fmt=styles.marker(row.arm),
                    color=styles.colour(row.arm),
                    markersize=4.5,
                    elinewidth=1.3,
                    # Hollow: no interval, so only a point.
                    markerfacecolor="none" if reach is None else None,
                )
            theirs = published[published["finding"] == finding].dropna(subset="by_column_change")
            for row in theirs.itertuples():
                place = step * fractions.index(row.fraction) + (len(arms) - 1) / 2
                axes.plot(
                    [row.by_column_change] * 2,
                    [place - len(arms) / 2, place + len(arms) / 2],
                    color=INK,
                    linestyle=":",
                    linewidth=1.2,
                )
            axes.set_title(finding, loc="left")
            axes.set_yticks(
                [step * i + (len(arms) - 1) / 2 for i in range(len(fractions))],
                [words.percent(fraction) for fraction in fractions],
            )
            axes.tick_params(axis="y", length=0)
            axes.set_ylim(step * len(fractions) - 1, -1.1)
            axes.grid(axis="x")
        panels[-1].set_xlabel(f"change of the AUROC against {styles.baseline}")
        legend(figure, arms, styles, lines=False)
        title = f"Changes of the AUROC against {styles.baseline}, by finding and fraction"
        return to_svg(figure, "forest", title)


def roc(
    curves: pd.DataFrame, finding: str, arms: Sequence[str], styles: ArmStyles, name: str
) -> str:
    """ROC curves of one finding with bands: one panel per fraction, one curve per arm."""
    part = curves[(curves["finding"] == finding) & curves["arm"].isin(arms)]
    with matplotlib.rc_context(STYLE):
        figure, panels = grid(sorted(part["fraction"].unique()))
        for fraction, axes in panels:
            axes.plot([0, 1], [0, 1], color="#888888", linewidth=0.7, linestyle=":")
            for arm in arms:
                curve = part[(part["fraction"] == fraction) & (part["arm"] == arm)]
                line = {"color": styles.colour(arm), "linestyle": styles.dash(arm)}
                axes.plot(curve["fpr"], curve["tpr"], label=arm, **line)
                axes.fill_between(
                    curve["fpr"], curve["low"], curve["high"], color=line["color"], alpha=0.13, lw=0
                )
            axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", title=words.percent(fraction))
            axes.grid()
        figure.supxlabel("false positive rate", fontsize=8.5)
        figure.supylabel("sensitivity", fontsize=8.5)
        legend(figure, arms, styles)
        return to_svg(figure, name, f"ROC curves of {finding}, by fraction")


def calibration(
    table: pd.DataFrame, finding: str, arms: Sequence[str], styles: ArmStyles, name: str
):
    """Reliability of one finding: share of positives by probability, one panel per fraction."""
    part = table[(table["finding"] == finding) & table["arm"].isin(arms)]
    with matplotlib.rc_context(STYLE):
        figure, panels = grid(sorted(part["fraction"].unique()))
        for fraction, axes in panels:
            here = part[part["fraction"] == fraction]
            top = max(here["mean_probability"].max(), here["positive_share"].max(), 1e-6) * 1.08
            axes.plot([0, top], [0, top], color="#888888", linewidth=0.7, linestyle=":")
            for arm in arms:
                points = here[here["arm"] == arm]
                axes.plot(
                    points["mean_probability"],
                    points["positive_share"],
                    color=styles.colour(arm),
                    linestyle=styles.dash(arm),
                    marker=styles.marker(arm),
                    markersize=3.5,
                )
            axes.set(xlim=(0, top), ylim=(0, top), title=words.percent(fraction))
            axes.grid()
        figure.supxlabel("mean probability", fontsize=8.5)
        figure.supylabel("share of positives", fontsize=8.5)
        legend(figure, arms, styles)
        return to_svg(figure, name, f"Reliability of the probabilities for {finding}, by fraction")
