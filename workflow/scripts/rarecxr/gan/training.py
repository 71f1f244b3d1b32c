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
from rarecxr.core.json_file import write_json
from rarecxr.core.provenance import digest, provenance
from rarecxr.core.resume import ResumeStore
from rarecxr.gan.checkpoint import networks_from, read_checkpoint, write_checkpoint
from rarecxr.gan.distributed import connect
from rarecxr.gan.evaluation import Evaluator
from rarecxr.gan.images import TrainingImages, training_images
from rarecxr.gan.monitor import Monitor
from rarecxr.gan.networks import build_networks
from rarecxr.gan.tensorboard import ScalarWriter
from rarecxr.gan.trainer import Trainer
from rarecxr.gan.training_log import write_rows
from rarecxr.gan.workers import begin_worker, end_worker, start_workers
from rarecxr.study.configuration.gan import GanSettings
from rarecxr.study.findings import slug
from rarecxr.study.recipes import CONDITIONAL
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
        log_csv: training.csv to write, one line per tick, with the columns of
            `rarecxr.gan.training_log.COLUMNS`.
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
        validation_set: validation images of the finding, for `gan.evaluation`; None for none.
        features: model.pt of the classifier whose features `gan.evaluation` may use.
        weights_dir: folder of weights of other networks whose features it may use.
        on_tick: called after every tick with the trainer and the row of training.csv.
        lock_wait_s: how long to wait for another process that trains in `state`.
        **settings: the section `gan`, see `rarecxr.study.configuration.gan`.

    Raises:
        ValueError: settings, a training set or a base that cannot be used.
        NotFiniteError: a loss or weight was not finite; the last resume file stays.
        WorkerError: with several devices, the process of one has died; likewise.
        KeyboardInterrupt: after SIGINT, when the state is saved.
        TimeoutError: another process trains in `state`.
    """
    gan = GanSettings(seed=seed, threads=threads, **settings)
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
        "conditioning": "labels" if recipe == CONDITIONAL else "none",
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
    own_seed = seed_for(seed, slug(finding), recipe, fraction, draw)
    # What a further device's process has to know to hold the same as this one.
    task = {
        "images": os.fspath(images),
        "base": base if base is None else os.fspath(base),
        "settings": gan.plain(),
        "conditional": recipe == CONDITIONAL,
        "seed": own_seed,
        "threads": max(1, threads // gan.devices),
    }

    with contextlib.ExitStack() as stack:
        store = ResumeStore(state, identity, gan.resume_interval_s, lock_wait_s)
        stack.enter_context(store)
        trainer, label_names = stack.enter_context(_open_trainer(**task, scratch=store.scratch))
        saved = store.load()
        if gan.devices > 1:
            _join_workers(stack, trainer, task, store, saved)
        monitor = Monitor(
            trainer,
            Path(state),
            f"PGGAN on {finding}, {recipe}, {fraction:g} % of the patients",
            _evaluator(trainer, images, validation_set, features, weights_dir),
            on_tick,
            ScalarWriter(Path(state) / "tensorboard") if gan.tensorboard else None,
        )
        if saved is not None:
            trainer.load_state(saved["trainer"])
            monitor.load_state(saved["monitor"])
            _log.info("going on at %.3f kimg", trainer.images / 1000)
        _training_loop(trainer, monitor, store, label=f"{recipe} {finding} {fraction:g} %")
        final = monitor.final_networks()

    write_rows(log_csv, monitor.rows)
    monitor.write_sheet(samples, final)
    settings_of_file = {
        **made_from,
        "label_size": len(label_names),
        "label_names": label_names,
    }
    write_checkpoint(generator, final.generator, final.critic, settings_of_file, made_by)
    write_json(
        metadata,
        {
            **made_by,
            "kimg": trainer.images / 1000,
            "kept_kimg": final.images / 1000,
            "kept_kid": final.kid,
            "evaluation": None if monitor.evaluator is None else monitor.evaluator.about,
            "training_images": trainer.data.count,
            "generator_parameters": sum(p.numel() for p in trainer.generator_ema.parameters()),
            "critic_parameters": sum(p.numel() for p in trainer.critic.parameters()),
            "generator_digest": sha256(generator),
        },
    )


def run_worker() -> None:
    """What the process of a further device does: its share of every step, and nothing else."""
    task = begin_worker()
    group = {name: task.pop(name) for name in ("rendezvous", "group_size", "rank", "world_size")}
    rank = group["rank"]
    scratch = Path(group["rendezvous"]).with_name(f"rank_{rank}")
    with _open_trainer(**task, scratch=scratch, rank=rank) as (trainer, _):
        trainer.join(connect(**group))
        state = trainer.group.broadcast()
        if state is not None:
            trainer.load_state(state)
        while trainer.images < trainer.schedule.images:
            trainer.step()
        end_worker()


@contextlib.contextmanager
def _open_trainer(
    images: str,
    base: str | None,
    settings: dict[str, Any],
    conditional: bool,
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
        images, gan.resolution, start, device, order, scratch, gan.pixel_memory_mib
    ) as data:
        label_names = _label_names(images, data, gan, conditional)
        if finetune:
            networks = _base_networks(base, gan, label_names)
        else:
            weights = seed_for(seed, "weights")
            networks = build_networks(gan.plain(), len(label_names), weights)
        yield Trainer(gan, data, networks, seed, finetune, device), label_names


def _join_workers(
    stack: contextlib.ExitStack,
    trainer: Trainer,
    task: dict[str, Any],
    store: ResumeStore,
    saved: dict[str, Any] | None,
) -> None:
    """Start the processes of the further devices, unless the training is over already."""
    state = None if saved is None else saved["trainer"]
    if state is not None and state["images"] >= trainer.schedule.images:
        return
    settings = trainer.settings
    call = "from rarecxr.gan.training import run_worker; run_worker()"
    workers = start_workers(call, task, settings.group_size, settings.devices, store.scratch)
    trainer.join(stack.enter_context(workers))
    trainer.group.broadcast(state)


def _evaluator(
    trainer: Trainer,
    images: str | os.PathLike,
    validation_set: str | os.PathLike | None,
    features: str | os.PathLike | None,
    weights_dir: str | os.PathLike | None,
) -> Evaluator | None:
    """What measures the generator while it trains; None where that is switched off."""
    watch = trainer.settings.evaluation
    if watch is None:
        return None
    latents = trainer.fixed_latents("watch", watch.images)
    return Evaluator(watch, images, validation_set, features, weights_dir, *latents)


def _training_loop(trainer: Trainer, monitor: Monitor, store: ResumeStore, label: str) -> None:
    """Steps until the schedule is over; the state is saved now and then, and at the end."""
    total = trainer.schedule.images
    monitor.begin()
    with Progress(total / 1000, "kimg", label, done=trainer.images / 1000) as progress:
        while trainer.images < total:
            before = trainer.images
            trainer.step()
            monitor.after_step()
            progress.update((min(trainer.images, total) - before) / 1000)
            progress.note(f"{trainer.schedule.at(trainer.images).resolution} px")
            done = trainer.images >= total
            if done or store.due():
                trainer.check()
                state = {"trainer": trainer.state(), "monitor": monitor.state()}
                store.save(state, trainer.images, finished=done)


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


def _label_names(
    path: str | os.PathLike, data: TrainingImages, settings: GanSettings, conditional: bool
) -> list[str]:
    """Names of the labels that the GAN is conditioned on; warns of a small training set."""
    size = settings.batch_size.at(settings.resolution)
    if data.count < size:
        _log.warning(
            "%s holds %d images, fewer than a minibatch of %d: a minibatch holds some of them "
            "more than once",
            path,
            data.count,
            size,
        )
    if not conditional:
        return []
    if not data.label_names:
        raise ValueError(f"{path}: the recipe {CONDITIONAL} needs labels, and the file has none")
    return data.label_names
