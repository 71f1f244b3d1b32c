"""How the report's figures look, and how they become SVG text that is the same for the same data.

Colours are those of Okabe and Ito (2008, Color Universal Design), which differ for every kind of
colour vision; arms differ by marker and dash as well. Text, axes and grids take the page's own
colour, so that a figure can be read on a light and on a dark page.
"""

import html
import io
import re
from collections.abc import Sequence

import matplotlib

matplotlib.use("svg")

from matplotlib.figure import Figure  # noqa: E402
from matplotlib.lines import Line2D  # noqa: E402

# Okabe-Ito without its black and its yellow, which is too pale on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#999999")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("--", "-", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)), (0, (8, 2)))
# A colour that no data has: it becomes the colour of the text around the figure.
INK = "#010203"
WIDTH = 5.4

STYLE = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 8.5,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
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

    The baseline is drawn in the colour of the text.
    """

    def __init__(self, names: Sequence[str], baseline: str | None = None):
        self.baseline = baseline
        self.names = [name for name in names if name != baseline]

    def colour(self, name: str) -> str:
        """Hexadecimal colour."""
        return INK if name == self.baseline else self._of(COLOURS, name)

    def marker(self, name: str) -> str:
        """Marker of a point."""
        return "." if name == self.baseline else self._of(MARKERS, name)

    def dash(self, name: str):
        """Line style."""
        if name == self.baseline:
            return "-"
        # Where colours are used again, dashes differ.
        number = self.names.index(name)
        return DASHES[(number + number // len(COLOURS)) % len(DASHES)]

    def _of(self, looks, name):
        return looks[self.names.index(name) % len(looks)]


def grid(things: Sequence) -> tuple[Figure, list[tuple]]:
    """A figure with a panel for each thing (fractions, say), two beside each other."""
    columns = min(2, len(things))
    rows = -(-len(things) // columns)
    size = (WIDTH * columns / 2 + (0.6 if columns == 1 else 0), 0.75 + 2.45 * rows)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in panels[len(things) :]:
        axes.set_axis_off()
    return figure, list(zip(things, panels[: len(things)], strict=True))


def legend(figure: Figure, names: Sequence[str], looks: Looks, lines: bool = True) -> None:
    """A legend above the panels: lines, or else markers."""
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


def to_svg(figure: Figure, name: str, title: str) -> str:
    """The figure as SVG without date or random names; identifiers begin with its name."""
    with matplotlib.rc_context({"svg.hashsalt": name}):
        file = io.StringIO()
        figure.savefig(
            file, format="svg", transparent=True, metadata={"Date": None, "Title": title}
        )
    text = file.getvalue()
    text = text[text.index("<svg") :].replace(INK, "currentColor")
    text = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", text)
    # The page gives the size; the viewBox keeps the proportions.
    text = re.sub(r'<svg ([^>]*?)height="[^"]*"', r"<svg \1", text, count=1, flags=re.S)
    text = re.sub(r'<svg ([^>]*?)width="[^"]*"', r"<svg \1", text, count=1, flags=re.S)
    return text.replace("<svg ", f'<svg role="img" aria-label="{html.escape(title)}" ', 1)
