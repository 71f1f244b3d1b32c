"""Training of one PGGAN from files to files, safe to kill at any moment."""

import contextlib
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from rarecxr.core.devices import choose_devices, choose_precision
from rarecxr.core.files import REMEDY, sha256
from rarecxr.core.job_log import Progress
from rarecxr.core.json_file import write_json
from rarecxr.core.processor import use_processor
from rarecxr.core.provenance import GENERATOR_DIGEST, decisive, digest, provenance
from rarecxr.core.resume import ResumeStore
from rarecxr.data.image_file import ImageFile
from rarecxr.gan.checkpoint import networks_from, read_checkpoint, write_checkpoint
from rarecxr.gan.distributed import connect
from rarecxr.gan.evaluation import Evaluator
from rarecxr.gan.images import TrainingImages, training_images
from rarecxr.gan.monitor import Monitor
from rarecxr.gan.networks import build_networks
from rarecxr.gan.tensorboard import ScalarWriter
from rarecxr.gan.trainer import Trainer
from rarecxr.gan.training_log import write_rows
from rarecxr.gan.workers import WorkerTask, begin_worker, end_worker, start_workers
from rarecxr.quality.feature_spaces import FeatureSpace
from rarecxr.study.configuration.gan import GanSettings
from rarecxr.study.place import Place
from rarecxr.study.recipes import CONDITIONAL
from rarecxr.study.seeds import seed_for

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class GanInputs:
    """What a GAN is trained from: paths.

    Attributes:
        images: training_set.h5.
        base: generator.pt to start from at full resolution; None to train from scratch.
        validation_set: validation images of the finding, for `gan.evaluation`; None for none.
        features: model.pt of the classifier whose features `gan.evaluation` may use, or None.
        weights_dir: folder of weights of other networks whose features it may use, or None.
    """

    images: str | os.PathLike
    base: str | os.PathLike | None = None
    validation_set: str | os.PathLike | None = None
    features: str | os.PathLike | None = None
    weights_dir: str | os.PathLike | None = None

    def files(self) -> dict[str, str | os.PathLike]:
        """The files that there are, by name."""
        names = ("images", "base", "validation_set", "features")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}


@dataclass(frozen=True)
class GanOutputs:
    """What the training of a GAN writes: paths.

    Attributes:
        generator: generator.pt.
        training: training.csv, one line per tick, with the columns of
            `rarecxr.gan.training_log.COLUMNS`.
        samples: samples.png.
        metadata: generator.json.
    """

    generator: str | os.PathLike
    training: str | os.PathLike
    samples: str | os.PathLike
    metadata: str | os.PathLike


def train_gan(
    inputs: GanInputs,
    outputs: GanOutputs,
    state: str | os.PathLike,
    settings: GanSettings,
    place: Place,
    code: str | None = None,
    on_tick: Callable[[Trainer, dict[str, Any]], None] | None = None,
    lock_wait_s: float = 120.0,
) -> None:
    """Train a PGGAN on a training set, or go on where an earlier run of the same was killed.

    On the CPU the generator is the same to the byte whether or not the run was interrupted.

    Args:
        inputs: what it is trained from.
        outputs: the files to write.
        state: folder for the resume files. It stays after success, so that a job that is
            counted as failed in its last second is done within seconds when repeated.
        settings: the section `gan`. Another number of CPU threads, which the devices share, can
            change the last bits.
        place: what the GAN is of. It goes into the artifacts and, but for the study, into the
            identity of the resume files.
        code: digest of the code.
        on_tick: called after every tick with the trainer and the row of training.csv.
        lock_wait_s: how long to wait for another process that trains in `state`.

    Raises:
        ValueError: a training set or a base that cannot be used.
        NotFiniteError: a loss or weight was not finite; the last resume file stays.
        WorkerError: with several devices, the process of one has died; likewise.
        KeyboardInterrupt: after SIGINT, when the state is saved.
        TimeoutError: another process trains in `state`.
    """
    _check_place(inputs.images, place)
    device = choose_devices(settings.device, settings.devices)[0]
    conditional = place.recipe == CONDITIONAL
    made_from = {
        **settings.with_effect(),
        "conditioning": "labels" if conditional else "none",
        "precision": choose_precision(settings.precision, device),
        **place.in_study(),
    }
    # First, since the packages that it loads are part of what the GAN was made with.
    space = _feature_space(settings, inputs, device)
    made_by = provenance(place.study, made_from, inputs.files(), settings.seed, code)
    counts = decisive(made_by["versions"])
    identity = digest({**made_by, "versions": counts, "study": None, "device": device.type})
    # GANs of one study share no random numbers: their errors are to be independent.
    task = WorkerTask(
        images=os.fspath(inputs.images),
        base=None if inputs.base is None else os.fspath(inputs.base),
        # Further processes do not ask again what `auto` means.
        settings=settings.plain() | {"precision": made_from["precision"]},
        conditional=conditional,
        seed=seed_for(settings.seed, *place.for_seed()),
        threads=max(1, settings.threads // settings.devices),
    )
    with contextlib.ExitStack() as stack:
        store = ResumeStore(state, identity, settings.resume_interval_s, lock_wait_s)
        stack.enter_context(store)
        trainer, label_names = stack.enter_context(_open_trainer(task, settings, store.scratch))
        saved = store.load()
        if settings.devices > 1:
            _join_workers(stack, trainer, task, store, saved)
        monitor = Monitor(
            trainer,
            Path(state),
            f"PGGAN on {place.finding}, {place.recipe}, {place.fraction:g} % of the patients",
            _evaluator(trainer, inputs, space),
            on_tick,
            ScalarWriter(Path(state) / "tensorboard") if settings.tensorboard else None,
        )
        if saved is not None:
            trainer.load_state(saved["trainer"])
            monitor.load_state(saved["monitor"])
            _log.info("going on at %.3f kimg", trainer.images / 1000)
        _training_loop(trainer, monitor, store, label=str(place))
    _write_outputs(outputs, trainer, monitor, label_names, made_by)


def _check_place(images: str | os.PathLike, place: Place) -> None:
    """Refuse a training set that says that it is another GAN's, as a file in a wrong place does."""
    stated = ImageFile(images).attributes
    for name, wanted in place.in_study().items():
        if stated.get(name, wanted) != wanted:
            raise ValueError(
                f"{images}: the training set of another GAN, with {name} {stated[name]} where it "
                f"should be {wanted}; {REMEDY}"
            )


def _write_outputs(
    outputs: GanOutputs,
    trainer: Trainer,
    monitor: Monitor,
    label_names: list[str],
    made_by: dict[str, Any],
) -> None:
    """Write the four files of a training that is over."""
    final = monitor.final_networks()
    write_rows(outputs.training, monitor.rows)
    monitor.write_sheet(outputs.samples, final)
    labels = {"label_size": len(label_names), "label_names": label_names}
    settings = made_by["settings"] | labels
    write_checkpoint(outputs.generator, final.generator, final.critic, settings, made_by)
    write_json(
        outputs.metadata,
        {
            **made_by,
            "kimg": trainer.images / 1000,
            "kept_kimg": final.images / 1000,
            "kept_kid": final.kid,
            "evaluation": None if monitor.evaluator is None else monitor.evaluator.about,
            "training_images": trainer.data.count,
            "generator_parameters": sum(p.numel() for p in trainer.generator_ema.parameters()),
            "critic_parameters": sum(p.numel() for p in trainer.critic.parameters()),
            GENERATOR_DIGEST: sha256(outputs.generator),
        },
    )


def run_worker() -> None:
    """What the process of a further device does: its share of every step, and nothing else."""
    rank, task = begin_worker()
    settings = GanSettings.of(task.settings)
    scratch = Path(rank.rendezvous).with_name(f"rank_{rank.rank}")
    with _open_trainer(task, settings, scratch, rank.rank) as (trainer, _):
        trainer.join(connect(rank))
        state = trainer.group.broadcast()
        if state is not None:
            trainer.load_state(state)
        while trainer.images < trainer.schedule.images:
            trainer.step()
        end_worker()


@contextlib.contextmanager
def _open_trainer(
    task: WorkerTask, settings: GanSettings, scratch: Path, rank: int = 0
) -> Iterator[tuple[Trainer, list[str]]]:
    """A trainer at its first step, the same on every rank, and the names of its labels."""
    use_processor(task.threads)
    device = choose_devices(settings.device, settings.devices)[rank]
    if device.index is not None:
        torch.cuda.set_device(device)
    finetune = task.base is not None
    start = settings.resolution if finetune else settings.start_resolution
    order = seed_for(task.seed, "order")
    memory = settings.pixel_memory_mib
    with training_images(
        task.images, settings.resolution, start, device, order, scratch, memory
    ) as data:
        label_names = _label_names(task.images, data, settings, task.conditional)
        if finetune:
            networks = _base_networks(task.base, settings, label_names)
        else:
            weights = seed_for(task.seed, "weights")
            networks = build_networks(settings.plain(), len(label_names), weights)
        yield Trainer(settings, data, networks, task.seed, finetune, device), label_names


def _join_workers(
    stack: contextlib.ExitStack,
    trainer: Trainer,
    task: WorkerTask,
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


def _feature_space(
    settings: GanSettings, inputs: GanInputs, device: torch.device
) -> FeatureSpace | None:
    """Where the generator is measured while it trains; None where that is switched off."""
    if settings.evaluation is None:
        return None
    name = settings.evaluation.space
    return FeatureSpace(name, device, inputs.features, inputs.weights_dir)


def _evaluator(trainer: Trainer, inputs: GanInputs, space: FeatureSpace | None) -> Evaluator | None:
    """What measures the generator while it trains; None without a feature space."""
    watch = trainer.settings.evaluation
    if watch is None or space is None:
        return None
    return Evaluator(
        watch,
        inputs.images,
        inputs.validation_set,
        space,
        *trainer.fixed_latents("watch", watch.images),
    )


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
