import collections
import signal
import warnings
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import pytest
import torch
from classifier_files import (
    FINDINGS,
    SETTINGS,
    TARGETS,
    draw_images,
    interrupted,
    make_bank,
    make_banks,
    make_study,
    outputs_in,
    run,
)
from interruptions import child, run_under_kills, wait_until_locked
from pydantic import ValidationError, create_model
from sklearn.metrics import roc_auc_score

from rarecxr.classifier import fitting, training
from rarecxr.classifier.images import DeviceImages
from rarecxr.classifier.prediction import predict, read_model
from rarecxr.core.files import sha256
from rarecxr.core.provenance import digest_of_images
from rarecxr.data.image_file import ImageFile
from rarecxr.study.configuration.classifier import FeatureSettings, TrainingSettings
from rarecxr.study.findings import NEGATIVES
from rarecxr.study.values import NO_EFFECT


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return make_study(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="module")
def banks(tmp_path_factory):
    return make_banks(tmp_path_factory.mktemp("banks"))


def contents(outputs):
    return {name: Path(path).read_bytes() for name, path in outputs.items()}


def scores_of(outputs):
    """The predictions themselves, whatever the file says of where they come from."""
    return pd.read_parquet(outputs["predictions"])


def test_a_network_learns_what_is_plain_to_see(tmp_path):
    study = make_study(tmp_path, patients=200)
    outputs = run(study, tmp_path / "run", architecture="resnet18", epochs=8, learning_rate=0.001)
    predictions = pd.read_parquet(outputs["predictions"])
    truth = pd.read_parquet(study["labels"]).set_index("image")
    test = predictions[predictions["split"] == "test"]
    for finding in TARGETS:
        labels = truth.loc[test["image"], finding]
        assert roc_auc_score(labels, test[finding]) > 0.9
    # Edema is drawn by lot and shows nowhere.
    known = truth.loc[test["image"], "Edema"].dropna()
    scores = test.set_index("image").loc[known.index, "Edema"]
    assert 0.3 < roc_auc_score(known, scores) < 0.7


def test_densenet121_trains_in_either_precision(study, tmp_path):
    settings = {"architecture": "densenet121", "epochs": 1, "epoch_images": 32}
    for precision in ("fp32", "bf16"):
        outputs = run(study, tmp_path / precision, precision=precision, **settings)
        network, about = read_model(outputs["model"])
        assert about["settings"]["precision"] == precision
        assert all(value.isfinite().all() for value in network.state_dict().values())
        assert {value.dtype for value in network.parameters()} == {torch.float32}


def test_the_same_run_gives_the_same_bytes_and_another_seed_others(study, tmp_path):
    first, again, other = (
        contents(run(study, tmp_path / name, seed=seed, epochs=1))
        for name, seed in (("first", 3), ("again", 3), ("other", 4))
    )
    assert first == again
    assert first["model"] != other["model"]
    assert first["predictions"] != other["predictions"]


def test_the_order_of_label_columns_and_rows_does_not_count(study, tmp_path):
    labels = pd.read_parquet(study["labels"])
    shuffled = labels[labels.columns[::-1]].sample(frac=1, random_state=0)
    shuffled.to_parquet(tmp_path / "shuffled.parquet", index=False)
    kept = run(study, tmp_path / "kept", epochs=1)
    moved = run(study, tmp_path / "moved", epochs=1, labels=tmp_path / "shuffled.parquet")
    states = [read_model(outputs["model"])[0].state_dict() for outputs in (kept, moved)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert scores_of(kept).equals(scores_of(moved))
    assert kept["history"].read_bytes() == moved["history"].read_bytes()


def test_labels_that_are_masked_move_no_weight(study, tmp_path):
    labels = pd.read_parquet(study["labels"])
    labels["Edema"] = np.float32(np.nan)
    labels.to_parquet(tmp_path / "masked.parquet", index=False)
    outputs = run(study, tmp_path / "run", labels=tmp_path / "masked.parquet", epochs=1)
    trained = read_model(outputs["model"])[0].fc
    from rarecxr.classifier.networks import build

    fresh = build("shufflenet_v2_x0_5", len(FINDINGS), 32, seed=0).fc
    edema, lesion = FINDINGS.index("Edema"), FINDINGS.index("Lung Lesion")
    assert torch.equal(trained.weight[edema], fresh.weight[edema])
    assert trained.bias[edema] == fresh.bias[edema]
    assert not torch.equal(trained.weight[lesion], fresh.weight[lesion])


def test_predictions_are_of_all_judged_images_in_order(study, tmp_path):
    predictions = pd.read_parquet(run(study, tmp_path, epochs=1)["predictions"])
    assert list(predictions.columns) == ["image", "patient", "split", *FINDINGS]
    assert predictions["image"].is_monotonic_increasing
    split = pd.read_csv(study["split"]).set_index("patient")["split"]
    labels = pd.read_parquet(study["labels"])
    judged = labels[labels["patient"].map(split).isin(["val", "test", "expert"])]
    assert "unused" in set(split)
    assert set(predictions["image"]) == set(judged["image"])
    assert (predictions["split"] == predictions["patient"].map(split)).all()
    assert set(predictions["split"]) == {"val", "test", "expert"}
    assert set(predictions[FINDINGS].dtypes) == {np.dtype("float32")}
    assert predictions.attrs["scale"] == "logits"


def test_predictions_say_which_images_the_run_was_trained_on(study, tmp_path):
    told = pd.read_parquet(run(study, tmp_path, epochs=1, fraction=50.0)["predictions"]).attrs
    order = pd.read_csv(study["draw_csv"]).sort_values("rank")["patient"]
    labels = pd.read_parquet(study["labels"])
    images = labels.loc[labels["patient"].isin(order[: round(len(order) / 2)]), "image"]
    assert told["trained_on"] == digest_of_images(images)
    assert told["trained_on"]["images"] == len(images)
    assert told["provenance"]["inputs"]["split"] == sha256(study["split"])


def test_the_stored_network_gives_the_stored_predictions(study, tmp_path):
    outputs = run(study, tmp_path, epochs=1)
    predictions = pd.read_parquet(outputs["predictions"])
    cache = ImageFile(study["pixels"])
    pixels = cache.read(cache.rows_of(predictions["image"]))
    logits = predict(outputs["model"], pixels)
    assert np.abs(logits).max() > 0.1
    np.testing.assert_allclose(logits, predictions[FINDINGS], atol=1e-4)


def test_the_chosen_epoch_is_the_best_one_and_its_weights_are_kept(study, tmp_path):
    outputs = run(study, tmp_path, epochs=6)
    history = pd.read_csv(outputs["history"])
    assert list(history["epoch"]) == [1, 2, 3, 4, 5, 6]
    means = history[["val_auroc_lung_lesion", "val_auroc_fracture"]].mean(axis=1)
    np.testing.assert_allclose(history["criterion"], means)
    assert list(np.flatnonzero(history["chosen"])) == [int(means.argmax())]
    # The stored scores are that epoch's: they have its AUROCs.
    predictions = pd.read_parquet(outputs["predictions"])
    truth = pd.read_parquet(study["labels"]).set_index("image")
    val = predictions[predictions["split"] == "val"]
    for finding, column in (("Lung Lesion", "lung_lesion"), ("Fracture", "fracture")):
        value = roc_auc_score(truth.loc[val["image"], finding], val[finding])
        assert history[f"val_auroc_{column}"][means.argmax()] == pytest.approx(value)


def test_labels_that_may_not_be_written_to_raise_no_warning(study, tmp_path, monkeypatch):
    """As pandas hands them over where columns share memory."""

    def locked(**about):
        validation = fitting.Validation(**about)
        validation.labels.setflags(write=False)
        return validation

    monkeypatch.setattr(training, "Validation", locked)
    torch.set_warn_always(True)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message=".*not writable.*")
            run(study, tmp_path)
    finally:
        torch.set_warn_always(False)


def test_without_both_classes_the_lowest_validation_loss_chooses(study, tmp_path):
    labels = pd.read_parquet(study["labels"])
    split = pd.read_csv(study["split"]).set_index("patient")["split"]
    labels.loc[labels["patient"].map(split) == "val", TARGETS] = 0
    labels.to_parquet(tmp_path / "labels.parquet", index=False)
    outputs = run(study, tmp_path, labels=tmp_path / "labels.parquet", epochs=4)
    history = pd.read_csv(outputs["history"])
    assert history["val_auroc_fracture"].isna().all()
    assert history["chosen"].idxmax() == history["val_loss"].idxmin()


def test_training_ends_when_no_epoch_is_better(study, tmp_path, monkeypatch):
    worth = iter([0.5, 0.7, 0.6, 0.7, 0.9])
    monkeypatch.setattr(fitting, "auroc", lambda labels, scores: next(worth))
    outputs = run(study, tmp_path, epochs=5, patience=2, target_findings=["Lung Lesion"])
    history = pd.read_csv(outputs["history"])
    # The second 0.7 is no better than the first.
    assert list(history["criterion"]) == [0.5, 0.7, 0.6, 0.7]
    assert list(history["chosen"]) == [0, 1, 0, 0]


@pytest.mark.parametrize("epoch_images", ["real", "all", 40])
def test_arms_train_on_as_many_images_as_the_setting_says(study, banks, tmp_path, epoch_images):
    arm = {"recipe": "plain", "negatives": True}
    outputs = run(study, tmp_path, arm=arm, epochs=2, epoch_images=epoch_images, **banks)
    # 72 training patients with two images each, 40 synthetic positives and 40 negatives.
    length = {"real": 144, "all": 224, 40: 48}[epoch_images]
    assert list(pd.read_csv(outputs["history"])["images"]) == [length, 2 * length]


ARMS = {
    "none": {},
    "oversample": {"oversample": True},
    "gan": {"recipe": "plain"},
    "balanced_gan": {"recipe": "plain", "negatives": True},
    "pretrained_gan": {"recipe": "plain", "negatives": True, "pretrain": True},
}


@pytest.fixture
def counted(monkeypatch):
    """How often each place of the list of images was trained on, filled by the next run."""
    counts = collections.Counter()
    original = DeviceImages.batches

    def watched(self, order, batch):
        if batch == 16:  # Validation comes in larger batches.
            counts.update(order.tolist())
        return original(self, order, batch)

    monkeypatch.setattr(DeviceImages, "batches", watched)
    return counts


@pytest.mark.parametrize("name", ARMS)
def test_what_an_arm_adds_comes_on_top_of_its_real_images(study, banks, tmp_path, counted, name):
    arm, epochs, real = ARMS[name], 3, 144
    definition = {
        "arm": arm,
        "epoch_images": "largest",
        # Twenty images for each of two findings.
        "number": 20 if arm.get("oversample") else None,
        "largest": [{"times": 2, "ratio": None, "number": 20}],
        "epochs": epochs,
        "patience": None,
        "pretrain_share": 0.34,
        **(banks if arm.get("recipe") else {}),
    }
    if not arm.get("negatives"):
        definition["negatives"] = None
    outputs = run(study, tmp_path, **definition)
    history = pd.read_csv(outputs["history"])
    passes = np.array([counted[place] for place in range(real)])
    # All arms make the same steps: 144 real images and 80 synthetic ones.
    training = history[history["phase"] != "pretrain"]
    assert list(training["images"]) == [224, 448, 672]
    if name == "oversample":
        # Some real images are among the repeated ones as well.
        assert passes.min() >= epochs
        assert history["real_passes"].iloc[-1] == pytest.approx(672 / 184, abs=0.1)
    else:
        assert history["real_passes"].iloc[-1] == pytest.approx(passes.mean())
    if name == "none":
        assert passes.min() == 4
        assert passes.sum() == 672
    elif name == "balanced_gan":
        assert (passes == epochs).all()
    elif name == "pretrained_gan":
        # One epoch of pretraining shows each of the images once, then it is trained as `none` is.
        assert passes.min() == 5
        assert history["learning_rate"].tolist() == pytest.approx([0.003, *[0.0003] * 3])
    assert passes.min() >= epochs
    told = pd.read_parquet(outputs["predictions"]).attrs["shown"]
    assert told == read_model(outputs["model"])[1]["shown"]
    assert told["images"] == 224 * len(history)
    assert told["real_passes"] == pytest.approx(history["real_passes"].iloc[-1])


@pytest.fixture
def set_apart(study, tmp_path):
    """The study with some of its test patients in the reserve, and the reserve's images."""
    split = pd.read_csv(study["split"])
    tested = split.index[split["split"] == "test"]
    split.loc[tested[::2], "split"] = "reserve"
    split.to_csv(tmp_path / "split.csv", index=False)
    labels = pd.read_parquet(study["labels"])
    apart = labels["patient"].map(split.set_index("patient")["split"]) == "reserve"
    return {**study, "split": tmp_path / "split.csv"}, labels[apart].set_index("image")


def test_reserve_positives_are_added_each_once_and_no_more_than_there_are(
    set_apart, tmp_path, counted, caplog
):
    study, apart = set_apart
    number = {"Lung Lesion": 3, "Fracture": 500}
    caplog.set_level("WARNING")
    outputs = run(
        study, tmp_path / "run", arm={"reserve": True}, number=number, epochs=1, epoch_images="all"
    )
    told = pd.read_parquet(outputs["predictions"])
    used = told.attrs["reserve"]
    there = {finding: set(apart.index[apart[finding] == 1]) for finding in TARGETS}
    assert len(used["Lung Lesion"]) == 3
    assert set(used["Lung Lesion"]) < there["Lung Lesion"]
    assert sorted(used["Fracture"]) == sorted(there["Fracture"])
    assert (
        f"have {len(there['Fracture'])} images with it, 500 were wanted: all are used"
        in caplog.text
    )
    added = told.attrs["added"]
    assert added["Fracture"]["wanted"] == 500
    assert added["Fracture"]["reserve labelled 1"] == len(there["Fracture"])
    assert added["Lung Lesion"]["reserve labelled 1"] == 3
    # 144 real images and those; an image with both findings stands there for each of them.
    examples = 144 + 3 + len(there["Fracture"])
    assert {counted[place] for place in range(examples)} <= {1, 2}
    # Reserve patients are neither judged nor among the images that the run was trained on.
    assert not set(told["image"]) & set(apart.index)
    labels = pd.read_parquet(study["labels"])
    split = pd.read_csv(study["split"]).set_index("patient")["split"]
    real = labels.loc[labels["patient"].map(split) == "train", "image"]
    assert told.attrs["trained_on"] == digest_of_images(real)


def test_a_smaller_dose_of_reserve_positives_lies_inside_a_larger_one(set_apart, tmp_path):
    study, _ = set_apart
    used = [
        pd.read_parquet(
            run(study, tmp_path / str(n), arm={"reserve": True}, number=n, epochs=1)["predictions"]
        ).attrs["reserve"]["Lung Lesion"]
        for n in (2, 4)
    ]
    assert used[1][:2] == used[0]


def test_an_arm_that_needs_a_reserve_is_refused_where_there_is_none(study, tmp_path):
    with pytest.raises(ValueError, match="dataset.reserve_percent: this arm adds real images"):
        run(study, tmp_path, arm={"reserve": True}, epochs=1)


def test_a_killed_run_counts_the_passes_of_an_unbroken_one(study, tmp_path):
    whole = pd.read_csv(run(study, tmp_path / "whole", epochs=2)["history"])
    # In the second epoch.
    with interrupted(steps=11):
        run(study, tmp_path / "broken", epochs=2, resume_interval_s=0)
    broken = pd.read_csv(run(study, tmp_path / "broken", epochs=2)["history"])
    assert list(whole["real_passes"]) == list(broken["real_passes"]) == [1.0, 2.0]


def test_a_pretraining_arm_trains_before_its_epochs_on_real_images(
    study, banks, tmp_path, monkeypatch
):
    shown = []
    original = fitting.EndlessPermutation

    def watched(examples, *key):
        shown.append(examples)
        return original(examples, *key)

    monkeypatch.setattr(fitting, "EndlessPermutation", watched)
    arm = {"recipe": "plain", "negatives": True, "pretrain": True}
    history = pd.read_csv(run(study, tmp_path, arm=arm, epochs=4, **banks)["history"])
    assert list(history["phase"]) == ["pretrain"] * 2 + ["finetune"] * 4
    assert shown == [224] * 2 + [144] * 4
    assert list(history["learning_rate"]) == pytest.approx([0.003] * 2 + [0.0003] * 4)
    assert history["chosen"][:2].sum() == history["chosen"][2:].sum() == 1


def test_only_patients_of_the_fraction_are_trained_on(study, tmp_path):
    outputs = run(study, tmp_path, fraction=25.0, epochs=1)
    # A quarter of the 72 training patients, two images each, in whole batches of 16.
    assert pd.read_csv(outputs["history"])["images"][0] == 48


def test_a_patient_of_another_split_in_the_draw_stops_the_run(study, tmp_path):
    draw = pd.read_csv(study["draw_csv"])
    draw.loc[0, "patient"] = "patient00004"
    draw.to_csv(tmp_path / "draw.csv", index=False)
    with pytest.raises(ValueError, match="draw.csv: holds patients whose split is test"):
        run(study, tmp_path / "run", draw_csv=tmp_path / "draw.csv")


def test_transforms_change_what_is_trained_on_and_nothing_else(study, tmp_path):
    transforms = dict.fromkeys(
        ["rotation_deg", "shift", "scale", "flip", "gamma", "contrast", "brightness", "noise"], 0
    )
    plain = run(study, tmp_path / "plain", epochs=1)
    idle = run(study, tmp_path / "idle", epochs=1, transforms=transforms)
    turned = run(study, tmp_path / "turned", epochs=1, transforms=transforms | {"rotation_deg": 20})
    assert scores_of(plain).equals(scores_of(idle))
    assert not scores_of(plain).equals(scores_of(turned))


@pytest.fixture
def pairs(banks, tmp_path):
    """Negatives in pairs with the banks of positives, one bank for each finding."""
    return {
        finding: make_bank(
            tmp_path / f"{place}.h5",
            NEGATIVES,
            20,
            recipe="paired_plain",
            paired_with={"bank_digest": sha256(banks["banks"][finding])},
        )
        for place, finding in enumerate(TARGETS)
    }


def test_negatives_in_pairs_are_those_of_the_positives_that_are_used(
    study, banks, pairs, tmp_path, monkeypatch
):
    """At a dose of a few images: the same rows of both banks of a finding, and no other bank."""
    used, original = [], training.load_images

    def watched(parts, *settings):
        used.extend((part.source.path.name, part.rows.tolist()) for part in parts[1:-1])
        return original(parts, *settings)

    monkeypatch.setattr(training, "load_images", watched)
    arm = {"recipe": "plain", "negatives": "paired", "ratio": 0.1}
    outputs = run(study, tmp_path, arm=arm, epochs=1, **banks | {"negatives": pairs})
    files = [banks["banks"][finding].name for finding in TARGETS]
    assert [name for name, _ in used] == [*files, "0.h5", "1.h5"]
    rows = [rows for _, rows in used]
    assert rows[:2] == rows[2:]
    assert 0 < len(rows[0]) < 20
    inputs = read_model(outputs["model"])[1]["provenance"]["inputs"]
    for finding, path in pairs.items():
        assert inputs[f"bank negatives {finding}"] == sha256(path)


def test_pairs_of_another_bank_are_refused(study, banks, pairs, tmp_path):
    swapped = dict(zip(pairs, reversed(pairs.values()), strict=True))
    arm = {"recipe": "plain", "negatives": "paired"}
    with pytest.raises(ValueError, match=r"1\.h5: does not hold the pairs of .*lung_lesion"):
        run(study, tmp_path, arm=arm, epochs=1, **banks | {"negatives": swapped})


def test_where_pixels_lie_changes_no_weight(study, banks, tmp_path):
    arm = {"recipe": "plain", "negatives": True}
    held, mapped = (
        run(study, tmp_path / str(limit), arm=arm, epochs=1, pixel_memory_mib=limit, **banks)
        for limit in (100, 0)
    )
    assert contents(held) == contents(mapped)


@pytest.mark.parametrize("architecture", ["shufflenet_v2_x0_5", "mobilenet_v3_small"])
def test_a_killed_run_goes_on_as_if_nothing_had_been(study, banks, tmp_path, architecture):
    # mobilenet has dropout: the random state must be that of an unbroken run as well.
    settings = {
        "architecture": architecture,
        "arm": {"recipe": "plain", "negatives": True, "pretrain": True},
        "epochs": 4,
        "schedule": "cosine",
        **banks,
    }
    unbroken = contents(run(study, tmp_path / "unbroken", **settings))

    study = {**study, "resume_interval_s": 0}
    # Within the first epoch, at its end, and in the second phase (9 steps an epoch).
    for steps in (3, 6, 20):
        with interrupted(steps):
            run(study, tmp_path / "broken", **settings)
        assert not (tmp_path / "broken/model.pt").exists()
    assert contents(run(study, tmp_path / "broken", **settings)) == unbroken


def test_a_run_killed_at_random_moments_ends_with_the_same_bytes(study, tmp_path):
    """It saves before every step, so many of the kills hit the writing."""
    whole = contents(run(study, tmp_path / "whole"))
    study = {**study, "resume_interval_s": 0}
    broken = tmp_path / "broken"
    run_under_kills(broken / "state", lambda: child(run, study, broken), longest_s=1.0)
    assert contents(outputs_in(broken)) == whole


def test_other_settings_do_not_go_on_from_an_old_state(study, tmp_path, monkeypatch):
    study = {**study, "resume_interval_s": 0}
    judge = fitting.Fit._judge
    monkeypatch.setattr(fitting.Fit, "_judge", lambda self: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run(study, tmp_path / "run", epochs=1)
    assert list((tmp_path / "run/state").glob("resume_*.pt"))
    monkeypatch.setattr(fitting.Fit, "_judge", judge)
    changed = run(study, tmp_path / "run", epochs=1, learning_rate=0.01)
    fresh = run(study, tmp_path / "fresh", epochs=1, learning_rate=0.01)
    assert contents(changed) == contents(fresh)


class Longer(TrainingSettings):
    """The section with one setting more."""

    further: int = 1


class Idler(TrainingSettings):
    """The section with one more that changes no result."""

    further: Annotated[int, NO_EFFECT] = 1


@pytest.mark.parametrize(
    ("section", "further", "begins_at"), [(Longer, 1, 48), (Longer, 2, 0), (Idler, 2, 48)]
)
def test_whatever_setting_has_an_effect_starts_a_training_anew(
    study, tmp_path, monkeypatch, section, further, begins_at
):
    step, begun = fitting.Fit._step, []

    def watched(self, *batch):
        begun.append(self.shown)
        return step(self, *batch)

    with interrupted(steps=3):
        run(study, tmp_path, section, epochs=1, further=1, resume_interval_s=0)
    monkeypatch.setattr(fitting.Fit, "_step", watched)
    outputs = run(study, tmp_path, section, epochs=1, further=further)
    assert begun[0] == begins_at
    # What Snakemake compares, and what the network says of itself.
    params = [section(further=value).with_effect() for value in (1, 2)]
    stated = read_model(outputs["model"])[1]["settings"]
    if section is Longer:
        assert params[0] != params[1]
        assert stated["further"] == further
    else:
        assert params[0] == params[1]
        assert "further" not in stated


def test_a_network_says_every_setting_that_has_an_effect_and_no_other(study, tmp_path):
    stated = read_model(run(study, tmp_path, epochs=1)["model"])[1]["settings"]
    used = TrainingSettings.of(SETTINGS | {"epochs": 1})
    assert {name: stated[name] for name in used.with_effect()} == used.with_effect()
    assert not set(stated) & set(used.without_effect())


def test_the_network_of_the_features_is_trained_with_all_settings_of_its_section():
    settings = FeatureSettings(seed=3, learning_rate=0.5, device="cuda", epoch_images=77)
    training = settings.training().plain()
    own = {name: value for name, value in settings.plain().items() if name != "seed"}
    assert {name: training[name] for name in own} == own
    # One of its own that a training does not know is not dropped in silence.
    longer = create_model("Longer", __base__=FeatureSettings, further=(int, 1))
    with pytest.raises(ValidationError, match="further"):
        longer().training()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGURG])
def test_a_warned_run_saves_and_goes_on(study, tmp_path, monkeypatch, number):
    step = fitting.Fit._step
    saved = []

    def warned(self, *batch):
        if self.shown == 32:
            signal.raise_signal(number)
        if self.shown == 64:
            saved.extend(self.store.folder.glob("*.pt"))
        return step(self, *batch)

    monkeypatch.setattr(fitting.Fit, "_step", warned)
    outputs = run(study, tmp_path / "run", epochs=1)
    assert len(saved) == 1
    assert all(path.exists() for path in outputs.values())
    assert signal.getsignal(number) in (signal.SIG_DFL, None)


def test_an_interrupted_run_saves_and_ends(study, tmp_path, monkeypatch):
    whole = contents(run(study, tmp_path / "whole", epochs=1))
    step = fitting.Fit._step
    begun = []

    def interrupted(self, *batch):
        begun.append(self.shown)
        if self.shown == 32:
            signal.raise_signal(signal.SIGINT)
        return step(self, *batch)

    monkeypatch.setattr(fitting.Fit, "_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(study, tmp_path / "run", epochs=1)
    assert not (tmp_path / "run/model.pt").exists()
    assert contents(run(study, tmp_path / "run", epochs=1)) == whole
    assert begun[:4] == [0, 16, 32, 48]


def test_a_finished_run_writes_its_outputs_again_without_training(study, tmp_path, monkeypatch):
    """The scheduler deletes the outputs of a job that was warned, even if it came to its end."""
    outputs = run(study, tmp_path / "run", epochs=1)
    before = contents(outputs)
    for path in outputs.values():
        path.unlink()
    monkeypatch.setattr(fitting.Fit, "_step", lambda self, *batch: 1 / 0)
    assert contents(run(study, tmp_path / "run", epochs=1)) == before


def test_a_second_process_may_not_train_in_the_same_folder(study, tmp_path):
    process = child(run, study, tmp_path, epochs=50)
    try:
        wait_until_locked(tmp_path / "state", process)
        with pytest.raises(TimeoutError, match="another process trains here"):
            run(study, tmp_path, epochs=50, lock_wait_s=0.1)
    finally:
        process.kill()
        process.join()


def test_a_loss_that_is_no_number_stops_the_run(study, tmp_path, monkeypatch):
    monkeypatch.setattr(fitting, "masked_bce", lambda logits, *_, **__: logits.sum() * np.nan)
    with pytest.raises(FloatingPointError, match="training loss is nan in epoch 1"):
        run(study, tmp_path, epochs=2)


def test_a_column_that_is_not_there_is_named(study, tmp_path):
    with pytest.raises(ValueError, match="labels.parquet: has no column Pneumonia"):
        run(study, tmp_path, findings=[*FINDINGS, "Pneumonia"])


def test_a_label_that_is_none_is_named(study, tmp_path):
    labels = pd.read_parquet(study["labels"])
    labels.loc[7, "Fracture"] = -1
    labels.to_parquet(tmp_path / "labels.parquet", index=False)
    with pytest.raises(ValueError, match=f"{labels['image'][7]} has Fracture = -1.0"):
        run(study, tmp_path / "run", labels=tmp_path / "labels.parquet")


def test_pretrained_weights_and_their_digest_are_on_record(study, tmp_path):
    import hashlib

    import torchvision

    path = tmp_path / "start.pth"
    torch.save(torchvision.models.shufflenet_v2_x0_5().state_dict(), path)
    outputs = run(study, tmp_path / "run", epochs=1, weights=str(path))
    settings = read_model(outputs["model"])[1]["settings"]
    assert settings["weights"] == "start.pth"
    assert settings["weights_sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert str(tmp_path) not in str(read_model(outputs["model"])[1])


def test_images_of_the_cache_without_labels_stop_the_run(study, tmp_path):
    labels = pd.read_parquet(study["labels"])
    labels.drop(index=5).to_parquet(tmp_path / "labels.parquet", index=False)
    with pytest.raises(ValueError, match=f"{labels['image'][5]} is not in"):
        run(study, tmp_path / "run", labels=tmp_path / "labels.parquet")


def test_labels_of_an_image_that_is_not_in_the_cache_are_refused(study, tmp_path):
    labels = pd.read_parquet(study["labels"])
    extra = labels.iloc[[6]].assign(image="train/patient00003/study1/unreadable.jpg")
    pd.concat([labels, extra]).to_parquet(tmp_path / "labels.parquet", index=False)
    with pytest.raises(ValueError, match="1 of 241 images are not in this file, the first is"):
        run(study, tmp_path / "run", epochs=1, labels=tmp_path / "labels.parquet")


def test_draw_images_shows_what_it_says():
    clean, lesion = (draw_images(np.array([[k, 0.0]]), 32, seed=0) for k in (0.0, 1.0))
    assert lesion.astype(float).mean() > clean.mean() + 3
