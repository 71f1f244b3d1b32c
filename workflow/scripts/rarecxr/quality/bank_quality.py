"""The quality of one bank, written beside it."""

import logging
import os
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import torch

from rarecxr.bank.bank_file import Bank
from rarecxr.core.devices import choose_device
from rarecxr.core.job_log import warn_loudly
from rarecxr.core.json_file import write_json
from rarecxr.core.order import evenly
from rarecxr.core.processor import use_processor
from rarecxr.core.provenance import provenance
from rarecxr.data.image_file import ImageFile
from rarecxr.quality.alignment import measure_alignment
from rarecxr.quality.bank_faults import appearance, find_faults
from rarecxr.quality.evaluation import FEWEST, RealImages
from rarecxr.quality.feature_spaces import FeatureSpace, Space
from rarecxr.quality.near_copies import MOST_TRAINING_IMAGES, NearCopies, training_features
from rarecxr.quality.visible_finding import visible_finding
from rarecxr.study.configuration.bank import QualitySettings

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class QualityInputs:
    """What the quality of a bank is measured from: paths.

    Attributes:
        bank: the bank (HDF5).
        training_set: what its generator was trained on (HDF5).
        positives: the finding's real training images (HDF5); a GAN of one finding saw the same.
        validation_set: the finding's validation images (HDF5).
        negatives: validation images without any target finding (HDF5), or None, as for a bank of
            negatives.
        features: model.pt of the space `classifier`, or None.
        weights_dir: folder of the weights of the space `imagenet`, or None.
        paired_with: for negatives in pairs the bank of positives, or None.
    """

    bank: str | os.PathLike
    training_set: str | os.PathLike
    positives: str | os.PathLike
    validation_set: str | os.PathLike
    negatives: str | os.PathLike | None = None
    features: str | os.PathLike | None = None
    weights_dir: str | os.PathLike | None = None
    paired_with: str | os.PathLike | None = None

    def files(self) -> dict[str, str | os.PathLike]:
        """The files that there are, by name."""
        files = {field.name: getattr(self, field.name) for field in fields(self)}
        del files["weights_dir"]
        return {name: path for name, path in files.items() if path is not None}


def measure_bank(
    inputs: QualityInputs,
    quality: str | os.PathLike,
    settings: QualitySettings,
    study: str,
    code: str | None = None,
) -> None:
    """Measure a bank against real images and write the result as JSON.

    The reference are the validation images of the finding where there are
    `quality.min_reference` of them, the real training images otherwise; never test images. Of each
    kind `quality.max_images` are taken at most: the first ones of the bank, an even choice of the
    real ones. Beside each measure stands its floor, what real images reach
    (`rarecxr.quality.evaluation`). Where training images are the reference, the network of the
    space `classifier` was trained on them: whether it knows them by heart is found from the
    validation images that there are (`unseen_real`). Near-copies are looked for among the
    generator's real training images, `MOST_TRAINING_IMAGES` at most. Of negatives in pairs the
    `alignment` with their positives is measured too, in pixels and in each feature space
    (`rarecxr.quality.alignment`).
    What makes the bank useless (`rarecxr.quality.bank_faults`) is written as `warnings`, and
    printed.

    Args:
        inputs: what it is measured from.
        quality: the JSON file to write.
        settings: the section `quality`.
        study: name of the study.
        code: digest of the code.
    """
    use_processor(settings.threads)
    device = choose_device(settings.device)
    with Bank(inputs.bank) as source:
        finding = source.attributes["finding"]
        name = f"{source.attributes.get('recipe')} {finding}"
        synthetic = source.read(0, min(settings.max_images, len(source)))
    training, validation = ImageFile(inputs.training_set), ImageFile(inputs.validation_set)
    enough = len(validation) >= settings.min_reference
    reference = validation if enough else ImageFile(inputs.positives)
    rows = evenly(reference.unfiltered, settings.max_images)
    real, patients = reference.read(rows), reference.columns["patient"][rows]
    looks = {"real": appearance(real), "synthetic": appearance(synthetic)}
    found: dict[str, Any] = {
        "reference": "validation" if enough else "training",
        "reference_images": len(real),
        "synthetic_images": len(synthetic),
        "training_images": min(len(training.unfiltered), MOST_TRAINING_IMAGES),
        **{
            measure: {kind: values[measure] for kind, values in looks.items()}
            for measure in looks["real"]
        },
        "spaces": {},
    }
    spaces = {
        space_name: FeatureSpace(space_name, device, inputs.features, inputs.weights_dir)
        for space_name in settings.spaces
    }
    for space_name, space in spaces.items():
        measures = _in_space(space, real, patients, synthetic, training, unseen=enough)
        if space_name == "classifier" and not enough and "bank" in measures:
            measures["unseen_real"] = _unseen_real(space, real, patients, validation, settings)
        if space_name == "classifier" and inputs.negatives is not None and "bank" in measures:
            shown = _visible(inputs, finding, synthetic, validation, settings, device)
            measures["visible_finding"] = shown
            for part in {"bank", "floor"}.intersection(measures):
                measures[part]["finding_auc"] = shown[part]
        found["spaces"][space_name] = measures
        logger.info("%s: %s", space_name, measures)
    if inputs.paired_with is not None and len(synthetic) > 1:
        with Bank(inputs.paired_with) as source:
            pairs = source.read(0, len(synthetic)), synthetic
        found["alignment"] = {
            space_name: asdict(measure_alignment(*pairs, space))
            for space_name, space in [("pixels", None), *spaces.items()]
        }
    found["warnings"] = find_faults(found)
    for warning in found["warnings"]:
        warn_loudly(f"the bank {name} ({inputs.bank}): {warning}")
    made_by = provenance(study, settings.with_effect(), inputs.files(), code=code)
    write_json(quality, {**found, "provenance": made_by})


def _unseen_real(
    space: Space,
    training: np.ndarray,
    patients: np.ndarray,
    validation: ImageFile,
    settings: QualitySettings,
) -> dict[str, float] | None:
    """How far validation images are from training images in the eyes of the latter's network."""
    rows = evenly(validation.unfiltered, settings.max_images)
    if len(rows) < FEWEST:
        return None
    unseen = space(validation.read(rows)), validation.columns["patient"][rows]
    return RealImages(space(training), patients).compare_with_unseen(*unseen)


def _visible(
    inputs: QualityInputs,
    finding: str,
    synthetic: np.ndarray,
    positives: ImageFile,
    settings: QualitySettings,
    device: torch.device,
) -> dict[str, float | int | None]:
    """How well the fraction's network sees the finding in the bank and in validation images."""
    # It loads the networks, which the other feature spaces do without.
    from rarecxr.classifier.plausibility import Plausibility

    negatives = ImageFile(inputs.negatives)
    real = (
        images.read(evenly(images.unfiltered, settings.max_images))
        for images in (positives, negatives)
    )
    logit = Plausibility(inputs.features, finding, device)
    return visible_finding(logit, synthetic, *real)


def _in_space(
    space: Space,
    reference: np.ndarray,
    patients: np.ndarray,
    synthetic: np.ndarray,
    training: ImageFile,
    unseen: bool,
) -> dict[str, Any]:
    """The measures of synthetic images beside those of real ones, in one feature space.

    Args:
        space: the feature space.
        reference: (N, H, H) uint8, real images.
        patients: (N,) whose they are.
        synthetic: (M, H, H) uint8.
        training: what the generator was trained on.
        unseen: whether the generator has not seen the reference.
    """
    if min(len(reference), len(synthetic), len(training.unfiltered)) < FEWEST:
        # Too few for any distance between distributions: stated, not filled in.
        return {"too_few_images": True}
    real, fake = space(reference), space(synthetic)
    found = RealImages(real, patients).compare_with_floor(fake)
    near_copies = NearCopies(*training_features(space, training, MOST_TRAINING_IMAGES)[:2])
    for part, images in (("bank", fake), ("floor", real)):
        # Training images are copies of themselves: as a floor they say nothing.
        if part in found and (part == "bank" or unseen):
            found[part] |= near_copies.measures(images)
    # What could not be measured is null: JSON has no NaN.
    for part in {"bank", "floor"}.intersection(found):
        found[part] = {k: None if np.isnan(v) else v for k, v in found[part].items()}
    return found
