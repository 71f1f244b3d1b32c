"""Whether external test sets stay apart from all that a study learns from, read from its files."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from rarecxr.core.provenance import digest
from rarecxr.core.tables import read_parquet
from rarecxr.core.tensors import read_tensor_file
from rarecxr.data.file_digests import digest_of_files
from rarecxr.data.image_file import ImageFile
from rarecxr.data.study_files import ExternalFiles
from rarecxr.looks import Look


class Sets(NamedTuple):
    """The external test sets of a study, and what they are compared with.

    Attributes:
        files: the sets, with predictions in the order of the study's runs.
        pixels: the study's own pixel cache; None without sets.
        models: the network of every run; none without sets.
    """

    files: Sequence[ExternalFiles]
    pixels: str | os.PathLike | None
    models: Sequence[str | os.PathLike]


def images_of_sets(sets: Sets, used: set[str]) -> Iterator[Look]:
    """Images of the sets that are images of the study's own, by their files or their pixels.

    Other pictures have the same pixels where nothing is on them: those of one grey are noted.

    Args:
        sets: the sets.
        used: keys of the study's images that it learns from or is chosen by.
    """
    if not sets.files:
        return
    own = ImageFile(sets.pixels)
    rows = np.flatnonzero([image in used for image in own.columns["image"]])
    file_of = dict(zip(own.columns["digest"][rows], own.columns["image"][rows], strict=True))
    alike: dict[int, list[int]] = {}
    for row in rows:
        alike.setdefault(int(own.checksums[row]), []).append(int(row))
    for one in sets.files:
        look, cache = Look(one.pixels), ImageFile(one.pixels)
        images, same_file, same_pixels = cache.columns["image"], [], []
        for place, file in enumerate(cache.columns["digest"]):
            if file in file_of:
                same_file.append(f"{images[place]}, which is {file_of[file]}")
            elif candidates := alike.get(int(cache.checksums[place])):
                pixels = cache.read([place])
                if not (own.read(candidates) == pixels).all(axis=(1, 2)).any():
                    continue
                if pixels.min() == pixels.max():
                    look.noted += 1
                else:
                    same_pixels.append(images[place])
        look.none_of(same_file, len(images), f"images of {one.name} {_REMEDY.format('are files')}")
        look.none_of(same_pixels, 0, f"images of {one.name} {_REMEDY.format('have the pixels')}")
        yield look


_REMEDY = (
    "{} of images that the study learns from or is chosen by (take them out of the tables of the"
    " external set)"
)


def predictions_of_sets(
    sets: Sets, runs: Sequence[Mapping[str, Any]], sha256: Callable[[Any], str]
) -> Iterator[Look]:
    """The predictions of every run for every set, beside its network and the set's labels.

    Args:
        sets: the sets.
        runs: the runs, with the path of their predictions for the study's own images.
        sha256: the digest of a file.
    """
    if not sets.files:
        return
    networks = [
        read_tensor_file(model, "a classifier file").get("provenance", {}) for model in sets.models
    ]
    own = [
        read_parquet(run["predictions"], columns=["image"]).attrs.get("provenance", {})
        for run in runs
    ]
    for one in sets.files:
        labels = read_parquet(one.labels, columns=["image", "patient"]).set_index("image")
        cache = ImageFile(one.pixels)
        pixels = digest_of_files(cache.columns["image"], cache.columns["digest"])
        for path, model, network, beside in zip(
            one.predictions, sets.models, networks, own, strict=True
        ):
            look = Look(path)
            table = read_parquet(path, columns=["image", "patient"])
            inputs = table.attrs.get("provenance", {}).get("inputs", {})
            look.same(table.attrs.get("external"), one.name, "its external test set")
            look.same(inputs.get("model"), sha256(model), "its network")
            look.same(digest(network), digest(beside), "what its network says of its training")
            look.same(inputs.get("pixels"), pixels, "what it was made from, by the image files,")
            _same_images(look, table, labels["patient"], one.labels)
            yield look


def _same_images(
    look: Look, table: pd.DataFrame, patient_of: pd.Series, labels: str | os.PathLike
) -> None:
    """Predictions must be of the images of the labels, each once, with its patient."""
    twice = table.loc[table["image"].duplicated(), "image"].tolist()
    look.none_of(twice, len(table), "images are predicted twice")
    strange = table.loc[~table["image"].isin(patient_of.index), "image"].tolist()
    look.none_of(strange, 0, f"images have no label in {labels}")
    missing = patient_of.index.difference(table["image"]).tolist()
    look.none_of(missing, 0, f"images of {labels} are not predicted")
    patients = table["image"].map(patient_of)
    wrong = table.loc[patients.notna() & (table["patient"] != patients), "image"].tolist()
    look.none_of(wrong, 0, "images have another patient than in the labels")
