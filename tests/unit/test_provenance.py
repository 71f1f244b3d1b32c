"""Artifacts say what made them, and the same run says the same."""

import hashlib
import json

import h5py

from rarecxr.core.json_file import write_json
from rarecxr.core.provenance import decisive, digest, provenance, write_attributes


def test_the_order_of_settings_does_not_count_but_their_values_do():
    assert digest({"a": 1, "b": [1, 2]}) == digest({"b": [1, 2], "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})


def test_inputs_are_named_by_the_digest_of_their_content(tmp_path):
    (tmp_path / "split.csv").write_text("patient,split\n", encoding="utf-8")
    told = provenance("demo", {"lr": 0.1}, {"split": tmp_path / "split.csv"}, seed=3, code="c")
    assert told["inputs"] == {"split": hashlib.sha256(b"patient,split\n").hexdigest()}
    assert (told["study"], told["seed"], told["code"]) == ("demo", 3, "c")
    assert told["versions"]["h5py"] == h5py.__version__


def test_no_path_of_the_machine_is_told(tmp_path):
    (tmp_path / "x").touch()
    assert str(tmp_path) not in json.dumps(provenance("demo", {}, {"x": tmp_path / "x"}))


def test_attributes_and_json_keep_the_values(tmp_path):
    values = {"study": "demo", "seed": 3, "ratio": 1.5, "inputs": {"b": "2", "a": "1"}, "no": None}
    with h5py.File(tmp_path / "bank.h5", "w") as file:
        write_attributes(file, values, finding="Fracture")
    with h5py.File(tmp_path / "bank.h5") as file:
        assert json.loads(file.attrs["inputs"]) == {"a": "1", "b": "2"}
        assert file.attrs["finding"] == "Fracture"
        assert (file.attrs["seed"], file.attrs["ratio"]) == (3, 1.5)
        assert "no" not in file.attrs
    write_json(tmp_path / "x.json", values)
    assert json.loads((tmp_path / "x.json").read_text(encoding="utf-8")) == values


def test_a_state_is_kept_through_a_patch_release_of_python_and_packages_that_only_read_and_write():
    found = {"python": "3.11.4", "numpy": "2.2.0", "torch": "2.11.0", "pandas": "2.2.3"}
    assert decisive(found) == {"python": "3.11", "numpy": "2.2.0", "torch": "2.11.0"}
    assert decisive({**found, "python": "3.11.9", "pandas": "2.3.0"}) == decisive(found)
    for name, version in (("python", "3.12.4"), ("torch", "2.12.0"), ("numpy", "2.3.0")):
        assert decisive({**found, name: version}) != decisive(found)
