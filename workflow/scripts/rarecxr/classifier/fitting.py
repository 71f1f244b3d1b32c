"""The training loop: phases of epochs, each epoch judged on the validation images."""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from rarecxr.classifier.examples import REAL, Examples
from rarecxr.classifier.images import DeviceImages, MappedImages
from rarecxr.classifier.metrics import auroc
from rarecxr.classifier.networks import network_input
from rarecxr.classifier.prediction import BATCH, predict_logits
from rarecxr.classifier.schedule import learning_rate
from rarecxr.classifier.transforms import transform
from rarecxr.core.cuda_graphs import StepGraphs
from rarecxr.core.devices import autocast
from rarecxr.core.job_log import Progress
from rarecxr.core.losses import masked_bce
from rarecxr.core.optimizers import adam_state, load_adam, make_adam, set_rate
from rarecxr.core.order import EndlessPermutation
from rarecxr.core.resume import ResumeStore
from rarecxr.study.configuration.classifier import TrainingSettings
from rarecxr.study.configuration.training import TransformSettings
from rarecxr.study.findings import slug
from rarecxr.study.seeds import seed_for

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Phase:
    """A stretch of training on one list of examples, with an optimizer of its own.

    Attributes:
        name: `train`, `pretrain` or `finetune`.
        examples: what is shown.
        epochs: number of epochs at most.
        rate: learning rate at its beginning.
        loss_weight: what a label of an added image counts; one of the fraction's own counts 1.
    """

    name: str
    examples: Examples
    epochs: int
    rate: float
    loss_weight: float = 1.0

    def weights(self) -> np.ndarray | None:
        """What each example's labels count, (E,) float32; None where all count the same."""
        if self.loss_weight == 1:
            return None
        return np.where(self.examples.kind == REAL, 1, self.loss_weight).astype(np.float32)


@dataclass(frozen=True)
class Validation:
    """The images that choose the epoch.

    Attributes:
        places: (V,) int64, places in the list of images.
        labels: (V, F) float32 in {0, 1, NaN}.
        targets: names of the target findings, by their column.
    """

    places: np.ndarray
    labels: np.ndarray
    targets: dict[int, str]


@dataclass(frozen=True)
class Procedure:
    """How steps are made, the same in all phases.

    Attributes:
        settings: how the classifier is trained.
        epoch_length: images of one epoch, a multiple of the batch size.
        transforms: settings of the random transforms, or None for none.
        precision: fp32 or bf16.
        device: where all is computed.
        real_images: number of the fraction's real images, which passes over them are counted by.
        seed: seed of order and transforms.
    """

    settings: TrainingSettings
    epoch_length: int
    transforms: TransformSettings | None
    precision: str
    device: torch.device
    real_images: int
    seed: int


class Fit:
    """One network in training, from its first step or from where it was stopped.

    The best epoch of a phase has the highest mean AUROC over the target findings that have
    both classes among the validation images or, where none has, the lowest validation loss. A
    phase starts from the best epoch of the one before. Where the settings ask for an average of the
    weights, it is the average that is judged and kept; each phase begins a new one.

    Args:
        network: trained in place; it ends with the weights of the last phase's best epoch.
        phases: what is done, one after the other.
        images: what the places in examples and validation refer to.
        validation: what the epochs are judged by.
        procedure: how steps are made.
        store: holds what is saved and says when.

    Attributes:
        history: one row for each epoch: phase, epoch, images (shown since the phase began),
            real_passes (how often each real image of the fraction was shown since the run began,
            on average, repetitions among an arm's examples apart), learning_rate (of its last
            step), train_loss, val_loss, criterion (what chooses, higher is better), the AUROC of
            each target finding (NaN where it has one class) and chosen (1 where the phase's
            weights are from).
    """

    def __init__(
        self,
        network: nn.Module,
        phases: Sequence[Phase],
        images: DeviceImages | MappedImages,
        validation: Validation,
        procedure: Procedure,
        store: ResumeStore,
    ):
        self.network = network.to(procedure.device, memory_format=torch.channels_last)
        self.phases, self.images, self.validation = phases, images, validation
        self.procedure, self.store = procedure, store
        self.history: list[dict[str, Any]] = []
        self.loss = torch.zeros((), dtype=torch.float64, device=procedure.device)
        self._begin_phase(0)
        self._resume()

    def run(self) -> None:
        """Train to the end.

        Raises:
            FloatingPointError: the loss is no longer finite.
        """
        total = sum(phase.epochs for phase in self.phases) * self.procedure.epoch_length
        device = self.procedure.device
        if self.number == len(self.phases):
            return
        with (
            Progress(total, unit="images", done=self._done()) as bar,
            # Dropout draws from the global generator, which every step seeds anew.
            torch.random.fork_rng(devices=[device] if device.type == "cuda" else []),
        ):
            while self.number < len(self.phases):
                while not self._phase_is_over():
                    self._epoch(bar)
                self.network.load_state_dict(self.best["network"])
                self.history[self.best["row"]]["chosen"] = 1
                self._begin_phase(self.number + 1)
        self._save()

    def _done(self) -> int:
        """Images shown in all, as if every phase that is over had used all its epochs."""
        over = sum(phase.epochs for phase in self.phases[: self.number])
        return over * self.procedure.epoch_length + self.shown

    def _begin_phase(self, number: int) -> None:
        self.number, self.shown, self.worse, self.best = number, 0, 0, None
        if number < len(self.phases):
            phase = self.phases[number]
            self.labels = torch.from_numpy(phase.examples.labels).to(self.procedure.device)
            weights = phase.weights()
            self.weights = None
            if weights is not None:
                self.weights = torch.from_numpy(weights).to(self.procedure.device)
            device = self.procedure.device
            self.optimizer = make_adam(self.network.parameters(), device, lr=phase.rate)
            self.graphs = StepGraphs(device, self.optimizer.zero_grad)
            self.averaged = _average_of(self.network, self.procedure.settings)

    def _judged(self) -> nn.Module:
        """The network that is judged and kept."""
        return self.network if self.averaged is None else self.averaged.module

    def _phase_is_over(self) -> bool:
        patience = self.procedure.settings.patience
        if patience is not None and self.worse >= patience:
            log.info("no better epoch among the last %d: the phase ends", patience)
            return True
        return self.shown >= self.phases[self.number].epochs * self.procedure.epoch_length

    def _epoch(self, bar: Progress) -> None:
        """Train one epoch, or what is left of it, and judge it."""
        procedure, phase = self.procedure, self.phases[self.number]
        epoch = self.shown // procedure.epoch_length + 1
        end = epoch * procedure.epoch_length
        begin = end - procedure.epoch_length
        permutation = EndlessPermutation(len(phase.examples), procedure.seed, self.number)
        order = permutation.read(begin, end)
        real = int(np.sum(phase.examples.kind[order] == REAL))
        order = order[self.shown - begin :]
        batches = self.images.batches(phase.examples.image[order], procedure.settings.batch_size)
        rows = torch.from_numpy(order).to(procedure.device).split(procedure.settings.batch_size)
        self.network.train()
        for x, chosen in zip(batches, rows, strict=True):
            # Before the step: an epoch whose last step is done has always been judged.
            if self.store.due():
                self._save()
            weights = None if self.weights is None else self.weights[chosen]
            rate = self._step(x, self.labels[chosen], weights)
            bar.update(len(x))
        train_loss = self.loss.item() / (procedure.epoch_length // procedure.settings.batch_size)
        self.loss.zero_()
        if not math.isfinite(train_loss):
            raise FloatingPointError(
                f"the training loss is {train_loss} in epoch {epoch} of phase {phase.name}: lower "
                "classifier.learning_rate, or set classifier.precision to fp32"
            )
        val_loss, values = self._judge()
        passes = self.history[-1]["real_passes"] if self.history else 0.0
        known = [value for value in values.values() if not math.isnan(value)]
        criterion = sum(known) / len(known) if known else -val_loss
        row = {
            "phase": phase.name,
            "epoch": epoch,
            "images": self.shown,
            "real_passes": passes + real / procedure.real_images,
            "learning_rate": rate,
            "train_loss": train_loss,
            "val_loss": val_loss,
            "criterion": criterion,
            **values,
            "chosen": 0,
        }
        self.history.append(row)
        self.worse += 1
        if self.best is None or criterion > self.best["criterion"]:
            weights = {k: v.detach().clone() for k, v in self._judged().state_dict().items()}
            self.best = {"criterion": criterion, "row": len(self.history) - 1, "network": weights}
            self.worse = 0
        log.info("%s", ", ".join(f"{k} {v:.4g}" for k, v in row.items() if k != "phase"))
        bar.note(f"loss {train_loss:.3f}, validation {criterion:.3f}")

    def _step(
        self, x: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor | None = None
    ) -> float:
        """One step of the optimizer on images (n, 1, R, R) in [0, 1]; its learning rate."""
        procedure, phase = self.procedure, self.phases[self.number]
        key = (procedure.seed, self.number, self.shown // procedure.settings.batch_size)
        total = phase.epochs * procedure.epoch_length
        rate = learning_rate(procedure.settings.schedule, phase.rate, self.shown, total)
        set_rate(self.optimizer, rate)
        torch.manual_seed(seed_for(*key))
        if procedure.transforms is not None:
            x = transform(x, procedure.transforms, key)
        inputs = [x, labels] if weights is None else [x, labels, weights]
        self.graphs.run((len(inputs), len(x)), self._learn, inputs)
        if self.averaged is not None:
            self.averaged.update_parameters(self.network)
        self.shown += len(x)
        return rate

    def _learn(
        self, x: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor | None = None
    ) -> None:
        """What one step changes: the weights, the optimizer's state and the sum of losses."""
        procedure = self.procedure
        with autocast(procedure.precision, procedure.device):
            logits = self.network(network_input(x, procedure.settings.architecture))
        loss = masked_bce(logits, labels, weights=weights)
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.loss += loss.detach()

    def _judge(self) -> tuple[float, dict[str, float]]:
        """The validation loss, and the AUROC of each target finding by its column's name."""
        logits = predict_logits(
            self._judged(),
            self.images.batches(self.validation.places, BATCH),
            self.procedure.settings.architecture,
            self.procedure.precision,
            self.procedure.device,
        )
        labels = self.validation.labels
        values = {
            f"val_auroc_{slug(name)}": auroc(labels[:, column], logits[:, column].numpy())
            for column, name in self.validation.targets.items()
        }
        return masked_bce(logits, torch.tensor(labels)).item(), values

    def _save(self) -> None:
        finished = self.number == len(self.phases)
        content = {
            "number": self.number,
            "history": self.history,
            "network": self.network.state_dict(),
        }
        if not finished:
            content |= {
                "shown": self.shown,
                "worse": self.worse,
                "best": self.best,
                "loss": self.loss,
                "optimizer": adam_state(self.optimizer),
            }
            if self.averaged is not None:
                content["averaged"] = self.averaged.state_dict()
        self.store.save(content, self._done(), finished)

    def _resume(self) -> None:
        saved = self.store.load()
        if saved is None:
            return
        self._begin_phase(saved["number"])
        self.history = saved["history"]
        self.network.load_state_dict(saved["network"])
        if self.number < len(self.phases):
            self.shown, self.worse, self.best = saved["shown"], saved["worse"], saved["best"]
            self.loss.copy_(saved["loss"])
            load_adam(self.optimizer, saved["optimizer"])
            self.graphs.clear()
            if self.averaged is not None:
                self.averaged.load_state_dict(saved["averaged"])
        log.info("going on after %d images of phase %d", self.shown, self.number + 1)


def _average_of(network: nn.Module, settings: TrainingSettings) -> AveragedModel | None:
    """The exponential moving average of a network, which begins with its next step; or None.

    The running statistics of its batch normalization are averaged alike: they then belong to
    weights as old as the averaged ones.
    """
    if settings.weight_ema is None:
        return None
    decay = 0.5 ** (settings.batch_size / settings.weight_ema)
    return AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)
