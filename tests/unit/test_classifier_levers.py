"""What changes how a classifier learns from what an arm adds, each beside a run without it."""

import numpy as np
import pandas as pd
import pytest
import torch
from classifier_files import FINDINGS, TARGETS, interrupted, make_banks, make_study, run
from sklearn.metrics import roc_auc_score

from rarecxr.classifier import fitting
from rarecxr.classifier.examples import NEGATIVE, POSITIVE
from rarecxr.classifier.networks import network_input
from rarecxr.classifier.prediction import read_model
from rarecxr.core.provenance import digest_of_images
from rarecxr.data.image_file import ImageFile


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return make_study(tmp_path_factory.mktemp("study"), patients=60)


@pytest.fixture(scope="module")
def banks(tmp_path_factory):
    return make_banks(tmp_path_factory.mktemp("banks"))


def state_of(outputs):
    return read_model(outputs["model"])[0].state_dict()


def contents(outputs):
    return {name: path.read_bytes() for name, path in outputs.items()}


@pytest.fixture
def steps(monkeypatch):
    """The network's state after every step of the next run."""
    found, step = [], fitting.Fit._step

    def watched(self, *batch):
        rate = step(self, *batch)
        found.append({name: one.clone() for name, one in self.network.state_dict().items()})
        return rate

    monkeypatch.setattr(fitting.Fit, "_step", watched)
    return found


# The moving average of the weights


@pytest.mark.parametrize("name", ["fc.weight", "conv1.0.weight", "conv1.1.running_mean"])
def test_a_kept_network_is_the_average_of_its_steps(study, tmp_path, steps, name):
    # After 64 images, four steps, a network counts half as much.
    kept = state_of(run(study, tmp_path, epochs=1, weight_ema=64))[name]
    values = torch.stack([step[name] for step in steps]).double()
    assert len(values) > 4
    decay, wanted = 0.5**0.25, values[0]
    for value in values[1:]:
        wanted = decay * wanted + (1 - decay) * value
    torch.testing.assert_close(kept.double(), wanted, rtol=1e-5, atol=1e-6)
    assert not torch.allclose(kept, steps[-1][name], rtol=1e-5, atol=1e-6)


def test_an_average_of_no_length_is_the_network_itself(study, tmp_path):
    plain, averaged = (
        run(study, tmp_path / str(half), epochs=2, weight_ema=half) for half in (None, 1e-3)
    )
    assert plain["history"].read_bytes() == averaged["history"].read_bytes()
    assert pd.read_parquet(plain["predictions"]).equals(pd.read_parquet(averaged["predictions"]))


def test_the_average_is_what_is_validated_and_predicts(study, tmp_path):
    outputs = run(study, tmp_path, epochs=3, weight_ema=100)
    history, predictions = pd.read_csv(outputs["history"]), pd.read_parquet(outputs["predictions"])
    chosen = history[history["chosen"] == 1].iloc[0]
    truth = pd.read_parquet(study["labels"]).set_index("image")
    val = predictions[predictions["split"] == "val"]
    for finding, column in zip(TARGETS, ("lung_lesion", "fracture"), strict=True):
        found = roc_auc_score(truth.loc[val["image"], finding], val[finding])
        assert chosen[f"val_auroc_{column}"] == pytest.approx(found)


def test_a_killed_run_goes_on_with_its_average(study, banks, tmp_path):
    settings = {
        "arm": {"recipe": "plain", "negatives": True, "pretrain": True},
        "weight_ema": 200,
        **banks,
    }
    unbroken = contents(run(study, tmp_path / "unbroken", **settings))
    # In the first phase (5 steps) and in the second.
    for steps in (3, 6):
        with interrupted(steps):
            run(study, tmp_path / "broken", resume_interval_s=0, **settings)
    assert contents(run(study, tmp_path / "broken", **settings)) == unbroken


# The weight of added images in the loss


def test_added_images_weigh_what_the_arm_says_and_real_ones_1(study, banks, tmp_path, monkeypatch):
    found, loss = [], fitting.masked_bce

    def watched(logits, labels, weights=None):
        if logits.requires_grad:
            found.append((labels, weights))
        return loss(logits, labels, weights=weights)

    monkeypatch.setattr(fitting, "masked_bce", watched)
    arm = {"recipe": "plain", "negatives": True, "oversample": True, "loss_weight": 0.25}
    run(study, tmp_path, arm=arm, epochs=1, epoch_images="all", **banks)
    labels, weights = (torch.cat(part) for part in zip(*found, strict=True))
    # All that is added supervises one target finding, a real image both.
    added = labels[:, [FINDINGS.index(finding) for finding in TARGETS]].isnan().any(1)
    assert 0 < added.sum() < len(added)
    assert set(weights[added].tolist()) == {0.25}
    assert set(weights[~added].tolist()) == {1.0}


def test_added_images_of_weight_1_are_those_of_an_arm_without_a_weight(study, banks, tmp_path):
    arm = {"recipe": "plain", "negatives": True}
    plain, weighted, half = (
        contents(run(study, tmp_path / str(place), arm=arm | more, epochs=1, **banks))
        for place, more in enumerate(({}, {"loss_weight": 1.0}, {"loss_weight": 0.5}))
    )
    assert plain == weighted
    assert plain["predictions"] != half["predictions"]


# Repeated and synthetic positives together


def test_repeated_and_synthetic_positives_are_added_together(study, banks, tmp_path):
    arm = {"recipe": "plain", "oversample": True}
    number = {"Lung Lesion": 7, "Fracture": 20}
    outputs = run(
        study, tmp_path, arm=arm, number=number, epochs=1, epoch_images="all", banks=banks["banks"]
    )
    attributes = pd.read_parquet(outputs["predictions"]).attrs
    for finding in TARGETS:
        added = attributes["added"][finding]
        assert added["repeated labelled 1"] == added["wanted"] == number[finding]
        assert added["synthetic positive labelled 1"] == 20
    # 36 training patients with two images each; 27 repeated and 40 synthetic ones.
    assert attributes["shown"]["images"] == 144
    assert 0.9 < attributes["shown"]["real_passes"] <= 2


# Synthetic images alone


def test_an_arm_without_real_images_is_shown_none(study, banks, tmp_path, monkeypatch):
    shown, epoch = [], fitting.Fit._epoch

    def watched(self, bar):
        shown.append(self.phases[0].examples)
        epoch(self, bar)

    monkeypatch.setattr(fitting.Fit, "_epoch", watched)
    arm = {"real": False, "recipe": "plain", "negatives": True}
    outputs = run(study, tmp_path, arm=arm, epochs=1, epoch_images="all", **banks)
    # 72 real training images come first in the list of images; 40 positives and 40 negatives.
    assert len(shown[0]) == 80
    assert shown[0].image.min() == 72
    assert set(shown[0].kind) == {POSITIVE, NEGATIVE}
    attributes = pd.read_parquet(outputs["predictions"]).attrs
    assert attributes["trained_on"] == digest_of_images(())
    assert attributes["shown"] == {"images": 80, "real_passes": 0}
    for finding in TARGETS:
        added = attributes["added"][finding]
        assert added["real labelled 1"] == added["real labelled 0"] == 0
        assert added["synthetic positive labelled 1"] == 20
        assert added["synthetic negative labelled 0"] == 20


def test_real_images_can_be_judged_by_synthetic_ones_alone(tmp_path):
    study = make_study(tmp_path / "study", patients=150)
    banks = make_banks(tmp_path / "banks", number=150)
    arm = {"real": False, "recipe": "plain", "negatives": True}
    outputs = run(
        study,
        tmp_path / "run",
        arm=arm,
        epochs=6,
        epoch_images="all",
        architecture="small_resnet10",
        **banks,
    )
    predictions = pd.read_parquet(outputs["predictions"])
    truth = pd.read_parquet(study["labels"]).set_index("image")
    test = predictions[predictions["split"] == "test"]
    for finding in TARGETS:
        assert roc_auc_score(truth.loc[test["image"], finding], test[finding]) > 0.8


# Statistics of batch normalization


def test_statistics_of_real_images_are_their_mean_over_whole_batches(study, banks, tmp_path):
    arm = {"recipe": "plain", "negatives": True}
    shared, real = (
        state_of(run(study, tmp_path / kind, arm=arm, epochs=1, batch_norm=kind, **banks))
        for kind in ("shared", "real")
    )
    changed = {name for name in shared if not torch.equal(shared[name], real[name])}
    of_statistics = {name for name in shared if "running" in name or "num_batches" in name}
    # The weights are those of the same training.
    assert changed == of_statistics
    # The first layer's input does not depend on any statistics: a mean that can be taken here. Of
    # 72 real images four batches of 16 were used: the mean of 64 drawn without replacement.
    network = read_model(tmp_path / "real/model.pt")[0]
    pixels = ImageFile(study["pixels"])
    order = pd.read_csv(study["draw_csv"])["patient"]
    labels = pd.read_parquet(study["labels"])
    places = pixels.rows_of(labels.loc[labels["patient"].isin(order), "image"])
    images = torch.from_numpy(pixels.read(places)).unsqueeze(1).float() / 255
    with torch.no_grad():
        found = network.conv1[0](network_input(images, "shufflenet_v2_x0_5"))
    means = found.mean((0, 2, 3))
    spread = found.mean((2, 3)).std(0) / np.sqrt(64)
    away = (real["conv1.1.running_mean"] - means).abs() / spread
    assert away.max() < 3 * np.sqrt(1 - 64 / 72)
    assert real["conv1.1.num_batches_tracked"] == 4


def test_statistics_of_all_images_are_not_those_of_the_real_ones(study, banks, tmp_path):
    """What is predicted changes with them, and a repeated run takes the same ones."""
    arm = {"recipe": "plain", "negatives": True}
    shared, real, again = (
        contents(run(study, tmp_path / str(place), arm=arm, epochs=1, batch_norm=kind, **banks))
        for place, kind in enumerate(("shared", "real", "real"))
    )
    assert real == again
    assert shared["predictions"] != real["predictions"]
    assert shared["history"] == real["history"]


def test_averaged_weights_get_statistics_of_real_images_too(study, banks, tmp_path):
    arm = {"recipe": "plain", "negatives": True}
    settings = {"arm": arm, "epochs": 1, "weight_ema": 60, **banks}
    shared, real = (
        state_of(run(study, tmp_path / kind, batch_norm=kind, **settings))
        for kind in ("shared", "real")
    )
    assert torch.equal(shared["fc.weight"], real["fc.weight"])
    assert not torch.equal(shared["conv1.1.running_mean"], real["conv1.1.running_mean"])


def test_a_network_without_batch_normalization_has_no_statistics_to_take(study, tmp_path):
    with pytest.raises(ValueError, match="batch_norm: got real, and squeezenet1_1 has no batch"):
        run(study, tmp_path, architecture="squeezenet1_1", epochs=1, batch_norm="real")
