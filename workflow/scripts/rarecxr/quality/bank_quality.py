"""The quality of one bank, written beside it."""

import logging
import os
from collections.abc import Sequence

import h5py
import numpy as np
import torch

from rarecxr.devices import choose_device
from rarecxr.provenance import provenance, write_json
from rarecxr.quality import metrics
from rarecxr.quality.comparison import FEWEST, Comparison, evenly
from rarecxr.quality.features import FeatureSpace

logger = logging.getLogger(__name__)


def measure(
    bank: str | os.PathLike,
    training_set: str | os.PathLike,
    positives: str | os.PathLike,
    validation_set: str | os.PathLike,
    quality: str | os.PathLike,
    spaces: Sequence[str],
    max_images: int,
    min_reference: int,
    study: str,
    threads: int,
    device: str,
    code: str,
    features: str | os.PathLike | None = None,
    weights_dir: str | os.PathLike | None = None,
) -> None:
    """Measure a bank against real images and write the result as JSON.

    The reference are the validation images of the finding where there are `min_reference`
    of them, the real training images otherwise; never test images. Beside each distance
    stands its floor: the same distance between two halves of the reference.

    Args:
        bank: the bank (HDF5).
        training_set: what its generator was trained on (HDF5).
        positives: the finding's real training images (HDF5); a GAN of one finding saw the same.
        validation_set: the finding's validation images (HDF5).
        quality: the JSON file to write.
        spaces: names of feature spaces (`rarecxr.quality.features`).
        max_images: at most so many images of each kind, the first ones of the bank and an
            even choice of the real ones.
        min_reference: validation images below which training images are the reference.
        study: name of the study.
        threads: CPU threads.
        device: cpu, cuda or auto.
        code: digest of the code.
        features: model.pt of the space `classifier`, or None.
        weights_dir: folder of the weights of the space `imagenet`, or None.
    """
    torch.set_num_threads(threads)
    where = choose_device(device)
    with h5py.File(bank) as file:
        synthetic = file["images"][:max_images]
    with h5py.File(training_set) as file:
        unfiltered = np.flatnonzero(file["filter"].asstr()[:] == "none")
        training = file["images"][evenly(unfiltered, max_images)]
    with h5py.File(positives) as file:
        real = file["images"][
            evenly(np.flatnonzero(file["filter"].asstr()[:] == "none"), max_images)
        ]
    with h5py.File(validation_set) as file:
        validation = file["images"][evenly(np.arange(len(file["images"])), max_images)]
    enough = len(validation) >= min_reference
    reference = validation if enough else real
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
    for name in spaces:
        if min(len(reference), len(synthetic), len(training)) < FEWEST:
            # Too few for any distance between distributions: said, not filled in.
            told["spaces"][name] = {"too_few_images": True}
            continue
        space = FeatureSpace(name, where, features, weights_dir)
        comparison = Comparison(space, reference, training)
        told["spaces"][name] = {**comparison.of(synthetic), "floor": comparison.floor()}
        logger.info("%s: %s", name, told["spaces"][name])
    inputs = {
        "bank": bank,
        "training_set": training_set,
        "positives": positives,
        "validation_set": validation_set,
    }
    inputs |= {} if features is None else {"features": features}
    settings = {"spaces": list(spaces), "max_images": max_images, "min_reference": min_reference}
    write_json(quality, {**told, "provenance": provenance(study, settings, inputs, code=code)})
