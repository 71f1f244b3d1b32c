"""The figures of GANs and banks: training, quality beside the change of the AUROC, doses."""

from collections.abc import Sequence

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from rarecxr.report import wording as words
from rarecxr.report.drawing import INK, STYLE, WIDTH, ArmStyles, grid, legend, to_svg

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
# Measures of a bank's quality that are drawn; a realistic bank has a low KID, and 0.5.
QUALITY = {"kid": "KID", "c2st": "C2ST AUROC"}


def training(tables: Sequence[tuple[str, pd.DataFrame]], finding: str, name: str) -> str:
    """Losses and, where it was measured, quality of one finding's GANs over the images shown.

    Args:
        tables: name and training.csv of each GAN.
        finding: whose they are.
        name: of the figure.
    """
    styles = ArmStyles([gan for gan, _ in tables])
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
                line = {"color": styles.colour(gan), "linestyle": styles.dash(gan)}
                if column in table:
                    part = table[["kimg", column]].dropna()
                    axes.plot(part["kimg"], part[column], **line)
            axes.set_title(TRAINING[column], loc="left")
            axes.grid()
        figure.supxlabel("thousand images shown", fontsize=8.5)
        legend(figure, styles.names, styles)
        return to_svg(figure, name, f"Training of the GANs for {finding}")


def quality(table: pd.DataFrame, styles: ArmStyles) -> str:
    """Change of the AUROC over the quality of the bank: one panel per measure and feature space.

    Args:
        table: what `banks.quality_and_change` gives.
        styles: of the arms.
    """
    spaces = list(dict.fromkeys(table["space"]))
    measures = [name for name in QUALITY if table[name].notna().any()]
    arms = [arm for arm in styles.names if arm in set(table["arm"])]
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
                        marker=styles.marker(arm),
                        color=styles.colour(arm),
                        markersize=4.5,
                    )
                floors = here[f"{measure}_floor"]
                if floors.notna().any():
                    low, high = floors.min(), floors.max()
                    axes.axvspan(low, high, color="#888888", alpha=0.18, linewidth=0)
                axes.set_title(space, loc="left")
                axes.set_xlabel(QUALITY[measure])
                axes.grid()
        figure.supylabel(f"change of the AUROC against {styles.baseline}", fontsize=8.5)
        legend(figure, arms, styles, lines=False)
        return to_svg(figure, "quality", "Change of the AUROC over the quality of the banks")


def dose(table: pd.DataFrame, finding: str, styles: ArmStyles, name: str) -> str:
    """AUROC of one finding over the number of synthetic images: one panel per fraction.

    Args:
        table: dose.csv.
        finding: which.
        styles: of the arms.
        name: of the figure.
    """
    part = table[table["finding"] == finding]
    arms = [arm for arm in styles.names if arm in set(part["arm"])]
    with matplotlib.rc_context(STYLE):
        figure, panels = grid(sorted(part["fraction"].unique()))
        for fraction, axes in panels:
            for arm in arms:
                curve = part[(part["fraction"] == fraction) & (part["arm"] == arm)]
                curve = curve.sort_values("dose")
                line = {"color": styles.colour(arm), "linestyle": styles.dash(arm)}
                axes.plot(curve["dose"], curve["auc"], marker=styles.marker(arm), **line)
                axes.fill_between(
                    curve["dose"],
                    curve["auc_low"].astype(float),
                    curve["auc_high"].astype(float),
                    color=line["color"],
                    alpha=0.13,
                    linewidth=0,
                )
                # Validation AUROC, on which the dose was chosen.
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
        legend(figure, arms, styles)
        return to_svg(figure, name, f"AUROC of {finding} by the number of synthetic images")
