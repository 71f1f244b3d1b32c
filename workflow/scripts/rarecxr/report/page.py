"""The report: one page with tables and pictures, its figures, and the tables of the banks."""

import logging
import shutil
import urllib.parse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import markupsafe

from rarecxr.core.files import written_whole
from rarecxr.core.provenance import versions
from rarecxr.report import alone, banks, ceiling, filters, images, sections
from rarecxr.report import wording as words
from rarecxr.report.answer import answer
from rarecxr.report.external import external_sets
from rarecxr.report.figure_set import Figures, draw_figures
from rarecxr.report.inputs import Inputs, read_inputs
from rarecxr.report.maps import explained_images
from rarecxr.report.matrix import matrix
from rarecxr.report.methods import methods
from rarecxr.report.pairs import paired_sheets
from rarecxr.report.tables import write_console
from rarecxr.report.training import reserve_note, training_table
from rarecxr.study.findings import slug
from rarecxr.study.recipes import PAIRED, paired_with

log = logging.getLogger(__name__)

# In the report's folder: the page, a copy of it that no failing run removes, and the rest.
PAGE, LAST_COMPLETE = "index.html", "last_complete.html"
QUALITY, FILTERS, ALONE = "quality.csv", "filters.csv", "alone.csv"
CONSOLE, FIGURES = "summary.txt", "figures"


def make_report(
    tables: str | Path,
    folder: str | Path,
    notes: str | Path,
    published: str | Path,
    gans: Sequence[Mapping[str, Any]],
    qualities: Sequence[Mapping[str, Any]],
    filter_leaks: Sequence[str | Path],
    study: str,
    settings: Mapping[str, Mapping[str, Any]],
    maps: Sequence[str | Path] = (),
) -> None:
    """Write the report page, its figures and the tables of the banks.

    Args:
        tables: folder with the tables of rules evaluate and check_leakage, as CSV files.
        folder: where to write index.html, quality.csv, filters.csv, alone.csv, summary.txt, the
            folder figures (each figure as SVG, its data as CSV) and last_complete.html, a copy of
            the page: a workflow manager removes the page before it makes it again, and this copy
            stays if that fails.
        notes: what is odd about the images, pixels_{resolution}_notes.csv.
        published: config/published.csv.
        gans: for each GAN that is shown its recipe, fraction, draw and finding, and the paths
            of its training (CSV), samples (PNG) and sheet (NPZ, see `rarecxr.bank.sample_sheet`);
            empty if no arm of the study uses one.
        qualities: for each bank its recipe, fraction, draw and finding, and the path of its
            quality (JSON).
        filter_leaks: what `rarecxr.quality.filter_leak` wrote, one file per fraction and draw.
        study: name of the study.
        settings: sections of the configuration, which the methods quote: arms, bank, classifier,
            dataset, gan and report among them.
        maps: what classifiers rest on (NPZ, see `rarecxr.classifier.map_file`), one file per
            finding.

    Raises:
        ValueError: published.csv cannot be used.
    """
    folder = Path(folder)
    inputs = read_inputs(tables, notes, published, gans, qualities, filter_leaks, study, settings)
    baseline = inputs.references.baseline
    of_alone = _alone(inputs)
    written = ((QUALITY, inputs.qualities), (FILTERS, inputs.filter_leaks), (ALONE, of_alone))
    for name, table in written:
        with written_whole(folder / name) as temporary:
            table.to_csv(temporary, index=False, float_format="%.6g")
    figures = draw_figures(inputs)
    with written_whole(folder / FIGURES) as temporary:
        temporary.mkdir()
        for name, (svg, data) in figures.items():
            drawing = svg.replace("currentColor", "#1a1a1a")
            (temporary / f"{name}.svg").write_text(drawing, encoding="utf-8")
            data.to_csv(temporary / f"{name}.csv", index=False)
    write_console(inputs.table_paths["summary"], folder / CONSOLE, baseline)
    made = {name: folder / name for name, _ in written}
    made |= {f"maps {Path(path).stem}": Path(path) for path in maps}
    with written_whole(folder / PAGE) as temporary:
        context = {**_context(inputs, figures, made), "explained": explained_images(maps)}
        temporary.write_text(_template().render(context), encoding="utf-8")
    with written_whole(folder / LAST_COMPLETE) as temporary:
        shutil.copyfile(folder / PAGE, temporary)
    log.info("%s: %.1f MB", folder / PAGE, (folder / PAGE).stat().st_size / 1e6)


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


def _context(inputs: Inputs, figures: Figures, made: Mapping[str, Path]) -> dict[str, Any]:
    """What the template shows."""
    report = inputs.report
    return {
        "title": report.title,
        "introduction": report.introduction,
        "study": inputs.study,
        "phantom": inputs.phantom,
        "arm": inputs.headline,
        "references": inputs.references,
        "statistics": inputs.statistics,
        "findings": [(finding, slug(finding)) for finding in inputs.findings],
        "figures": {
            # Matplotlib has drawn them: it escapes the texts in them.
            name: (markupsafe.Markup(svg), _csv_address(data))  # noqa: S704
            for name, (svg, data) in figures.items()
        },
        "words": words,
        **_answer_context(inputs),
        **_results_context(inputs),
        **_banks_context(inputs, report.images_per_sheet),
        **_origin_context(inputs, made),
    }


def _answer_context(inputs: Inputs) -> dict[str, Any]:
    """What the study found, and how far it can be trusted."""
    tables, summary, references = inputs.tables, inputs.summary, inputs.references
    overall, arm, margin = tables["overall"], inputs.headline, inputs.statistics.margin
    sources = {*inputs.published["source_real"], *inputs.published["source_synthetic"]} - {""}
    return {
        "answer": answer(summary, overall, arm, references, inputs.settings["arms"]),
        "facts": sections.facts(summary, tables["counts"]),
        "warnings": banks.warning_lines(inputs.warnings),
        "matrix": matrix(summary, overall, references, arm, margin),
        "published": sections.published_table(inputs.published),
        "sources": sorted(sources),
        "reach": ceiling.reach(summary, overall, tables["ceiling"], arm),
        "doses": len(tables["dose"]) > 0,
        "interval_over": " or ".join(name for name in summary["interval_over"].unique() if name)
        or "nothing: too few positive test patients",
        "has_intervals": bool(summary["interval_over"].any()),
        "single_run": summary["draws"].max() * summary["seeds"].max() == 1,
        "draws_note": sections.draws_note(summary),
    }


def _results_context(inputs: Inputs) -> dict[str, Any]:
    """The tables of the runs."""
    tables, summary, expert = inputs.tables, inputs.summary, inputs.tables["expert"]
    references, targets, shown = inputs.references, set(inputs.findings), inputs.shown_arms
    of_expert = [
        sections.changes_table(expert, "expert-changes", references, shown),
        sections.measures_table(expert, "expert-measures", shown),
    ]
    return {
        "overall": sections.overall_table(tables["overall"]),
        "changes": sections.changes_table(summary, "changes", references, shown),
        "measures": sections.measures_table(summary, "measures", shown),
        "external": external_sets(
            tables, inputs.external, references, inputs.headline, inputs.shown_arms
        ),
        "expert": of_expert if len(expert) else [],
        "expert_has_intervals": bool(expert["auc_low"].notna().any()),
        "others": sections.other_findings(tables["auc"], targets),
        "subgroups": sections.subgroup_table(tables["subgroups"], shown),
        "counts": sections.count_table(tables["counts"], targets),
        "patients": sections.patient_table(tables["patients"]),
        "alone": alone.alone_table(_alone(inputs)),
        "ceiling": ceiling.share_table(tables["ceiling"]),
        "worth": ceiling.worth_table(tables["worth"]),
        "training": training_table(tables["runs"]),
        "reserve_note": reserve_note(tables["runs"]),
    }


def _banks_context(inputs: Inputs, images_per_sheet: int) -> dict[str, Any]:
    """Synthetic images, beside real ones and in numbers."""
    sheets = _sheets(inputs, images_per_sheet)
    with_sheets = {entry["finding"]: slug(entry["finding"]) for entry in sheets}
    return {
        "quality": banks.quality_table(
            inputs.qualities, inputs.summary, inputs.recipes, _arms_in_pairs(inputs)
        ),
        "filters": filters.filter_table(inputs.filter_leaks),
        "detectors": filters.detectors(inputs.filter_leaks),
        # The study's findings first, then the negatives.
        "shown": sorted(with_sheets.items(), key=lambda item: item[0] not in inputs.findings),
        "sheets": sheets,
        "pairs": paired_sheets(inputs.gans, inputs.qualities, images_per_sheet),
        "samples": _samples(inputs.gans),
    }


def _origin_context(inputs: Inputs, made: Mapping[str, Path]) -> dict[str, Any]:
    """How the results were made, from which files."""
    tables, of_banks = inputs.tables, inputs.versions
    files = {**inputs.table_paths, **made, "published": inputs.published_path}
    return {
        "image_notes": sections.image_notes(inputs.notes, tables["leakage"]),
        "leakage": sections.leakage_table(tables["leakage"]),
        "methods": methods(
            inputs.settings, inputs.references, inputs.summary, tables, versions() | of_banks
        ),
        "files": sections.file_table(tables["sources"], files),
    }


def _alone(inputs: Inputs):
    """Arms of synthetic images alone."""
    definitions, runs = inputs.settings["arms"], inputs.tables["runs"]
    return alone.alone_results(inputs.summary, runs, definitions, inputs.references)


def _arms_in_pairs(inputs: Inputs) -> list[str]:
    definitions = inputs.settings["arms"]
    return [arm for arm in inputs.arms if definitions.get(arm, {}).get("negatives") == PAIRED]


def _csv_address(table):
    """A table as the address of a CSV file inside the page."""
    text = table.to_csv(index=False, float_format="%.6g")
    return "data:text/csv;charset=utf-8," + urllib.parse.quote(text, safe=",.;:@ ()[]=+")


def _sheets(inputs, number):
    """The sheet of each bank from the largest fraction on, the headline arm's recipe first."""
    headline = inputs.recipes.get(inputs.headline)

    def order(gan):
        return gan["recipe"] != headline, gan["recipe"], -gan["fraction"]

    entries, begun = [], set()
    # Pairs are shown as such, not beside real images.
    single = [gan for gan in inputs.gans if paired_with(gan["recipe"]) is None]
    for gan in sorted(single, key=order):
        width = images.OTHER if gan["finding"] in begun else images.FIRST
        begun.add(gan["finding"])
        sheet, pictures = images.sheet(gan["sheet"], number, width)
        entries.append({**_identity(gan), "sheet": sheet, "pictures": pictures})
    return entries


def _samples(gans):
    """What each GAN generated over its training, and real images."""
    made = []
    for gan in gans:
        # That of the base, which is there already.
        if paired_with(gan["recipe"]) is not None:
            continue
        rows, real = images.over_training(gan["samples"], gan["sheet"])
        made.append(
            {
                **_identity(gan),
                "rows": [
                    images.inline(row, images.SAMPLES, images.SAMPLES_QUALITY) for row in rows
                ],
                "real": images.inline(real, images.SAMPLES, images.SAMPLES_QUALITY),
            }
        )
    return made


def _identity(gan):
    return {name: gan[name] for name in ("finding", "fraction", "recipe", "draw")}
