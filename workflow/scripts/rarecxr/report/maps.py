"""What the classifiers rest on: images beside their occlusion maps, for the page."""

import os
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from PIL import Image

from rarecxr.classifier.map_file import MapFile, read_maps
from rarecxr.report import images
from rarecxr.report import wording as words

# Red where the logit falls (the region speaks for the finding), blue where it rises, white between.
_COLOURS = matplotlib.colormaps["RdBu_r"]
# How bright a black pixel of the image is below a map: colours keep their meaning, and the anatomy
# can be seen.
_PALE = 0.55
# Colours of the bar.
_STOPS = 11
# Of WebP: maps have few colours, and there may be a hundred.
_QUALITY = 70


def explained_images(paths: Sequence[str | os.PathLike]) -> list[dict[str, Any]]:
    """Of each finding its images and maps, in colours of one scale, as the page shows them.

    Args:
        paths: the files that rule explain_classifiers wrote.

    Returns:
        Of each file: finding, arms, fraction, recipe, positives, patients, bank (numbers in
        words), window (share of the side in words), limit (the scale's end), bar (the bar's
        colours), and `groups`: title and examples (picture, logits, and of each arm a picture of
        its map with what it says in words) of real and of synthetic images.
    """
    return [_of_finding(read_maps(path)) for path in paths]


def _of_finding(found: MapFile) -> dict[str, Any]:
    about = found.about
    limit = float(np.abs(found.maps).max(initial=0)) or 1.0
    groups = (
        ("real", f"test images with {about['finding']}", ~found.synthetic),
        ("synthetic", f"synthetic images of {about['finding']}", found.synthetic),
    )
    return {
        "finding": about["finding"],
        "arms": about["arms"],
        "fraction": float(about["fraction"]),
        "recipe": about["recipe"],
        "positives": words.count(about["positives"]),
        "patients": words.count(about["patients"]),
        "bank": words.count(about["bank"]),
        "window_px": about["window_px"],
        "side_px": found.images.shape[-1],
        "limit": f"{limit:.2g}",
        "bar": ", ".join(matplotlib.colors.to_hex(c) for c in _COLOURS(np.linspace(0, 1, _STOPS))),
        "groups": [
            {
                "kind": kind,
                "title": title,
                "examples": [_example(found, row, limit) for row in np.flatnonzero(chosen)],
            }
            for kind, title, chosen in groups
            if chosen.any()
        ],
    }


def _example(found: MapFile, row: int, limit: float) -> dict[str, Any]:
    image = found.images[row]
    maps = [
        {
            "arm": arm,
            "picture": images.inline(_coloured(image, fall, limit), images.FIRST, _QUALITY),
            "logit": words.signed(logit, 1),
            "largest": words.signed(fall.max(), 2),
        }
        for arm, logit, fall in zip(
            found.about["arms"], found.logits[row], found.maps[row], strict=True
        )
    ]
    return {
        "name": str(found.names[row]),
        "picture": images.inline(Image.fromarray(image), images.FIRST, _QUALITY),
        "maps": maps,
    }


def _coloured(image: np.ndarray, fall: np.ndarray, limit: float) -> Image.Image:
    """A map's colours on a pale copy of its image, (R, R) uint8 and (R, R) float32."""
    colours = _COLOURS(fall / (2 * limit) + 0.5)[..., :3]
    ground = _PALE + (1 - _PALE) * image[..., None] / 255
    return Image.fromarray((255 * colours * ground).round().astype(np.uint8))
