"""What the report says, and how sure it is."""

from typing import Annotated

from pydantic import Field

from rarecxr.study.configuration.statistics import StatisticsSettings
from rarecxr.study.values import DISTINCT, ArmName, Section, Text


class ReportSettings(Section):
    """What the report says and how sure it is (docs/statistics.md, docs/report.md)."""

    title: Text = "Synthetic chest X-rays for rare findings"
    """Heading of the page."""
    introduction: str = ""
    """A paragraph of your own below the heading; may be empty."""
    baseline: ArmName = "none"
    """The arm that every other one is compared with: the real images alone."""
    control: ArmName | None = "oversample"
    """The arm that repeats real positives instead of adding synthetic ones; null if there is none.

    What a GAN adds beyond it is due to the synthetic images rather than to class balance.
    """
    pairs: dict[ArmName, Annotated[list[ArmName], Field(min_length=1), DISTINCT]] = {}
    """Further comparisons over all cells: an arm, and the arms that it is compared with.

    As in {my_gan: [my_other_gan]}: what the first has beyond the second, for overall.csv.
    """
    headline_arms: Annotated[list[ArmName], Field(min_length=1), DISTINCT] = [
        "balanced_gan",
        "pretrained_gan",
        "filtered_gan",
        "gan",
    ]
    """Arms in order of preference: the answer is about the first one that the study runs.

    It is also the arm beside the published values.
    """
    images_per_sheet: Annotated[int, Field(ge=2, le=16)] = 8
    """Images in a row of the sheets of real and synthetic images."""
    maps_per_finding: Annotated[int, Field(ge=0, le=8)] = 3
    """Real images of a finding, and as many synthetic ones, whose regions are hidden in turn.

    The page shows what two classifiers rest on in them (occlusion maps); 0 for none.
    """
    statistics: StatisticsSettings = StatisticsSettings()
    """How intervals and verdicts are made."""
