"""Which images of the pixel cache a set of images for GANs holds: parts of several sections."""

from typing import Annotated

from pydantic import Field

from rarecxr.study.configuration.filters import Filter
from rarecxr.study.values import Finding, Name, Section


class ValidationSetSettings(Section):
    """What a set of validation images depends on."""

    target_findings: list[Finding]
    """Target findings and planned ones: negatives are free of all of them."""
    resolution: Annotated[int, Field(ge=1)]
    """Side of the images in pixels, the cache's divided by a whole number."""


class TrainingSetSettings(ValidationSetSettings):
    """What the training set of a GAN depends on."""

    findings: list[Finding]
    """Names of the labels that the set holds."""
    filters: dict[Name, Filter] = {}
    """The filters of the recipe, by name."""
