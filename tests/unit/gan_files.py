"""A tiny training set and the arguments of a tiny run, for tests."""

from pathlib import Path

import numpy as np
import torch

from rarecxr.data.image_file import write_image_file

# Networks as small as these are quickest in one thread, and tests run side by side.
torch.set_num_threads(1)

SETTINGS = {
    "resolution": 16,
    "start_resolution": 8,
    "latent_size": 8,
    "fmap_base": 32,
    "fmap_max": 8,
    "batch_size": 4,
    "fade_kimg": 0.024,
    "stabilise_kimg": 0.02,
    "final_kimg": 0.04,
    "finetune_kimg": 0.032,
    "tick_kimg": 0.012,
    "snapshots": 3,
    "evaluation": {"space": "pixels", "images": 16, "min_reference": 10},
    "device": "cpu",
    "precision": "fp32",
    "loss": "r1",
    "r1_interval": 2,
    "r1_gamma": 0.1,
    "learning_rate": 0.001,
    "fresh_latents": True,
    "ema_half_life_kimg": None,
}

OUTPUTS = ("generator.pt", "training.csv", "samples.png", "generator.json")


def write_training_set(
    path, count=10, side=16, finding="Lung Lesion", filters=None, labels=None, findings=None
):
    """A training set of blurred random squares; returns its path."""
    path = Path(path)
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (count, side // 4, side // 4), dtype=np.uint8)
    images = images.repeat(4, axis=1).repeat(4, axis=2)
    columns = {
        "filter": filters or ["none"] * count,
        "patient": [f"patient{number // 2}" for number in range(count)],
    }
    about = {"finding": finding, "recipe": "plain", "fraction": 10.0, "draw": 0}
    if labels is not None:
        columns["labels"], about["findings"] = labels, list(findings)
    write_image_file(path, [images], count, side, columns, about)
    return path


def arguments(images, folder, **changes):
    """The arguments of `train` for a run with its files in `folder`."""
    folder = Path(folder)
    return {
        "images": images,
        "generator": folder / "generator.pt",
        "log_csv": folder / "training.csv",
        "samples": folder / "samples.png",
        "metadata": folder / "generator.json",
        "state": folder / "state",
        "study": "test",
        "finding": "Lung Lesion",
        "recipe": "plain",
        "fraction": 10.0,
        "draw": 0,
        "seed": 1,
        "threads": 1,
        "code": "code",
        **SETTINGS,
        **changes,
    }
