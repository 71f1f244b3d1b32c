"""The images, their labels, and how the patients are split."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from rarecxr.study.configuration.pixels import CacheSettings
from rarecxr.study.findings import FINDINGS
from rarecxr.study.values import (
    DISTINCT,
    ByFinding,
    FileName,
    Finding,
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
Kept = Annotated[float, Field(gt=0, le=1)]


class SourceSettings(Section):
    """The folder and the files that the images and labels are read from."""

    root: UserPath | None = None
    """Folder in CheXpert-v1.0-small's layout.

    It holds train.csv and train/patient…/study…/view….jpg. null: the embedded phantoms are made
    from the section `phantom`. A relative folder is one below the folder that Snakemake runs in; ~
    and $VARIABLES are replaced.
    """
    name: Text | None = None
    """Name of the data set, for the report and the banks' datasheets.

    null: the phantoms', or "not stated".
    """
    terms: Text | None = None
    """Terms of use of the data set, which hold for what is derived from it, too.

    The report and the banks' datasheets quote them. null: the phantoms', or "not stated".
    """
    train_csv: FileName = "train.csv"
    """Name of the CSV file with the labels, below the root."""
    expert_csv: FileName | None = "valid.csv"
    """Name of the CSV file of a second test set, below the root; null if there is none.

    Its images are never trained on.
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
    """Names of label columns that the classifier predicts."""
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
        if self.expert_csv == self.train_csv:
            yield (
                "expert_csv",
                (f"got {self.expert_csv}, which is train_csv too; takes another file, or null"),
            )
