"""Files of tensors: read as they were written, or refused by name without running anything."""

import os

import pytest
import torch

from rarecxr.classifier.prediction import read_model
from rarecxr.core.tensors import from_bytes, read_tensor_file, to_bytes


def test_bytes_hold_tensors_and_plain_values():
    content = {"weights": torch.arange(3.0), "settings": {"a": [1, "b", None]}}
    found = from_bytes(to_bytes(content))
    assert torch.equal(found["weights"], content["weights"])
    assert found["settings"] == content["settings"]
    assert to_bytes(content) == to_bytes(found)


class Harmful:
    """Runs code when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_what_is_no_file_of_tensors_is_refused_by_name(tmp_path):
    path = tmp_path / "model.pt"
    with pytest.raises(FileNotFoundError, match=r"model\.pt: no such file, where a model is"):
        read_tensor_file(path, "a model")
    path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"model\.pt: an empty file, where a model is expected; "):
        read_tensor_file(path, "a model")
    torch.save({"harm": Harmful(tmp_path / "done")}, path)
    with pytest.raises(
        ValueError, match=r"model\.pt: not a model: .*which could run code"
    ) as error:
        read_tensor_file(path, "a model")
    assert "weights_only" not in str(error.value)
    assert not (tmp_path / "done").exists()
    with pytest.raises(ValueError, match="a folder or a device, where a model is expected"):
        read_tensor_file(tmp_path, "a model")
    os.mkfifo(tmp_path / "pipe.pt")
    with pytest.raises(ValueError, match=r"pipe\.pt: a folder or a device"):
        read_tensor_file(tmp_path / "pipe.pt", "a model")


def test_a_damaged_classifier_names_itself_and_what_to_do(tmp_path):
    path = tmp_path / "model.pt"
    torch.save({"format": 1, "state_dict": {}}, path)
    whole = path.read_bytes()
    for damaged in (b"", b"{}", whole[: len(whole) // 2], whole[len(whole) // 2 :]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"model\.pt: .*run the workflow again"):
            read_model(path)
    path.write_bytes(whole)
    with pytest.raises(ValueError, match="without architecture, findings, settings"):
        read_model(path)
