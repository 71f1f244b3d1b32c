"""Negatives in pairs with synthetic positives: the same latent vectors, through the base GAN.

A GAN that is fine-tuned stays aligned with the one that it started from: of one latent vector both
make about the same anatomy (Wu et al. 2022, arXiv 2110.11323). So row by row the two banks
show about one chest with and without the finding. How much of that is left after fine-tuning is
measured by `rarecxr.quality.alignment`.
"""

import os
from dataclasses import dataclass

import numpy as np

from rarecxr.bank.bank_file import Bank, write_bank
from rarecxr.bank.generate import Candidates, chosen_images, read_generator
from rarecxr.bank.selection import KEPT
from rarecxr.core.files import sha256
from rarecxr.core.job_log import Progress
from rarecxr.core.processor import use_processor
from rarecxr.core.provenance import GENERATOR_DIGEST, TRAINING_DIGEST, provenance
from rarecxr.gan.checkpoint import read_checkpoint
from rarecxr.study.configuration.bank import BankSettings
from rarecxr.study.findings import NEGATIVES
from rarecxr.study.place import Place


@dataclass(frozen=True)
class PairInputs:
    """What a bank of paired negatives is made from: paths.

    Attributes:
        generator: generator.pt of the base GAN.
        training_set: the training_set.h5 that the base GAN was trained on.
        positives: the bank of positives that the negatives are paired with.
        positives_generator: generator.pt of the GAN that drew them.
    """

    generator: str | os.PathLike
    training_set: str | os.PathLike
    positives: str | os.PathLike
    positives_generator: str | os.PathLike


def make_paired_bank(
    inputs: PairInputs,
    bank: str | os.PathLike,
    settings: BankSettings,
    place: Place,
    code: str | None = None,
) -> None:
    """Generate a negative for each image of a bank of positives, from the same latent vector.

    Row i of both banks comes from one latent vector. Which of them are used is the selection of
    the positives alone, so that pairs stay together; near-copies of the base GAN's training images
    are measured, not left out.

    Args:
        inputs: what it is made from.
        bank: HDF5 file to write. Its attribute `finding` is `NEGATIVES`; `paired_with` says which
            bank it belongs to, and `seed` is that bank's.
        settings: the section `bank`.
        place: what the bank is of: the finding of the positives, and the paired recipe.
        code: digest of the code.

    Raises:
        ValueError: the positives come from another GAN than the given one, or that has no common
            origin with the base: then equal latent vectors do not mean equal anatomy.
    """
    use_processor(settings.threads)
    content, training_digest = read_generator(inputs.generator, inputs.training_set)
    digests = {
        GENERATOR_DIGEST: sha256(inputs.positives_generator),
        "bank_digest": sha256(inputs.positives),
    }
    with Bank(inputs.positives) as positives:
        about, size = positives.attributes, len(positives)
        outcome = positives.candidates.get("outcome", np.full(size, KEPT, np.uint8))
    if about.get(GENERATOR_DIGEST) != digests[GENERATOR_DIGEST]:
        raise ValueError(
            f"{inputs.positives}: was not drawn from {inputs.positives_generator}; draw it again"
        )
    started_from = read_checkpoint(inputs.positives_generator)["provenance"]["inputs"].get("base")
    # From the base, or both from the GAN of unlabelled images.
    parents = {sha256(inputs.generator), content["provenance"]["inputs"].get("base")}
    if started_from is None or started_from not in parents:
        raise ValueError(
            f"{inputs.positives_generator}: did not start from {inputs.generator} or from the same "
            "GAN as it, so that equal latent vectors mean nothing; pairs need GANs of one origin"
        )
    source = Candidates(content, inputs.training_set, settings, int(about["seed"]), len(outcome))
    made_from = {**settings.with_effect(), "number": size, **place.in_study()}
    files = {name: getattr(inputs, name) for name in PairInputs.__dataclass_fields__}
    attributes = {
        **provenance(place.study, made_from, files, source.seed, code),
        **place.in_study(),
        "finding": NEGATIVES,
        GENERATOR_DIGEST: sha256(inputs.generator),
        TRAINING_DIGEST: training_digest,
        "generator_settings": content["settings"],
        "paired_with": {"recipe": about["recipe"], "finding": about["finding"], **digests},
    }
    with Progress(size, "images", f"bank {place}") as progress:
        write_bank(
            bank,
            size,
            source.network.resolution,
            chosen_images(source.batches(), np.flatnonzero(outcome == KEPT), progress),
            attributes,
            candidates={"outcome": outcome},
            threads=settings.threads,
        )
