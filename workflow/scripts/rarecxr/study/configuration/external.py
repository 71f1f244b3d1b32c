"""External test sets: data sets that every classifier predicts and none ever learns from."""

import os
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Protocol

from pydantic import Discriminator, Field, Tag

from rarecxr.data.formats.registry import CHEXPERT, FORMATS
from rarecxr.study.configuration.source import Blank, Policy, SourceSettings, View
from rarecxr.study.values import (
    DISTINCT,
    ByFinding,
    FileName,
    Finding,
    Share,
    Text,
    UserPath,
    near,
)

ExternalName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=30)]

_Names = Annotated[
    Annotated[Finding, Tag("one")]
    | Annotated[list[Finding], Field(min_length=1), DISTINCT, Tag("list")],
    Discriminator(lambda value: "list" if isinstance(value, list | tuple) else "one"),
]


class ExternalSettings(SourceSettings):
    """Where an external test set lies, how it is published, and what it calls the findings."""

    root: UserPath
    """Folder of the data set, as its publisher's archives unpack (docs/datasets.md)."""
    name: Text | None = None
    """Name of the data set, for the report; null: its name in this list."""
    terms: Text | None = None
    """Terms of use of the data set, which the report quotes; null: "not stated"."""
    expert_csv: FileName | None = "valid.csv"
    """Name of a second CSV file with labels, below the root; null if there is none.

    For the format chexpert.
    """
    labels: dict[Finding, _Names | None] = {}
    """What it calls the findings of dataset.findings, where not by the same name.

    A list of names, as in {Lung Lesion: [Nodule, Mass]}, means any of them. null: it has no such
    finding, and no result for it. A target finding that it does not have has to be null.
    """
    images: Literal["all", "test"] = "all"
    """Which images are test images: all of them, or those of the publisher's test patients.

    For the format chexpert those are the images of expert_csv.
    """
    views: Annotated[list[View], Field(min_length=1), DISTINCT] | None = None
    """Views that are used; null: those of dataset.views."""
    uncertain: ByFinding[Policy] | None = None
    """What an uncertain label becomes, by the study's findings; null: as dataset.uncertain says."""
    blank: Blank | None = None
    """What a blank label becomes; null: as dataset.blank says."""
    max_rejected: Share = 0.001
    """Share of its images that may be missing or unreadable before the run stops."""
    follow_links: bool = False
    """Whether links below the root may lead to files outside of it."""
    shards: Annotated[int, Field(ge=1, le=1000)] = 1
    """Number of jobs that decode its images."""

    @property
    def takes_published_split(self) -> bool:
        """Whether the parts of the publisher's split are read."""
        return self.images == "test"

    @property
    def only(self) -> str:
        """The part of the publisher's split whose images are test images; empty for all images."""
        if not self.takes_published_split:
            return ""
        published = () if self.format == CHEXPERT else FORMATS[self.format].publishes
        return "val" if published and "test" not in published else "test"

    def contradictions(self) -> Iterator[tuple[str, str]]:
        """Keys that do not go with the format; names that the data set does not have."""
        yield from super().contradictions()
        if self.takes_published_split and (lacks := self.lacks_published_split()):
            yield "images", f"got test, and for {self.format} {lacks}; or take all"
        known = self.known_findings()
        for finding, names in self.labels.items():
            for name in _listed(names):
                if known and name not in known:
                    what = near(name, known, f"finding of {self.format}")
                    yield f"labels.{finding}", f"got '{name}'; {what}, or null"

    def names_of(self, finding: str) -> list[str]:
        """What the data set calls a finding of the study; empty where it has no such finding."""
        return _listed(self.labels.get(finding, finding))


class Study(Protocol):
    """What of a study external sets are compared with: see `DatasetSettings`."""

    root: str | None
    findings: list[str]
    target_findings: list[str]


def misfits(external: ExternalSettings, study: Study) -> Iterator[tuple[str, str]]:
    """Key of an external set and what is wrong with it, beside the study's own data set."""
    if study.root is not None and os.path.normpath(study.root) == os.path.normpath(external.root):
        yield (
            "root",
            f"got '{external.root}', which is dataset.root: its patients are trained on; takes the "
            "folder of another data set",
        )
    for finding in [*external.labels, *(external.uncertain.named if external.uncertain else ())]:
        if finding not in study.findings:
            key = "labels" if finding in external.labels else "uncertain"
            yield f"{key}.{finding}", near(finding, study.findings, "finding of the study")
    targets = {finding: external.names_of(finding) for finding in study.target_findings}
    if not any(targets.values()):
        yield (
            "labels",
            f"has null for each of {', '.join(targets)}; takes a name for one target finding at "
            "least",
        )
    known = external.known_findings()
    for finding, names in targets.items():
        # What the set's own check did not look at.
        if finding not in external.labels and known and not set(names) <= set(known):
            hint = near(finding, known, f"finding of {external.format}")
            yield (
                f"labels.{finding}",
                f"is not given, and {hint}; takes what {external.format} calls {finding}, or null "
                "if it has no such label",
            )


def _listed(names: Any) -> list[str]:
    """One name, several or none, as a list."""
    return [] if names is None else [names] if isinstance(names, str) else list(names)
