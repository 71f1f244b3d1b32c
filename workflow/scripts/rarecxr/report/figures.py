"""The report's figures, as SVG text that is the same for the same data.

Colours are those of Okabe and Ito (2008, Color Universal Design), which differ for every kind of
colour vision; arms differ by marker and dash as well. Text, axes and grids take the page's own
colour, so that a figure can be read on a light and on a dark page.
"""

import html
import io
import re
from collections.abc import Sequence

import matplotlib
import pandas as pd

matplotlib.use("svg")

from matplotlib.figure import Figure  # noqa: E402

from rarecxr.report import words  # noqa: E402

# Okabe-Ito without its black and its yellow, which is too pale on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#999999")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("--", "-", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)), (0, (8, 2)))
# A colour that no data has: it becomes the colour of the text around the figure.
_INK = "#010203"
_WIDTH = 5.4

_STYLE = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 8.5,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "text.color": _INK,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "axes.titlecolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "grid.color": "#88888855",
    "grid.linewidth": 0.5,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.4,
}


class Looks:
    """Colour, marker and dash of each arm (or other series), the same in all figures.

    The arm `none`, with which the others are compared, is drawn in the colour of the text.
    """

    def __init__(self, names: Sequence[str]):
        self.names = [name for name in names if name != "none"]

    def colour(self, name: str) -> str:
        """Hexadecimal colour."""
        return _INK if name == "none" else self._of(COLOURS, name)

    def marker(self, name: str) -> str:
        """Marker of a point."""
        return "." if name == "none" else self._of(MARKERS, name)

    def dash(self, name: str):
        """Line style."""
        if name == "none":
            return "-"
        # Where colours come round again, dashes do not.
        number = self.names.index(name)
        return DASHES[(number + number // len(COLOURS)) % len(DASHES)]

    def _of(self, looks, name):
        return looks[self.names.index(name) % len(looks)]


def forest(summary: pd.DataFrame, looks: Looks, margin: float, published: pd.DataFrame) -> str:
    """Changes of the AUROC against `none` with their intervals: a panel a finding, a row a cell.

    Args:
        summary: summary.csv.
        looks: of the arms.
        margin: smallest change that matters; drawn as a band around zero.
        published: what `published.comparison` gives; its changes by column are crosses.
    """
    rows = summary[(summary["arm"] != "none") & summary["change"].notna()]
    arms = [arm for arm in looks.names if arm in set(rows["arm"])]
    findings = list(dict.fromkeys(summary["finding"]))
    fractions = sorted(summary["fraction"].unique())
    step = len(arms) + 1.2
    with matplotlib.rc_context(_STYLE):
        height = 0.9 + len(findings) * (0.35 + 0.15 * step * len(fractions))
        figure = Figure(figsize=(_WIDTH, height), layout="constrained")
        panels = figure.subplots(len(findings), 1, sharex=True, squeeze=False)[:, 0]
        for finding, axes in zip(findings, panels, strict=True):
            axes.axvspan(-margin, margin, color="#888888", alpha=0.18, linewidth=0)
            axes.axvline(0, color=_INK, linewidth=0.8)
            for row in rows[rows["finding"] == finding].itertuples():
                place = step * fractions.index(row.fraction) + arms.index(row.arm)
                if pd.notna(row.change_low):
                    reach = [[row.change - row.change_low], [row.change_high - row.change]]
                else:
                    reach = None
                axes.errorbar(
                    row.change,
                    place,
                    xerr=reach,
                    fmt=looks.marker(row.arm),
                    color=looks.colour(row.arm),
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
                    color=_INK,
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
        panels[-1].set_xlabel("change of the AUROC against none")
        _legend(figure, arms, looks, lines=False)
        return _svg(figure, "forest", "Changes of the AUROC against none, by finding and fraction")


def roc(curves: pd.DataFrame, finding: str, arms: Sequence[str], looks: Looks, name: str) -> str:
    """ROC curves of one finding: a panel a fraction, a curve with its band an arm."""
    part = curves[(curves["finding"] == finding) & curves["arm"].isin(arms)]
    with matplotlib.rc_context(_STYLE):
        figure, panels = _grid(sorted(part["fraction"].unique()))
        for fraction, axes in panels:
            axes.plot([0, 1], [0, 1], color="#888888", linewidth=0.7, linestyle=":")
            for arm in arms:
                curve = part[(part["fraction"] == fraction) & (part["arm"] == arm)]
                line = {"color": looks.colour(arm), "linestyle": looks.dash(arm)}
                axes.plot(curve["fpr"], curve["tpr"], label=arm, **line)
                axes.fill_between(
                    curve["fpr"], curve["low"], curve["high"], color=line["color"], alpha=0.13, lw=0
                )
            axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", title=words.percent(fraction))
            axes.grid()
        figure.supxlabel("false positive rate", fontsize=8.5)
        figure.supylabel("sensitivity", fontsize=8.5)
        _legend(figure, arms, looks)
        return _svg(figure, name, f"ROC curves of {finding}, by fraction")


def calibration(table: pd.DataFrame, finding: str, arms: Sequence[str], looks: Looks, name: str):
    """Reliability of one finding: share of positives over mean score, a panel a fraction."""
    part = table[(table["finding"] == finding) & table["arm"].isin(arms)]
    with matplotlib.rc_context(_STYLE):
        figure, panels = _grid(sorted(part["fraction"].unique()))
        for fraction, axes in panels:
            here = part[part["fraction"] == fraction]
            top = max(here["mean_score"].max(), here["positive_share"].max(), 1e-6) * 1.08
            axes.plot([0, top], [0, top], color="#888888", linewidth=0.7, linestyle=":")
            for arm in arms:
                points = here[here["arm"] == arm]
                axes.plot(
                    points["mean_score"],
                    points["positive_share"],
                    color=looks.colour(arm),
                    linestyle=looks.dash(arm),
                    marker=looks.marker(arm),
                    markersize=3.5,
                )
            axes.set(xlim=(0, top), ylim=(0, top), title=words.percent(fraction))
            axes.grid()
        figure.supxlabel("mean score", fontsize=8.5)
        figure.supylabel("share of positives", fontsize=8.5)
        _legend(figure, arms, looks)
        return _svg(figure, name, f"Reliability of the scores for {finding}, by fraction")


def training(tables: Sequence[tuple[str, pd.DataFrame]], finding: str, name: str) -> str:
    """Losses of one finding's GANs over the images shown, a panel a loss.

    Args:
        tables: name and training.csv of each GAN.
        finding: whose they are.
        name: of the figure.
    """
    looks = Looks([gan for gan, _ in tables])
    with matplotlib.rc_context(_STYLE):
        losses = ("critic_loss", "generator_loss")
        figure = Figure(figsize=(_WIDTH, 2.7), layout="constrained")
        for axes, loss in zip(figure.subplots(1, 2), losses, strict=True):
            for gan, table in tables:
                line = {"color": looks.colour(gan), "linestyle": looks.dash(gan)}
                axes.plot(table["kimg"], table[loss], **line)
            axes.set_title(loss.replace("_", " "), loc="left")
            axes.set_xlabel("thousand images shown")
            axes.grid()
        _legend(figure, looks.names, looks)
        return _svg(figure, name, f"Training of the GANs for {finding}")


def _grid(fractions):
    """A figure with a panel for each fraction, two beside each other."""
    columns = min(2, len(fractions))
    rows = -(-len(fractions) // columns)
    size = (_WIDTH * columns / 2 + (0.6 if columns == 1 else 0), 0.75 + 2.45 * rows)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in panels[len(fractions) :]:
        axes.set_axis_off()
    return figure, list(zip(fractions, panels[: len(fractions)], strict=True))


def _legend(figure, names, looks, lines=True):
    from matplotlib.lines import Line2D

    handles = [
        Line2D(
            [],
            [],
            color=looks.colour(name),
            marker=None if lines else looks.marker(name),
            linestyle=looks.dash(name) if lines else "none",
            label=name,
        )
        for name in names
    ]
    columns = 3 if max(map(len, names), default=0) < 16 else 2
    figure.legend(handles=handles, loc="outside upper left", ncols=columns)


def _svg(figure, name, title):
    """The figure as SVG without date or random names; identifiers begin with its name."""
    with matplotlib.rc_context({"svg.hashsalt": name}):
        file = io.StringIO()
        figure.savefig(
            file, format="svg", transparent=True, metadata={"Date": None, "Title": title}
        )
    text = file.getvalue()
    text = text[text.index("<svg") :].replace(_INK, "currentColor")
    text = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", text)
    # The page gives the size; the viewBox keeps the proportions.
    text = re.sub(r'<svg ([^>]*?)height="[^"]*"', r"<svg \1", text, count=1, flags=re.S)
    text = re.sub(r'<svg ([^>]*?)width="[^"]*"', r"<svg \1", text, count=1, flags=re.S)
    return text.replace("<svg ", f'<svg role="img" aria-label="{html.escape(title)}" ', 1)
