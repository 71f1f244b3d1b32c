"""Input files of a classifier run, small and made by hand, for the tests."""

import contextlib
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
import pytest

from rarecxr.bank.bank_file import write_bank
from rarecxr.classifier.fitting import Fit
from rarecxr.classifier.run import Inputs, Outputs, Run
from rarecxr.classifier.training import train_classifier
from rarecxr.data.image_file import write_image_file
from rarecxr.study.configuration.classifier import TrainingSettings
from rarecxr.study.configuration.training import Arm, TransformSettings
from rarecxr.study.findings import slug
from rarecxr.study.sizes import Addition, Sizes

FINDINGS = ["Edema", "Lung Lesion", "Fracture"]
TARGETS = ["Lung Lesion", "Fracture"]

SETTINGS = {
    "architecture": "shufflenet_v2_x0_5",
    "weights": None,
    "weights_dir": None,
    "resolution": 32,
    "batch_size": 16,
    "epochs": 2,
    "epoch_images": "real",
    "patience": None,
    "learning_rate": 0.003,
    "schedule": "constant",
    "pretrain_share": 0.5,
    "finetune_rate": 0.1,
    "precision": "fp32",
    "device": "cpu",
    "pixel_memory_mib": 100,
    "resume_interval_s": 120,
    "threads": 1,
}


def draw_images(labels: np.ndarray, resolution: int, seed: int) -> np.ndarray:
    """Grey noise (N, R, R) uint8: a lesion is a bright square, a fracture a dark bar."""
    rng = np.random.default_rng(seed)
    images = rng.normal(120, 30, (len(labels), resolution, resolution))
    side = resolution // 4
    for image, (lesion, fracture) in zip(images, labels, strict=True):
        row, column = rng.integers(0, resolution - side, 2)
        if lesion == 1:
            image[row : row + side, column : column + side] += 90
        if fracture == 1:
            image[:, column : column + side // 2] -= 90
    return images.clip(0, 255).astype(np.uint8)


def make_study(
    folder: Path, patients: int = 120, resolution: int = 32, seed: int = 0, draw: int = 0
) -> dict:
    """Write cache, labels, split, draw and banks; what `run` takes to use them.

    Every patient has two images. Of each five patients the first three train, one validates,
    one tests; the last two patients of all are experts', and one is not used. A fifth of the
    labels of Edema are NaN.
    """
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    count = 2 * patients
    names = [f"patient{number // 2:05d}" for number in range(count)]
    keys = [f"train/{name}/study1/view{number % 2}.jpg" for number, name in enumerate(names)]
    labels = pd.DataFrame({"image": keys, "patient": names})
    labels["Edema"] = rng.choice([0, 1, np.nan], count, p=[0.5, 0.3, 0.2]).astype(np.float32)
    labels["Lung Lesion"] = (rng.random(count) < 0.3).astype(np.float32)
    labels["Fracture"] = (rng.random(count) < 0.2).astype(np.float32)
    labels.to_parquet(folder / "labels.parquet", index=False)

    images = draw_images(labels[TARGETS].to_numpy(), resolution, seed)
    columns = {
        "image": keys,
        "row": np.arange(count),
        "digest": [f"{number:064x}" for number in range(count)],
    }
    write_image_file(folder / "pixels.h5", [images], count, resolution, columns)

    parts = ["train", "train", "train", "val", "test"]
    split = pd.DataFrame({"patient": sorted(set(names))})
    split["split"] = [parts[number % 5] for number in range(patients)]
    split.loc[patients - 2 :, "split"] = "expert"
    split.loc[8, "split"] = "unused"
    split.to_csv(folder / "split.csv", index=False)
    training = split[split["split"] == "train"]["patient"].to_list()
    ranks = pd.DataFrame({"patient": rng.permutation(training), "rank": range(len(training))})
    ranks["minimum"] = 0
    ranks.to_csv(folder / "draw.csv", index=False)
    return {
        "pixels": folder / "pixels.h5",
        "labels": folder / "labels.parquet",
        "split": folder / "split.csv",
        "draw_csv": folder / "draw.csv",
        "banks": {},
        "negatives": None,
        "arm": {},
        "transforms": None,
        "findings": FINDINGS,
        "target_findings": TARGETS,
        "ratio": 1.0,
        "number": None,
        "largest": [],
        "study": "tiny",
        "fraction": 100.0,
        "draw": draw,
        "seed": 0,
        **SETTINGS,
    }


def make_bank(path: Path, finding: str, number: int, resolution: int = 32, **attributes) -> Path:
    """Write a bank of images that show `finding`, or none for "negatives"."""
    labels = np.array([[float(finding == name) for name in TARGETS]] * number)
    about = {
        "finding": finding,
        "recipe": "base" if finding == "negatives" else "plain",
        "fraction": 100.0,
        "draw": 0,
        "study": "tiny",
        **attributes,
    }
    write_bank(path, number, resolution, [draw_images(labels, resolution, seed=number)], about)
    return path


def make_banks(folder: Path, number: int = 20, **attributes) -> dict:
    """Banks for all target findings and the negatives, as `run` takes them."""
    banks = {
        finding: make_bank(folder / f"{slug(finding)}.h5", finding, number, **attributes)
        for finding in TARGETS
    }
    negatives = make_bank(folder / "negatives.h5", "negatives", number * len(TARGETS))
    return {"banks": banks, "negatives": negatives}


def outputs_in(folder: Path) -> dict[str, Path]:
    """A run's outputs in a folder of its own."""
    return {
        "model": folder / "model.pt",
        "predictions": folder / "predictions.parquet",
        "history": folder / "history.csv",
    }


def run(study: dict, folder: Path, section=TrainingSettings, **changes) -> dict[str, Path]:
    """Train with a study's inputs and some values changed; the files that came out.

    `section` takes those that no other part of a run does.
    """
    folder.mkdir(parents=True, exist_ok=True)
    outputs = outputs_in(folder)
    values = {**study, **changes}

    def taken(kind):
        return kind(**{name: values.pop(name) for name in kind.__annotations__ if name in values})

    def made(kind, value):
        return None if value is None else kind.of(value)

    train_classifier(
        inputs=taken(Inputs),
        outputs=Outputs(**outputs),
        state=folder / "state",
        run=taken(Run),
        arm=Arm.of(values.pop("arm")),
        transforms=made(TransformSettings, values.pop("transforms")),
        sizes=Sizes(ratio=values.pop("ratio"), number=values.pop("number")),
        largest=[Addition.of(one) for one in values.pop("largest")],
        **{name: values.pop(name) for name in ("code", "lock_wait_s") if name in values},
        settings=section.of(values),
    )
    return outputs


@contextlib.contextmanager
def interrupted(steps: int):
    """The training in the block is interrupted after so many steps, as by Ctrl-C."""
    step, left = Fit._step, iter(range(steps))

    def dying(self, *batch):
        if next(left, None) is None:
            raise KeyboardInterrupt
        return step(self, *batch)

    with mock.patch.object(Fit, "_step", dying), pytest.raises(KeyboardInterrupt):
        yield
