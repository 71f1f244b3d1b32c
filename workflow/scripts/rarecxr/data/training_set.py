"""The images that one PGGAN is trained on: real ones of one finding, and their filtered copies."""

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import h5py
import numpy as np
import pandas as pd

from rarecxr.core.files import written_whole
from rarecxr.core.job_log import Progress
from rarecxr.core.provenance import provenance, write_attributes
from rarecxr.data.filters import apply
from rarecxr.data.finding_images import of_finding
from rarecxr.data.image_file import (
    blocks,
    map_images,
    read_rejected,
    rows_of,
    write_columns,
    write_images,
)
from rarecxr.data.resize import reduce_area
from rarecxr.data.split import fraction_patients
from rarecxr.study.findings import ALL, NEGATIVES

log = logging.getLogger(__name__)

UNFILTERED = "none"


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
    rejected = set(read_rejected(pixels)).intersection(chosen["image"])
    used = chosen[~chosen["image"].isin(rejected)]
    if rejected:
        log.warning("%d of %d images could not be read when cached", len(rejected), len(chosen))
    if used.empty:
        raise ValueError(
            f"{pixels}: none of the {len(chosen)} images of {finding} in "
            f"{fraction} % of the training patients could be read; see the list of rejected images"
        )
    names = sorted(filters)
    rows = rows_of(pixels, used["image"].tolist())
    count = len(rows) * (1 + len(names))
    settings = {
        "target_findings": sorted(target_findings),
        "filters": {name: dict(filters[name]) for name in names},
        "resolution": resolution,
    }
    made_from = {"labels": labels, "split": split, "draw": draw_csv}
    with written_whole(output) as temporary, h5py.File(temporary, "w") as file:
        batches = _batches(pixels, rows, resolution, [None, *(filters[name] for name in names)])
        write_images(file, batches, count, resolution)
        copies = 1 + len(names)
        columns = {
            "image": used["image"].tolist() * copies,
            "patient": used["patient"].tolist() * copies,
            "filter": np.repeat([UNFILTERED, *names], len(rows)).astype(object),
        }
        write_columns(file, columns)
        file["labels"] = np.tile(used[list(findings)].to_numpy(np.float32), (copies, 1))
        with h5py.File(pixels) as cache:
            content = cache.attrs["content"]
        write_attributes(
            file,
            provenance(study, settings, made_from, code=code),
            finding=finding,
            findings=list(findings),
            recipe=recipe,
            fraction=float(fraction),
            draw=int(draw),
            rejected_images=len(rejected),
            pixels=content,
        )


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
    pixels: str | os.PathLike,
    rows: np.ndarray,
    resolution: int,
    filters: Sequence[Mapping[str, Any] | None],
) -> Iterator[np.ndarray]:
    """Reduced images under each filter in turn, as (n, resolution, resolution) uint8."""
    images = map_images(pixels)
    with Progress(len(rows) * len(filters), unit="images") as bar:
        for settings in filters:
            for part in blocks(len(rows), images[:1].nbytes):
                batch = reduce_area(images[rows[part]], resolution)
                yield batch if settings is None else apply(batch, **settings)
                bar.update(len(batch))
