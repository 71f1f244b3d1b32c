"""Learning what images show without labels: SimCLR's loss, network and training loop.

Chen et al. 2020, A Simple Framework for Contrastive Learning of Visual Representations (arXiv
2002.05709). Of two random views of each image in a batch, each is to be more similar to the other
than to any view of another image.
"""

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from rarecxr.classifier.images import DeviceImages, MappedImages
from rarecxr.classifier.networks import network_input
from rarecxr.classifier.schedule import learning_rate
from rarecxr.classifier.views import views
from rarecxr.core.devices import autocast
from rarecxr.core.job_log import Progress
from rarecxr.core.optimizers import set_rate
from rarecxr.core.resume import ResumeStore
from rarecxr.study.configuration.classifier import SelfSupervisedSettings
from rarecxr.study.configuration.training import TransformSettings
from rarecxr.study.seeds import seed_for

log = logging.getLogger(__name__)


def contrastive_loss(projected: torch.Tensor, temperature: float) -> torch.Tensor:
    """SimCLR's loss of a batch (NT-Xent, equation 1), a scalar in float32.

    For each view the cross-entropy of finding the other view of its image among all other views of
    the batch, by cosine similarity divided by the temperature. It is log(2N - 1) if all are alike.

    Args:
        projected: (2N, P), any floating type: one view of every image, then the other of every one.
        temperature: what similarities are divided by.
    """
    return F.cross_entropy(_similarities(projected) / temperature, _partners(projected))


def recognised(projected: torch.Tensor) -> torch.Tensor:
    """Share of the views whose most similar view is the other one of their image, a scalar."""
    nearest = _similarities(projected).argmax(dim=1)
    return (nearest == _partners(projected)).float().mean()


def _similarities(projected: torch.Tensor) -> torch.Tensor:
    """Cosine similarity of every two views, (2N, 2N); of a view with itself -inf."""
    directions = F.normalize(projected.float(), dim=1)
    same = torch.eye(len(directions), dtype=torch.bool, device=projected.device)
    return (directions @ directions.T).masked_fill(same, -torch.inf)


def _partners(projected: torch.Tensor) -> torch.Tensor:
    """Place of the other view of each view's image, (2N,)."""
    places = torch.arange(len(projected), device=projected.device)
    return places.roll(len(places) // 2)


class Projection(nn.Module):
    """A network with SimCLR's projection behind it, which only the training needs.

    The network's last layer, which gave the logits, is the projection's first layer.

    Shapes: (N, 3, R, R) -> (N, width).

    Args:
        network: with `width` outputs.
        width: of both layers.
        seed: of the second layer's random weights.
    """

    def __init__(self, network: nn.Module, width: int, seed: int):
        super().__init__()
        self.network = network
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_for(seed, "projection"))
            self.second = nn.Sequential(
                nn.BatchNorm1d(width), nn.ReLU(), nn.Linear(width, width, bias=False)
            )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Where the loss compares images."""
        return self.second(self.network(images))


@dataclass(frozen=True)
class Procedure:
    """How steps are made.

    Attributes:
        settings: how the network is pretrained.
        transforms: random transforms of the views.
        architecture: of the network.
        precision: fp32 or bf16.
        device: where all is computed.
        seed: seed of order and views.
    """

    settings: SelfSupervisedSettings
    transforms: TransformSettings
    architecture: str
    precision: str
    device: torch.device
    seed: int


class SelfSupervisedFit:
    """One network in training without labels, from its first step or from where it was stopped.

    Every epoch is a random order of all images, of which the rest of an incomplete last batch is
    left out: no image stands twice in a batch, where it would have to differ from itself.

    Args:
        projection: trained in place.
        images: what is learned from, all of it.
        procedure: how steps are made.
        store: holds what is saved and says when.

    Attributes:
        history: one row for each epoch: epoch, images (shown since the beginning, each in two
            views), learning_rate (of its last step), loss, and recognised (share of the views whose
            most similar view in the batch is the other one of their image), means over the epoch.

    Raises:
        ValueError: there are fewer than two images.
    """

    def __init__(
        self,
        projection: Projection,
        images: DeviceImages | MappedImages,
        procedure: Procedure,
        store: ResumeStore,
    ):
        if len(images) < 2:
            raise ValueError(
                f"number of images of training patients: got {len(images)}; an arm with unlabelled:"
                " true takes at least 2, which are contrasted with each other"
            )
        device, settings = procedure.device, procedure.settings
        self.projection = projection.to(device, memory_format=torch.channels_last)
        self.images, self.procedure, self.store = images, procedure, store
        self.batch = min(settings.batch_size, len(images))
        self.steps = len(images) // self.batch
        self.total = settings.epochs * self.steps * self.batch
        self.optimizer = torch.optim.Adam(
            self.projection.parameters(), settings.learning_rate, fused=True
        )
        self.history: list[dict[str, Any]] = []
        self.shown = 0
        # Sums over the epoch of the loss and of the share that was recognised.
        self.sums = torch.zeros(2, dtype=torch.float64, device=device)
        self._resume()

    def run(self) -> None:
        """Train to the end.

        Raises:
            FloatingPointError: the loss is no longer finite.
        """
        if self.shown == self.total:
            return
        device = self.procedure.device
        with (
            Progress(self.total, unit="images", done=self.shown) as bar,
            # Dropout draws from the global generator, which every step seeds anew.
            torch.random.fork_rng(devices=[device] if device.type == "cuda" else []),
        ):
            while self.shown < self.total:
                self._epoch(bar)
        self._save()

    def _epoch(self, bar: Progress) -> None:
        """Train one epoch, or what is left of it."""
        length = self.steps * self.batch
        done, begin = divmod(self.shown, length)
        order = np.random.default_rng([self.procedure.seed, 3, done]).permutation(len(self.images))
        self.projection.train()
        for x in self.images.batches(order[begin:length], self.batch):
            # Before the step: an epoch whose last step is done is always in the history.
            if self.store.due():
                self._save()
            rate = self._step(x)
            bar.update(len(x))
        loss, share = (self.sums / self.steps).tolist()
        self.sums.zero_()
        if not math.isfinite(loss):
            raise FloatingPointError(
                f"the loss is {loss} in epoch {done + 1} of the pretraining: lower "
                "classifier.self_supervised.learning_rate, or set classifier.precision to fp32"
            )
        row = {
            "epoch": done + 1,
            "images": self.shown,
            "learning_rate": rate,
            "loss": loss,
            "recognised": share,
        }
        self.history.append(row)
        log.info("%s", ", ".join(f"{name} {value:.4g}" for name, value in row.items()))
        bar.note(f"loss {loss:.3f}, recognised {share:.0%}")

    def _step(self, x: torch.Tensor) -> float:
        """One step of the optimizer on images (n, 1, R, R) in [0, 1]; its learning rate."""
        procedure, settings = self.procedure, self.procedure.settings
        key = (procedure.seed, "unlabelled", self.shown // self.batch)
        rate = learning_rate("cosine", settings.learning_rate, self.shown, self.total)
        set_rate(self.optimizer, rate)
        torch.manual_seed(seed_for(*key))
        seen = views(x, settings.crop, procedure.transforms, key)
        with autocast(procedure.precision, procedure.device):
            projected = self.projection(network_input(seen, procedure.architecture))
        loss = contrastive_loss(projected, settings.temperature)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.sums += torch.stack([loss.detach(), recognised(projected.detach())])
        self.shown += len(x)
        return rate

    def _save(self) -> None:
        content = {
            "history": self.history,
            "shown": self.shown,
            "projection": self.projection.state_dict(),
        }
        finished = self.shown == self.total
        if not finished:
            content |= {"sums": self.sums, "optimizer": self.optimizer.state_dict()}
        self.store.save(content, self.shown, finished)

    def _resume(self) -> None:
        saved: Mapping[str, Any] | None = self.store.load()
        if saved is None:
            return
        self.history, self.shown = saved["history"], saved["shown"]
        self.projection.load_state_dict(saved["projection"])
        if self.shown < self.total:
            self.sums.copy_(saved["sums"])
            self.optimizer.load_state_dict(saved["optimizer"])
        log.info("going on after %d images", self.shown)
