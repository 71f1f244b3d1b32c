"""The quality of one bank, written beside it."""

import logging
import os
from collections.abc import Sequence

import numpy as np
import torch

from rarecxr.bank.bank_file import Bank
from rarecxr.core.devices import choose_device
from rarecxr.core.provenance import provenance, write_json
from rarecxr.data.image_file import ImageFile
from rarecxr.quality import metrics
from rarecxr.quality.comparison import evenly
from rarecxr.quality.evaluation import FEWEST, against_floor
from rarecxr.quality.feature_spaces import FeatureSpace

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
    of them, the real training images otherwise; never test images. Beside each measure
    stands its floor, what real images reach (`against_floor`).

    Args:
        bank: the bank (HDF5).
        training_set: what its generator was trained on (HDF5).
        positives: the finding's real training images (HDF5); a GAN of one finding saw the same.
        validation_set: the finding's validation images (HDF5).
        quality: the JSON file to write.
        spaces: names of feature spaces (`rarecxr.quality.feature_spaces`).
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
    with Bank(bank) as made:
        synthetic = made.read(0, min(len(made), max_images))
    training, _ = _originals(training_set, max_images)
    real, patients = _originals(positives, max_images)
    validation, unseen_patients = _originals(validation_set, max_images)
    enough = len(validation) >= min_reference
    if enough:
        reference, patients = validation, unseen_patients
    else:
        reference = real
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
        space = FeatureSpace(name, where, features, weights_dir)
        images = (reference, synthetic, training)
        told["spaces"][name] = _in_space(space, images, patients, enough)
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


def _in_space(space, images, patients, unseen):
    """The measures of synthetic images beside those of real ones, in one feature space.

    Args:
        space: the feature space.
        images: real, synthetic and training images.
        patients: whose the real ones are.
        unseen: whether the generator has not seen the real ones.
    """
    if min(map(len, images)) < FEWEST:
        # Too few for any distance between distributions: said, not filled in.
        return {"too_few_images": True}
    real, fake, seen = (space(each) for each in images)
    # One scale for all: features differ in size by orders of magnitude from space to space.
    centre, scale = real.mean(), real.std() or 1.0
    real, fake, seen = ((each - centre) / scale for each in (real, fake, seen))
    found = against_floor(real, patients, fake)
    for part, each in (("bank", fake), ("floor", real)):
        # Training images are copies of themselves: as a floor they say nothing.
        if part in found and (part == "bank" or unseen):
            near = metrics.copies(seen, each)
            found[part] |= {"memorised": near["share"], "nearest_ratio": near["nearest_ratio"]}
    # What could not be measured is null: JSON has no NaN.
    for part in {"bank", "floor"}.intersection(found):
        found[part] = {k: None if np.isnan(v) else v for k, v in found[part].items()}
    return found


def _originals(path, number):
    """`number` images at even distances that are no filtered copies, and their patients."""
    images = ImageFile(path)
    rows = evenly(images.unfiltered, number)
    return images.read(rows), images.columns["patient"][rows]
