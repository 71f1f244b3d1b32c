"""What is recorded while a GAN trains: its log, its sample sheet, and its best networks."""

import copy
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rarecxr.gan.evaluation import BestNetworks, Evaluator
from rarecxr.gan.layers import upscale
from rarecxr.gan.networks import Critic, Generator
from rarecxr.gan.pixels import to_uint8
from rarecxr.gan.sample_sheet import write_sheet
from rarecxr.gan.tensorboard import ScalarWriter
from rarecxr.gan.trainer import Trainer
from rarecxr.gan.training_log import write_rows
from rarecxr.study.seeds import seed_for

_log = logging.getLogger(__name__)

# Images in one row of the sample sheet.
_COLUMNS = 10


@dataclass(frozen=True)
class FinalNetworks:
    """The networks that a training ends with.

    Attributes:
        generator: the averaged generator.
        critic: the critic of the same moment.
        images: number of images that had been shown then.
        kid: its KID, None where it was not measured.
    """

    generator: Generator
    critic: Critic
    images: int
    kid: float | None


class Monitor:
    """Log rows, snapshots and best networks of a trainer.

    training.csv and the sample sheet are also written into the state folder as they grow, so that
    a long training can be followed.

    Args:
        trainer: the trainer that is followed.
        folder: the state folder.
        title: what is trained, for the sample sheet.
        evaluator: measures the averaged generator at every tick once it has fully grown; None
            for no measurement.
        on_tick: called after every tick with the trainer and the row of training.csv.
        scalars: gets each row for TensorBoard; None for none.
    """

    def __init__(
        self,
        trainer: Trainer,
        folder: Path,
        title: str,
        evaluator: Evaluator | None,
        on_tick: Callable[[Trainer, dict[str, Any]], None] | None,
        scalars: ScalarWriter | None,
    ):
        self.trainer = trainer
        self.folder = folder
        self.title = title
        self.evaluator = evaluator
        self.on_tick = on_tick
        self.scalars = scalars
        self.rows: list[dict[str, Any]] = []
        self.snapshots: list[list] = []  # label, images (_COLUMNS, R, R) uint8
        self.best = BestNetworks()
        self._latents = trainer.fixed_latents("sheet", _COLUMNS)
        self._real_rows = self._choose_real_rows()
        self._tick_images = 0
        self._seconds = 0.0  # spent in this tick, by earlier processes too
        self._since = time.perf_counter()

    def begin(self) -> None:
        """Take the first snapshot, unless an earlier process has done so."""
        if not self.snapshots:
            self._take_snapshot()

    def after_step(self) -> None:
        """Write a row and take a snapshot where one is due: a function of the images shown."""
        trainer, settings = self.trainer, self.trainer.settings
        done = trainer.images >= trainer.schedule.images
        if trainer.images - self._tick_images >= 1000 * settings.tick_kimg or done:
            trainer.check()
            self._tick()
        due = trainer.images * settings.snapshots // trainer.schedule.images
        if len(self.snapshots) <= min(due, settings.snapshots):
            self._take_snapshot()

    def final_networks(self) -> FinalNetworks:
        """The best networks that were measured, or the last ones if none was or if asked for.

        Only fully grown networks are measured, so that none from before is ever kept.
        """
        trainer, watch = self.trainer, self.trainer.settings.evaluation
        if watch is None or watch.keep == "last" or not self.best.networks:
            kid = self.rows[-1].get("kid")
            return FinalNetworks(trainer.generator_ema, trainer.critic, trainer.images, kid)
        best = FinalNetworks(
            copy.deepcopy(trainer.generator_ema),
            copy.deepcopy(trainer.critic),
            self.best.images,
            self.best.kid,
        )
        best.generator.load_state_dict(self.best.networks["generator_ema"])
        best.critic.load_state_dict(self.best.networks["critic"])
        _log.info("kept: %.3f kimg with a KID of %.5f", best.images / 1000, best.kid)
        return best

    def write_sheet(self, path: str | os.PathLike, final: FinalNetworks | None = None) -> None:
        """Write the sample sheet; with a row of the final networks if they are not the last."""
        rows = [(label, pictures.numpy()) for label, pictures in self.snapshots]
        if final is not None and final.images != self.trainer.images:
            resolution = self.trainer.settings.resolution
            pictures = self._draw(final.generator, resolution, 1.0).numpy()
            rows.append((f"kept: {final.images / 1000:.1f} kimg", pictures))
        write_sheet(
            path,
            f"{self.title}: images of the averaged generator from the same latents over training",
            rows + self._real_rows,
            "Generated images are synthetic: for research only, not for diagnosis.",
        )

    def state(self) -> dict[str, Any]:
        """All that is recorded, as tensors and plain values."""
        return {
            "rows": self.rows,
            "snapshots": self.snapshots,
            "best": self.best.state(),
            "tick_images": self._tick_images,
            "seconds": self._elapsed(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from `state()`."""
        self.rows, self.snapshots = state["rows"], state["snapshots"]
        self.best.load_state(state["best"])
        self._tick_images, self._seconds = state["tick_images"], state["seconds"]
        self._since = time.perf_counter()

    def _tick(self) -> None:
        """Write a row of training.csv, after measuring the generator if it has fully grown."""
        trainer, settings = self.trainer, self.trainer.settings
        kimg = (trainer.images - self._tick_images) / 1000
        moment = trainer.schedule.at(max(trainer.images - 1, 0))
        row = {
            "kimg": trainer.images / 1000,
            "resolution": moment.resolution,
            "alpha": moment.alpha,
            "minibatch": settings.batch_size.at(moment.resolution),
            "lr": settings.learning_rate.at(moment.resolution),
            **trainer.means.means(),
            "s_per_kimg": self._elapsed() / kimg,
        }
        if moment.resolution == settings.resolution and moment.alpha == 1:
            row |= self._evaluate()
        self.rows.append(row)
        write_rows(self.folder / "training.csv", self.rows)
        trainer.means.clear()
        self._tick_images = trainer.images
        if self.scalars is not None:
            self.scalars.add(row)
        if self.on_tick is not None:
            self.on_tick(trainer, row)
        self._seconds, self._since = 0.0, time.perf_counter()

    def _evaluate(self) -> dict[str, float]:
        """Measures of the averaged generator, which is kept if it is the best so far."""
        if self.evaluator is None:
            return {}
        trainer = self.trainer
        measures = self.evaluator.measure(trainer.generator_ema)
        if measures:
            networks = {"generator_ema": trainer.generator_ema, "critic": trainer.critic}
            self.best.offer(measures["kid"], trainer.images, networks)
        return measures

    def _elapsed(self) -> float:
        return self._seconds + time.perf_counter() - self._since

    def _take_snapshot(self) -> None:
        moment = self.trainer.schedule.at(self.trainer.images)
        label = f"{self.trainer.images / 1000:.1f} kimg\n{moment.resolution} px"
        pictures = self._draw(self.trainer.generator_ema, moment.resolution, moment.alpha)
        self.snapshots.append([label, pictures])
        self.write_sheet(self.folder / "samples.png")

    @torch.no_grad()
    def _draw(self, generator: Generator, resolution: int, alpha: float) -> Tensor:
        """Images of the sheet's latents, enlarged to the full resolution R.

        Returns:
            (_COLUMNS, R, R) uint8 on the CPU.
        """
        latents, labels = self._latents
        images = generator(latents, labels, resolution, alpha)
        images = upscale(images, self.trainer.settings.resolution // resolution)
        return to_uint8(images[:, 0]).cpu()

    def _choose_real_rows(self) -> list[tuple[str, np.ndarray]]:
        """Two rows of real images for the sample sheet."""
        data = self.trainer.data
        random = np.random.default_rng(seed_for(self.trainer.seed, "real"))
        rows = []
        for _ in range(2):
            chosen = random.choice(data.count, min(_COLUMNS, data.count), replace=False)
            pictures = data.pick(np.sort(chosen), self.trainer.settings.resolution)[:, 0]
            rows.append(("real training\nimages", pictures.cpu().numpy()))
        return rows
