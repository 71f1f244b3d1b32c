"""The report page: what the tables say, in words, tables and pictures, in one file."""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import jinja2
import markupsafe
import pandas as pd
from PIL import Image

from rarecxr.data.findings import slug
from rarecxr.files import written_whole
from rarecxr.provenance import versions
from rarecxr.report import figures, images, sections, words
from rarecxr.report.methods import methods
from rarecxr.report.published import comparison, read_published
from rarecxr.report.tables import read_summary

log = logging.getLogger(__name__)


def make_report(
    tables: Mapping[str, str | Path],
    published: str | Path,
    gans: Sequence[Mapping],
    page: str | Path,
    figure_folder: str | Path,
    study: str,
    phantom: bool,
    settings: Mapping[str, Mapping],
    title: str,
    introduction: str,
    headline_arms: Sequence[str],
    images_per_sheet: int,
    statistics: Mapping,
) -> None:
    """Write the report page and its figures, from the study's tables alone.

    Args:
        tables: path of each CSV file of `rarecxr.statistics.evaluation.evaluate`, by name.
        published: config/published.csv.
        gans: for each GAN its recipe, fraction, draw and finding, and the paths of its
            training_set, training (CSV), samples (PNG), bank and quality (JSON); empty if no
            arm of the study uses one.
        page: the HTML file to write.
        figure_folder: where to write each figure as SVG, and its data as CSV.
        study: name of the study.
        phantom: whether its images are digital phantoms.
        settings: sections of the configuration that the methods paragraph quotes.
        title: heading of the page.
        introduction: a paragraph of the user's own below it; may be empty.
        headline_arms: the first of these that the study runs stands for the GAN in the answer.
        images_per_sheet: images a row in the sample sheets.
        statistics: settings of the tables, as `evaluate` got them.
    """
    gans = [{**gan, "fraction": float(gan["fraction"])} for gan in gans]
    study_tables = {name: pd.read_csv(path) for name, path in tables.items()}
    summary = read_summary(tables["summary"])
    expert = read_summary(tables["expert"])
    arms = list(dict.fromkeys(summary["arm"]))
    arm = next((name for name in headline_arms if name in arms), None)
    compared = comparison(summary, read_published(published), arm)
    drawn = _draw(study_tables, summary, compared, arms, arm, gans, statistics["margin"])
    sheets = _sheets(
        _first(gans, settings["arms"][arm].get("recipe") if arm else None), images_per_sheet
    )
    context = {
        "title": title,
        "introduction": introduction,
        "study": study,
        "phantom": phantom,
        "arm": arm,
        "arms": arms,
        "statistics": statistics,
        "answer": sections.answer(summary, study_tables["overall"], arm),
        "facts": sections.facts(summary, study_tables["counts"]),
        "published": sections.published_table(compared),
        "sources": sorted({*compared["source_none"], *compared["source_gan"]} - {""}),
        "overall": sections.overall_table(study_tables["overall"]),
        "changes": sections.changes_table(summary, "changes"),
        "measures": sections.measures_table(summary, "measures"),
        "expert": [
            sections.changes_table(expert, "expert-changes"),
            sections.measures_table(expert, "expert-measures"),
        ]
        if len(expert)
        else [],
        "others": sections.other_findings(study_tables["auc"], set(summary["finding"])),
        "subgroups": sections.subgroup_table(study_tables["subgroups"]),
        "counts": sections.count_table(study_tables["counts"], set(summary["finding"])),
        "quality": sections.quality_table(_qualities(gans)),
        "figures": {name: markupsafe.Markup(svg) for name, (svg, _) in drawn.items()},
        "findings": [(finding, slug(finding)) for finding in dict.fromkeys(summary["finding"])],
        "sheets": sheets,
        "samples": _samples(gans),
        "methods": methods(settings, statistics, summary, study_tables["counts"]),
        "files": sections.file_table(study_tables["sources"], {**tables, "published": published}),
        "versions": {**_versions_of_banks(sheets), **versions()},
        "interval_over": " or ".join(name for name in summary["interval_over"].unique() if name)
        or "nothing: too few positive test patients",
        "single_run": summary["draws"].max() * summary["seeds"].max() == 1,
        "draws_note": _draws_note(summary),
        "words": words,
    }
    with written_whole(figure_folder) as folder:
        folder.mkdir()
        for name, (svg, data) in drawn.items():
            (folder / f"{name}.svg").write_text(svg.replace("currentColor", "#1a1a1a"))
            data.to_csv(folder / f"{name}.csv", index=False)
    with written_whole(page) as temporary:
        temporary.write_text(_template().render(context))
    log.info("%s: %.1f MB", page, Path(page).stat().st_size / 1e6)


def _template():
    loader = jinja2.FileSystemLoader(Path(__file__).parent / "templates")
    environment = jinja2.Environment(
        loader=loader,
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.j2")


def _draw(tables, summary, compared, arms, arm, gans, margin):
    """Name of each figure, with its SVG and the table that it was drawn from."""
    looks = figures.Looks(arms)
    drawn = {}
    changed = summary[(summary["arm"] != "none") & summary["change"].notna()]
    if len(changed):
        columns = ["finding", "fraction", "arm", "change", "change_low", "change_high", "verdict"]
        drawn["forest"] = (figures.forest(summary, looks, margin, compared), changed[columns])
    shown = [name for name in ("none", "oversample", arm) if name in arms]
    for finding in dict.fromkeys(summary["finding"]):
        for kind, draw in (("curves", figures.roc), ("calibration", figures.calibration)):
            table = tables[kind]
            part = table[(table["finding"] == finding) & table["arm"].isin(shown)]
            if len(part):
                name = f"{'roc' if kind == 'curves' else kind}_{slug(finding)}"
                drawn[name] = (draw(table, finding, shown, looks, name), part)
        trained = [
            (_gan_name(gan), pd.read_csv(gan["training"]))
            for gan in gans
            if gan["finding"] == finding
        ]
        if trained:
            name = f"training_{slug(finding)}"
            together = pd.concat([table.assign(gan=gan) for gan, table in trained])
            drawn[name] = (figures.training(trained, finding, name), together)
    return drawn


def _gan_name(gan):
    return f"{gan['recipe']}, {words.percent(gan['fraction'])}"


def _first(gans, recipe):
    """The GANs from the largest fraction on, those of `recipe` before others."""
    return sorted(gans, key=lambda gan: (gan["recipe"] != recipe, gan["recipe"], -gan["fraction"]))


def _sheets(gans, number):
    return [
        {**_identity(gan), "sheet": images.sheet(gan["training_set"], gan["bank"], number)}
        for gan in gans
    ]


def _samples(gans):
    """The sheet that each GAN left at the end of its training."""
    made = []
    for gan in gans:
        with Image.open(gan["samples"]) as picture:
            made.append({**_identity(gan), "picture": images.inline(picture.convert("L"))})
    return made


def _qualities(gans):
    return [
        {**_identity(gan), "quality": json.loads(Path(gan["quality"]).read_text())} for gan in gans
    ]


def _identity(gan):
    return {name: gan[name] for name in ("finding", "fraction", "recipe", "draw")}


def _draws_note(summary):
    """What the intervals leave out, by the number of draws and seeds."""
    if summary["draws"].max() > 1:
        return (
            "Runs are counted by draw: intervals hold for other choices of training patients too."
        )
    if summary["seeds"].max() > 1:
        return (
            "One draw of training patients: intervals do not say how another choice of them, with"
            " other GANs, would have turned out. Small fractions depend on it most."
        )
    return (
        "Every arm was trained once: intervals and verdicts are over test patients alone, and"
        " another seed or another choice of training patients may turn them round."
    )


def _versions_of_banks(sheets):
    """Versions that the banks were made with, by package."""
    found = {}
    for entry in sheets:
        text = entry["sheet"].attributes.get("versions", "{}")
        found |= json.loads(text)
    return found
