"""Where a data set lies and how it is published: of the study's own, and of external test sets."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from rarecxr.data.formats.registry import CHEXPERT, FORMATS
from rarecxr.study.findings import FINDINGS
from rarecxr.study.values import FileName, Finding, Name, Section, Text, UserPath, near

View = Literal["AP", "PA", "LL", "RL", "Frontal", "Lateral", "Unknown"]
Policy = Literal["ones", "zeros", "ignore"]
Blank = Literal["zeros", "no_finding", "ignore"]
# What stands in a line of a table.
Column = Annotated[str, Field(pattern=r"^[^\r\n]+$", max_length=200)]


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

    @property
    def takes_published_split(self) -> bool:
        """Whether the parts of the publisher's split are read."""
        return False

    @property
    def only(self) -> str:
        """The part of the publisher's split whose images are used; empty for all images."""
        return ""

    def known_findings(self) -> list[str]:
        """The findings that there can be, as far as this is known without the data set's files."""
        if self.format == CHEXPERT:
            return list(FINDINGS)
        if self.format == "table" and self.columns is not None:
            return [] if self.columns.labels else list(self.columns.findings)
        return list(FORMATS[self.format].findings)

    def lacks_published_split(self) -> str:
        """Why the data set has no test images of its publisher's; empty where it has."""
        if self.format == "table":
            published = self.columns is None or self.columns.split is not None
            return "" if published else "set columns.split"
        if self.format == CHEXPERT:
            return "" if self.expert_csv is not None else "expert_csv is null"
        return "" if FORMATS[self.format].publishes else "there is no such split"

    def contradictions(self) -> Iterator[tuple[str, str]]:
        """Keys that do not go with the format, one CSV twice."""
        if self.root is None and self.format != CHEXPERT:
            yield "root", f"got null, and format is {self.format}; takes a folder"
        if self.format == "table" and self.columns is None:
            yield "columns", "got null; takes the names of the table's columns, path at least"
        if self.format != "table" and self.columns is not None:
            yield "columns", f"is for the format table, and format is {self.format}"
        roles = [] if self.format == CHEXPERT else list(FORMATS[self.format].tables)
        for role in self.tables:
            if role not in roles:
                what = near(role, roles, "table") if roles else "train_csv and expert_csv name them"
                yield f"tables.{role}", f"{what} (format is {self.format})"
        if self.format == CHEXPERT and self.expert_csv == self.train_csv:
            yield (
                "expert_csv",
                (f"got {self.expert_csv}, which is train_csv too; takes another file, or null"),
            )
