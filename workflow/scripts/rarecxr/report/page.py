"""The report page: what the tables say, in words, tables and pictures, in one file."""

import base64
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import jinja2
import markupsafe
import pandas as pd
from PIL import Image

from rarecxr.core.files import written_whole
from rarecxr.core.provenance import versions
from rarecxr.report import bank_figures, banks, ceiling, figures, filters, images, sections
from rarecxr.report import wording as words
from rarecxr.report.answer import answer, headline_arm, recipes_of
from rarecxr.report.drawing import Looks
from rarecxr.report.methods import methods
from rarecxr.report.published import comparison, read_published
from rarecxr.report.tables import read_summary
from rarecxr.report.training import reserve_note, training_table
from rarecxr.statistics.comparisons import (
    BASELINE,
    References,
    change_column,
    verdict_column,
)
from rarecxr.study.findings import NEGATIVES, slug

log = logging.getLogger(__name__)


def make_report(
    tables: Mapping[str, str | Path],
    published: str | Path,
    gans: Sequence[Mapping],
    qualities: Sequence[Mapping],
    filter_leaks: Sequence[str | Path],
    page: str | Path,
    quality_table: str | Path,
    filter_table: str | Path,
    figure_folder: str | Path,
    study: str,
    phantom: bool,
    settings: Mapping[str, Mapping],
    title: str,
    introduction: str,
    headline_arms: Sequence[str],
    images_per_sheet: int,
    statistics: Mapping,
    baseline: str,
    control: str | None,
) -> None:
    """Write the report page and its figures, from the study's tables alone.

    Args:
        tables: path of each CSV file of `rarecxr.statistics.evaluation.evaluate`, by name, and of
            `leakage` (`rarecxr.leakage`).
        published: config/published.csv.
        gans: for each GAN that is shown its recipe, fraction, draw and finding, and the paths
            of its training (CSV), samples (PNG) and sheet (NPZ, see `rarecxr.bank.sample_sheet`);
            empty if no arm of the study uses one.
        qualities: for each bank its recipe, fraction, draw and finding, and the path of its
            quality (JSON).
        filter_leaks: what `rarecxr.quality.filter_leak` wrote, one file a fraction and draw.
        page: the HTML file to write.
        quality_table: where to write the banks' quality as CSV.
        filter_table: where to write what share of the banks looks filtered as CSV.
        figure_folder: where to write each figure as SVG, and its data as CSV.
        study: name of the study.
        phantom: whether its images are digital phantoms.
        settings: sections of the configuration that the methods paragraph quotes.
        title: heading of the page.
        introduction: a paragraph of the user's own below it; may be empty.
        headline_arms: the answer is about the first of these that the study runs.
        images_per_sheet: images a row in the sample sheets.
        statistics: settings of the tables, as `evaluate` got them.
        baseline: the arm that all others are compared with.
        control: a second arm that the others are compared with, or None.
    """
    references = References(baseline, control)
    gans = [_named(gan) for gan in gans]
    qualities = [_named(bank) for bank in qualities]
    measured, leaks = banks.read_qualities(qualities), filters.read_filter_leaks(filter_leaks)
    study_tables = {name: pd.read_csv(path) for name, path in tables.items()}
    summary = read_summary(tables["summary"])
    expert = read_summary(tables["expert"])
    arms = list(dict.fromkeys(summary["arm"]))
    recipe_of = recipes_of(arms, settings["arms"])
    arm = headline_arm(headline_arms, recipe_of, baseline)
    compared = comparison(summary, read_published(published), arm, baseline)
    beside = banks.beside_change(measured, summary, recipe_of)
    drawn = _draw(
        study_tables, summary, compared, arms, arm, gans, beside, statistics["margin"], references
    )
    sheets = _sheets(_first(gans, recipe_of.get(arm)), images_per_sheet)
    for table, path in ((measured, quality_table), (leaks, filter_table)):
        with written_whole(path) as temporary:
            table.to_csv(temporary, index=False, float_format="%.6g")
    used = {**versions(), **_versions_of_banks(qualities)}
    context = {
        "title": title,
        "introduction": introduction,
        "study": study,
        "phantom": phantom,
        "arm": arm,
        "references": references,
        "arms": arms,
        "statistics": statistics,
        "answer": answer(summary, study_tables["overall"], arm, references, settings["arms"]),
        "facts": sections.facts(summary, study_tables["counts"]),
        "published": sections.published_table(compared),
        "sources": sorted({*compared["source_real"], *compared["source_synthetic"]} - {""}),
        "overall": sections.overall_table(study_tables["overall"]),
        "changes": sections.changes_table(summary, "changes", references),
        "measures": sections.measures_table(summary, "measures"),
        "expert": [
            sections.changes_table(expert, "expert-changes", references),
            sections.measures_table(expert, "expert-measures"),
        ]
        if len(expert)
        else [],
        "others": sections.other_findings(study_tables["auc"], set(summary["finding"])),
        "subgroups": sections.subgroup_table(study_tables["subgroups"]),
        "counts": sections.count_table(study_tables["counts"], set(summary["finding"])),
        "patients": sections.patient_table(study_tables["patients"]),
        "quality": banks.quality_table(measured, summary, recipe_of),
        "filters": filters.filter_table(leaks),
        "detectors": filters.detectors(leaks),
        "reach": ceiling.reach(summary, study_tables["overall"], study_tables["ceiling"], arm),
        "ceiling": ceiling.share_table(study_tables["ceiling"]),
        "worth": ceiling.worth_table(study_tables["worth"]),
        "training": training_table(study_tables["runs"]),
        "reserve_note": reserve_note(study_tables["runs"]),
        "leakage": sections.leakage_table(study_tables["leakage"]),
        "figures": {
            # Matplotlib has drawn them: it escapes the texts in them.
            name: (markupsafe.Markup(svg), _inline_csv(data))  # noqa: S704
            for name, (svg, data) in drawn.items()
        },
        "findings": [(finding, slug(finding)) for finding in dict.fromkeys(summary["finding"])],
        "shown": [(finding, slug(finding)) for finding in _order(summary, sheets)],
        "sheets": sheets,
        "samples": _samples(gans),
        "methods": methods(settings, statistics, summary, study_tables, used),
        "files": sections.file_table(
            study_tables["sources"],
            {**tables, "quality": quality_table, "filters": filter_table, "published": published},
        ),
        "doses": len(study_tables["dose"]) > 0,
        "interval_over": " or ".join(name for name in summary["interval_over"].unique() if name)
        or "nothing: too few positive test patients",
        "single_run": summary["draws"].max() * summary["seeds"].max() == 1,
        "draws_note": _draws_note(summary),
        "words": words,
    }
    with written_whole(figure_folder) as folder:
        folder.mkdir()
        for name, (svg, data) in drawn.items():
            (folder / f"{name}.svg").write_text(
                svg.replace("currentColor", "#1a1a1a"), encoding="utf-8"
            )
            data.to_csv(folder / f"{name}.csv", index=False)
    with written_whole(page) as temporary:
        temporary.write_text(_template().render(context), encoding="utf-8")
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


def _draw(tables, summary, compared, arms, arm, gans, beside, margin, references):
    """Name of each figure, with its SVG and the table that it was drawn from."""
    looks = Looks(arms, references.baseline)
    drawn = {}
    changed = summary[summary[change_column(BASELINE)].notna()]
    if len(changed):
        columns = ["finding", "fraction", "arm"]
        columns += [change_column(BASELINE, part) for part in ("", "low", "high")]
        columns.append(verdict_column(BASELINE))
        drawn["forest"] = (figures.forest(summary, looks, margin, compared), changed[columns])
    shown = [name for name in (references.baseline, references.control, arm) if name in arms]
    for finding in dict.fromkeys(summary["finding"]):
        for kind, draw in (("curves", figures.roc), ("calibration", figures.calibration)):
            table = tables[kind]
            part = table[(table["finding"] == finding) & table["arm"].isin(shown)]
            if len(part):
                name = f"{'roc' if kind == 'curves' else kind}_{slug(finding)}"
                drawn[name] = (draw(table, finding, shown, looks, name), part)
        doses = tables["dose"][tables["dose"]["finding"] == finding]
        if len(doses):
            name = f"dose_{slug(finding)}"
            drawn[name] = (bank_figures.dose(doses, finding, looks, name), doses)
    if beside["change"].notna().any() and beside[list(bank_figures.QUALITY)].notna().any(axis=None):
        drawn["quality"] = (bank_figures.quality(beside, looks), beside)
    for finding in dict.fromkeys(gan["finding"] for gan in gans):
        trained = [
            (_gan_name(gan), pd.read_csv(gan["training"]))
            for gan in gans
            if gan["finding"] == finding
        ]
        name = f"training_{slug(finding)}"
        together = pd.concat([table.assign(gan=gan) for gan, table in trained])
        columns = [column for column in bank_figures.TRAINING if column in together]
        svg = bank_figures.training(trained, finding, name)
        drawn[name] = (svg, together[["gan", "kimg", *columns]])
    return drawn


def _inline_csv(table):
    """A table as the address of a CSV file inside the page."""
    text = table.to_csv(index=False, float_format="%.6g")
    return "data:text/csv;base64," + base64.b64encode(text.encode()).decode()


def _order(summary, sheets):
    """Findings that have sheets: the study's first, then the negatives."""
    shown = [entry["finding"] for entry in sheets]
    targets = list(dict.fromkeys(summary["finding"]))
    return [name for name in dict.fromkeys([*targets, *shown]) if name in shown]


def _named(gan):
    """A GAN or bank with its fraction as a number, and a name in place of no finding."""
    return {
        **gan,
        "fraction": float(gan["fraction"]),
        "finding": gan["finding"] or NEGATIVES,
    }


def _gan_name(gan):
    return f"{gan['recipe']}, {words.percent(gan['fraction'])}"


def _first(gans, recipe):
    """The GANs from the largest fraction on, those of `recipe` before others."""
    return sorted(gans, key=lambda gan: (gan["recipe"] != recipe, gan["recipe"], -gan["fraction"]))


def _sheets(gans, number):
    entries = []
    for gan in gans:
        sheet, pictures = images.sheet(gan["sheet"], number)
        entries.append({**_identity(gan), "sheet": sheet, "pictures": pictures})
    return entries


def _samples(gans):
    """The sheet that each GAN left at the end of its training."""
    made = []
    for gan in gans:
        with Image.open(gan["samples"]) as picture:
            made.append({**_identity(gan), "picture": images.inline(picture.convert("L"))})
    return made


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


def _versions_of_banks(qualities):
    """Versions of the packages that measured the banks, by package."""
    found = {}
    for bank in qualities:
        found |= json.loads(Path(bank["quality"]).read_text(encoding="utf-8"))["provenance"][
            "versions"
        ]
    return found
