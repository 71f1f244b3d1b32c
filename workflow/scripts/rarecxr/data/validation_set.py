"""Real images of the validation patients: what synthetic images of a finding are compared with."""

import os

from rarecxr.core.provenance import provenance
from rarecxr.core.tables import read_csv, read_parquet
from rarecxr.data.finding_images import of_finding
from rarecxr.data.image_file import ImageFile, write_image_file
from rarecxr.data.resize import reduce_area
from rarecxr.study.configuration.image_sets import ValidationSetSettings


def make_validation_set(
    pixels: str | os.PathLike,
    labels: str | os.PathLike,
    split: str | os.PathLike,
    output: str | os.PathLike,
    finding: str,
    settings: ValidationSetSettings,
    study: str,
    code: str | None = None,
) -> None:
    """Gather the validation images of one finding, at the resolution of the GANs.

    They belong to no fraction and to no GAN's training set. There may be none of them: a rare
    finding need not occur among the validation patients.

    Args:
        pixels: the pixel cache.
        labels: the labels after the policies, `labels.parquet`.
        split: the split, `split.csv`.
        output: the validation set (HDF5): `images` (N, resolution, resolution) uint8 and the
            columns `image` and `patient`.
        finding: a target finding, or `NEGATIVES` or `ALL`.
        settings: what it depends on beside these files.
        study: name of the study.
        code: digest of the code, for the provenance.

    Raises:
        ValueError: the files are not of one study, or the finding is not the study's.
    """
    target_findings = settings.target_findings
    splits = read_csv(split, ["patient", "split"])
    patients = splits.loc[splits["split"] == "val", "patient"]
    table = read_parquet(labels, columns=["image", "patient", *target_findings])
    used = of_finding(table[table["patient"].isin(set(patients))], finding, target_findings)
    cache = ImageFile(pixels)
    rows = cache.rows_of(used["image"].tolist())
    stated = {"target_findings": sorted(target_findings), "resolution": settings.resolution}
    attributes = {
        **provenance(study, stated, {"labels": labels, "split": split}, code=code),
        "finding": finding,
        "pixels": cache.content,
    }
    columns = {name: used[name].tolist() for name in ("image", "patient")}
    batches = (reduce_area(images, settings.resolution) for images in cache.batches(rows))
    write_image_file(output, batches, len(rows), settings.resolution, columns, attributes)
