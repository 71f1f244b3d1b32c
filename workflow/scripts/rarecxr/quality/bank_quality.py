"""The quality of one bank, written beside it."""

import logging
import os
from collections.abc import Sequence

import h5py
import numpy as np
import pandas as pd
import torch

from rarecxr.data.area import reduce_area
from rarecxr.data.pixels import read_images, read_rejected
from rarecxr.devices import choose_device
from rarecxr.provenance import provenance, write_json
from rarecxr.quality import metrics
from rarecxr.quality.features import extract

logger = logging.getLogger(__name__)


def measure(
    bank: str | os.PathLike,
    training_set: str | os.PathLike,
    pixels: str | os.PathLike,
    labels: str | os.PathLike,
    split: str | os.PathLike,
    quality: str | os.PathLike,
    finding: str | None,
    target_findings: Sequence[str],
    spaces: Sequence[str],
    max_images: int,
    min_reference: int,
    study: str,
    threads: int,
    device: str,
    code: str,
) -> None:
    """Measure a bank against real images and write the result as JSON.

    The reference are the validation images of the finding where there are `min_reference`
    of them, the real training images otherwise; never test images. Beside each distance
    stands its floor: the same distance between two halves of the reference, and of as many
    synthetic images as there are real ones.

    Args:
        bank: the bank (HDF5).
        training_set: what its generator was trained on (HDF5).
        pixels: the pixel cache.
        labels: labels.parquet.
        split: split.csv.
        quality: the JSON file to write.
        finding: the bank's finding; None for synthetic negatives of all target findings.
        target_findings: the study's target findings.
        spaces: names of feature spaces (`rarecxr.quality.features`).
        max_images: at most so many images of each kind, the first ones of the bank and an
            even choice of the real ones.
        min_reference: validation images below which training images are the reference.
        study: name of the study.
        threads: CPU threads.
        device: cpu, cuda or auto.
        code: digest of the code.
    """
    torch.set_num_threads(threads)
    where = choose_device(device)
    with h5py.File(bank) as file:
        synthetic = file["images"][:max_images]
    with h5py.File(training_set) as file:
        kept = file["filter"].asstr()[:] == "none"
        training = file["images"][:]
    real_training = _evenly(training[kept], max_images)
    validation = _validation_images(pixels, labels, split, finding, target_findings, max_images)
    validation = reduce_area(validation, synthetic.shape[1])
    enough = len(validation) >= min_reference
    reference = validation if enough else real_training
    told = {
        "reference": "validation" if enough else "training",
        "reference_images": len(reference),
        "synthetic_images": len(synthetic),
        "sharpness": {
            "real": float(np.median(metrics.sharpness(reference))),
            "synthetic": float(np.median(metrics.sharpness(synthetic))),
        },
        "mean_grey": {"real": float(reference.mean()), "synthetic": float(synthetic.mean())},
        "spaces": {},
    }
    for space in spaces:
        told["spaces"][space] = _in_space(space, reference, synthetic, training[kept], where)
        logger.info("%s: %s", space, told["spaces"][space])
    # The cache is left out: it can be larger than all else, and the training set was made from it.
    inputs = {"bank": bank, "training_set": training_set, "labels": labels, "split": split}
    settings = {"spaces": list(spaces), "max_images": max_images, "min_reference": min_reference}
    write_json(quality, {**told, "provenance": provenance(study, settings, inputs, code=code)})


def _in_space(space, reference, synthetic, training, device):
    if min(len(reference), len(synthetic), len(training)) < 4:
        # Too few for any distance between distributions: said, not filled in.
        return {"too_few_images": True}
    real = extract(space, reference, device)
    # One scale for all: features differ in size by orders of magnitude from space to space.
    centre, scale = real.mean(), real.std() or 1.0
    real = (real - centre) / scale
    fake = (extract(space, synthetic, device) - centre) / scale
    seen = (extract(space, training, device) - centre) / scale
    number = min(len(real), len(fake))
    half = len(real) // 2
    first, second = real[: 2 * half : 2], real[1 : 2 * half : 2]
    return {
        "kid": metrics.kid(real, fake),
        "kid_floor": metrics.kid(first, second),
        **metrics.neighbourhood(real[:number], fake[:number]),
        "floor": metrics.neighbourhood(first, second),
        "copies": metrics.copies(seen, fake),
    }


def _validation_images(pixels, labels, split, finding, target_findings, max_images):
    table = pd.read_parquet(labels)
    patients = pd.read_csv(split)
    of_validation = set(patients.patient[patients.split == "val"])
    table = table[table.patient.isin(of_validation)]
    if finding is None:
        table = table[(table[list(target_findings)] == 0).all(axis=1)]
    else:
        table = table[table[finding] == 1]
    keys = list(table.image)
    rejected = set(read_rejected(pixels))
    keys = [key for key in keys if key not in rejected]
    keys = list(_evenly(np.array(keys, dtype=object), max_images))
    return read_images(pixels, keys)


def _evenly(items, number):
    """`number` of the items at even distances; all where there are no more."""
    if len(items) <= number:
        return items
    return items[np.linspace(0, len(items) - 1, number).astype(int)]
