"""A tiny training set and the arguments of a tiny run, for tests."""

from pathlib import Path

import numpy as np
import torch

from rarecxr.bank.generate import BankInputs
from rarecxr.data.image_file import write_image_file
from rarecxr.gan.training import GanInputs, GanOutputs
from rarecxr.study.configuration.bank import BankSettings
from rarecxr.study.configuration.gan import GanSettings
from rarecxr.study.place import Place

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
    "evaluation": {"space": "pixels", "images": 16, "min_reference": 10, "keep": "best"},
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
    path,
    count=10,
    side=16,
    finding="Lung Lesion",
    filters=None,
    labels=None,
    findings=None,
    recipe="plain",
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
    about = {"finding": finding, "recipe": recipe, "fraction": 10.0, "draw": 0}
    if labels is not None:
        columns["labels"], about["findings"] = labels, list(findings)
    write_image_file(path, [images], count, side, columns, about)
    return path


PLACE = {"study": "test", "recipe": "plain", "finding": "Lung Lesion", "fraction": 10.0, "draw": 0}


def parted(changes, *names):
    """Those of the changes that have one of these names, which are taken out of them."""
    return {name: changes.pop(name) for name in names if name in changes}


def arguments(images, folder, of=GanSettings, **changes):
    """The arguments of `train` for a run with its files in `folder`.

    Args:
        images: path of the training set.
        folder: where everything is written.
        of: the class of the settings.
        changes: other arguments, inputs, parts of the place and settings, by name.
    """
    folder = Path(folder)
    inputs = parted(changes, "base", "validation_set", "features", "weights_dir")
    given = parted(changes, "code", "on_tick", "lock_wait_s")
    place = PLACE | parted(changes, *PLACE)
    return {
        "inputs": GanInputs(images, **inputs),
        "outputs": GanOutputs(*(folder / name for name in OUTPUTS)),
        "state": folder / "state",
        "place": Place(**place),
        "code": "code",
        "settings": of(**SETTINGS | changes),
        **given,
    }


def bank_arguments(generator, training_set, bank, **changes):
    """The arguments of `make_bank`; changes are inputs, parts of the place and settings, by name.

    Without a ratio or number among the changes, 2.5 images for each positive, and no selection.
    """
    inputs = parted(changes, "sizes_from", "labels_from", "features", "weights_dir")
    place = PLACE | parted(changes, *PLACE)
    settings = {"ratio": None if "number" in changes else 2.5, "select": None, "batch_size": 4}
    settings |= {"seed": 5, "device": "cpu"}
    return {
        "inputs": BankInputs(generator, training_set, **inputs),
        "bank": bank,
        "place": Place(**place),
        "code": changes.pop("code", "code"),
        "settings": BankSettings(**settings | changes),
    }
