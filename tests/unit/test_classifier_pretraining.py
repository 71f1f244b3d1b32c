import math
import signal
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
import pytest
import torch
from classifier_files import TARGETS, draw_images, make_study, run
from hypothesis import given, settings
from hypothesis import strategies as st
from interruptions import child, run_under_kills

from rarecxr.classifier.networks import build, network_input
from rarecxr.classifier.pretraining import Pool, pretrain_classifier
from rarecxr.classifier.self_supervised import (
    SelfSupervisedFit,
    contrastive_loss,
    recognised,
)
from rarecxr.classifier.views import crop, views
from rarecxr.core.files import sha256
from rarecxr.core.provenance import TRAINED_ON, digest_of_images
from rarecxr.core.tensors import read_tensor_file
from rarecxr.data.image_file import write_image_file
from rarecxr.phantoms.anatomy import sample_anatomy, sample_pose
from rarecxr.phantoms.render import render
from rarecxr.phantoms.sites import sample_sites
from rarecxr.study.configuration.classifier import NetworkSettings, SelfSupervisedSettings
from rarecxr.study.configuration.study import Configuration
from rarecxr.study.configuration.training import TransformSettings

VIEWS, STANDARD = (Configuration().transforms[name] for name in ("views", "standard"))
NETWORK = {"architecture": "shufflenet_v2_x0_5", "precision": "fp32", "device": "cpu"}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A study whose index of readable images has no labels at all."""
    study = make_study(tmp_path_factory.mktemp("study"), patients=60)
    labels = pd.read_parquet(study["labels"])
    study["images"] = Path(study["labels"]).with_name("readable.parquet")
    labels[["image", "patient"]].to_parquet(study["images"], index=False)
    return study


def pretrain(study, folder, network=(), seed=0, transforms=VIEWS, **changes):
    """Pretrain on a study's images; the files that came out."""
    folder.mkdir(parents=True, exist_ok=True)
    outputs = {"model": folder / "model.pt", "history": folder / "history.csv"}
    pretrain_classifier(
        pool=Pool(study["pixels"], study["images"], study["split"]),
        **outputs,
        state=folder / "state",
        study=study["study"],
        seed=seed,
        network=NetworkSettings.of(NETWORK | dict(network)),
        settings=SelfSupervisedSettings(**{"epochs": 2, "batch_size": 16, **changes}),
        transforms=transforms,
    )
    return outputs


def contents(outputs):
    return {name: path.read_bytes() for name, path in outputs.items()}


def test_the_loss_is_that_of_the_paper():
    two = torch.eye(2)
    agreed, t = torch.cat([two, two]), 0.5
    # Each view has similarity 1 to its partner and 0 to the two of the other image.
    wanted = -math.log(math.exp(1 / t) / (math.exp(1 / t) + 2))
    assert contrastive_loss(agreed, t).item() == pytest.approx(wanted)
    assert contrastive_loss(7 * agreed, t).item() == pytest.approx(wanted)
    swapped = torch.cat([two, two.flip(0)])
    wanted = -math.log(1 / (math.exp(1 / t) + 2))
    assert contrastive_loss(swapped, t).item() == pytest.approx(wanted)
    alike = torch.ones(10, 4)
    assert contrastive_loss(alike, t).item() == pytest.approx(math.log(9))
    assert (recognised(agreed), recognised(swapped)) == (1, 0)


def test_a_crop_is_a_part_of_the_image_and_keeps_its_proportions():
    side = 64
    # Grey levels that are the coordinates, in [0, 1].
    along = ((torch.arange(side) + 0.5) / side).expand(200, 1, side, side)
    across, down = crop(along, 0.5, seed=3), crop(along.mT, 0.5, seed=3)
    for cropped, axis in ((across, 3), (down, 2)):
        assert cropped.min() > 0
        assert cropped.max() < 1
        steps = cropped.diff(dim=axis)[:, :, 1:-1, 1:-1] * side
        sides = steps.flatten(1).mean(dim=1)
        assert torch.allclose(steps, sides.view(-1, 1, 1, 1).expand_as(steps), atol=1e-3)
        assert 0.5 <= sides.min() < 0.52
        assert 0.98 < sides.max() <= 1
        # Everywhere within the image: the centres' range is what the smallest crop leaves free.
        centres = cropped.mean(dim=(1, 2, 3))
        assert centres.min() < 0.35
        assert centres.max() > 0.65
    assert torch.equal(crop(along, 1, seed=3), along)


def test_the_two_views_of_an_image_differ_and_depend_on_the_key_alone():
    images = torch.rand(4, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    seen = views(images, 0.6, VIEWS, (0, "unlabelled", 5))
    assert seen.shape == (8, 1, 32, 32)
    assert 0 <= seen.min() <= seen.max() <= 1
    assert all((seen[place] - seen[place + 4]).abs().mean() > 0.05 for place in range(4))
    assert torch.equal(seen, views(images, 0.6, VIEWS, (0, "unlabelled", 5)))
    assert not torch.equal(seen, views(images, 0.6, VIEWS, (0, "unlabelled", 6)))
    # Without any change both are the image.
    still = TransformSettings(**dict.fromkeys(TransformSettings.model_fields, 0.0))
    assert torch.equal(views(images, 1, still, (0,)), torch.cat([images, images]))


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.sampled_from(["train", "val", "test", "expert", "reserve", "unused"]),
        min_size=60,
        max_size=60,
    ).filter(lambda parts: "train" in parts)
)
def test_the_images_are_those_of_all_training_patients_and_of_nobody_else(tmp_path_factory, parts):
    folder = tmp_path_factory.mktemp("parts")
    names = [f"patient{number:05d}" for number in range(60)]
    pd.DataFrame({"patient": names, "split": parts}).to_csv(folder / "split.csv", index=False)
    shown = np.random.default_rng(len(set(parts))).permutation(np.repeat(np.arange(60), 2))
    keys = [f"image{number:03d}" for number in range(120)]
    table = pd.DataFrame({"image": keys, "patient": [names[number] for number in shown]})
    table.to_parquet(folder / "readable.parquet", index=False)
    rows = np.random.default_rng(1).permutation(120)
    columns = {"image": [keys[row] for row in rows]}
    write_image_file(folder / "pixels.h5", [np.zeros((120, 16, 16), np.uint8)], 120, 16, columns)
    pool = Pool(folder / "pixels.h5", folder / "readable.parquet", folder / "split.csv")
    chosen = pool.chosen()
    wanted = [key for key, number in zip(keys, shown, strict=True) if parts[number] == "train"]
    assert chosen["image"].tolist() == wanted
    assert [keys[rows[place]] for place in chosen["place"]] == wanted


def test_no_pixel_of_other_patients_and_no_label_has_an_effect(study, tmp_path):
    before = pretrain(study, tmp_path / "before")
    split = pd.read_csv(study["split"]).set_index("patient")["split"]
    table = pd.read_parquet(study["labels"])
    training = (table["patient"].map(split) == "train").to_numpy()
    pixels = draw_images(table[TARGETS].to_numpy(), 32, seed=0)
    stored = {"image": table["image"].tolist(), "row": np.arange(len(table))}
    stored["digest"] = [f"{number:064x}" for number in range(len(table))]

    def changed(name, which, **more):
        images = pixels.copy()
        images[which] = 255 - images[which]
        path = tmp_path / f"{name}.h5"
        write_image_file(path, [images], len(images), 32, stored)
        return pretrain(study | {"pixels": path} | more, tmp_path / name)

    labelled = tmp_path / "labelled.parquet"
    table.assign(Fracture=1.0).to_parquet(labelled, index=False)
    others = changed("others", ~training)
    assert contents(others) == contents(before)
    # The index is another file, and says so; the network is the same.
    states = [
        read_tensor_file(outputs["model"], "a network")["state_dict"]
        for outputs in (before, changed("labels", ~training, images=labelled))
    ]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    one = np.zeros(len(training), bool)
    one[np.flatnonzero(training)[-1]] = True
    assert changed("own", one)["history"].read_bytes() != before["history"].read_bytes()


def test_a_network_says_what_it_was_pretrained_on(study, tmp_path):
    outputs = pretrain(study, tmp_path, seed=3)
    about = read_tensor_file(outputs["model"], "a network")
    split = pd.read_csv(study["split"]).set_index("patient")["split"]
    images = pd.read_parquet(study["images"])
    training = images.loc[images["patient"].map(split) == "train", "image"]
    assert about[TRAINED_ON] == digest_of_images(training)
    origin = about["provenance"]
    assert (origin["seed"], origin["study"]) == (3, "tiny")
    assert origin["inputs"]["split"] == sha256(study["split"])
    assert "labels" not in origin["inputs"]
    assert origin["settings"]["transforms"] == VIEWS.plain()
    # All that a setting can change is in it, so that no other training goes on from its state.
    wanted = set(SelfSupervisedSettings().with_effect()) | set(NetworkSettings().with_effect())
    assert wanted <= set(origin["settings"])
    history = pd.read_csv(outputs["history"])
    # An incomplete last batch is left out: no image stands twice in a batch.
    assert history["images"].tolist() == [(len(training) // 16 * 16) * n for n in (1, 2)]


def test_the_same_pretraining_gives_the_same_bytes_and_another_seed_others(study, tmp_path):
    first, again, other = (
        contents(pretrain(study, tmp_path / name, seed=seed))
        for name, seed in (("first", 3), ("again", 3), ("other", 4))
    )
    assert first == again
    assert first["model"] != other["model"]


def test_where_pixels_lie_changes_no_weight(study, tmp_path):
    held = pretrain(study, tmp_path / "held")
    mapped = pretrain(study, tmp_path / "mapped", network={"pixel_memory_mib": 0})
    assert contents(held) == contents(mapped)


def test_an_interrupted_pretraining_goes_on_as_if_nothing_had_been(study, tmp_path):
    unbroken = contents(pretrain(study, tmp_path / "unbroken"))
    step, steps = SelfSupervisedFit._step, iter(range(7))

    def interrupting(self, x):
        if next(steps, None) in (2, 5):
            signal.raise_signal(signal.SIGINT)
        return step(self, x)

    with mock.patch.object(SelfSupervisedFit, "_step", interrupting):
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                pretrain(study, tmp_path / "broken")
    assert contents(pretrain(study, tmp_path / "broken")) == unbroken
    # What is finished is written again without training.
    with mock.patch.object(SelfSupervisedFit, "_step", side_effect=AssertionError):
        assert contents(pretrain(study, tmp_path / "broken")) == unbroken


def test_a_pretraining_killed_at_random_moments_ends_with_the_same_bytes(study, tmp_path):
    unbroken = contents(pretrain(study, tmp_path / "unbroken", epochs=3))
    place = tmp_path / "killed"

    def begin():
        network = {"resume_interval_s": 0.0}
        return child(pretrain, study, place, network=network, epochs=3)

    run_under_kills(place / "state", begin, kills=5, longest_s=1.0)
    killed = {name: (place / Path(f"{name}{end}")).read_bytes() for name, end in ENDS.items()}
    assert killed == unbroken


ENDS = {"model": ".pt", "history": ".csv"}


def test_other_settings_do_not_go_on_from_an_old_state(study, tmp_path):
    pretrain(study, tmp_path / "one")
    other = pretrain(study, tmp_path / "one", temperature=0.5)
    assert contents(other) == contents(pretrain(study, tmp_path / "new", temperature=0.5))


def test_a_loss_that_is_no_number_stops_the_pretraining(study, tmp_path):
    with (
        mock.patch(
            "rarecxr.classifier.self_supervised.contrastive_loss",
            lambda projected, temperature: projected.sum() * math.nan,
        ),
        pytest.raises(FloatingPointError, match=r"classifier\.self_supervised\.learning_rate"),
    ):
        pretrain(study, tmp_path)


def test_too_few_images_are_refused(study, tmp_path):
    split = pd.read_csv(study["split"])
    images = pd.read_parquet(study["images"])
    one = images["patient"].iloc[:1].tolist()
    split["split"] = np.where(split["patient"].isin(one), "train", "test")
    split.to_csv(tmp_path / "split.csv", index=False)
    images.drop_duplicates("patient").to_parquet(tmp_path / "images.parquet", index=False)
    small = study | {"split": tmp_path / "split.csv", "images": tmp_path / "images.parquet"}
    with pytest.raises(ValueError, match="images of training patients: got 1;.*at least 2"):
        pretrain(small, tmp_path / "one")
    split.assign(split="test").to_csv(tmp_path / "split.csv", index=False)
    with pytest.raises(ValueError, match=r"split\.csv: no image of split train"):
        pretrain(small, tmp_path / "none")


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory):
    """160 patients in two poses each, all healthy; the last 60 patients are not trained on."""
    folder, count = tmp_path_factory.mktemp("phantoms"), 160
    pictures = []
    for number in range(count):
        rng = np.random.default_rng(number)
        anatomy = sample_anatomy(rng, bool(number % 2), 60)
        sites = sample_sites(rng, anatomy)
        for _ in range(2):
            picture = render(anatomy, sites, sample_pose(rng, "PA"), {}, 32)
            size = min(picture.shape)
            top, left = ((side - size) // 2 for side in picture.shape)
            pictures.append(picture[top : top + size, left : left + size])
    keys = [f"image{number}" for number in range(2 * count)]
    names = [f"patient{number // 2}" for number in range(2 * count)]
    columns = {"image": keys, "digest": [f"{number:064x}" for number in range(2 * count)]}
    files = {name: folder / name for name in ("pixels.h5", "images.parquet", "split.csv")}
    write_image_file(files["pixels.h5"], [np.stack(pictures)], 2 * count, 32, columns)
    table = pd.DataFrame({"image": keys, "patient": names})
    table.to_parquet(files["images.parquet"], index=False)
    patients = table.drop_duplicates("patient")[["patient"]]
    patients["split"] = ["train"] * 100 + ["test"] * 60
    patients.to_csv(files["split.csv"], index=False)
    found = dict(zip(("pixels", "images", "split"), files.values(), strict=True))
    return found | {"study": "tiny", "unseen": np.stack(pictures)[200:]}


def found_again(network, images):
    """Share of the images that the features of one view of them find by another view."""
    features = []
    network.fc.register_forward_pre_hook(lambda module, inputs: features.append(inputs[0]))
    x = torch.from_numpy(images)[:, None].float() / 255
    with torch.inference_mode():
        network.eval()(network_input(views(x, 0.8, STANDARD, ("test",)), "small_resnet10"))
    spread = features[0] - features[0].mean(dim=0)
    return recognised(spread / (features[0].std(dim=0) + 1e-6)).item()


def test_on_phantoms_the_loss_falls_and_unseen_patients_are_found_again(phantoms, tmp_path):
    quick = {"epochs": 30, "batch_size": 20, "learning_rate": 0.003, "temperature": 0.1}
    outputs = pretrain(
        phantoms,
        tmp_path,
        network={"architecture": "small_resnet10"},
        transforms=STANDARD,
        crop=0.8,
        **quick,
    )
    history = pd.read_csv(outputs["history"])
    assert history["loss"].iloc[-1] < 0.5 * history["loss"].iloc[0]
    assert history["recognised"].iloc[-1] > 2 * history["recognised"].iloc[0]
    assert history["learning_rate"].is_monotonic_decreasing
    network = build("small_resnet10", SelfSupervisedSettings().projection, 32, seed=0)
    before = found_again(network, phantoms["unseen"])
    network = build("small_resnet10", SelfSupervisedSettings().projection, 32, seed=0)
    network.load_state_dict(read_tensor_file(outputs["model"], "a network")["state_dict"])
    assert found_again(network, phantoms["unseen"]) > 2 * before > 0


# What arms make of it


@pytest.fixture(scope="module")
def pretrained(study, tmp_path_factory):
    return pretrain(study, tmp_path_factory.mktemp("pretrained"))["model"]


def arm(study, folder, pretrained, **changes):
    taken = {name: value for name, value in study.items() if name != "images"}
    return run(taken, folder, pretrained=pretrained, **changes)


def test_an_arm_starts_from_the_network_and_trains_as_long_as_all_others(
    study, pretrained, tmp_path
):
    usual = arm(study, tmp_path / "usual", None)
    outputs = arm(study, tmp_path / "own", pretrained, arm={"unlabelled": True})
    histories = [pd.read_csv(files["history"]) for files in (usual, outputs)]
    for name in ("phase", "epoch", "images", "real_passes", "learning_rate"):
        assert histories[0][name].equals(histories[1][name])
    assert not histories[0]["train_loss"].equals(histories[1]["train_loss"])
    files = [pd.read_parquet(files["predictions"]).attrs for files in (usual, outputs)]
    pool = read_tensor_file(pretrained, "a network")[TRAINED_ON]["images"]
    assert [about["unlabelled"] for about in files] == [0, pool]
    assert files[1]["trained_on"] == files[0]["trained_on"]
    assert files[1]["provenance"]["inputs"]["pretrained"] == sha256(pretrained)
    assert "pretrained" not in files[0]["provenance"]["inputs"]


@pytest.mark.parametrize("fraction", [50.0, 100.0])
def test_all_layers_but_the_last_are_those_of_the_network(study, pretrained, tmp_path, fraction):
    still = {"epochs": 1, "epoch_images": 16, "learning_rate": 1e-9, "fraction": fraction}
    outputs = arm(study, tmp_path, pretrained, arm={"unlabelled": True}, **still)
    start = read_tensor_file(pretrained, "a network")["state_dict"]
    trained = read_tensor_file(outputs["model"], "a network")["state_dict"]
    fresh = build("shufflenet_v2_x0_5", 3, 32, seed=0).state_dict()
    for name, value in trained.items():
        if "running_" in name or "num_batches" in name:
            continue
        wanted = fresh[name] if name.startswith("fc.") else start[name]
        assert torch.allclose(value, wanted, atol=1e-6), name


def test_a_network_of_another_seed_or_study_is_refused(study, pretrained, tmp_path):
    with pytest.raises(ValueError, match=r"model\.pt: its seed is 0, this run needs 1"):
        arm(study, tmp_path, pretrained, arm={"unlabelled": True}, seed=1)
    with pytest.raises(ValueError, match=r"model\.pt: its study is 'tiny', this run needs 'big'"):
        arm(study | {"study": "big"}, tmp_path, pretrained, arm={"unlabelled": True})


def test_a_network_goes_with_an_arm_that_asks_for_it(study, pretrained, tmp_path):
    with pytest.raises(ValueError, match="disagree on unlabelled: True"):
        arm(study, tmp_path, None, arm={"unlabelled": True})
    with pytest.raises(ValueError, match="disagree on unlabelled: False"):
        arm(study, tmp_path, pretrained)
