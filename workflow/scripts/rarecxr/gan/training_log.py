"""The log of a training: means of loss terms, and the file training.csv."""

import csv
import math
import os
from typing import Any

import torch
from torch import Tensor

from rarecxr.core.files import written_whole

COLUMNS = (
    "kimg",
    "resolution",
    "alpha",
    "minibatch",
    "lr",
    "critic_loss",
    "generator_loss",
    "gradient_penalty",
    "label_loss",
    "real_score",
    "fake_score",
    "real_sign",
    "ada_p",
    "kid",
    "precision",
    "recall",
    "density",
    "coverage",
    "memorised",
    "s_per_kimg",
)


class NotFiniteError(RuntimeError):
    """A loss or a weight became infinite or not a number."""


class RunningMeans:
    """Means of named terms over a tick, and when one was first not finite.

    Nothing waits for the device before a mean is asked for.
    """

    def __init__(self):
        self._terms: dict[str, list] = {}  # name -> [sum, count, images at the first bad value]

    def add(self, images: int, **terms: Tensor) -> None:
        """Count one value of each term, seen when `images` images had been shown.

        Values are 0-dimensional tensors and stay on their device.
        """
        for name, value in terms.items():
            value = value.detach().double()
            if name not in self._terms:
                self._terms[name] = [torch.zeros_like(value), 0, torch.full_like(value, -1)]
            entry = self._terms[name]
            bad = ~torch.isfinite(value) & (entry[2] < 0)
            entry[0] = entry[0] + value
            entry[1] += 1
            entry[2] = torch.where(bad, float(images), entry[2])

    def check(self) -> None:
        """Wait for the device and look whether every value was finite.

        Raises:
            NotFiniteError: names the term that failed first, and when.
        """
        bad = {name: float(entry[2]) for name, entry in self._terms.items()}
        bad = {name: images for name, images in bad.items() if images >= 0}
        if bad:
            term = min(bad, key=bad.get)
            raise NotFiniteError(f"{term} was not finite at {bad[term] / 1000:.3f} kimg")

    def means(self) -> dict[str, float]:
        """The mean of each term since the last `clear`."""
        return {name: float(entry[0]) / entry[1] for name, entry in self._terms.items()}

    def clear(self) -> None:
        """Begin a new tick."""
        self._terms = {}

    def state(self) -> dict[str, list]:
        """Plain values for a resume file."""
        return {
            name: [float(total), count, float(bad)]
            for name, (total, count, bad) in self._terms.items()
        }

    def load_state(self, state: dict[str, list], device: torch.device) -> None:
        """Go on from `state`."""
        self._terms = {
            name: [
                torch.tensor(total, dtype=torch.float64, device=device),
                count,
                torch.tensor(bad, dtype=torch.float64, device=device),
            ]
            for name, (total, count, bad) in state.items()
        }


def write_rows(path: str | os.PathLike, rows: list[dict[str, Any]]) -> None:
    """Write training.csv: one line per tick, empty where a term does not exist."""
    with (
        written_whole(path) as temporary,
        open(temporary, "w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({name: _text(row.get(name)) for name in COLUMNS})


def _text(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
