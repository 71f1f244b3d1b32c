"""The images, their labels, and how the patients are split."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from rarecxr.data.formats.registry import CHEXPERT, FORMATS
from rarecxr.study.configuration.pixels import CacheSettings
from rarecxr.study.findings import ALL, FINDINGS, NEGATIVES, slug
from rarecxr.study.values import (
    DEFAULT,
    DISTINCT,
    ByFinding,
    FileName,
    Finding,
    Name,
    Section,
    Seed,
    Text,
    UserPath,
    near,
)

View = Literal["AP", "PA", "LL", "RL", "Frontal", "Lateral", "Unknown"]
Policy = Literal["ones", "zeros", "ignore"]
Percent = Annotated[float, Field(gt=0, lt=50)]
Fraction = Annotated[float, Field(ge=0.01, le=100)]
# What stands in a line of a table.
Column = Annotated[str, Field(pattern=r"^[^\r\n]+$", max_length=200)]
Kept = Annotated[float, Field(gt=0, le=1)]


class TableColumns(Section):
    """Which columns of a table of your own hold what; what has none is unknown."""

    path: Column
    """Path of the image's file below dataset.root."""
    patient: Column | None = None
    """Number or name of the patient. null: every image is a patient of its own."""
    study: Column | None = None
    """Number or name of the patient's study."""
    view: Column | None = None
    """AP, PA, LL, RL, Frontal, Lateral or a name in dataset.view_names; blank is Unknown."""
    sex: Column | None = None
    """F, Female, M, Male, or Unknown or blank."""
    age: Column | None = None
    """Years, or blank."""
    split: Column | None = None
    """train, val or test, for dataset.split: published."""
    findings: dict[Finding, Column] = {}
    """The column of each finding; it holds 1, 0, -1 (uncertain) or is blank."""
    labels: Column | None = None
    """A column that lists the findings of an image; those that it does not list are 0."""
    separator: Column = "|"
    """What stands between the findings in that column."""

    def contradictions(self) -> Iterator[tuple[str, str]]:
        """No findings at all."""
        if not self.findings and self.labels is None:
            yield "findings", "got none, and labels is null; takes the columns of the findings"


class SourceSettings(Section):
    """The folder and the files that the images and labels are read from."""

    root: UserPath | None = None
    """Folder of the data set, as its publisher's archives unpack (docs/datasets.md).

    For CheXpert it holds train.csv and train/patient…/study…/view….jpg. null: the embedded phantoms
    are made from the section `phantom`. A relative folder is one below the folder that Snakemake
    runs in; ~ and $VARIABLES are replaced.
    """
    format: Literal[("chexpert", *FORMATS)] = "chexpert"  # type: ignore[valid-type]
    """How the data set is published; table for a table of your own."""
    tables: dict[Name, FileName | None] = {}
    """Names of the data set's tables below the root where they differ from the publisher's.

    By what they are for (docs/datasets.md); not for the format chexpert. null for one that there is
    not.
    """
    columns: TableColumns | None = None
    """Which columns hold what, for the format table; null for the others."""
    view_names: dict[Column, View] = {}
    """What views are called in the tables beside the format's own names, as in {L: Lateral}."""
    name: Text | None = None
    """Name of the data set, for the report and the banks' datasheets.

    null: the phantoms', or "not stated".
    """
    terms: Text | None = None
    """Terms of use of the data set, which hold for what is derived from it, too.

    The report and the banks' datasheets quote them. null: the phantoms', or "not stated".
    """
    train_csv: FileName = "train.csv"
    """Name of the CSV file with the labels, below the root; for the format chexpert."""
    expert_csv: FileName | None = "valid.csv"
    """Name of the CSV file of a second test set, below the root; null if there is none.

    Its images are never trained on. For the format chexpert.
    """
    watch_images: bool = True
    """Whether a replaced image is noticed.

    The size and time of every file that the CSV files name is looked at when the workflow starts
    (about 2 s per 100,000 files on a local disk). Only with a root.
    """


class LabelSettings(Section):
    """Which images and labels are used, and what becomes of uncertain and blank labels."""

    views: Annotated[list[View], Field(min_length=1), DISTINCT] = ["AP", "PA"]
    """Views that are used: AP, PA, LL, RL and Frontal (of unknown direction) are frontals."""
    findings: Annotated[list[Finding], Field(min_length=1), DISTINCT] = list(FINDINGS)
    """The findings that the classifier predicts, as the data set calls them."""
    target_findings: Annotated[list[Finding], Field(min_length=1), DISTINCT] = [
        "Lung Lesion",
        "Pleural Other",
    ]
    """The rare findings that the study is about.

    Each gets GANs, banks and a row in the report.
    """
    planned_findings: Annotated[list[Finding], DISTINCT] = []
    """Findings that may become target findings later.

    Split, draws, negatives and the feature networks take them into account from the start, so that
    adding one repeats nothing of the others but the classifiers and the bank of negatives.
    """
    uncertain: ByFinding[Policy] = ByFinding("ones")
    """What an uncertain label (-1) becomes; ignore masks it out of the loss and the AUC.

    One policy, or policies by finding, as in {default: ones, Edema: zeros}.
    """
    blank: Literal["zeros", "no_finding", "ignore"] = "zeros"
    """What a blank label becomes.

    zeros: 0, as published. no_finding: 0 where the image's No Finding is 1 (Support Devices aside),
    else masked, so that a finding is compared with healthy chests alone and AUCs are higher.
    ignore: masked, for labels that say 0 where there is nothing (CheXpert's rarely do).
    """


class SplitSettings(Section):
    """How the patients are split, and which of them a classifier sees."""

    split: Literal["random", "published"] = "random"
    """How the patients are split: at random, or as the data set was published.

    published: the publisher's test patients are the test set, and its validation patients are the
    validation set (the test set where it publishes no other). What it does not publish is drawn
    from its training patients, in percent of these.
    """
    test_percent: Percent = 25.0
    """Percent of the patients for testing."""
    validation_percent: Percent = 10.0
    """Percent of the patients for validation."""
    reserve_percent: Annotated[float, Field(ge=0, le=90)] = 20.0
    """Percent of the patients who are set apart, for arms with `reserve`; 0 for none.

    They are in no fraction, GAN, feature network, validation or test set: their real positives are
    the ceiling of what synthetic images can give. Another percent leaves validation and testing as
    they are.
    """
    thin: ByFinding[Kept] = ByFinding(None)
    """Makes findings rare: the share of a finding's training positives that stays.

    By finding, as in {Pneumonia: 0.03}; a finding that is not named stays as it is. The other
    patients who have it, certainly or not, leave the training set with all their images
    (`unused` in split.csv). Validation and test patients stay as they are.
    """
    fractions: Annotated[list[Fraction], Field(min_length=1)] = [20.0, 100.0]
    """Percents of the training patients that the classifiers and GANs see.

    Smaller fractions lie inside larger ones.
    """
    min_positive_patients: Annotated[int, Field(ge=1, le=1_000_000)] = 10
    """Patients positive for each target finding that every fraction holds at least.

    All of them where there are fewer.
    """
    seed: Seed = 1
    """Seed of the split; draws of the fractions add their number to it."""


# Fields come in the order of the bases from the last one on.
class DatasetSettings(SplitSettings, CacheSettings, LabelSettings, SourceSettings):
    """The images, their labels and the split of the patients."""

    def contradictions(self) -> Iterator[tuple[str, str]]:
        """Names that are not among the findings, fractions that share a folder, one CSV twice."""
        yield from self._format_contradictions()
        strange = list(self._name_contradictions())
        yield from strange
        if strange:
            return
        for key in ("target_findings", "planned_findings"):
            for place, finding in enumerate(getattr(self, key)):
                if finding not in self.findings:
                    yield (
                        f"{key}[{place}]",
                        (
                            f"got '{finding}'; takes one of dataset.findings: "
                            f"{', '.join(self.findings)}"
                        ),
                    )
        for key in ("uncertain", "thin"):
            for finding in getattr(self, key).named:
                if finding not in self.findings:
                    yield f"{key}.{finding}", near(finding, self.findings, "finding of the study")
        if self.uncertain.default is None:
            for finding in self.findings:
                if self.uncertain.get(finding) is None:
                    yield "uncertain", f"has no policy for {finding}; add it or default"
                    break
        used = self.test_percent + self.validation_percent
        if used + self.reserve_percent >= 100:
            yield (
                "reserve_percent",
                (
                    f"got {self.reserve_percent:g} beside {used:g} for testing and validation; "
                    f"takes less than {100 - used:g}, so that patients are left for training"
                ),
            )
        names: dict[str, float] = {}
        for place, fraction in enumerate(self.fractions):
            name = format(fraction, "g")
            if name in names:
                yield (
                    f"fractions[{place}]",
                    (
                        f"got {fraction!r} beside {names[name]!r}; both would be called "
                        f"{name} in paths; takes fractions that differ in their first six digits"
                    ),
                )
            elif float(name) != fraction:
                yield (
                    f"fractions[{place}]",
                    (f"got {fraction!r}, which paths would call {name}; takes six digits at most"),
                )
            names[name] = fraction
        if self.format == CHEXPERT and self.expert_csv == self.train_csv:
            yield (
                "expert_csv",
                (f"got {self.expert_csv}, which is train_csv too; takes another file, or null"),
            )

    def _format_contradictions(self) -> Iterator[tuple[str, str]]:
        """Keys that do not go with the format."""
        if self.root is None and self.format != CHEXPERT:
            yield "root", f"got null, and dataset.format is {self.format}; takes a folder"
        if self.format == "table" and self.columns is None:
            yield "columns", "got null; takes the names of the table's columns, path at least"
        if self.format != "table" and self.columns is not None:
            yield "columns", f"is for the format table, and dataset.format is {self.format}"
        roles = [] if self.format == CHEXPERT else list(FORMATS[self.format].tables)
        for role in self.tables:
            if role not in roles:
                what = near(role, roles, "table") if roles else "train_csv and expert_csv name them"
                yield f"tables.{role}", f"{what} (dataset.format is {self.format})"
        if self.split == "published":
            if self.format == "table":
                published = self.columns is None or self.columns.split is not None
                lacks = "set dataset.columns.split"
            elif self.format == CHEXPERT:
                published, lacks = self.expert_csv is not None, "dataset.expert_csv is null"
            else:
                published, lacks = bool(FORMATS[self.format].publishes), "there is no such split"
            if not published:
                yield "split", f"got published, and for {self.format} {lacks}; or take random"

    def _name_contradictions(self) -> Iterator[tuple[str, str]]:
        """Findings that the format does not know, and those that share their name in paths."""
        known = known_findings(self)
        strange = [name for name in self.findings if known and name not in known]
        if len(strange) > 3:
            yield (
                "findings",
                f"got {', '.join(strange)}, which {self.format} does not have; takes any of "
                f"{', '.join(known)}",
            )
            return
        for name in strange:
            yield (
                f"findings[{self.findings.index(name)}]",
                f"got '{name}'; {near(name, known, f'finding of {self.format}')}",
            )
        names: dict[str, str] = {NEGATIVES: NEGATIVES, ALL: ALL, DEFAULT: DEFAULT}
        for place, name in enumerate(self.findings):
            other = names.setdefault(slug(name), name)
            if other != name or name in (NEGATIVES, ALL, DEFAULT):
                yield (
                    f"findings[{place}]",
                    f"got '{name}', which paths would call {slug(name)} as they do {other}; "
                    "takes another name",
                )


def known_findings(dataset: SourceSettings) -> list[str]:
    """The findings that there can be, as far as this is known without the data set's files."""
    if dataset.format == CHEXPERT:
        return list(FINDINGS)
    if dataset.format == "table" and dataset.columns is not None:
        return [] if dataset.columns.labels else list(dataset.columns.findings)
    return list(FORMATS[dataset.format].findings)
