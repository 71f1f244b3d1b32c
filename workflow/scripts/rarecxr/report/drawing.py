"""How the report's figures look, and how they become SVG text that is the same for the same data.

Colours are those of Okabe and Ito (2008, Color Universal Design), which differ for every kind of
colour vision; arms differ by marker and dash as well. Text, axes and grids take the page's own
colour, so that a figure can be read on a light and on a dark page.
"""

import io
import re
from collections.abc import Sequence
from xml.etree import ElementTree

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

_SVG = "http://www.w3.org/2000/svg"
ElementTree.register_namespace("", _SVG)
ElementTree.register_namespace("xlink", "http://www.w3.org/1999/xlink")

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


class ArmStyles:
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

    def _of(self, styles, name):
        return styles[self.names.index(name) % len(styles)]


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


def legend(figure: Figure, names: Sequence[str], styles: ArmStyles, lines: bool = True) -> None:
    """A legend above the panels: lines, or else markers."""
    handles = [
        Line2D(
            [],
            [],
            color=styles.colour(name),
            marker=None if lines else styles.marker(name),
            linestyle=styles.dash(name) if lines else "none",
            label=name,
        )
        for name in names
    ]
    columns = 3 if max(map(len, names), default=0) < 16 else 2
    figure.legend(handles=handles, loc="outside upper left", ncols=columns)


def to_svg(figure: Figure, name: str, title: str) -> str:
    """The figure as one SVG element for a page, the same text for the same data.

    Left out is what a page does not need: date, metadata, font names, identifiers that nothing
    refers to, and digits beyond a hundredth of a point. The others begin with `name`, so that
    figures do not refer to each other's parts. The page gives the size; the viewBox keeps the
    proportions.

    Args:
        figure: what to draw.
        name: of the figure, unique on the page.
        title: what the figure shows, for readers who cannot see it.
    """
    with matplotlib.rc_context({"svg.hashsalt": name}):
        file = io.BytesIO()
        figure.savefig(
            file, format="svg", transparent=True, metadata={"Date": None, "Title": title}
        )
    # Matplotlib's own output, so no parser against hostile XML is needed.
    root = ElementTree.fromstring(file.getvalue())  # noqa: S314
    for element in (f"{{{_SVG}}}metadata", f"{{{_SVG}}}defs"):
        # The first definitions are a style for all elements, which would hold for the page, too.
        root.remove(root.find(element))
    root.set("stroke-linejoin", "round")
    root.set("font-family", "sans-serif")
    root.set("role", "img")
    root.set("aria-label", title)
    del root.attrib["width"], root.attrib["height"]
    used = set(re.findall(r"#([\w.-]+)", ElementTree.tostring(root, encoding="unicode")))
    for element in root.iter():
        for key, value in element.attrib.items():
            value = value.replace(INK, "currentColor")
            if key in ("d", "x", "y", "width", "height", "transform"):
                value = " ".join(re.sub(r"-?\d+\.\d+", _short, value).split())
            elif key == "style":
                value = re.sub(r"font-family: [^;]*;? ?", "", value)
            value = re.sub(r"^#|(?<=url\(#)", lambda match: f"{match.group()}{name}-", value)
            element.set(key, value)
        if "id" in element.attrib:
            if element.attrib["id"] in used:
                element.set("id", f"{name}-{element.attrib['id']}")
            else:
                del element.attrib["id"]
        element.text = (element.text or "").strip() or None
        element.tail = None
    return ElementTree.tostring(root, encoding="unicode")


def _short(number):
    """A number of a path or place with two digits at most."""
    text = f"{float(number.group()):.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
