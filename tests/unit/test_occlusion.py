"""Occlusion maps of networks whose evidence is known, and the file that they are kept in."""

import json
from dataclasses import replace

import classifier_files as files
import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from rarecxr.classifier.explanation import (
    ExplanationInputs,
    explain_classifiers,
    positives_by_score,
)
from rarecxr.classifier.map_file import MapFile, read_maps, write_maps
from rarecxr.classifier.occlusion import occlusion_maps
from rarecxr.classifier.prediction import predict
from rarecxr.classifier.prediction_file import write_predictions
from rarecxr.classifier.windows import number_of_windows, window_and_stride
from rarecxr.core.provenance import digest
from rarecxr.core.tables import read_parquet

ARCHITECTURE = "small_resnet10"
# Of the first channel in torchvision's preset.
MEAN, STD = 0.485, 0.229


class Corner(nn.Module):
    """Two logits: the brightness of the upper left corner, and its negative."""

    def __init__(self):
        super().__init__()
        self.seen = 0

    def forward(self, images):
        self.seen += len(images)
        side = images.shape[-1] // 4
        bright = images[:, 0, :side, :side].mean((1, 2))
        return torch.stack([bright, -bright], dim=1)


class Blind(nn.Module):
    """The same logits whatever it is shown."""

    def forward(self, images):
        return torch.tensor([[0.5, -0.5]]).expand(len(images), 2)


def bright_corner(side=32):
    """A dark image with a bright corner, (1, 1, side, side)."""
    image = torch.full((1, 1, side, side), 0.2)
    image[..., : side // 4, : side // 4] = 0.8
    return image


def test_the_map_peaks_in_the_region_that_the_network_looks_at_and_is_zero_elsewhere():
    image = bright_corner()
    maps, logits = occlusion_maps(Corner(), image, 0, ARCHITECTURE)
    assert logits.item() == pytest.approx((0.8 - MEAN) / STD, rel=1e-5)
    # By hand: a window of 4 x 4 in the corner of 8 x 8 takes the image's mean, 0.2 + 0.6 / 16.
    fall = 16 * (0.8 - 0.2375) / STD / 64
    assert maps[0, 0, 0].item() == pytest.approx(fall, rel=1e-4)
    assert maps[0, 2:6, 2:6].numpy() == pytest.approx(fall, rel=1e-4)
    assert maps.max().item() == pytest.approx(fall, rel=1e-4)
    # No window that reaches here touches the corner.
    outside = torch.ones(32, 32, dtype=torch.bool)
    outside[:10, :10] = False
    assert maps[0][outside].abs().max() < 1e-5


def test_evidence_against_a_finding_is_negative():
    one, other = (occlusion_maps(Corner(), bright_corner(), k, ARCHITECTURE)[0] for k in (0, 1))
    assert torch.allclose(one, -other)
    assert other.min() < -0.1


def test_a_network_that_ignores_the_image_has_an_empty_map():
    images = torch.rand(2, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    maps, logits = occlusion_maps(Blind(), images, 1, ARCHITECTURE)
    assert maps.shape == (2, 32, 32)
    assert torch.equal(maps, torch.zeros(2, 32, 32))
    assert logits.tolist() == [-0.5, -0.5]


def test_a_map_is_the_same_at_every_resolution():
    small, large = (
        occlusion_maps(Corner(), bright_corner(n), 0, ARCHITECTURE)[0] for n in (32, 320)
    )
    blown_up = small[0].repeat_interleave(10, 0).repeat_interleave(10, 1)
    assert torch.allclose(blown_up, large[0], atol=1e-4)


@pytest.mark.parametrize("side", [16, 32, 50, 224, 299, 320])
def test_windows_cover_the_image_and_are_counted(side):
    window, stride = window_and_stride(side)
    assert 0.1 < window / side < 0.15
    assert stride <= window
    network = Corner()
    occlusion_maps(network, torch.rand(1, 1, side, side), 0, ARCHITECTURE)
    # Once whole for the logit, once whole for what the falls are measured from.
    assert network.seen - 2 == number_of_windows(side)
    assert 200 < number_of_windows(side) < 300


# The file


def some_maps(**about):
    generator = np.random.default_rng(0)
    about = {"arms": ["none", "gan"], "finding": "Fracture", **about}
    return MapFile(
        images=generator.integers(0, 256, (3, 16, 16), dtype=np.uint8),
        synthetic=np.array([False, False, True]),
        names=np.array(["train/a.jpg", "train/b.jpg", "7"]),
        logits=generator.normal(size=(3, 2)).astype(np.float32),
        maps=generator.normal(size=(3, 2, 16, 16)).astype(np.float32),
        about=about,
    )


def test_maps_come_back_as_they_were_written_and_give_the_same_bytes(tmp_path):
    written = some_maps()
    for name in ("one.npz", "two.npz"):
        write_maps(tmp_path / name, written)
    found = read_maps(tmp_path / "one.npz")
    for name in ("images", "synthetic", "names", "logits", "maps"):
        assert np.array_equal(getattr(found, name), getattr(written, name))
    assert found.about == written.about
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()


@pytest.mark.parametrize("harm", ["middle", "truncated", "swapped", "other", "shape"])
def test_damaged_maps_are_refused_by_name(tmp_path, harm):
    path = tmp_path / "fracture.npz"
    write_maps(path, some_maps())
    if harm in ("middle", "truncated"):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content if harm == "middle" else content[: len(content) // 2])
    elif harm == "swapped":
        write_maps(tmp_path / "other.npz", some_maps(finding="Edema"))
        path.write_bytes((tmp_path / "other.npz").read_bytes())
    elif harm == "other":
        with open(path, "wb") as file:
            np.savez(file, real=np.zeros(3))
        (tmp_path / ".fracture.npz.sha256").unlink()
    else:
        write_maps(path, replace(some_maps(), logits=np.zeros((3, 1), np.float32)))
    with pytest.raises(ValueError, match=r"fracture\.npz: .*remove the file and run the workflow"):
        read_maps(path)


# From a study's files


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A study with two trained arms, and what maps of it are made from."""
    root = tmp_path_factory.mktemp("study")
    made = files.make_study(root / "dataset")
    bank = files.make_bank(root / "fracture.h5", "Fracture", 20)
    both = dict.fromkeys(files.TARGETS, bank)
    both["Lung Lesion"] = files.make_bank(root / "lesion.h5", "Lung Lesion", 20)
    made |= {"architecture": ARCHITECTURE, "epochs": 1}
    runs = {
        "none": files.run(made, root / "none"),
        "gan": files.run(made, root / "gan", arm={"recipe": "plain"}, banks=both),
    }
    inputs = ExplanationInputs(
        pixels=made["pixels"],
        labels=made["labels"],
        models={arm: run["model"] for arm, run in runs.items()},
        predictions={arm: run["predictions"] for arm, run in runs.items()},
        bank=bank,
    )
    return made, inputs


RUN = {"fraction": "100", "draw": 0, "seed": 0, "recipe": "plain"}


def explain(inputs, path, **changed):
    values = {"finding": "Fracture", "number": 3, "run": RUN, "study": "tiny", "device": "cpu"}
    explain_classifiers(inputs, path, **{**values, **changed})
    return read_maps(path)


def test_maps_of_a_study_are_of_its_test_positives_and_of_its_bank(study, tmp_path):
    made, inputs = study
    found = explain(inputs, tmp_path / "fracture.npz")
    labels = read_parquet(made["labels"]).set_index("image")
    table = read_parquet(inputs.predictions["none"]).set_index("image")
    real = list(found.names[~found.synthetic])
    assert len(real) == 3
    assert (labels.loc[real, "Fracture"] == 1).all()
    assert (table.loc[real, "split"] == "test").all()
    assert table.loc[real, "patient"].is_unique
    assert list(found.names[found.synthetic]) == ["0", "9", "19"]
    assert found.maps.shape == (6, 2, 32, 32)
    # What the maps are falls of is what the runs predicted.
    for arm, logits in zip(found.about["arms"], found.logits.T, strict=True):
        predicted = read_parquet(inputs.predictions[arm]).set_index("image")
        assert logits[:3] == pytest.approx(predicted.loc[real, "Fracture"].to_numpy(), abs=1e-4)
        of_bank = predict(inputs.models[arm], found.images, "cpu")
        assert logits == pytest.approx(of_bank[:, files.FINDINGS.index("Fracture")], abs=1e-4)
    test = labels.loc[table.index[table["split"] == "test"]]
    assert found.about["positives"] == (test["Fracture"] == 1).sum()
    assert found.about["bank"] == 20
    origin = found.about["provenance"]
    assert set(origin["inputs"]) == {
        *("labels", "bank", "model none", "model gan", "predictions none", "predictions gan")
    }
    assert origin["settings_digest"] == digest(origin["settings"])
    json.dumps(found.about)


def test_the_same_files_give_the_same_bytes(study, tmp_path):
    for name in ("one.npz", "two.npz"):
        explain(study[1], tmp_path / name)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()


def test_without_a_bank_there_are_real_images_alone(study, tmp_path):
    found = explain(replace(study[1], bank=None), tmp_path / "maps.npz", number=2)
    assert found.synthetic.tolist() == [False, False]


def test_networks_that_do_not_fit_are_refused(study, tmp_path):
    made, inputs = study
    with pytest.raises(ValueError, match="without Hernia, of Edema, Lung Lesion, Fracture"):
        labels = read_parquet(made["labels"]).assign(Hernia=1.0)
        labels.to_parquet(tmp_path / "labels.parquet")
        predictions = {}
        for arm, path in inputs.predictions.items():
            table = read_parquet(path)
            predictions[arm] = tmp_path / f"{arm}.parquet"
            logits = np.zeros((len(table), 1), np.float32)
            write_predictions(predictions[arm], table, logits, ["Hernia"], {})
        changed = {"labels": tmp_path / "labels.parquet", "predictions": predictions}
        explain(replace(inputs, **changed), tmp_path / "maps.npz", finding="Hernia")
    other = files.run(made, tmp_path / "other", resolution=48)["model"]
    models = {**inputs.models, "gan": other}
    with pytest.raises(ValueError, match="of one size, these of 32 and 48 pixels"):
        explain(replace(inputs, models=models), tmp_path / "maps.npz")


def test_patients_are_ranked_by_their_best_image_over_both_arms(tmp_path):
    names = [f"p{number}" for number in (1, 1, 2, 3, 4, 5)]
    table = pd.DataFrame({"image": list("abcdef"), "patient": names, "split": "test"})
    table.loc[5, "split"] = "val"
    labels = pd.DataFrame({"image": list("abcdef"), "Fracture": [1, 1, 1, 1, 0, 1.0]})
    labels.to_parquet(tmp_path / "labels.parquet")
    # Ranks of a to d: 1, 4, 3, 2 in one arm, 2, 3, 4, 1 in the other; of e and f nothing counts.
    paths = {}
    for arm, logits in {"one": [-5, 9, 8, 0, 99, 99], "two": [0, 1, 2, -1, 99, 99]}.items():
        paths[arm] = tmp_path / f"{arm}.parquet"
        write_predictions(paths[arm], table, np.float32(logits)[:, None], ["Fracture"], {})
    inputs = ExplanationInputs("", tmp_path / "labels.parquet", {}, paths)
    found = positives_by_score(inputs, "Fracture")
    assert found["image"].tolist() == ["b", "c", "d"]
    assert found["score"].tolist() == [3.5 / 4, 3.5 / 4, 1.5 / 4]
    assert found["images"].tolist() == [2, 1, 1]
