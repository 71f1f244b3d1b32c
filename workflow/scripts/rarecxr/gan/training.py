"""Training of one PGGAN from files to files, safe to kill at any moment."""

import contextlib
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from rarecxr.core.devices import choose_devices, choose_precision
from rarecxr.core.files import sha256
from rarecxr.core.job_log import Progress
from rarecxr.core.provenance import digest, provenance, write_json
from rarecxr.core.resume import ResumeStore
from rarecxr.gan.checkpoint import networks_from, read_checkpoint, write_checkpoint
from rarecxr.gan.distributed import connected
from rarecxr.gan.evaluation import Watch
from rarecxr.gan.images import TrainingImages, training_images
from rarecxr.gan.loop import Run
from rarecxr.gan.networks import build_networks
from rarecxr.gan.settings import GanSettings
from rarecxr.gan.tensorboard import ScalarWriter
from rarecxr.gan.trainer import Trainer
from rarecxr.gan.training_log import write_rows
from rarecxr.gan.workers import begin_helping, end_helping, helped
from rarecxr.study.seeds import seed_for

_log = logging.getLogger(__name__)


def train(
    *,
    images: str | os.PathLike,
    generator: str | os.PathLike,
    log_csv: str | os.PathLike,
    samples: str | os.PathLike,
    metadata: str | os.PathLike,
    state: str | os.PathLike,
    study: str,
    finding: str,
    recipe: str,
    fraction: float,
    draw: int,
    seed: int,
    threads: int,
    code: str | None = None,
    base: str | os.PathLike | None = None,
    validation_set: str | os.PathLike | None = None,
    features: str | os.PathLike | None = None,
    weights_dir: str | os.PathLike | None = None,
    on_tick: Callable[[Trainer, dict[str, Any]], None] | None = None,
    lock_wait_s: float = 120.0,
    **settings: Any,
) -> None:
    """Train a PGGAN on a training set, or go on where an earlier run of the same was killed.

    On the CPU the generator is the same to the byte whether or not the run was interrupted.

    Args:
        images: training_set.h5.
        generator: generator.pt to write.
        log_csv: training.csv to write, a line a tick (columns: `rarecxr.gan.training_log.COLUMNS`).
        samples: samples.png to write.
        metadata: generator.json to write.
        state: folder for the resume files. It stays after success, so that a job that is
            counted as failed in its last second is done within seconds when repeated.
        study: name of the study, and
        finding: name of the finding, and
        recipe: name of the recipe, and
        fraction: percent of the training patients, and
        draw: number of the draw: they go into the artifacts and, but for the study, into the
            identity of the resume files.
        seed: of weights, order and latents.
        threads: CPU threads, shared among the devices; another number can change the last bits.
        code: digest of the code.
        base: generator.pt to start from at full resolution; None to train from scratch.
        validation_set: validation images of the finding, for `gan.watch`; None for none.
        features: model.pt of the classifier whose features `gan.watch` may use.
        weights_dir: folder of weights of other networks whose features it may use.
        on_tick: called after every tick with the trainer and the row of training.csv.
        lock_wait_s: how long to wait for another process that trains in `state`.
        **settings: the section `gan`, see `GanSettings`.

    Raises:
        ValueError: settings, a training set or a base that cannot be used.
        NotFiniteError: a loss or weight was not finite; the last resume file stays.
        HelperError: with several devices, the process of one has died; likewise.
        KeyboardInterrupt: after SIGINT, when the state is saved.
        TimeoutError: another process trains in `state`.
    """
    gan = GanSettings(**settings)
    device = choose_devices(gan.device, gan.devices)[0]
    inputs = {
        "images": images,
        "base": base,
        "validation_set": validation_set,
        "features": features,
    }
    inputs = {name: path for name, path in inputs.items() if path is not None}
    made_from = {
        **gan.with_effect(),
        "precision": choose_precision(gan.precision, device),
        "finding": finding,
        "recipe": recipe,
        "fraction": fraction,
        "draw": draw,
        "threads": threads,
    }
    made_by = provenance(study, made_from, inputs, seed, code)
    identity = digest({**made_by, "study": None, "device": device.type})
    # GANs of one study share no random numbers: their errors are to be independent.
    own_seed = seed_for(seed, finding, recipe, fraction, draw)
    # What a further device's process has to know to hold the same as this one.
    task = {
        "images": os.fspath(images),
        "base": base if base is None else os.fspath(base),
        "settings": gan.plain(),
        "seed": own_seed,
        "threads": max(1, threads // gan.devices),
    }

    with contextlib.ExitStack() as stack:
        store = stack.enter_context(ResumeStore(state, identity, gan.resume_s, lock_wait_s))
        trainer, label_names = stack.enter_context(_trainer(**task, scratch=store.scratch))
        data = trainer.data
        saved = store.load()
        shown = 0 if saved is None else saved["trainer"]["images"]
        if gan.devices > 1 and shown < trainer.schedule.images:
            call = "from rarecxr.gan.training import help_training; help_training()"
            helpers = helped(call, task, gan.group_size, gan.devices, store.scratch)
            trainer.share(stack.enter_context(helpers))
            trainer.ranks.told(None if saved is None else saved["trainer"])
        scalars = ScalarWriter(Path(state) / "tensorboard") if gan.tensorboard else None
        watch = None
        if (watched := gan.watch_settings()) is not None:
            latents = trainer.fixed_latents("watch", watched.images)
            watch = Watch(watched, images, validation_set, features, weights_dir, *latents)
        title = f"PGGAN on {finding}, {recipe}, {fraction:g} % of the patients"
        run = Run(trainer, Path(state), title, watch, on_tick, scalars)
        if saved is not None:
            run.load_state(saved)
            _log.info("going on at %.3f kimg", trainer.images / 1000)
        _train(run, store, label=f"{recipe} {finding} {fraction:g} %")
        kept = run.kept()

    write_rows(log_csv, run.rows)
    run.write_sheet(samples, kept)
    settings_of_file = {
        **made_from,
        "label_size": len(label_names),
        "label_names": label_names,
    }
    write_checkpoint(generator, kept.generator, kept.critic, settings_of_file, made_by)
    write_json(
        metadata,
        {
            **made_by,
            "kimg": trainer.images / 1000,
            "kept_kimg": kept.images / 1000,
            "kept_kid": kept.kid,
            "watch": None if watch is None else watch.about,
            "training_images": data.count,
            "generator_parameters": sum(p.numel() for p in trainer.average.parameters()),
            "critic_parameters": sum(p.numel() for p in trainer.critic.parameters()),
            "generator_digest": sha256(generator),
        },
    )


def help_training() -> None:
    """What the process of a further device does: its share of every step, and nothing else."""
    task = begin_helping()
    meeting = {name: task.pop(name) for name in ("meeting_place", "group_size", "rank", "count")}
    rank = meeting["rank"]
    scratch = Path(meeting["meeting_place"]).with_name(f"rank_{rank}")
    with _trainer(**task, scratch=scratch, rank=rank) as (trainer, _):
        trainer.share(connected(**meeting))
        state = trainer.ranks.told()
        if state is not None:
            trainer.load_state(state)
        while trainer.images < trainer.schedule.images:
            trainer.step()
        end_helping()


@contextlib.contextmanager
def _trainer(
    images: str,
    base: str | None,
    settings: dict[str, Any],
    seed: int,
    threads: int,
    scratch,
    rank=0,
) -> Iterator[tuple[Trainer, list[str]]]:
    """A trainer at its first step, the same on every rank, and the names of its labels."""
    gan = GanSettings(**settings)
    torch.set_num_threads(threads)
    device = choose_devices(gan.device, gan.devices)[rank]
    if device.index is not None:
        torch.cuda.set_device(device)
    finetune = base is not None
    start = gan.resolution if finetune else gan.start_resolution
    order = seed_for(seed, "order")
    with training_images(
        images, gan.resolution, start, device, order, scratch, gan.resident_gib
    ) as data:
        label_names = _label_names(images, data, gan)
        if finetune:
            networks = _base_networks(base, gan, label_names)
        else:
            weights = seed_for(seed, "weights")
            networks = build_networks(gan.plain(), len(label_names), weights)
        yield Trainer(gan, data, networks, seed, finetune, device), label_names


def _train(run: Run, store: ResumeStore, label: str) -> None:
    """Steps until the schedule is over; the state is saved now and then, and at the end."""
    trainer = run.trainer
    total = trainer.schedule.images
    if not run.snapshots:
        run.snapshot()
    with Progress(total / 1000, "kimg", label, done=trainer.images / 1000) as progress:
        while trainer.images < total:
            before = trainer.images
            trainer.step()
            run.after_step()
            progress.update((min(trainer.images, total) - before) / 1000)
            progress.note(f"{trainer.schedule.at(trainer.images).resolution} px")
            done = trainer.images >= total
            if done or store.due():
                trainer.check()
                store.save(run.state(), trainer.images, finished=done)


def _base_networks(path: str | os.PathLike, settings: GanSettings, label_names: list[str]):
    """The networks of a base GAN, if they have the form that the settings ask for."""
    content = read_checkpoint(path)
    wanted = {
        "architecture": settings.architecture,
        "resolution": settings.resolution,
        "latent_size": settings.latent_size,
        "fmap_base": settings.fmap_base,
        "fmap_max": settings.fmap_max,
        "group_size": settings.group_size,
        "label_names": label_names,
    }
    for name, value in wanted.items():
        found = content["settings"].get(name)
        if found != value:
            raise ValueError(
                f"{path}: the base GAN has {name} {found}, the settings ask for {value}; "
                "train the base again with these settings"
            )
    return networks_from(content)


def _label_names(path: str | os.PathLike, data: TrainingImages, settings: GanSettings) -> list[str]:
    """Names of the labels that the GAN is conditioned on; warns of a small training set."""
    size = settings.minibatch_at(settings.resolution)
    if data.count < size:
        _log.warning(
            "%s holds %d images, fewer than a minibatch of %d: a minibatch holds some of them "
            "more than once",
            path,
            data.count,
            size,
        )
    if settings.conditioning == "none":
        return []
    if not data.label_names:
        raise ValueError(f"{path}: gan.conditioning is labels, but the file has no labels")
    return data.label_names
