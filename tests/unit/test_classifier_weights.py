import hashlib
import urllib.error

import pytest
import torch
import torchvision

from rarecxr.classifier.weights import find_weights, read_weights


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """torch.hub's folder is empty, and there is no network."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "hub"))
    asked = []

    def refuse(url, *rest, **more):
        asked.append(url)
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    return asked


def named_file(folder, architecture, monkeypatch):
    """A file that torchvision would name so: its name carries its own digest."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(torchvision.models.get_model(architecture).state_dict(), folder / "new.pth")
    digest = hashlib.sha256((folder / "new.pth").read_bytes()).hexdigest()
    path = (folder / "new.pth").rename(folder / f"{architecture}-{digest[:8]}.pth")

    class Entry:
        url = f"https://example.org/models/{path.name}"

    class Weights:
        DEFAULT = Entry

    monkeypatch.setattr(torchvision.models, "get_model_weights", lambda name: Weights)
    return path, digest


@pytest.mark.parametrize("place", ["own", "hub/hub/checkpoints"])
def test_torchvisions_file_is_found_in_either_folder(place, tmp_path, monkeypatch, offline):
    path, digest = named_file(tmp_path / place, "squeezenet1_1", monkeypatch)
    assert find_weights("squeezenet1_1", "imagenet", tmp_path / "own") == (path, digest)
    assert not offline


def test_a_damaged_file_is_refused(tmp_path, monkeypatch, offline):
    path, _ = named_file(tmp_path, "squeezenet1_1", monkeypatch)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(ValueError, match="SHA-256 begins with .* its name says"):
        find_weights("squeezenet1_1", "imagenet", tmp_path)


def test_without_file_and_network_the_error_says_what_belongs_where(tmp_path, offline):
    url = torchvision.models.get_model_weights("densenet121").DEFAULT.url
    with pytest.raises(FileNotFoundError) as error:
        find_weights("densenet121", "imagenet", tmp_path / "own")
    assert offline == [url]
    assert url in str(error.value)
    assert str(tmp_path / "own" / "densenet121-a639ec97.pth") in str(error.value)
    assert "SHA-256 begins with a639ec97" in str(error.value)


def test_a_file_is_fetched_once(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "hub"))
    path, digest = named_file(tmp_path / "server", "squeezenet1_1", monkeypatch)
    fetched = []

    def fetch(url, to, digits, progress):
        fetched.append((url, digits))
        (tmp_path / "own").joinpath(path.name).write_bytes(path.read_bytes())

    monkeypatch.setattr(torch.hub, "download_url_to_file", fetch)
    for _ in range(2):
        found = find_weights("squeezenet1_1", "imagenet", tmp_path / "own")
        assert found == (tmp_path / "own" / path.name, digest)
    assert fetched == [(f"https://example.org/models/{path.name}", digest[:8])]


def test_a_path_that_is_not_there_is_refused():
    with pytest.raises(FileNotFoundError, match="classifier.weights: there is no file nowhere.pth"):
        find_weights("resnet18", "nowhere.pth")


def test_nothing_is_unpickled_but_tensors(tmp_path):
    torch.save({"weight": print}, tmp_path / "odd.pth")
    with pytest.raises(ValueError, match="not a file of weights"):
        read_weights(tmp_path / "odd.pth")
    torch.save({"epoch": 3}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match="no tensors by name"):
        read_weights(tmp_path / "other.pth")


def test_names_of_old_densenet_files_become_todays(tmp_path):
    today = torchvision.models.densenet121().state_dict()
    old = {}
    for name, value in today.items():
        for kind in ("norm", "conv"):
            for number in "12":
                inside = "denselayer" in name
                name = name.replace(f".{kind}{number}.", f".{kind}.{number}.") if inside else name
        old[name] = value
    assert set(old) != set(today)
    torch.save(old, tmp_path / "old.pth")
    assert set(read_weights(tmp_path / "old.pth")) == set(today)
