"""Filters whose copies of an image a GAN is trained on, too."""

from typing import Annotated, Literal

from pydantic import Discriminator, Field

from rarecxr.study.values import Section

Side = Literal[3, 5, 7, 9, 11, 13, 15]
Sigma = Annotated[float, Field(gt=0, le=50)]


class Gaussian(Section):
    """A Gaussian blur."""

    kind: Literal["gaussian"]
    """Kind of the filter."""
    size_px: Side
    """Side of the filter in pixels."""
    sigma_px: Sigma
    """Standard deviation in pixels."""


class Unsharp(Section):
    """An unsharp mask."""

    kind: Literal["unsharp"]
    """Kind of the filter."""
    sigma_px: Sigma
    """Standard deviation of the blur in pixels."""
    amount: Annotated[float, Field(gt=0, le=10)]
    """Weight of the sharpening."""


class Minimum(Section):
    """A minimum filter (erosion)."""

    kind: Literal["minimum"]
    """Kind of the filter."""
    size_px: Side
    """Side of the filter in pixels."""


Filter = Annotated[Gaussian | Unsharp | Minimum, Discriminator("kind")]
