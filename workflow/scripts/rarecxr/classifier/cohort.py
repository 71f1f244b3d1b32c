"""Whose images a run is trained on and judged by."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from rarecxr.classifier.run import Inputs, PathLike, Run
from rarecxr.core.provenance import digest
from rarecxr.core.tables import read_csv, read_parquet
from rarecxr.data.image_file import ImageFile
from rarecxr.data.split import JUDGED, RESERVED, fraction_patients

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Cohort:
    """The images of a study, as a run sees them.

    Attributes:
        images: all images of the pixel cache, sorted by image: image, patient, the findings, split,
            place (row of the cache) and digest (of the image's file).
        train: those of the fraction's patients.
        val: those of the validation patients.
        findings: names of the classifier's outputs.
    """

    images: pd.DataFrame
    train: pd.DataFrame
    val: pd.DataFrame
    findings: Sequence[str]

    def labels(self, part: pd.DataFrame) -> np.ndarray:
        """The labels of some of the images, (n, F) float32 in {0, 1, NaN}."""
        return part[list(self.findings)].to_numpy(np.float32)

    def positives(self, findings: Sequence[str]) -> dict[str, int]:
        """Number of the fraction's images that show a finding, by finding."""
        return {finding: int(np.sum(self.train[finding] == 1)) for finding in findings}

    def judged(self) -> pd.DataFrame:
        """The images that are predicted, sorted by image."""
        return self.images[self.images["split"].isin(JUDGED)].sort_values("image")

    def digest(self) -> str:
        """One digest of all image files, which stands for the pixel cache.

        The cache itself holds far more than a small fraction needs.
        """
        return digest(self.images[["image", "digest"]].to_numpy().tolist())

    def reserve(self, wanted: Mapping[str, int], key: tuple[int, ...]) -> dict[str, pd.DataFrame]:
        """Images of reserve patients that show a finding, by finding, in an order drawn from `key`.

        Each finding gets as many as are wanted, or all that there are: none is repeated. The first
        ones of a larger number are those of a smaller one.

        Raises:
            ValueError: no patient is set apart.
        """
        reserve = self.images[self.images["split"] == RESERVED]
        if reserve.empty:
            raise ValueError(
                "dataset.reserve_percent: this arm adds real images of patients who were set apart,"
                " and none are; give the percent of the patients to set apart"
            )
        chosen = {}
        for place, (finding, count) in enumerate(wanted.items()):
            rows = reserve[reserve[finding] == 1]
            order = np.random.default_rng([*key, place, 1]).permutation(len(rows))
            chosen[finding] = rows.iloc[order[:count]]
            if len(rows) < count:
                log.warning(
                    "%s: the reserve patients have %d images with it, %d were wanted: all are used",
                    finding,
                    len(rows),
                    count,
                )
        return chosen


def read_cohort(inputs: Inputs, run: Run) -> Cohort:
    """The images of a run.

    Raises:
        ValueError: the files do not fit each other, a label is none, or a part is empty.
    """
    images = _images(inputs.labels, inputs.pixels, inputs.split, run.findings)
    inside = set(fraction_patients(inputs.draw_csv, run.fraction))
    chosen = images["patient"].isin(inside)
    strangers = sorted(set(images["split"][chosen]) - {"train"})
    if strangers:
        raise ValueError(f"{inputs.draw_csv}: holds patients whose split is {', '.join(strangers)}")
    parts = {"train": images[chosen], "val": images[images["split"] == "val"]}
    for name, part in parts.items():
        if part.empty:
            raise ValueError(
                f"{inputs.split}: no image of split {name} is left for fraction {run.fraction}"
            )
    return Cohort(images, **parts, findings=run.findings)


def _images(
    labels: PathLike,
    pixels: PathLike,
    split: PathLike,
    findings: Sequence[str],
) -> pd.DataFrame:
    """All images of the cache: see `Cohort.images`."""
    table = read_parquet(labels, columns=["image", "patient", *findings])
    values = table[list(findings)].to_numpy()
    odd = ~(np.isnan(values) | (values == 0) | (values == 1))
    if odd.any():
        row, column = np.argwhere(odd)[0]
        raise ValueError(
            f"{labels}: {table['image'][row]} has {findings[column]} = {values[row, column]}; "
            "labels are 0, 1 or NaN"
        )

    cache = ImageFile(pixels)
    unknown = sorted(set(cache.columns["image"]) - set(table["image"]))
    if unknown:
        raise ValueError(
            f"{pixels}: {unknown[0]} is not in {labels}; the two were made from different images"
        )
    table["place"] = cache.rows_of(table["image"])
    table["digest"] = cache.columns["digest"][table["place"]]

    splits = read_csv(split, ["patient", "split"], str)
    table = table.merge(splits[["patient", "split"]], on="patient", how="left", validate="m:1")
    nowhere = table["split"].isna()
    if nowhere.any():
        raise ValueError(f"{split}: has no patient {table['patient'][nowhere].iloc[0]}")
    return table.sort_values("image", ignore_index=True)
