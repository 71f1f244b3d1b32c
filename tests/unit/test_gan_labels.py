"""The label-conditional GAN: what it learns, and banks drawn with real label vectors."""

import numpy as np
import pytest
import torch
from gan_files import arguments, bank_arguments, write_training_set
from hdf5_files import amended

from rarecxr.bank.bank_file import Bank
from rarecxr.bank.generate import make_bank
from rarecxr.gan.checkpoint import networks_from, read_checkpoint
from rarecxr.gan.labels import read_labels
from rarecxr.gan.training import train_gan

FINDINGS = ["Edema", "Fracture"]


def light_or_dark(path, recipe="conditional"):
    """Forty images, light where the first label is 1 and dark where it is 0."""
    light = np.arange(40) % 2
    labels = np.stack([light, np.zeros(40)], axis=1).astype(np.float32)
    labels[::5, 1] = np.nan
    write_training_set(path, count=40, labels=labels, findings=FINDINGS, recipe=recipe)
    levels = np.where(light, 210, 60)[:, None, None] + np.arange(40)[:, None, None] % 7
    with amended(path) as file:
        file["images"][:] = np.broadcast_to(levels, (40, 16, 16)).astype(np.uint8)
    return path


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("conditional")
    images = light_or_dark(folder / "training_set.h5")
    settings = {"recipe": "conditional", "start_resolution": 16, "learning_rate": 0.01}
    settings |= {"final_kimg": 0.8, "ema_half_life_kimg": 0.03, "label_weight": 3.0}
    settings |= {"evaluation": None}
    train_gan(**arguments(images, folder, **settings))
    return folder


def test_a_conditional_gan_draws_what_its_label_says(study):
    generator, critic = networks_from(read_checkpoint(study / "generator.pt"))
    latents = torch.randn(32, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        light, dark = (
            generator(latents, torch.tensor([[label, 0.0]]).expand(32, 2)) for label in (1.0, 0.0)
        )
        _, logits = critic(light)
    assert light.mean() > dark.mean() + 0.3
    assert logits.shape == (32, 2)


def test_the_label_loss_is_logged(study):
    import pandas as pd

    assert pd.read_csv(study / "training.csv")["label_loss"].notna().all()


def test_a_bank_holds_the_label_vectors_of_real_positives(study, tmp_path):
    """The positives' columns stand in another order, and one more is there."""
    labels = np.array([[0, 1, 0], [0, 1, 1]], np.float32)
    positives = write_training_set(
        tmp_path / "positives.h5", 2, labels=labels, findings=["Fracture", "Edema", "Pneumonia"]
    )
    make_bank(
        **bank_arguments(
            study / "generator.pt",
            study / "training_set.h5",
            tmp_path / "bank.h5",
            sizes_from=[positives],
            labels_from=positives,
            ratio=10,
            batch_size=8,
            seed=1,
            finding="Edema",
            recipe="conditional",
        )
    )
    with Bank(tmp_path / "bank.h5") as bank:
        assert len(bank) == 20
        assert bank.findings == FINDINGS
        np.testing.assert_array_equal(bank.labels, np.tile([1.0, 0.0], (20, 1)))
        assert bank.read().mean() > 128


def test_a_conditional_gan_needs_labels(tmp_path):
    images = write_training_set(tmp_path / "set.h5", recipe="conditional")
    with pytest.raises(ValueError, match="conditional needs labels, and the file has none"):
        train_gan(**arguments(images, tmp_path, recipe="conditional"))


def test_labels_of_other_recipes_are_left_out(tmp_path):
    images = light_or_dark(tmp_path / "set.h5", recipe="plain")
    train_gan(**arguments(images, tmp_path, final_kimg=0.008))
    content = read_checkpoint(tmp_path / "generator.pt")
    assert content["settings"]["label_names"] == []


def test_labels_are_found_by_name(tmp_path):
    labels = np.array([[0, 1], [np.nan, 0]], np.float32)
    path = write_training_set(tmp_path / "set.h5", 2, labels=labels, findings=FINDINGS)
    found, names = read_labels(path, ["Fracture"])
    np.testing.assert_array_equal(found[:, 0], [1, 0])
    assert names == ["Fracture"]
    with pytest.raises(ValueError, match=r"has no labels \['Pneumonia'\]"):
        read_labels(path, ["Pneumonia"])
    with pytest.raises(ValueError, match="needs a training set with"):
        read_labels(write_training_set(tmp_path / "other.h5"))
