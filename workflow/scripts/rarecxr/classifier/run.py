"""Which run of a study a training is, and its files."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rarecxr.study.findings import NEGATIVES

PathLike = str | os.PathLike


@dataclass(frozen=True)
class Run:
    """One run of a study.

    Attributes:
        study: name of the study.
        fraction: percent of the training patients whose images are trained on.
        draw: number of the draw.
        seed: number of the run on this draw.
        findings: the classifier's outputs, names of columns of the labels.
        target_findings: those that banks and repetitions are of, and that choose the epoch.
    """

    study: str
    fraction: float
    draw: int
    seed: int
    findings: Sequence[str]
    target_findings: Sequence[str]

    def cell(self) -> dict[str, Any]:
        """What the banks of this run have to be of: study, fraction and draw."""
        return {"study": self.study, "fraction": self.fraction, "draw": self.draw}


@dataclass(frozen=True)
class Inputs:
    """The files that a run is made from.

    Attributes:
        pixels: the pixel cache, `pixels_{resolution}.h5`.
        labels: `labels.parquet`.
        split: `split.csv`.
        draw_csv: `draw{draw}.csv`, which orders the training patients.
        banks: files of synthetic positives by target finding; empty for none.
        negatives: file of synthetic negatives; files by target finding where they are in pairs
            with the positives; or None.
        pretrained: file of a network that was pretrained on images without labels, or None.
    """

    pixels: PathLike
    labels: PathLike
    split: PathLike
    draw_csv: PathLike
    banks: Mapping[str, PathLike] = field(default_factory=dict)
    negatives: PathLike | Mapping[str, PathLike] | None = None
    pretrained: PathLike | None = None

    def digested(self) -> dict[str, PathLike]:
        """The files whose digests say what a run was made from: all but the pixel cache."""
        files = {"labels": self.labels, "split": self.split, "draw": self.draw_csv}
        files |= {f"bank {finding}": path for finding, path in self.banks.items()}
        files |= {"pretrained": self.pretrained} if self.pretrained else {}
        if isinstance(self.negatives, Mapping):
            return files | {f"bank {NEGATIVES} {name}": p for name, p in self.negatives.items()}
        return files | ({f"bank {NEGATIVES}": self.negatives} if self.negatives else {})


@dataclass(frozen=True)
class Outputs:
    """The files that a run writes.

    Attributes:
        model: the network that comes out, `model.pt`.
        history: CSV file with one row per epoch.
        predictions: file with the logits of every image of the patients for validation, testing
            and the expert test (see `rarecxr.classifier.prediction_file`); None to predict none.
    """

    model: PathLike
    history: PathLike
    predictions: PathLike | None = None
