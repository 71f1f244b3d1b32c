"""One digest that stands for the image files of a pixel cache."""

from collections.abc import Iterable

from rarecxr.core.provenance import digest


def digest_of_files(images: Iterable[str], digests: Iterable[str]) -> str:
    """The digest of the images' keys and their files' digests, in any order."""
    return digest(sorted([image, own] for image, own in zip(images, digests, strict=True)))
