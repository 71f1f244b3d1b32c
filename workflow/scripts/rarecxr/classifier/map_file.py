"""The file with occlusion maps of one finding: its one writer and its one reader."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from rarecxr.core.files import REMEDY, intact, written_whole

_ARRAYS = ("images", "synthetic", "names", "logits", "maps")


@dataclass(frozen=True)
class MapFile:
    """What the classifiers of some arms rest on in some images of one finding.

    Attributes:
        images: (N, R, R) uint8, as the classifiers see them: real ones first.
        synthetic: (N,) bool.
        names: (N,) text: a real image's key, or a synthetic one's number in the bank.
        logits: (N, A) float32, of the A arms.
        maps: (N, A, R, R) float32, by how much the logit falls when a region is hidden, see
            `rarecxr.classifier.occlusion`.
        about: plain values: finding, arms (A names), fraction, draw, seed, recipe (of the bank, or
            None), positives (test images with the finding), patients (whose they are), bank
            (images in it), architecture, window_px, stride_px and provenance.
    """

    images: np.ndarray
    synthetic: np.ndarray
    names: np.ndarray
    logits: np.ndarray
    maps: np.ndarray
    about: Mapping[str, Any]


def write_maps(path: str | os.PathLike, content: MapFile) -> None:
    """Write the maps as an NPZ file, the same bytes for the same maps."""
    with written_whole(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(
            file,
            about=json.dumps(dict(content.about), sort_keys=True),
            **{name: getattr(content, name) for name in _ARRAYS},
        )


def read_maps(path: str | os.PathLike) -> MapFile:
    """The maps that `write_maps` wrote.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is damaged, or is no file of maps.
    """
    path = intact(path)
    try:
        with np.load(path) as file:
            about = json.loads(str(file["about"]))
            found = MapFile(**{name: file[name] for name in _ARRAYS}, about=about)
            number, arms, side = len(found.names), len(about["arms"]), found.images.shape[-1]
    except PermissionError:
        raise
    except Exception as error:
        # Whatever a damaged archive raises: its parts are packed in several ways.
        raise ValueError(f"{path}: damaged, or no file of maps ({error}); {REMEDY}") from None
    shapes = {
        "images": (number, side, side),
        "synthetic": (number,),
        "logits": (number, arms),
        "maps": (number, arms, side, side),
    }
    for name, wanted in shapes.items():
        if (got := getattr(found, name).shape) != wanted:
            raise ValueError(f"{path}: {name} has the shape {got}, not {wanted}; {REMEDY}")
    return found
