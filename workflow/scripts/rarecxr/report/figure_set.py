"""Which figures a study has, each with the data that it shows."""

import pandas as pd

from rarecxr.core.tables import read_csv
from rarecxr.report import bank_figures, figures
from rarecxr.report import wording as words
from rarecxr.report.banks import quality_and_change
from rarecxr.report.drawing import ArmStyles
from rarecxr.report.inputs import Inputs
from rarecxr.statistics.comparisons import BASELINE, change_column, verdict_column
from rarecxr.study.findings import slug

Figures = dict[str, tuple[str, pd.DataFrame]]


def draw_figures(inputs: Inputs) -> Figures:
    """The SVG of each figure by its name, and the table that it was drawn from."""
    styles = ArmStyles(inputs.arms, inputs.references.baseline)
    drawn = {**_forest(inputs, styles), **_quality(inputs, styles)}
    for finding in inputs.findings:
        for name, kind, draw in (
            ("roc", "curves", figures.roc),
            ("calibration", "calibration", figures.calibration),
        ):
            table = inputs.tables[kind]
            part = table[(table["finding"] == finding) & table["arm"].isin(inputs.shown_arms)]
            if len(part):
                name = f"{name}_{slug(finding)}"
                drawn[name] = (draw(table, finding, inputs.shown_arms, styles, name), part)
        doses = inputs.tables["dose"]
        doses = doses[doses["finding"] == finding]
        if len(doses):
            name = f"dose_{slug(finding)}"
            drawn[name] = (bank_figures.dose(doses, finding, styles, name), doses)
    return {**drawn, **_trainings(inputs)}


def _forest(inputs, styles) -> Figures:
    changed = inputs.summary[inputs.summary[change_column(BASELINE)].notna()]
    if changed.empty:
        return {}
    columns = ["finding", "fraction", "arm"]
    columns += [change_column(BASELINE, part) for part in ("", "low", "high")]
    margin = inputs.statistics.margin
    svg = figures.forest(inputs.summary, styles, margin, inputs.published)
    return {"forest": (svg, changed[[*columns, verdict_column(BASELINE)]])}


def _quality(inputs, styles) -> Figures:
    table = quality_and_change(inputs.qualities, inputs.summary, inputs.recipes)
    measured = table[list(bank_figures.QUALITY)].notna().any(axis=None)
    if not measured or table["change"].isna().all():
        return {}
    return {"quality": (bank_figures.quality(table, styles), table)}


def _trainings(inputs) -> Figures:
    drawn = {}
    for finding in dict.fromkeys(gan["finding"] for gan in inputs.gans):
        trained = [
            (f"{gan['recipe']}, {words.percent(gan['fraction'])}", read_csv(gan["training"]))
            for gan in inputs.gans
            if gan["finding"] == finding
        ]
        name = f"training_{slug(finding)}"
        together = pd.concat([table.assign(gan=gan) for gan, table in trained])
        columns = [column for column in bank_figures.TRAINING if column in together]
        svg = bank_figures.training(trained, finding, name)
        drawn[name] = (svg, together[["gan", "kimg", *columns]])
    return drawn
