"""How images become pixels of one size.

A module of its own, so that changes of other settings' meaning do not make the cache stale.
"""

from typing import Annotated, Literal

from pydantic import Field

from rarecxr.study.values import NO_EFFECT, Section, Share


class PixelSettings(Section):
    """How images are found, decoded and made square."""

    resolution: Literal[8, 16, 32, 64, 128, 256, 512, 1024] = 32
    """Side of the cached square images in pixels, not below gan.resolution."""
    square: Literal["crop", "pad"] = "crop"
    """How an image becomes square: crop keeps the centre, pad adds black bars."""
    max_rejected: Share = 0.001
    """Share of images that may be missing or unreadable before the run stops."""
    follow_links: Annotated[bool, NO_EFFECT] = False
    """Whether links below the root may lead to files outside of it.

    The root itself may always be a link.
    """


class CacheSettings(PixelSettings):
    """The pixel cache, and the jobs that make it."""

    shards: Annotated[int, Field(ge=1, le=1000)] = 1
    """Number of jobs that decode the images.

    About one for 10,000 images. The cache is the same for any number, but another number makes it
    anew, and all that follows from it.
    """
    keep_shards: bool = False
    """Whether the decoded parts of the cache are kept.

    They take as much room as the cache and are needed again only where it is lost. Every other file
    of a study is an input of something that may be asked for later.
    """
