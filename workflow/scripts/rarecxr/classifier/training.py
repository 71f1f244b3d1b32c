"""One classifier run: from an arm's definition to a trained network and its predictions."""

import contextlib
import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch

from rarecxr.bank.bank_file import Bank
from rarecxr.classifier.examples import (
    POSITIVE,
    RESERVE,
    Examples,
    added_positives,
    assemble,
    most_examples,
    open_bank,
)
from rarecxr.classifier.fitting import Fit, Manner, Phase, Validation
from rarecxr.classifier.images import Part, load_images
from rarecxr.classifier.networks import build
from rarecxr.classifier.prediction import BATCH, predict_logits
from rarecxr.classifier.prediction_file import write_predictions
from rarecxr.classifier.schedule import epoch_length
from rarecxr.classifier.weights import find_weights
from rarecxr.core.devices import choose_device, choose_precision
from rarecxr.core.files import written_whole
from rarecxr.core.provenance import digest, digest_of_images, provenance
from rarecxr.core.resume import ResumeStore
from rarecxr.core.tables import read_csv, read_parquet
from rarecxr.core.tensors import to_bytes
from rarecxr.data.image_file import ImageFile
from rarecxr.data.split import JUDGED, RESERVED, fraction_patients
from rarecxr.study.by_finding import ByFinding
from rarecxr.study.findings import NEGATIVES

log = logging.getLogger(__name__)


def train(
    *,
    pixels: str | os.PathLike,
    labels: str | os.PathLike,
    split: str | os.PathLike,
    draw_csv: str | os.PathLike,
    banks: Mapping[str, str | os.PathLike],
    negatives: str | os.PathLike | None,
    model: str | os.PathLike,
    predictions: str | os.PathLike | None,
    history: str | os.PathLike,
    state: str | os.PathLike,
    arm: Mapping[str, Any],
    transforms: Mapping[str, float] | None,
    findings: Sequence[str],
    target_findings: Sequence[str],
    ratio: ByFinding,
    number: ByFinding,
    largest: Sequence[Mapping[str, Any]],
    study: str,
    fraction: float,
    draw: int,
    seed: int,
    threads: int,
    architecture: str,
    weights: str | None,
    weights_dir: str | os.PathLike | None,
    resolution: int,
    batch_size: int,
    epochs: int,
    epoch_images: str | int,
    patience: int | None,
    learning_rate: float,
    schedule: str,
    pretrain_share: float,
    finetune_rate: float,
    precision: str,
    device: str,
    pixel_memory_mib: float,
    resume_interval_s: float = 120.0,
    code: str | None = None,
    lock_wait_s: float = 120.0,
) -> None:
    """Train one classifier on what an arm adds to a fraction's real images, and let it predict.

    Args:
        pixels: the pixel cache, `pixels_{resolution}.h5`.
        labels: `labels.parquet`.
        split: `split.csv`.
        draw_csv: `draw{draw}.csv`, which orders the training patients.
        banks: files of synthetic positives by target finding; empty for none.
        negatives: file of synthetic negatives, or None.
        model: the network that comes out, `model.pt`.
        predictions: file with the logits of every image of the patients for validation, testing
            and the expert test (see `rarecxr.classifier.prediction_file`). In its metadata
            `provenance`; `trained_on`, number and digest of the fraction's real images; `reserve`,
            the images of reserve patients that were added, by finding; `added`, how many images
            of each kind were, by finding; and `shown`, how many images were shown in all and how
            often each real one of the fraction was. None to predict none.
        history: CSV file with one row an epoch.
        state: folder for what an interrupted run goes on from; no declared output. It stays after
            success.
        arm: the arm's definition: recipe, negatives, pretrain, oversample, reserve, ratio.
        transforms: settings of the random transforms, or None for none.
        findings: the classifier's outputs, names of columns of `labels`.
        target_findings: those that banks and repetitions are of, and that choose the epoch.
        ratio: size of the banks as a multiple of the real positives: what `oversample` and
            `reserve` add.
        number: their size as a number of images, in place of `ratio` where it is given.
        largest: what the study's largest arms add, see `rarecxr.study.arms.largest_additions`:
            how long an epoch is if `epoch_images` is `largest`.
        study: name of the study.
        fraction: percent of the training patients whose images are trained on.
        draw: number of the draw.
        seed: number of the run on this draw.
        threads: number of CPU threads.
        architecture: name of a torchvision classification model.
        weights: pretrained weights: imagenet, a path, or None for none.
        weights_dir: folder of weight files, or None.
        resolution: side in pixels of the images that the network sees.
        batch_size: images of one step.
        epochs: number of epochs at most; those of an arm's pretraining come on top.
        epoch_images: images of an epoch: `largest`, `real`, `all` or a number.
        patience: epochs without a better one after which training ends, or None.
        learning_rate: of Adam.
        schedule: its course over the images shown: constant or cosine.
        pretrain_share: epochs of an arm's pretraining, at most, as a multiple of `epochs`.
        finetune_rate: learning rate after pretraining, as a multiple of `learning_rate`.
        precision: fp32, bf16 or auto.
        device: cpu, cuda or auto.
        pixel_memory_mib: size up to which pixels are held in the device's memory, in MiB.
        resume_interval_s: seconds between two saves of the resume file.
        code: digest of the code, for the provenance.
        lock_wait_s: how long to wait for another process that trains in `state`.

    Raises:
        ValueError: inputs do not fit each other or the settings.
        FileNotFoundError: pretrained weights cannot be had.
        FloatingPointError: the loss is no longer finite.
        KeyboardInterrupt: after SIGINT, when the state is saved.
        TimeoutError: another process trains in `state`.
    """
    torch.set_num_threads(threads)
    where = choose_device(device)
    precision = choose_precision(precision, where)
    if where.type == "cuda":
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.benchmark = True

    # Who is in this run.
    table = _images(labels, pixels, split, findings)
    inside = set(fraction_patients(draw_csv, fraction))
    chosen = table["patient"].isin(inside)
    strangers = sorted(set(table["split"][chosen]) - {"train"})
    if strangers:
        raise ValueError(f"{draw_csv}: holds patients whose split is {', '.join(strangers)}")
    parts = {"train": table[chosen], "val": table[table["split"] == "val"]}
    for name, part in parts.items():
        if part.empty:
            raise ValueError(f"{split}: no image of split {name} is left for fraction {fraction}")
    known = {name: part[list(findings)].to_numpy(np.float32) for name, part in parts.items()}

    # What it is trained on.
    cell = {"study": study, "fraction": fraction, "draw": draw}
    opened = {
        finding: open_bank(
            path, findings, {"finding": finding, "recipe": arm.get("recipe"), **cell}
        )
        for finding, path in banks.items()
    }
    positives = {finding: int(np.sum(parts["train"][finding] == 1)) for finding in target_findings}
    added = {}
    if arm.get("ratio") is not None:
        added = added_positives(positives, arm["ratio"])
    elif arm.get("oversample") or arm.get("reserve"):
        added = added_positives(positives, ratio, number)
    kept_back = _from_reserve(table, added, (seed, draw)) if arm.get("reserve") else {}
    examples = assemble(
        labels=known["train"],
        findings=findings,
        target_findings=target_findings,
        banks=opened,
        negatives=open_bank(negatives, findings, {"finding": NEGATIVES, "recipe": "base", **cell})
        if negatives
        else None,
        repeated=added if arm.get("oversample") else {},
        dose=added if arm.get("ratio") is not None else None,
        seed=seed,
        reserve={finding: len(rows) for finding, rows in kept_back.items()},
    )
    counted = examples.counts(findings)
    for finding, counts in counted.items():
        log.info("%s: %s", finding, ", ".join(f"{n} {what}" for what, n in counts.items() if n))

    # What it starts from.
    weights_file, weights_digest = None, None
    if weights is not None:
        weights_file, weights_digest = find_weights(architecture, weights, weights_dir)
    network = build(architecture, len(findings), resolution, seed, weights_file)

    # What it is, in words: kept with the network, and compared before a run is resumed.
    settings = {
        "arm": dict(arm),
        "architecture": architecture,
        "batch_size": batch_size,
        "draw": draw,
        "epoch_images": epoch_images,
        "epochs": epochs,
        "finetune_rate": finetune_rate,
        "fraction": fraction,
        "largest": [dict(arm) for arm in largest],
        "learning_rate": learning_rate,
        "number": number,
        "patience": patience,
        "precision": precision,
        "pretrain_share": pretrain_share,
        "ratio": ratio,
        "resolution": resolution,
        "schedule": schedule,
        "target_findings": list(target_findings),
        "threads": threads,
        "transforms": dict(transforms) if transforms else None,
        "weights": weights_file.name if weights_file else None,
        "weights_sha256": weights_digest,
    }
    files = {"labels": labels, "split": split, "draw": draw_csv}
    files |= {f"bank {finding}": path for finding, path in banks.items()}
    files |= {"bank negatives": negatives} if negatives else {}
    origin = provenance(study, settings, files, seed, code)
    # The cache holds far more than a small fraction needs: its own digests stand for it.
    origin["inputs"]["pixels"] = digest(table[["image", "digest"]].to_numpy().tolist())
    identity = digest({"origin": origin, "findings": list(findings), "device": where.type})

    with ResumeStore(state, identity, resume_interval_s, lock_wait_s) as store:
        cache = ImageFile(pixels)
        with contextlib.ExitStack() as banks_read:
            sources = [Part(cache, parts["train"]["place"].to_numpy())]
            for block in examples.blocks:
                if block.kind == RESERVE:
                    sources.append(Part(cache, kept_back[block.finding]["place"].to_numpy()))
                else:
                    path = opened[block.finding].path if block.kind == POSITIVE else negatives
                    bank = banks_read.enter_context(Bank(path))
                    sources.append(Part(bank, np.arange(block.count)))
            sources.append(Part(cache, parts["val"]["place"].to_numpy()))
            scratch = store.scratch / "train"
            images = load_images(sources, resolution, where, pixel_memory_mib, scratch)
        validation = Validation(
            places=np.arange(len(images) - len(parts["val"]), len(images)),
            labels=known["val"],
            targets={list(findings).index(finding): finding for finding in target_findings},
        )
        manner = Manner(
            architecture=architecture,
            batch=batch_size,
            epoch_length=epoch_length(
                epoch_images,
                real=len(parts["train"]),
                examples=len(examples),
                largest=most_examples(len(parts["train"]), positives, largest),
                batch=batch_size,
            ),
            patience=patience,
            schedule=schedule,
            transforms=transforms,
            precision=precision,
            device=where,
            real_images=len(parts["train"]),
            seed=seed,
        )
        phases = _phases(examples, arm, epochs, learning_rate, pretrain_share, finetune_rate)
        fit = Fit(network, phases, images, validation, manner, store)
        fit.run()
        del images, fit.images

        about = {
            "provenance": origin,
            "trained_on": digest_of_images(parts["train"]["image"]),
            "reserve": {finding: list(rows["image"]) for finding, rows in kept_back.items()},
            "added": {
                finding: {"wanted": added.get(finding), **counted[finding]}
                for finding in target_findings
            },
            "shown": {
                "images": len(fit.history) * manner.epoch_length,
                "real_passes": fit.history[-1]["real_passes"],
            },
        }
        _write_model(model, network, findings, architecture, {"settings": settings, **about})
        with written_whole(history) as temporary:
            pd.DataFrame(fit.history).to_csv(temporary, index=False)
        if predictions is None:
            return
        judged = table[table["split"].isin(JUDGED)].sort_values("image")
        seen = load_images(
            [Part(cache, judged["place"].to_numpy())],
            resolution,
            where,
            pixel_memory_mib,
            store.scratch / "judged",
        )
        batches = seen.batches(np.arange(len(judged)), BATCH)
        logits = predict_logits(network, batches, architecture, precision, where)
        write_predictions(predictions, judged, logits.numpy(), findings, about)


def _images(
    labels: str | os.PathLike,
    pixels: str | os.PathLike,
    split: str | os.PathLike,
    findings: Sequence[str],
) -> pd.DataFrame:
    """All images of the cache, sorted by image.

    Columns: image, patient, the findings, split, place (row of the cache) and digest (of the
    image's file).
    """
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


def _from_reserve(
    table: pd.DataFrame, wanted: Mapping[str, int], key: tuple[int, ...]
) -> dict[str, pd.DataFrame]:
    """Images of reserve patients that show a finding, by finding, in an order drawn from `key`.

    Each finding gets as many as are wanted, or all that there are: none is repeated. The first
    ones of a larger number are those of a smaller one.

    Raises:
        ValueError: no patient is set apart.
    """
    reserve = table[table["split"] == RESERVED]
    if reserve.empty:
        raise ValueError(
            "dataset.reserve_percent: this arm adds real images of patients who were set apart, "
            "and none are; give the percent of the patients to set apart"
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


def _phases(
    examples: Examples,
    arm: Mapping[str, Any],
    epochs: int,
    rate: float,
    pretrain_share: float,
    finetune_rate: float,
) -> list[Phase]:
    """All epochs on the arm's examples, or all on the real ones after some of pretraining."""
    if not arm.get("pretrain"):
        return [Phase("train", examples, epochs, rate)]
    return [
        Phase("pretrain", examples, max(round(epochs * pretrain_share), 1), rate),
        Phase("finetune", examples.real(), epochs, rate * finetune_rate),
    ]


def _write_model(path, network, findings, architecture, about) -> None:
    """The trained network and all that is needed to use it, as plain values and tensors."""
    content = {
        "format": 1,
        "state_dict": {
            name: value.cpu().contiguous() for name, value in network.state_dict().items()
        },
        "findings": list(findings),
        "architecture": architecture,
        **about,
    }
    with written_whole(path) as temporary:
        temporary.write_bytes(to_bytes(content))
