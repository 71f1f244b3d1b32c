"""The banks of synthetic images."""

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag

from rarecxr.study.sizes import Sizes
from rarecxr.study.values import (
    DISTINCT,
    NO_EFFECT,
    ByFinding,
    Device,
    FeatureSpace,
    Section,
    Seed,
    Threads,
)

Ratio = Annotated[float, Field(ge=0.01, le=1000)]
Number = Annotated[int, Field(ge=1, le=10_000_000)]


class SelectionSettings(Section):
    """Which generated images enter a bank; more are generated in place of those that do not."""

    space: FeatureSpace = "pixels"
    """Feature space in which near-copies are looked for; see gan.evaluation."""
    copies: Annotated[float, Field(ge=0, le=100)] | None = 1.0
    """Percentile that makes an image a near-copy, which is left out; null keeps near-copies.

    Of the distances from real images to the nearest one of another patient: an image that is nearer
    than that to a training image is a near-copy.
    """
    implausible: Annotated[float, Field(ge=0, le=0.9)] = 0.0
    """Share of the other images that is left out as implausible.

    Those that the network of the section `features` finds least likely to show the finding.
    """
    max_candidates: Annotated[float, Field(ge=1, le=100)] = 4.0
    """Images that may be generated, as a multiple of those in the bank."""

    def contradictions(self) -> Iterator[tuple[str, str]]:
        """Fewer images left than a bank holds."""
        left = self.max_candidates * (1 - self.implausible)
        # The implausible ones are rounded up, so that an exact 1 is not enough for every size.
        if left < 1 and self.implausible:
            least = 1 / (1 - self.implausible)
            yield (
                "max_candidates",
                (
                    f"got {self.max_candidates:g} with implausible {self.implausible:g}, which "
                    f"leaves {left:.2g} of a bank; takes {least:.3g} or more, better twice that"
                ),
            )


def _kind_of_ratio(value: Any) -> str:
    return "list" if isinstance(value, list | tuple) else "ratio"


class BankSettings(Section):
    """The banks of synthetic images.

    The bank of negatives holds as many as those of all findings together.
    """

    ratio: (
        Annotated[
            Annotated[ByFinding[Ratio], Tag("ratio")]
            | Annotated[list[Ratio], Field(min_length=1), DISTINCT, Tag("list")],
            Discriminator(_kind_of_ratio),
        ]
        | None
    ) = ByFinding(2.0)
    """Images for each real positive of the fraction; null where `number` gives them.

    One number, or numbers by finding, as in {default: 2.0, Fracture: 3.0}. Or a list of ratios, as
    in [0.5, 1.0, 2.0]: the bank is generated for the largest, arms that use it (and the control)
    run at each, and for every finding and fraction the one with the best validation AUC is
    reported.
    """
    number: ByFinding[Number] | None = None
    """In place of the ratio a number of images, likewise also by finding; or null."""
    select: SelectionSettings | None = SelectionSettings()
    """Which of the generated images enter the bank; null for all."""
    batch_size: Annotated[int, Field(ge=1, le=4096)] = 64
    """Images generated at once."""
    seed: Seed = 1
    """Seed of the latents."""
    threads: Threads = 1
    """CPU threads of one job."""
    device: Annotated[Device, NO_EFFECT] = "auto"
    """Where to compute; auto: a GPU where there is one."""

    def contradictions(self) -> Iterator[tuple[str, str]]:
        """No size, or two."""
        if self.ratio is None and self.number is None:
            yield "ratio", "got null, and so is bank.number; one of them has to say a bank's size"
        if isinstance(self.ratio, list) and self.number is not None:
            yield (
                "number",
                (
                    f"got {self.number.plain()} beside a list of ratios; takes null, so that each "
                    "ratio says how many images it means"
                ),
            )

    def largest_ratio(self) -> ByFinding[float] | None:
        """The ratio that banks are generated for: the largest of a list, anything else as it is."""
        return ByFinding(max(self.ratio)) if isinstance(self.ratio, list) else self.ratio

    def sizes(self) -> Sizes:
        """How many images the banks hold."""
        return Sizes(ratio=self.largest_ratio(), number=self.number)

    def size(self, finding: str, positives: int) -> int | None:
        """Images in the bank of a finding with so many real positives; None if it is not said."""
        return self.sizes().images(finding, positives)


class QualitySettings(Section):
    """How close each bank is to real images: …_quality.json beside the bank."""

    spaces: Annotated[list[FeatureSpace], Field(min_length=1), DISTINCT] = ["classifier"]
    """Feature spaces in which distances are measured; see gan.evaluation.

    None of them has seen a test image, and none is downloaded.
    """
    max_images: Annotated[int, Field(ge=20, le=50_000)] = 100
    """Images of each kind at most."""
    min_reference: Annotated[int, Field(ge=10, le=1_000_000)] = 50
    """Validation images of a finding from which on they are the reference.

    With fewer the training images are.
    """
    threads: Threads = 1
    """CPU threads of one job; they change the last bits of a result."""
    device: Annotated[Device, NO_EFFECT] = "auto"
    """Where to compute; auto: a GPU where there is one."""
