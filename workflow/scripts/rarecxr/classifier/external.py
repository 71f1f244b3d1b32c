"""What trained classifiers predict for the images of an external test set."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rarecxr.classifier.images import DeviceImages, MappedImages, Part, load_images
from rarecxr.classifier.prediction import BATCH, predict_logits, read_model
from rarecxr.classifier.prediction_file import EXTERNAL, write_predictions
from rarecxr.classifier.start import prepare
from rarecxr.core.job_log import Progress
from rarecxr.core.provenance import provenance
from rarecxr.core.tables import read_parquet
from rarecxr.data.file_digests import digest_of_files
from rarecxr.data.image_file import ImageFile

log = logging.getLogger(__name__)

PathLike = str | os.PathLike


def predict_external(
    *,
    models: Sequence[PathLike],
    pixels: PathLike,
    images: PathLike,
    outputs: Sequence[PathLike],
    external: str,
    study: str,
    threads: int = 1,
    device: str = "auto",
    pixel_memory_mib: float = 4000,
    code: str | None = None,
) -> None:
    """Write the logits of trained networks for all images of an external test set.

    Each network computes as it did for the study's own test images: at its resolution and
    precision, images in the order of their keys. The files are those of
    `rarecxr.classifier.prediction_file`, with `external` as the split of every image. They say
    which set they are of (`external`) and by their provenance which network and images they were
    made from (inputs `model`, `images` and `pixels`, the digest of all image files).

    Args:
        models: the networks, model.pt of runs.
        pixels: the set's pixel cache, `pixels_{resolution}.h5`.
        images: its images, `readable.parquet`.
        outputs: for each network the file to write.
        external: name of the set.
        study: name of the study.
        threads: CPU threads; they change the last bits of the logits.
        device: cpu, cuda or auto.
        pixel_memory_mib: size up to which the pixels are held in the device's memory, in MiB.
        code: digest of the code, for the provenance.

    Raises:
        ValueError: a file is damaged, or the cache lacks images.
    """
    where = prepare(threads, device)
    cache = ImageFile(pixels)
    table = read_parquet(images, columns=["image", "patient"]).sort_values("image")
    rows = cache.rows_of(table["image"])
    table = table.assign(split=EXTERNAL, digest=cache.columns["digest"][rows])
    of_pixels = digest_of_files(table["image"], table["digest"])
    loaded: dict[int, DeviceImages | MappedImages] = {}
    with Progress(len(models), unit="networks") as bar:
        for model, output in zip(models, outputs, strict=True):
            network, about = read_model(model)
            settings = about["settings"]
            size = settings["resolution"]
            if size not in loaded:
                parts, scratch = [Part(cache, rows)], Path(output).parent
                loaded = {size: load_images(parts, size, where, pixel_memory_mib, scratch)}
            logits = predict_logits(
                network.to(where),
                loaded[size].batches(np.arange(len(rows)), BATCH),
                about["architecture"],
                settings["precision"],
                where,
            ).numpy()
            place = {name: settings[name] for name in ("draw", "fraction", "precision")}
            origin = provenance(
                study,
                {"external": external, "resolution": size, "threads": threads, **place},
                {"model": model, "images": images},
                about["provenance"]["seed"],
                code,
            )
            origin["inputs"]["pixels"] = of_pixels
            more = {"provenance": origin, "external": external}
            write_predictions(output, table, logits, about["findings"], more)
            bar.update()
    log.info("%s: %d images, %d networks", external, len(rows), len(models))
