"""One run of a trainer: its log, its sample sheet, and the networks that it ends with."""

import copy
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rarecxr.gan.evaluation import Best, Watch
from rarecxr.gan.networks import Critic, Generator
from rarecxr.gan.sample_sheet import write_sheet
from rarecxr.gan.tensorboard import ScalarWriter
from rarecxr.gan.trainer import SHEET_COLUMNS, Trainer
from rarecxr.gan.training_log import write_rows
from rarecxr.study.seeds import seed_for

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Kept:
    """The networks that a run ends with.

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


class Run:
    """A trainer with its log rows, its snapshots and its best networks.

    training.csv and the sample sheet are also written into the state folder as they grow, so that
    a long run can be watched.
    """

    def __init__(
        self,
        trainer: Trainer,
        folder: Path,
        title: str,
        watch: Watch | None,
        on_tick: Callable[[Trainer, dict[str, Any]], None] | None,
        scalars: ScalarWriter | None,
    ):
        self.trainer = trainer
        self.folder = folder
        self.title = title
        self.watch = watch
        self.on_tick = on_tick
        self.scalars = scalars
        self.rows: list[dict[str, Any]] = []
        self.snapshots: list[list] = []  # label, images (SHEET_COLUMNS, R, R) uint8
        self.best = Best()
        self._reals = self._real_rows()
        self._tick_images = 0
        self._seconds = 0.0  # spent in this tick, by earlier processes too
        self._since = time.perf_counter()

    def after_step(self) -> None:
        """Tick and take a snapshot where one is due: a function of the images shown."""
        trainer, settings = self.trainer, self.trainer.settings
        done = trainer.images >= trainer.schedule.images
        if trainer.images - self._tick_images >= 1000 * settings.tick_kimg or done:
            trainer.check()
            self._tick()
        due = trainer.images * settings.snapshots // trainer.schedule.images
        if len(self.snapshots) <= min(due, settings.snapshots):
            self.snapshot()

    def snapshot(self) -> None:
        """Keep what the averaged generator draws now."""
        moment = self.trainer.schedule.at(self.trainer.images)
        label = f"{self.trainer.images / 1000:.1f} kimg\n{moment.resolution} px"
        self.snapshots.append([label, self.trainer.sheet_images()])
        self.write_sheet(self.folder / "samples.png")

    def kept(self) -> Kept:
        """The best networks that were measured; the last ones without measurement, or if asked for.

        Measured are networks that have fully grown, so none from before is ever kept.
        """
        trainer, watched = self.trainer, self.trainer.settings.watch_settings()
        last = Kept(trainer.average, trainer.critic, trainer.images, self.rows[-1].get("kid"))
        if watched is None or watched.keep == "last" or not self.best.networks:
            return last
        best = Kept(
            copy.deepcopy(trainer.average),
            copy.deepcopy(trainer.critic),
            self.best.images,
            self.best.kid,
        )
        best.generator.load_state_dict(self.best.networks["average"])
        best.critic.load_state_dict(self.best.networks["critic"])
        _log.info("kept is %.3f kimg with a KID of %.5f", best.images / 1000, best.kid)
        return best

    def write_sheet(self, path: str | os.PathLike, kept: Kept | None = None) -> None:
        """Write the sample sheet, with a row of the networks that are kept where there are some."""
        rows = [(label, pictures.numpy()) for label, pictures in self.snapshots]
        if kept is not None and kept.images != self.trainer.images:
            pictures = self.trainer.sheet_images(kept.generator)
            rows.append((f"kept: {kept.images / 1000:.1f} kimg", pictures.numpy()))
        write_sheet(
            path,
            f"{self.title}: the averaged generator's images of the same latents over training",
            rows + self._reals,
            "Generated images are synthetic: for research only, not for diagnosis.",
        )

    def _tick(self) -> None:
        trainer = self.trainer
        kimg = (trainer.images - self._tick_images) / 1000
        moment = trainer.schedule.at(max(trainer.images - 1, 0))
        row = {
            "kimg": trainer.images / 1000,
            "resolution": moment.resolution,
            "alpha": moment.alpha,
            "minibatch": trainer.settings.minibatch_at(moment.resolution),
            "lr": trainer.settings.lr_at(moment.resolution),
            **trainer.record.means(),
            "s_per_kimg": self._elapsed() / kimg,
        }
        if moment.resolution == trainer.settings.resolution and moment.alpha == 1:
            row |= self._measured()
        self.rows.append(row)
        write_rows(self.folder / "training.csv", self.rows)
        trainer.record.clear()
        self._tick_images = trainer.images
        if self.scalars is not None:
            self.scalars.add(row)
        if self.on_tick is not None:
            self.on_tick(trainer, row)
        self._seconds, self._since = 0.0, time.perf_counter()

    def _measured(self) -> dict[str, float]:
        """How good the average is, which is kept if it is the best so far."""
        if self.watch is None:
            return {}
        trainer = self.trainer
        told = self.watch.measure(trainer.average)
        if told:
            networks = {"average": trainer.average, "critic": trainer.critic}
            self.best.offer(told["kid"], trainer.images, networks)
        return told

    def _elapsed(self) -> float:
        return self._seconds + time.perf_counter() - self._since

    def state(self) -> dict[str, Any]:
        """The trainer's state and ours."""
        return {
            "trainer": self.trainer.state(),
            "rows": self.rows,
            "snapshots": self.snapshots,
            "best": self.best.state(),
            "tick_images": self._tick_images,
            "seconds": self._elapsed(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from `state()`."""
        self.trainer.load_state(state["trainer"])
        self.rows, self.snapshots = state["rows"], state["snapshots"]
        self.best.load_state(state["best"])
        self._tick_images, self._seconds = state["tick_images"], state["seconds"]
        self._since = time.perf_counter()

    def _real_rows(self) -> list[tuple[str, np.ndarray]]:
        """Two rows of real images for the sample sheet."""
        data = self.trainer.data
        random = np.random.default_rng(seed_for(self.trainer.seed, "real"))
        rows = []
        for _ in range(2):
            chosen = random.choice(data.count, min(SHEET_COLUMNS, data.count), replace=False)
            pictures = data.pick(np.sort(chosen), self.trainer.settings.resolution)[:, 0]
            rows.append(("real training\nimages", pictures.cpu().numpy()))
        return rows
