"""What is measured while a GAN trains, and which networks are kept."""

import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from gan_files import arguments, write_training_set

from rarecxr.data.image_file import ImageFile
from rarecxr.gan.checkpoint import networks_from, read_checkpoint
from rarecxr.gan.evaluation import BestNetworks, Evaluator
from rarecxr.gan.training import train_gan
from rarecxr.quality import metrics
from rarecxr.quality.feature_spaces import FeatureSpace
from rarecxr.study.configuration.gan import EvaluationSettings

COLUMNS = ["kid", "precision", "recall", "density", "coverage", "memorised"]
SETTINGS = {"space": "pixels", "images": 32, "min_reference": 20}
PIXELS = FeatureSpace("pixels", torch.device("cpu"))


class Copier(torch.nn.Module):
    """A generator that draws the real images of a file by turns, darkened by some grey levels."""

    def __init__(self, path, darker=0):
        super().__init__()
        self.images = torch.from_numpy(ImageFile(path).read().astype(np.float32)) - darker

    def forward(self, latents, labels=None):
        chosen = torch.arange(len(latents)) % len(self.images)
        return (self.images[chosen].clamp(0, 255) / 127.5 - 1).unsqueeze(1)


def evaluator_on(folder, count=24, validation=None, **settings):
    training = write_training_set(folder / "training.h5", count=count)
    reference = None
    if validation is not None:
        reference = write_training_set(folder / "validation.h5", count=validation)
    chosen = EvaluationSettings(**{**SETTINGS, **settings})
    latents = torch.zeros(chosen.images, 8)
    return Evaluator(chosen, training, reference, PIXELS, latents, None), training


def test_a_generator_that_copies_is_said_to_memorise(tmp_path):
    evaluator, training = evaluator_on(tmp_path, count=32)
    told = evaluator.measure(Copier(training))
    assert list(told) == COLUMNS
    assert told["memorised"] == told["precision"] == told["recall"] == told["coverage"] == 1
    # Copies of the reference itself: nearer than two halves of it are to each other.
    assert told["kid"] < evaluator.about["floor"]["kid"] + 1e-6


def test_a_generator_of_the_wrong_grey_is_worse(tmp_path):
    evaluator, training = evaluator_on(tmp_path)
    good, bad = (
        evaluator.measure(Copier(training)),
        evaluator.measure(Copier(training, darker=200)),
    )
    assert bad["kid"] > good["kid"] + 1
    assert bad["precision"] == bad["recall"] == bad["memorised"] == 0


@pytest.mark.parametrize(
    ("validation", "used"), [(None, "training"), (19, "training"), (20, "validation")]
)
def test_validation_images_are_the_reference_where_there_are_enough(tmp_path, validation, used):
    evaluator, _ = evaluator_on(tmp_path, validation=validation)
    assert evaluator.about["reference"] == used
    assert evaluator.about["reference_images"] == (20 if used == "validation" else 24)


def test_filtered_copies_are_no_reference(tmp_path):
    filters = ["none"] * 12 + ["gaussian"] * 12
    path = write_training_set(tmp_path / "set.h5", count=24, filters=filters)
    evaluator = Evaluator(
        EvaluationSettings(**SETTINGS), path, None, PIXELS, torch.zeros(32, 8), None
    )
    assert evaluator.about["reference_images"] == 12


def test_too_few_images_are_not_measured(tmp_path, caplog):
    evaluator, training = evaluator_on(tmp_path, count=9)
    assert evaluator.measure(Copier(training)) == {}
    assert "there are 9 real and 32 synthetic images, at least 10 of each are needed" in caplog.text


def test_the_best_networks_are_copies_of_those_with_the_lowest_kid():
    network = torch.nn.Linear(1, 1)
    best = BestNetworks()
    for kid, weight in ((0.3, 1.0), (0.1, 2.0), (0.2, 3.0)):
        torch.nn.init.constant_(network.weight, weight)
        best.offer(kid, int(weight * 1000), {"generator_ema": network})
    torch.nn.init.constant_(network.weight, 9.0)
    assert (best.kid, best.images) == (0.1, 2000)
    assert best.networks["generator_ema"]["weight"].item() == 2.0
    other = BestNetworks()
    other.load_state(best.state())
    other.offer(0.15, 5000, {"generator_ema": network})
    assert other.networks["generator_ema"]["weight"].item() == 2.0


def train_and_read(folder, **changes):
    images = write_training_set(folder / "set.h5")
    weights = []

    def remember(trainer, row):
        weights.append({k: v.clone() for k, v in trainer.generator_ema.state_dict().items()})

    train_gan(**arguments(images, folder, final_kimg=0.1, on_tick=remember, **changes))
    rows = pd.read_csv(folder / "training.csv")
    about = json.loads((folder / "generator.json").read_text(encoding="utf-8"))
    return rows, about, weights, read_checkpoint(folder / "generator.pt")


def test_the_generator_file_holds_the_networks_with_the_lowest_kid(tmp_path):
    rows, about, weights, content = train_and_read(tmp_path)
    full = (rows["resolution"] == 16) & (rows["alpha"] == 1)
    assert rows.loc[full, COLUMNS].notna().all(axis=None)
    assert rows.loc[~full, COLUMNS].isna().all(axis=None)
    best = rows["kid"].idxmin()
    assert about["kept_kimg"] == pytest.approx(rows["kimg"][best])
    assert about["kept_kid"] == pytest.approx(rows["kid"][best], rel=1e-4)
    for name, value in weights[best].items():
        assert torch.equal(content["generator"][name], value), name


def test_the_kid_of_the_log_is_that_of_the_kept_generator(tmp_path):
    rows, about, _, content = train_and_read(tmp_path)
    generator, _ = networks_from(content)
    from rarecxr.study.seeds import seed_for

    own = seed_for(1, "lung_lesion", "plain", 10.0, 0)
    random = torch.Generator().manual_seed(seed_for(own, "watch"))
    with torch.no_grad():
        drawn = generator(torch.randn(16, 8, generator=random))[:, 0]
    drawn = ((drawn + 1) * 127.5).round().clamp(0, 255).numpy()
    real = ImageFile(tmp_path / "set.h5").read().astype(np.float64)
    real, drawn = (x.reshape(len(x), -1) / 127.5 - 1 for x in (real, drawn))
    centre, scale = real.mean(), real.std()
    kid = metrics.kid((real - centre) / scale, (drawn - centre) / scale)
    assert about["kept_kid"] == pytest.approx(kid, rel=1e-3, abs=1e-4)
    assert rows["kid"].min() == pytest.approx(kid, rel=1e-3, abs=1e-4)


def test_the_last_networks_are_kept_where_that_is_asked_for(tmp_path):
    settings = {"space": "pixels", "images": 16, "min_reference": 10, "keep": "last"}
    rows, about, weights, content = train_and_read(tmp_path, evaluation=settings)
    assert about["kept_kimg"] == pytest.approx(rows["kimg"].iloc[-1])
    assert torch.equal(content["generator"]["first.weight"], weights[-1]["first.weight"])


def test_nothing_is_measured_where_that_is_not_asked_for(tmp_path):
    rows, about, weights, content = train_and_read(tmp_path, evaluation=None)
    assert rows[COLUMNS].isna().all(axis=None)
    assert about["evaluation"] is None
    assert torch.equal(content["generator"]["first.weight"], weights[-1]["first.weight"])


def test_a_long_run_can_be_watched_in_its_state_folder(tmp_path):
    rows, *_ = train_and_read(tmp_path)
    assert len(pd.read_csv(tmp_path / "state/training.csv")) == len(rows)
    assert (tmp_path / "state/samples.png").stat().st_size > 0


def test_the_packages_behind_the_feature_space_are_noted(tmp_path):
    """In a process of its own: here other tests have loaded them."""
    code = """
import json, sys
from pathlib import Path
from gan_files import arguments, write_training_set
from rarecxr.gan.training import train_gan
for space in ("pixels", "random"):
    folder = Path(sys.argv[1]) / space
    folder.mkdir()
    watch = {"space": space, "images": 16, "min_reference": 10, "keep": "best"}
    train_gan(**arguments(write_training_set(folder / "set.h5"), folder, evaluation=watch))
    made = json.loads((folder / "generator.json").read_text(encoding="utf-8"))
    print(space, "torchvision" in made["versions"])
"""
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path],
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.stdout.splitlines() == ["pixels False", "random True"], done.stderr
