"""The images that one PGGAN is trained on: real ones of one finding, and their filtered copies."""

import os
from collections.abc import Iterator

import numpy as np
import pandas as pd

from rarecxr.core.job_log import Progress
from rarecxr.core.provenance import provenance
from rarecxr.core.tables import read_csv, read_parquet
from rarecxr.data.filters import apply
from rarecxr.data.finding_images import of_finding
from rarecxr.data.image_file import ImageFile, write_image_file
from rarecxr.data.resize import reduce_area
from rarecxr.data.split import fraction_patients
from rarecxr.study.configuration.image_sets import TrainingSetSettings
from rarecxr.study.findings import ALL, NEGATIVES
from rarecxr.study.place import Place
from rarecxr.study.recipes import NO_FILTER


def make_training_set(
    pixels: str | os.PathLike,
    labels: str | os.PathLike,
    split: str | os.PathLike,
    draw_csv: str | os.PathLike,
    output: str | os.PathLike,
    place: Place,
    settings: TrainingSetSettings,
    code: str | None = None,
) -> None:
    """Gather one finding's training images of one fraction, and filter them.

    Only images of the fraction's training patients are used: those labelled 1 for the finding;
    for the base GAN those labelled 0 for every target finding; for the conditional GAN all.

    Args:
        pixels: the pixel cache.
        labels: the labels after the policies, `labels.parquet`.
        split: the split, `split.csv`.
        draw_csv: the patients' ranks, `draw{draw}.csv`.
        output: the training set (HDF5): `images` (N, resolution, resolution) uint8, the
            columns `image`, `patient` and `filter` (the filter's name, or `NO_FILTER`), and
            `labels` (N, L) float32 in {0, 1, NaN} with the L `findings` as an attribute. The
            real images come first, then a copy of all of them through each filter.
        place: whose training set it is; recipe and draw are for the record.
        settings: what it depends on beside these files.
        code: digest of the code, for the provenance.

    Raises:
        ValueError: the fraction has no such image, or the files are not of one study.
    """
    chosen = _choose(labels, split, draw_csv, place, settings)
    names = sorted(settings.filters)
    cache = ImageFile(pixels)
    rows = cache.rows_of(chosen["image"].tolist())
    copies = 1 + len(names)
    columns = {
        "image": chosen["image"].tolist() * copies,
        "patient": chosen["patient"].tolist() * copies,
        "filter": np.repeat([NO_FILTER, *names], len(rows)).astype(object),
        "labels": np.tile(chosen[settings.findings].to_numpy(np.float32), (copies, 1)),
    }
    stated = settings.plain() | {"target_findings": sorted(settings.target_findings)}
    del stated["findings"]
    made_from = {"labels": labels, "split": split, "draw": draw_csv}
    attributes = {
        **provenance(place.study, stated, made_from, code=code),
        **place.in_study(),
        "findings": settings.findings,
        "pixels": cache.content,
    }
    batches = _batches(cache, rows, settings, names)
    size = settings.resolution
    write_image_file(output, batches, len(rows) * copies, size, columns, attributes)


def _choose(
    labels: str | os.PathLike,
    split: str | os.PathLike,
    draw_csv: str | os.PathLike,
    place: Place,
    settings: TrainingSetSettings,
) -> pd.DataFrame:
    """Image, patient and labels of the fraction's training images that belong to the finding."""
    finding, target_findings = place.finding, settings.target_findings
    patients = fraction_patients(draw_csv, place.fraction)
    splits = read_csv(split, ["patient", "split"]).set_index("patient")["split"]
    strangers = [patient for patient in patients if splits.get(patient) != "train"]
    if strangers:
        raise ValueError(
            f"{draw_csv}: {strangers[0]} and {len(strangers) - 1} others are not in the training "
            f"split of {split}; the two files belong to different studies, make them anew"
        )
    columns = list(dict.fromkeys([*target_findings, *settings.findings]))
    table = read_parquet(labels, columns=["image", "patient", *columns])
    inside = table[table["patient"].isin(set(patients))]
    chosen = of_finding(inside, finding, target_findings)
    if chosen.empty:
        negative = f"an image that is negative for {', '.join(target_findings)}"
        what = {NEGATIVES: negative, ALL: "an image"}.get(finding, f"an image with {finding}")
        raise ValueError(
            f"{labels}: none of the {len(patients)} training patients in {place.fraction:g} % has "
            f"{what}; use a larger fraction or raise dataset.min_positive_patients"
        )
    return chosen


def _batches(
    cache: ImageFile,
    rows: np.ndarray,
    settings: TrainingSetSettings,
    names: list[str],
) -> Iterator[np.ndarray]:
    """Reduced images and their copies through each filter, (n, resolution, resolution) uint8."""
    filters = [None, *(settings.filters[name].plain() for name in names)]
    with Progress(len(rows) * len(filters), unit="images") as bar:
        for parameters in filters:
            for images in cache.batches(rows):
                batch = reduce_area(images, settings.resolution)
                yield batch if parameters is None else apply(batch, **parameters)
                bar.update(len(batch))
