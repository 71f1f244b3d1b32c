"""How many images are added to the real positives of a finding, in banks and in arms."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from rarecxr.study.values import ByFinding, Section


class Sizes(Section):
    """Numbers of images by finding, said as a multiple of its real positives or as they are."""

    ratio: ByFinding[float] | None = None
    """Images for each real positive."""
    number: ByFinding[int] | None = None
    """Images in all; takes the place of the ratio for every finding that it says something for."""

    def images(self, finding: str, positives: int) -> int | None:
        """Number of images for a number of real positives, rounded; None where none is given."""
        fixed = None if self.number is None else self.number.get(finding)
        if fixed is not None:
            return fixed
        share = None if self.ratio is None else self.ratio.get(finding)
        return None if share is None else round(share * positives)

    def images_of_all(self, positives: Mapping[str, int]) -> dict[str, int]:
        """How many images go with the real positives of each finding.

        Args:
            positives: number of real positives by finding.

        Raises:
            ValueError: nothing is said for a finding.
        """
        found = {finding: self.images(finding, real) for finding, real in positives.items()}
        for finding, images in found.items():
            if images is None:
                raise ValueError(f"bank: neither ratio nor number is given for {finding}")
        return found


class Addition(Sizes):
    """What an arm adds: some number of times as many images as the sizes say."""

    times: Annotated[int, Field(ge=1)]
    """Kinds of images that are each as many as the sizes say."""
