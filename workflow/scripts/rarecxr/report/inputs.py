"""Everything that the page is made from, read once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from rarecxr.core.json_file import read_json
from rarecxr.core.tables import read_csv
from rarecxr.data.image_notes import read_notes
from rarecxr.report.banks import read_qualities
from rarecxr.report.filters import read_filter_leaks
from rarecxr.report.published import comparison, read_published
from rarecxr.report.tables import read_summary
from rarecxr.statistics.comparisons import References
from rarecxr.study.configuration.report import ReportSettings
from rarecxr.study.configuration.statistics import StatisticsSettings
from rarecxr.study.findings import NEGATIVES
from rarecxr.study.headline import headline_arm, recipes_of

# What rules evaluate and check_leakage write.
TABLES = (
    *("auc", "summary", "overall", "expert", "curves", "subgroups", "calibration", "counts"),
    *("patients", "sources", "runs", "dose", "ceiling", "worth", "leakage"),
    *("external", "external_overall", "external_subgroups"),
)


@dataclass(frozen=True)
class Inputs:
    """A study's results and settings.

    Attributes:
        study: its name.
        settings: sections of the configuration as plain values, by name, for the methods.
        report: what the page says and how.
        references: the arms that the others are compared with.
        tables: the tables of `TABLES` by name.
        table_paths: their files.
        notes: what is odd about the images (`rarecxr.data.image_notes`).
        published: what others published beside this study's results (`published.comparison`).
        published_path: its file.
        gans: for each GAN that is shown its recipe, fraction, draw and finding, and the paths of
            its training, samples and sheet.
        qualities: the banks' quality files, one row per bank and feature space.
        warnings: what is wrong with banks: recipe, finding, fraction, draw, warning.
        filter_leaks: what share of each bank looks filtered, one row per bank and filter.
        versions: of the packages that evaluated the banks, by package.
        arms: the arms of the study, in their order.
        recipes: the recipe of each arm that uses synthetic images.
        headline: the arm that the answer is about; None if none uses synthetic images.
    """

    study: str
    settings: Mapping[str, Mapping[str, Any]]
    report: ReportSettings
    references: References
    tables: Mapping[str, pd.DataFrame]
    table_paths: Mapping[str, Path]
    notes: pd.DataFrame
    published: pd.DataFrame
    published_path: Path
    gans: Sequence[Mapping[str, Any]]
    qualities: pd.DataFrame
    warnings: pd.DataFrame
    filter_leaks: pd.DataFrame
    versions: Mapping[str, str]
    arms: Sequence[str]
    recipes: Mapping[str, str]
    headline: str | None

    @property
    def summary(self) -> pd.DataFrame:
        """summary.csv."""
        return self.tables["summary"]

    @property
    def findings(self) -> list[str]:
        """The target findings, in their order."""
        return list(dict.fromkeys(self.summary["finding"]))

    @property
    def shown_arms(self) -> list[str]:
        """The arms that the answer is about: baseline, control and headline."""
        wanted = (self.references.baseline, self.references.control, self.headline)
        return [arm for arm in dict.fromkeys(wanted) if arm in self.arms]

    @property
    def external(self) -> Mapping[str, Mapping[str, Any]]:
        """Settings of the external test sets, by their names."""
        return self.settings["dataset"].get("external", {})

    @property
    def phantom(self) -> bool:
        """Whether the study's images are digital phantoms."""
        return self.settings["dataset"]["root"] is None

    @property
    def statistics(self) -> StatisticsSettings:
        """Settings of the statistics."""
        return self.report.statistics


def read_inputs(
    tables: str | Path,
    notes: str | Path,
    published: str | Path,
    gans: Sequence[Mapping[str, Any]],
    qualities: Sequence[Mapping[str, Any]],
    filter_leaks: Sequence[str | Path],
    study: str,
    settings: Mapping[str, Mapping[str, Any]],
) -> Inputs:
    """Read all that the page is made from; arguments as of `rarecxr.report.page.make_report`."""
    paths = {name: Path(tables) / f"{name}.csv" for name in TABLES}
    read = {name: read_csv(path) for name, path in paths.items()}
    read |= {name: read_summary(paths[name]) for name in ("summary", "expert", "external")}
    qualities = [_named(bank) for bank in qualities]
    contents = [(bank, read_json(bank["quality"], ["provenance"])) for bank in qualities]
    measures, warnings = read_qualities(contents)
    arms = list(dict.fromkeys(read["summary"]["arm"]))
    recipes = recipes_of(arms, settings["arms"])
    report = ReportSettings.of(settings["report"])
    references = References(report.baseline, report.control, report.pairs)
    headline = headline_arm(report.headline_arms, arms, settings["arms"], references.baseline)
    ours = comparison(read["summary"], read_published(published), headline, references.baseline)
    return Inputs(
        study=study,
        settings=settings,
        report=report,
        references=references,
        tables=read,
        table_paths=paths,
        notes=read_notes(notes),
        published=ours,
        published_path=Path(published),
        gans=[_named(gan) for gan in gans],
        qualities=measures,
        warnings=warnings,
        filter_leaks=read_filter_leaks(filter_leaks),
        versions={
            name: version
            for _, content in contents
            for name, version in content["provenance"]["versions"].items()
        },
        arms=arms,
        recipes=recipes,
        headline=headline,
    )


def _named(bank):
    """A GAN or bank with its fraction as a number, and a name in place of no finding."""
    finding = bank["finding"] or NEGATIVES
    return {**bank, "fraction": float(bank["fraction"]), "finding": finding}
