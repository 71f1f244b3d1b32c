"""What a study compares: its runs, and the parts that its arms play."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rarecxr.statistics.comparisons import References


@dataclass(frozen=True)
class Design:
    """The runs of a study and what they are to answer.

    Attributes:
        runs: arm, fraction, draw and seed of every run.
        target_findings: the rare findings; with the fractions they are the study's cells.
        baseline: the arm that all others are compared with. Where it did not run, the columns
            about changes against it are empty.
        control: a second arm that the others are compared with, or None.
        ceiling: the arm that adds real positives of patients who were set apart, or None.
        pairs: for each arm further ones that it is compared with over all cells.
        doses: for each arm that ran at several doses, the dose of each of its names in `runs`.

    Raises:
        ValueError: an arm is both baseline and control.
    """

    runs: Sequence[Mapping[str, Any]]
    target_findings: Sequence[str]
    baseline: str
    control: str | None
    ceiling: str | None
    pairs: Mapping[str, Sequence[str]]
    doses: Mapping[str, Mapping[str, float]]

    def __post_init__(self):
        if self.baseline == self.control:
            raise ValueError(
                f"report.control: got {self.control!r}, the baseline; takes another arm or null"
            )

    @property
    def references(self) -> References:
        """The arms that the others are compared with."""
        return References(self.baseline, self.control, self.pairs)
