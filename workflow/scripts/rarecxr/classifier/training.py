"""One classifier run: from an arm's definition to a trained network and its predictions."""

import contextlib
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from torch import nn

from rarecxr.bank.bank_file import Bank
from rarecxr.classifier.batch_norm import has_statistics, take_statistics
from rarecxr.classifier.cohort import Cohort, read_cohort
from rarecxr.classifier.examples import (
    POSITIVE,
    RESERVE,
    Examples,
    Synthetic,
    assemble,
    most_examples,
    open_bank,
)
from rarecxr.classifier.fitting import Fit, Phase, Procedure, Validation
from rarecxr.classifier.images import DeviceImages, MappedImages, Part, load_images
from rarecxr.classifier.networks import load_trunk
from rarecxr.classifier.prediction import BATCH, predict_logits
from rarecxr.classifier.prediction_file import write_predictions
from rarecxr.classifier.pretrained_file import unlabelled_images
from rarecxr.classifier.run import Inputs, Outputs, Run
from rarecxr.classifier.schedule import epoch_length
from rarecxr.classifier.start import set_up, starting_network
from rarecxr.core.files import written_whole
from rarecxr.core.provenance import TRAINED_ON, decisive, digest, digest_of_images, provenance
from rarecxr.core.resume import ResumeStore
from rarecxr.core.tensors import to_bytes
from rarecxr.data.image_file import ImageFile
from rarecxr.study.configuration.classifier import TrainingSettings
from rarecxr.study.configuration.training import Arm, TransformSettings
from rarecxr.study.findings import NEGATIVES
from rarecxr.study.recipes import BASE, paired
from rarecxr.study.sizes import Addition, Sizes

log = logging.getLogger(__name__)


def train_classifier(
    *,
    inputs: Inputs,
    outputs: Outputs,
    state: str | os.PathLike,
    run: Run,
    settings: TrainingSettings,
    arm: Arm,
    transforms: TransformSettings | None = None,
    sizes: Sizes | None = None,
    largest: Sequence[Addition] = (),
    code: str | None = None,
    lock_wait_s: float = 120.0,
) -> None:
    """Train one classifier on what an arm adds to a fraction's real images, and let it predict.

    Network and predictions say with the settings where they come from: `provenance`; `trained_on`,
    number and digest of the fraction's real images, or of none for an arm without; `reserve`, the
    images of reserve patients that were added, by finding; `added`, how many images of each kind
    were, by finding; `unlabelled`, how many images without labels the network had been pretrained
    on; and `shown`, how many images were shown in all and how often each real one of
    the fraction was.

    Args:
        inputs: the files that the run is made from.
        outputs: the files to write.
        state: folder for what an interrupted run goes on from; no declared output. It stays after
            success.
        run: which run of a study this is.
        settings: how the classifier is trained.
        arm: what it is trained on.
        transforms: the random transforms of the images, or None for none.
        sizes: sizes of the banks: what `oversample` and `reserve` add, where the arm has no ratio
            of its own.
        largest: what the study's largest arms add, see `rarecxr.study.arms.largest_additions`:
            how long an epoch is if `epoch_images` is `largest`.
        code: digest of the code, for the provenance.
        lock_wait_s: how long to wait for another process that trains in `state`.

    Raises:
        ValueError: inputs do not fit each other or the settings.
        FileNotFoundError: pretrained weights cannot be had.
        FloatingPointError: the loss is no longer finite.
        KeyboardInterrupt: after SIGINT, when the state is saved.
        TimeoutError: another process trains in `state`.
    """
    device, precision = set_up(settings)
    cohort = read_cohort(inputs, run)
    material = _gather(cohort, inputs, run, arm, sizes)
    material.log_counts(run.findings)
    network, start, pretrained = _starting_network(inputs, run, arm, settings)

    # What it is, in words: kept with the network, and compared before a run is resumed. Every
    # setting that can change a result is in it, whatever the section's settings are.
    stated = settings.with_effect() | start
    stated |= {
        "arm": arm.given(),
        "draw": run.draw,
        "fraction": run.fraction,
        "largest": [addition.plain() for addition in largest],
        "precision": precision,
        "target_findings": list(run.target_findings),
        "transforms": transforms.with_effect() if transforms else None,
        **(sizes or Sizes()).plain(),
    }
    origin = provenance(run.study, stated, inputs.digested(), run.seed, code)
    origin["inputs"]["pixels"] = cohort.digest()
    belongs = origin | {"versions": decisive(origin["versions"])}
    identity = digest({"origin": belongs, "findings": list(run.findings), "device": device.type})

    procedure = Procedure(
        settings=settings,
        epoch_length=epoch_length(
            settings.epoch_images,
            real=len(cohort.train),
            examples=len(material.examples),
            largest=most_examples(
                len(cohort.train), cohort.positives(run.target_findings), largest
            ),
            batch=settings.batch_size,
        ),
        transforms=transforms,
        precision=precision,
        device=device,
        real_images=len(cohort.train),
        seed=run.seed,
    )
    with ResumeStore(state, identity, settings.resume_interval_s, lock_wait_s) as store:
        images = _load(cohort, material, inputs, procedure, store.scratch / "train")
        validation = _validation(cohort, images, run)
        phases = _phases(material.examples, arm, settings)
        fit = Fit(network, phases, images, validation, procedure, store)
        fit.run()
        history = fit.history
        if settings.batch_norm == "real":
            take_statistics(network, images, len(cohort.train), procedure)
        del images, fit

        about = {
            "provenance": origin,
            TRAINED_ON: digest_of_images(cohort.train["image"] if arm.real else ()),
            **material.about(run),
            **pretrained,
            "shown": {
                "images": len(history) * procedure.epoch_length,
                "real_passes": history[-1]["real_passes"],
            },
        }
        _write_model(outputs.model, network, run.findings, {"settings": stated, **about})
        with written_whole(outputs.history) as temporary:
            pd.DataFrame(history).to_csv(temporary, index=False)
        if outputs.predictions is not None:
            judged = cohort.judged()
            logits = _predict(network, judged, inputs, procedure, store.scratch / "judged")
            write_predictions(outputs.predictions, judged, logits, run.findings, about)


@dataclass(frozen=True)
class _Material:
    """What a run is trained on.

    Attributes:
        examples: images with labels.
        reserve: the reserve patients' images that are added, by finding.
        wanted: how many positives the arm was to add, by target finding; empty where it adds all
            that the banks hold.
    """

    examples: Examples
    reserve: Mapping[str, pd.DataFrame]
    wanted: Mapping[str, int]

    def log_counts(self, findings: Sequence[str]) -> None:
        for finding, counts in self.examples.counts(findings).items():
            log.info("%s: %s", finding, ", ".join(f"{n} {what}" for what, n in counts.items() if n))

    def about(self, run: Run) -> dict[str, Any]:
        """What the run's files say of it."""
        counted = self.examples.counts(run.findings)
        return {
            "reserve": {finding: list(rows["image"]) for finding, rows in self.reserve.items()},
            "added": {
                finding: {"wanted": self.wanted.get(finding), **counted[finding]}
                for finding in run.target_findings
            },
        }


def _gather(cohort: Cohort, inputs: Inputs, run: Run, arm: Arm, sizes: Sizes | None) -> _Material:
    """The examples of an arm, from files that are seen to be of this run's cell."""
    banks = {
        finding: open_bank(
            path, run.findings, {"finding": finding, "recipe": arm.recipe, **run.cell()}
        )
        for finding, path in inputs.banks.items()
    }
    negatives: Synthetic | dict[str, Synthetic] | None = None
    expected = {"finding": NEGATIVES, **run.cell()}
    if isinstance(inputs.negatives, Mapping):
        expected["recipe"] = paired(arm.recipe)
        negatives = {
            finding: open_bank(path, run.findings, expected, inputs.banks[finding])
            for finding, path in inputs.negatives.items()
        }
    elif inputs.negatives:
        negatives = open_bank(inputs.negatives, run.findings, expected | {"recipe": BASE})
    wanted: dict[str, int] = {}
    if arm.ratio is not None or arm.oversample or arm.reserve:
        own = sizes or Sizes() if arm.ratio is None else Sizes(ratio=arm.ratio)
        wanted = own.images_of_all(cohort.positives(run.target_findings))
    reserve = cohort.reserve(wanted, (run.seed, run.draw)) if arm.reserve else {}
    examples = assemble(
        labels=cohort.labels(cohort.train),
        findings=run.findings,
        target_findings=run.target_findings,
        banks=banks,
        negatives=negatives,
        repeated=wanted if arm.oversample else {},
        dose=None if arm.ratio is None else wanted,
        seed=run.seed,
        reserve={finding: len(rows) for finding, rows in reserve.items()},
        real=arm.real,
    )
    return _Material(examples, reserve, wanted)


def _starting_network(
    inputs: Inputs, run: Run, arm: Arm, settings: TrainingSettings
) -> tuple[nn.Module, dict[str, Any], dict[str, int]]:
    """The network before its first step, which weights it starts from, and for the run's files the
    number of images without labels that it was pretrained on.
    """
    network, start = starting_network(settings, len(run.findings), run.seed)
    if settings.batch_norm == "real" and not has_statistics(network):
        raise ValueError(
            f"classifier.batch_norm: got real, and {settings.architecture} has no batch "
            "normalization; takes shared"
        )
    images = 0
    if arm.unlabelled != (inputs.pretrained is not None):
        raise ValueError(f"the arm and its files disagree on unlabelled: {arm.unlabelled}")
    if inputs.pretrained is not None:
        images = unlabelled_images(inputs.pretrained, run.study, run.seed)
        load_trunk(network, Path(inputs.pretrained), settings.architecture)
        log.info("starts from a network pretrained on %d images without labels", images)
    return network, start, {"unlabelled": images}


def _load(
    cohort: Cohort, material: _Material, inputs: Inputs, procedure: Procedure, scratch: Path
) -> DeviceImages | MappedImages:
    """The fraction's real images, those that the arm adds, and the validation images."""
    cache = ImageFile(inputs.pixels)
    with contextlib.ExitStack() as banks_read:
        parts = [Part(cache, cohort.train["place"].to_numpy())]
        for block in material.examples.blocks:
            if block.kind == RESERVE:
                parts.append(Part(cache, material.reserve[block.finding]["place"].to_numpy()))
                continue
            files = inputs.banks if block.kind == POSITIVE else inputs.negatives
            path = files[block.finding] if isinstance(files, Mapping) else files
            bank = banks_read.enter_context(Bank(path))
            parts.append(Part(bank, np.arange(block.count)))
        parts.append(Part(cache, cohort.val["place"].to_numpy()))
        return _read(parts, procedure, scratch)


def _read(
    parts: Sequence[Part], procedure: Procedure, scratch: Path
) -> DeviceImages | MappedImages:
    settings = procedure.settings
    return load_images(
        parts, settings.resolution, procedure.device, settings.pixel_memory_mib, scratch
    )


def _validation(cohort: Cohort, images: DeviceImages | MappedImages, run: Run) -> Validation:
    """The validation images, which come last."""
    return Validation(
        places=np.arange(len(images) - len(cohort.val), len(images)),
        labels=cohort.labels(cohort.val),
        targets={list(run.findings).index(finding): finding for finding in run.target_findings},
    )


def _phases(examples: Examples, arm: Arm, settings: TrainingSettings) -> list[Phase]:
    """All epochs on the arm's examples, or all on the real ones after some of pretraining."""
    epochs, rate = settings.epochs, settings.learning_rate
    if not arm.pretrain:
        return [Phase("train", examples, epochs, rate, arm.loss_weight)]
    first = max(round(epochs * settings.pretrain_share), 1)
    return [
        Phase("pretrain", examples, first, rate, arm.loss_weight),
        Phase("finetune", examples.real(), epochs, rate * settings.finetune_rate),
    ]


def _predict(
    network: nn.Module, images: pd.DataFrame, inputs: Inputs, procedure: Procedure, scratch: Path
) -> np.ndarray:
    """Logits (n, F) float32 of images of the pixel cache."""
    part = Part(ImageFile(inputs.pixels), images["place"].to_numpy())
    batches = _read([part], procedure, scratch).batches(np.arange(len(images)), BATCH)
    architecture = procedure.settings.architecture
    return predict_logits(
        network, batches, architecture, procedure.precision, procedure.device
    ).numpy()


def _write_model(
    path: str | os.PathLike, network: nn.Module, findings: Sequence[str], about: Mapping[str, Any]
) -> None:
    """The trained network and all that is needed to use it, as plain values and tensors."""
    content = {
        "format": 1,
        "state_dict": {
            name: value.cpu().contiguous() for name, value in network.state_dict().items()
        },
        "findings": list(findings),
        "architecture": about["settings"]["architecture"],
        **about,
    }
    with written_whole(path) as temporary:
        temporary.write_bytes(to_bytes(content))
