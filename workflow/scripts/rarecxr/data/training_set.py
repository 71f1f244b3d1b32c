"""The images that one PGGAN is trained on: real ones of one finding, and their filtered copies."""

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from rarecxr.core.job_log import Progress
from rarecxr.core.provenance import provenance
from rarecxr.data.filters import apply
from rarecxr.data.finding_images import of_finding
from rarecxr.data.image_file import UNFILTERED, ImageFile, write_image_file
from rarecxr.data.resize import reduce_area
from rarecxr.data.split import fraction_patients
from rarecxr.study.findings import ALL, NEGATIVES


def make_training_set(
    pixels: str | os.PathLike,
    labels: str | os.PathLike,
    split: str | os.PathLike,
    draw_csv: str | os.PathLike,
    output: str | os.PathLike,
    finding: str,
    recipe: str,
    fraction: float | str,
    draw: int | str,
    target_findings: Sequence[str],
    findings: Sequence[str],
    filters: Mapping[str, Mapping[str, Any]],
    resolution: int,
    study: str,
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
            columns `image`, `patient` and `filter` (`none`, or the filter's name), and
            `labels` (N, L) float32 in {0, 1, NaN} with the L `findings` as an attribute. The
            real images come first, then a copy of all of them through each filter.
        finding: the target finding, or `NEGATIVES` or `ALL`.
        recipe: name of the recipe, for the record.
        fraction: percent of the training patients.
        draw: number of the draw, for the record.
        target_findings: the study's target findings.
        findings: names of the L labels.
        filters: by name, the kind and parameters of each filter of the recipe.
        resolution: side of the images in pixels, the cache's divided by a whole number.
        study: name of the study.
        code: digest of the code, for the provenance.

    Raises:
        ValueError: the fraction has no such image, or the files are not of one study.
    """
    chosen = _choose(labels, split, draw_csv, fraction, finding, target_findings, findings)
    names = sorted(filters)
    cache = ImageFile(pixels)
    rows = cache.rows_of(chosen["image"].tolist())
    copies = 1 + len(names)
    columns = {
        "image": chosen["image"].tolist() * copies,
        "patient": chosen["patient"].tolist() * copies,
        "filter": np.repeat([UNFILTERED, *names], len(rows)).astype(object),
        "labels": np.tile(chosen[list(findings)].to_numpy(np.float32), (copies, 1)),
    }
    settings = {
        "target_findings": sorted(target_findings),
        "filters": {name: dict(filters[name]) for name in names},
        "resolution": resolution,
    }
    made_from = {"labels": labels, "split": split, "draw": draw_csv}
    attributes = {
        **provenance(study, settings, made_from, code=code),
        "finding": finding,
        "findings": list(findings),
        "recipe": recipe,
        "fraction": float(fraction),
        "draw": int(draw),
        "pixels": cache.content,
    }
    batches = _batches(cache, rows, resolution, [None, *(filters[name] for name in names)])
    write_image_file(output, batches, len(rows) * copies, resolution, columns, attributes)


def _choose(
    labels: str | os.PathLike,
    split: str | os.PathLike,
    draw_csv: str | os.PathLike,
    fraction: float | str,
    finding: str,
    target_findings: Sequence[str],
    findings: Sequence[str],
) -> pd.DataFrame:
    """Image, patient and labels of the fraction's training images that belong to the finding."""
    patients = fraction_patients(draw_csv, fraction)
    splits = pd.read_csv(split).set_index("patient")["split"]
    strangers = [patient for patient in patients if splits.get(patient) != "train"]
    if strangers:
        raise ValueError(
            f"{draw_csv}: {strangers[0]} and {len(strangers) - 1} others are not in the training "
            f"split of {split}; the two files belong to different studies, make them anew"
        )
    columns = list(dict.fromkeys([*target_findings, *findings]))
    table = pd.read_parquet(labels, columns=["image", "patient", *columns])
    inside = table[table["patient"].isin(set(patients))]
    chosen = of_finding(inside, finding, target_findings)
    if chosen.empty:
        negative = f"an image that is negative for {', '.join(target_findings)}"
        what = {NEGATIVES: negative, ALL: "an image"}.get(finding, f"an image with {finding}")
        raise ValueError(
            f"{labels}: none of the {len(patients)} training patients in {fraction} % has {what}; "
            "use a larger fraction or raise dataset.min_positive_patients"
        )
    return chosen


def _batches(
    cache: ImageFile,
    rows: np.ndarray,
    resolution: int,
    filters: Sequence[Mapping[str, Any] | None],
) -> Iterator[np.ndarray]:
    """Reduced images under each filter in turn, as (n, resolution, resolution) uint8."""
    with Progress(len(rows) * len(filters), unit="images") as bar:
        for settings in filters:
            for images in cache.batches(rows):
                batch = reduce_area(images, resolution)
                yield batch if settings is None else apply(batch, **settings)
                bar.update(len(batch))
