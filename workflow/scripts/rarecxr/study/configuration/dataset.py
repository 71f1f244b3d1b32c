"""The images, their labels, and how the patients are split."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from rarecxr.study.configuration.external import ExternalName, ExternalSettings, misfits
from rarecxr.study.configuration.pixels import CacheSettings
from rarecxr.study.configuration.source import Blank, Policy, SourceSettings, View
from rarecxr.study.findings import ALL, FINDINGS, NEGATIVES, slug
from rarecxr.study.values import (
    DEFAULT,
    DISTINCT,
    ByFinding,
    Finding,
    Section,
    Seed,
    near,
)

Percent = Annotated[float, Field(gt=0, lt=50)]
Fraction = Annotated[float, Field(ge=0.01, le=100)]
Kept = Annotated[float, Field(gt=0, le=1)]
# What tables call the parts of the study's own images.
SPLITS = ("train", "val", "test", "expert", "reserve", "unused")


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
    blank: Blank = "zeros"
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
    fold: Annotated[int, Field(ge=0, le=99)] = 0
    """Which of the disjoint test sets of this seed is used, from 0; with split: random.

    With test_percent: 25 the folds 0 to 3 test every patient once. For few patients: a study for
    each fold, pooled by `make pool` (docs/statistics.md).
    """
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


class OtherSettings(Section):
    """Data sets beside the one that the study is made from."""

    external: dict[ExternalName, ExternalSettings] = {}
    """External test sets, by a name for files and tables: data sets of other hospitals.

    Every classifier predicts their images, and none is ever trained, validated or chosen by them
    (docs/datasets.md).
    """


# Fields come in the order of the bases from the last one on.
class DatasetSettings(OtherSettings, SplitSettings, CacheSettings, LabelSettings, SourceSettings):
    """The images, their labels and the split of the patients."""

    @property
    def takes_published_split(self) -> bool:
        """Whether the parts of the publisher's split are read."""
        return self.split == "published"

    def external_sets(self) -> dict[str, ExternalSettings]:
        """The external test sets by name, with the study's views and policies for missing ones."""
        shared = {key: getattr(self, key) for key in ("views", "uncertain", "blank")}
        return {
            name: one.model_copy(
                update={
                    key: of_study for key, of_study in shared.items() if getattr(one, key) is None
                }
            )
            for name, one in self.external.items()
        }

    def contradictions(self) -> Iterator[tuple[str, str]]:
        """Names that are not among the findings, fractions that share a folder, unfit sets."""
        yield from super().contradictions()
        if self.split == "published" and (lacks := self.lacks_published_split()):
            yield "split", f"got published, and for {self.format} {lacks}; or take random"
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
        yield from self._fold_contradictions()
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
        yield from self._contradictions_of_sets()

    def _fold_contradictions(self) -> Iterator[tuple[str, str]]:
        """A fold where the test set is published, or one of more than fit in the patients."""
        folds = int(100 / self.test_percent)
        if self.fold and self.split == "published":
            yield "fold", f"got {self.fold}, and the test set is the published one; takes 0"
        elif self.fold >= folds:
            yield (
                "fold",
                f"got {self.fold}, and test sets of {self.test_percent:g} percent are {folds}; "
                f"takes 0 to {folds - 1}",
            )

    def _contradictions_of_sets(self) -> Iterator[tuple[str, str]]:
        """External sets that do not fit the study."""
        for name, one in self.external.items():
            for key, what in misfits(one, self):
                yield f"external.{name}.{key}", what
            if name in SPLITS:
                yield f"external.{name}", "this name is a part of the study's own; takes another"

    def _name_contradictions(self) -> Iterator[tuple[str, str]]:
        """Findings that the format does not know, and those that share their name in paths."""
        known = self.known_findings()
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
