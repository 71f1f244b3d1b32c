"""Files of tensors: read as they were written, or refused by name without running anything."""

import io
import os

import pytest
import torch

from rarecxr.classifier.prediction import read_model
from rarecxr.classifier.weights import read_weights
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
    with pytest.raises(FileNotFoundError, match=r"model\.pt: no such file"):
        read_tensor_file(path, "a model")
    path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"model\.pt: an empty file; "):
        read_tensor_file(path, "a model")
    torch.save({"harm": Harmful(tmp_path / "done")}, path)
    with pytest.raises(
        ValueError, match=r"model\.pt: not a model: .*which could run code"
    ) as error:
        read_tensor_file(path, "a model")
    assert "weights_only" not in str(error.value)
    assert not (tmp_path / "done").exists()
    with pytest.raises(ValueError, match="a folder or a device"):
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


@pytest.mark.parametrize("state", [{}, {"conv1.weight": torch.ones(2)}, None, [1]], ids=str)
def test_a_classifier_whose_weights_do_not_fit_names_itself(tmp_path, state):
    content = {"format": 1, "architecture": "small_resnet10", "findings": ["Edema"]}
    path = tmp_path / "model.pt"
    path.write_bytes(to_bytes(content | {"settings": {"resolution": 32}, "state_dict": state}))
    with pytest.raises(
        ValueError, match=r"model\.pt: .*do not fit its settings .*run the workflow"
    ):
        read_model(path)


def test_every_part_of_an_archive_is_compared_with_its_checksum(tmp_path):
    path = tmp_path / "model.pt"
    path.write_bytes(to_bytes({"weights": torch.arange(1000.0)}))
    whole = bytearray(path.read_bytes())
    place = whole.index(torch.tensor(500.0).numpy().tobytes())
    whole[place] ^= 1
    path.write_bytes(whole)
    # torch alone reads another number and says nothing.
    assert not torch.equal(torch.load(path, weights_only=True)["weights"], torch.arange(1000.0))
    with pytest.raises(ValueError, match=r"model\.pt: damaged, or not a model \(the checksum of"):
        read_tensor_file(path, "a model")


def test_bytes_that_hold_objects_are_refused_without_torchs_advice(tmp_path):
    harmful = io.BytesIO()
    torch.save({"harm": Harmful(tmp_path / "done")}, harmful)
    with pytest.raises(ValueError, match=r"resume_0\.pt: not a state: .*could run code") as error:
        from_bytes(harmful.getvalue(), "resume_0.pt", "a state")
    assert "weights_only" not in str(error.value)
    assert not (tmp_path / "done").exists()
    with pytest.raises(ValueError, match=r"bytes: damaged, or not tensors"):
        from_bytes(b"{}"[:0])


def test_refused_weights_say_what_to_give_and_not_how_to_drop_the_protection(tmp_path):
    path = tmp_path / "mine.pth"
    torch.save({"harm": Harmful(tmp_path / "done")}, path)
    with pytest.raises(ValueError, match=r"mine\.pth: .*give a model's state_dict") as error:
        read_weights(path)
    assert "weights_only" not in str(error.value)
    # Files of torchvision's first years are no archives.
    torch.save({"a.weight": torch.ones(2)}, path, _use_new_zipfile_serialization=False)
    assert torch.equal(read_weights(path)["a.weight"], torch.ones(2))
