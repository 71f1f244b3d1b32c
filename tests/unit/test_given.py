"""What vanished, stands twice or is misread is said before a run starts."""

import os
from pathlib import Path

import pytest
import torch
import torchvision

from rarecxr.study.configuration.study import Configuration
from rarecxr.study.given import (
    IMAGENET_FEATURES,
    misread_options,
    missing_files,
    refuse,
    repeated_keys,
    torch_hub_folder,
)

ROOT = Path(__file__).parents[2]
PUBLISHED = ROOT / "config/published.csv"


def study(**sections):
    return Configuration(**sections)


def missing(folder, **sections):
    return list(missing_files(study(**sections), folder, PUBLISHED))


@pytest.fixture
def data(tmp_path):
    (tmp_path / "data").mkdir()
    for name in ("train.csv", "valid.csv", "weights.pth"):
        (tmp_path / "data" / name).write_text("Path\n", encoding="utf-8")
    return tmp_path


def test_nothing_is_missing_where_all_is_there(data):
    assert missing(data) == []
    weights = {"weights": "data/weights.pth", "weights_dir": "data"}
    assert missing(data, dataset={"root": "data"}, classifier=weights, features=weights) == []
    assert missing(data, dataset={"root": str(data / "data"), "expert_csv": None}) == []
    assert missing(data, classifier={"weights": "imagenet", "architecture": "resnet18"}) == []


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        (
            {"dataset": {"root": "dta"}},
            "dataset.root: there is no folder dta in {folder}, the folder",
        ),
        (
            {"dataset": {"root": "data", "train_csv": "labels.csv"}},
            "dataset.train_csv: there is no file labels.csv in {folder}/data; give the name",
        ),
        (
            {"dataset": {"root": "data", "expert_csv": "test.csv"}},
            "dataset.expert_csv: there is no file test.csv in {folder}/data; give the name of a "
            "CSV file in that folder, or null if there is none",
        ),
        (
            {"classifier": {"weights": "no.pth"}},
            "classifier.weights: no.pth in {folder}, the folder that Snakemake runs in: there",
        ),
        ({"features": {"weights": "data"}}, "features.weights: data in {folder}, the folder that"),
        (
            {"features": {"weights_dir": "/nowhere"}},
            "features.weights_dir: there is no folder /nowhere; give the folder",
        ),
    ],
    ids=str,
)
def test_what_vanished_is_named_with_its_key_and_place(data, sections, words):
    (line,) = missing(data, **sections)
    assert line.startswith(words.format(folder=data.resolve())), line


IMAGENET = [
    ("quality.spaces", {"quality": {"spaces": ["random", "imagenet"]}}),
    ("gan.evaluation.space", {"gan": {"evaluation": {"space": "imagenet"}}}),
    ("bank.select.space", {"bank": {"select": {"space": "imagenet"}}}),
]


@pytest.mark.parametrize(("key", "sections"), IMAGENET, ids=[key for key, _ in IMAGENET])
def test_a_feature_space_without_its_weights_is_named_with_the_file_and_its_places(
    data, monkeypatch, key, sections
):
    monkeypatch.setenv("TORCH_HOME", str(data / "torch"))
    (line,) = missing(data, **sections)
    hub = data / "torch/hub/checkpoints" / IMAGENET_FEATURES
    assert line.startswith(f"{key}: the feature space imagenet needs densenet121-a639ec97.pth")
    assert f"models/{IMAGENET_FEATURES} to {hub}" in line
    mine = {"features": {"weights_dir": "data"}}
    (line,) = missing(data, **sections, **mine)
    assert f"is not at {data / 'data' / IMAGENET_FEATURES} or {hub}, and" in line
    for place, more in ((data / "data" / IMAGENET_FEATURES, mine), (hub, {})):
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
        assert missing(data, **sections, **more) == []
        place.unlink()
    # Nothing is measured where no arm adds synthetic images.
    real = {"classifier": {"arms": ["none", "oversample"]}}
    assert missing(data, **sections, **real) == []


def test_the_file_behind_the_feature_space_is_torchvisions_and_lies_where_torch_looks(monkeypatch):
    url = torchvision.models.get_model_weights("densenet121").DEFAULT.url
    assert url == f"https://download.pytorch.org/models/{IMAGENET_FEATURES}"
    for changed in ({}, {"XDG_CACHE_HOME": "~/c"}, {"TORCH_HOME": "/t"}):
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
        monkeypatch.delenv("TORCH_HOME", raising=False)
        for name, value in changed.items():
            monkeypatch.setenv(name, value)
        assert torch_hub_folder() == Path(torch.hub.get_dir()) / "checkpoints"


def test_a_container_that_is_not_there_is_named(data):
    (line,) = missing(data, container="images/rarecxr.sif")
    assert line.startswith(f"container: there is no image images/rarecxr.sif in {data.resolve()}")
    (line,) = missing(data, container="/nowhere/rarecxr.sif")
    assert line.startswith("container: there is no image /nowhere/rarecxr.sif; give the path")
    assert missing(data, container="data/weights.pth") == []
    assert missing(data, container="docker://ghcr.io/someone/rarecxr:1") == []


@pytest.mark.parametrize(
    ("key", "sections"),
    [
        ("container", {"container": "x" * 300}),
        ("dataset.root", {"dataset": {"root": "x" * 300}}),
        ("dataset.train_csv", {"dataset": {"root": "data", "train_csv": "x" * 300}}),
        ("classifier.weights", {"classifier": {"weights": "x" * 300}}),
        ("features.weights_dir", {"features": {"weights_dir": "x/" * 3000}}),
        ("container", {"container": "~nobody-of-this-name/rarecxr.sif"}),
    ],
)
def test_a_name_that_no_file_can_have_is_not_there(data, key, sections):
    (line,) = missing(data, **sections)
    assert line.startswith(f"{key}: ")


def test_tables_that_are_empty_or_closed_are_named(data, monkeypatch):
    table = data / "data/train.csv"
    table.write_bytes(b"")
    (line,) = missing(data, dataset={"root": "data"})
    assert line == f"dataset.train_csv: {table} is empty; copy it again"
    table.write_text("Path\n", encoding="utf-8")
    # Root, as in containers, may read everything.
    monkeypatch.setattr(os, "access", lambda path, mode: "train" not in str(path))
    (line,) = missing(data, dataset={"root": "data"})
    assert line == f"dataset.train_csv: {table} may not be read; change its permissions"


def test_weights_that_are_a_folder_are_said_to_be_one(data):
    (line,) = missing(data, classifier={"weights": "data"})
    assert "is a folder" in line


def test_missing_published_values_are_named(tmp_path):
    (line,) = missing_files(Configuration(), tmp_path, tmp_path / "published.csv")
    assert line.startswith(f"{tmp_path}/published.csv: there is no such file")


def test_a_section_that_stands_twice_is_named_with_both_lines(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text("gan:\n  seed: 1\nbank:\n  seed: 2\n  seed: 3\ngan: {}\n", encoding="utf-8")
    assert list(repeated_keys(path)) == [
        f"{path}: {key} and only the last one would count; join the two"
        for key in (
            "bank.seed is in line 4 and again in line 5,",
            "gan is in line 1 and again in line 6,",
        )
    ]


def test_anchors_that_hold_themselves_or_multiply_are_looked_at_once(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text("a: &x [*x]\nb: &y {c: *y}\n", encoding="utf-8")
    assert list(repeated_keys(path)) == []
    lines = ["a0: &a0 [1]"]
    lines += [f"a{n}: &a{n} [{', '.join(9 * [f'*a{n - 1}'])}]" for n in range(1, 30)]
    path.write_text("\n".join([*lines, "a3: 1"]), encoding="utf-8")
    (line,) = repeated_keys(path)
    assert "a3 is in line 4 and again in line 31" in line


@pytest.mark.parametrize("name", ["config.yaml", "chexpert.yaml", "evidence.yaml"])
def test_shipped_files_say_everything_once(name):
    assert list(repeated_keys(ROOT / "config" / name)) == []


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        ([], 0),
        (["--configfile", "a.yaml", "b.yaml"], 0),
        (["--configfile=a.yaml", "--cores", "2"], 0),
        (["--configfile", "a.yaml", "--cores", "2", "--configfile", "b.yaml"], 1),
        (["--configfiles", "a.yaml", "--configfile=b.yaml"], 1),
    ],
    ids=str,
)
def test_two_flags_of_which_one_would_count_are_refused(arguments, count):
    assert len(list(misread_options(["snakemake", *arguments]))) == count


def test_all_reasons_are_said_at_once():
    refuse([])
    with pytest.raises(ValueError, match="cannot be run\n  one\n  two"):
        refuse(iter(["one", "two"]))
