"""The figures of GANs and banks: training, quality beside the change of the AUROC, doses."""

from collections.abc import Sequence

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from rarecxr.report import wording as words
from rarecxr.report.drawing import INK, STYLE, WIDTH, Looks, grid, legend, to_svg

# Columns of training.csv that are drawn where a GAN has them, with their titles.
TRAINING = {
    "critic_loss": "critic loss",
    "generator_loss": "generator loss",
    "kid": "KID",
    "precision": "precision",
    "recall": "recall",
    "density": "density",
    "coverage": "coverage",
    "memorised": "memorised",
}
# What the quality of a bank is shown by: low KID, and 0.5 where nothing gives an image away.
QUALITY = {"kid": "KID", "c2st": "two-sample test (AUROC)"}


def training(tables: Sequence[tuple[str, pd.DataFrame]], finding: str, name: str) -> str:
    """Losses and, where it was measured, quality of one finding's GANs over the images shown.

    Args:
        tables: name and training.csv of each GAN.
        finding: whose they are.
        name: of the figure.
    """
    looks = Looks([gan for gan, _ in tables])
    shown = [
        column
        for column in TRAINING
        if any(column in table and table[column].notna().any() for _, table in tables)
    ]
    last = max(table["kimg"].max() for _, table in tables)
    with matplotlib.rc_context(STYLE):
        figure, panels = grid(shown)
        for column, axes in panels:
            axes.set_xlim(0, last)
            for gan, table in tables:
                line = {"color": looks.colour(gan), "linestyle": looks.dash(gan)}
                if column in table:
                    part = table[["kimg", column]].dropna()
                    axes.plot(part["kimg"], part[column], **line)
            axes.set_title(TRAINING[column], loc="left")
            axes.grid()
        figure.supxlabel("thousand images shown", fontsize=8.5)
        legend(figure, looks.names, looks)
        return to_svg(figure, name, f"Training of the GANs for {finding}")


def quality(table: pd.DataFrame, looks: Looks) -> str:
    """Change of the AUROC over the quality of the bank: a panel a measure and feature space.

    Args:
        table: what `banks.beside_change` gives.
        looks: of the arms.
    """
    spaces = list(dict.fromkeys(table["space"]))
    measures = [name for name in QUALITY if table[name].notna().any()]
    arms = [arm for arm in looks.names if arm in set(table["arm"])]
    with matplotlib.rc_context(STYLE):
        size = (WIDTH, 0.7 + 2.2 * len(spaces))
        figure = Figure(figsize=size, layout="constrained")
        panels = figure.subplots(len(spaces), len(measures), sharey=True, squeeze=False)
        for space, row in zip(spaces, panels, strict=True):
            here = table[table["space"] == space]
            for measure, axes in zip(measures, row, strict=True):
                axes.axhline(0, color=INK, linewidth=0.8)
                for arm in arms:
                    part = here[here["arm"] == arm]
                    axes.plot(
                        part[measure],
                        part["change"],
                        linestyle="none",
                        marker=looks.marker(arm),
                        color=looks.colour(arm),
                        markersize=4.5,
                    )
                floors = here[f"{measure}_floor"]
                if floors.notna().any():
                    low, high = floors.min(), floors.max()
                    axes.axvspan(low, high, color="#888888", alpha=0.18, linewidth=0)
                axes.set_title(space, loc="left")
                axes.set_xlabel(QUALITY[measure])
                axes.grid()
        figure.supylabel(f"change of the AUROC against {looks.baseline}", fontsize=8.5)
        legend(figure, arms, looks, lines=False)
        return to_svg(figure, "quality", "Change of the AUROC over the quality of the banks")


def dose(table: pd.DataFrame, finding: str, looks: Looks, name: str) -> str:
    """AUROC of one finding over the number of synthetic images: a panel a fraction.

    Args:
        table: dose.csv.
        finding: which.
        looks: of the arms.
        name: of the figure.
    """
    part = table[table["finding"] == finding]
    arms = [arm for arm in looks.names if arm in set(part["arm"])]
    with matplotlib.rc_context(STYLE):
        figure, panels = grid(sorted(part["fraction"].unique()))
        for fraction, axes in panels:
            for arm in arms:
                curve = part[(part["fraction"] == fraction) & (part["arm"] == arm)]
                curve = curve.sort_values("dose")
                line = {"color": looks.colour(arm), "linestyle": looks.dash(arm)}
                axes.plot(curve["dose"], curve["auc"], marker=looks.marker(arm), **line)
                axes.fill_between(
                    curve["dose"],
                    curve["auc_low"].astype(float),
                    curve["auc_high"].astype(float),
                    color=line["color"],
                    alpha=0.13,
                    linewidth=0,
                )
                # Validation AUROC, by which the dose was chosen.
                axes.plot(curve["dose"], curve["val_auc"], alpha=0.45, linewidth=0.9, **line)
                chosen = curve[curve["chosen"] == 1]
                axes.plot(
                    chosen["dose"],
                    chosen["auc"],
                    linestyle="none",
                    marker="o",
                    markersize=11,
                    markerfacecolor="none",
                    color=line["color"],
                )
            axes.set_title(words.percent(fraction), loc="left")
            axes.grid()
        figure.supxlabel("synthetic images for each real positive", fontsize=8.5)
        figure.supylabel("AUROC", fontsize=8.5)
        legend(figure, arms, looks)
        return to_svg(figure, name, f"AUROC of {finding} by the number of synthetic images")
