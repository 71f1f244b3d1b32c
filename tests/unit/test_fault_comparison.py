"""Studies of two Pythons are compared by every number that they hold, and by nothing else."""

import json

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from trials import RESULTS, Study

OTHER = {"python": "3.13.0", "scipy": "1.18.1", "torch": "2.11.0"}
THIS = {"python": "3.11.7", "scipy": "1.17.1", "torch": "2.11.0"}


def write(folder, value, versions, inputs):
    """A file of each kind that holds a value, with where it comes from."""
    place = folder / RESULTS
    place.mkdir(parents=True)
    made_by = {"versions": versions, "inputs": {"bank": inputs * 64}}
    with h5py.File(place / "bank.h5", "w") as file:
        file["group/images"] = np.array([[1, value]])
        file.attrs.update(versions=json.dumps(versions), inputs=inputs)
    torch.save(
        {"weights": [torch.tensor([0.5, value])], "epochs": 3, "provenance": made_by},
        place / "model.pt",
    )
    pd.DataFrame({"logit": [0.25, value]}).to_parquet(place / "predictions.parquet")
    np.savez(place / "maps.npz", maps=np.array([value]), about=json.dumps(made_by))
    told = ", ".join(f"{name} {version}" for name, version in versions.items())
    for name, text in (
        ("quality.json", json.dumps({"kid": value, "provenance": made_by})),
        ("sources.csv", f"path,sha256,n\nbank.h5,{inputs * 64},{value}\n"),
        ("datasheet.md", f"{value} images. Versions: {told}.\n"),
    ):
        (place / name).write_text(text, encoding="utf-8")
    return Study(folder)


def test_what_made_a_file_is_no_number_of_it(tmp_path):
    studies = [
        write(tmp_path / name, 7, versions, digest)
        for name, versions, digest in (("this", THIS, "a"), ("other", OTHER, "b"))
    ]
    first, second = (study.numbers() for study in studies)
    assert len(first) == 7
    assert first == second
    digests = [study.digests() for study in studies]
    # They are not the same bytes.
    assert [name for name in digests[0] if digests[0][name] == digests[1][name]] == [
        f"{RESULTS}/predictions.parquet"
    ]


@pytest.mark.parametrize("value", [8, 7.0000001])
def test_another_number_is_seen_in_every_kind_of_file(tmp_path, value):
    first = write(tmp_path / "first", 7.0, THIS, "a").numbers()
    second = write(tmp_path / "second", value, THIS, "a").numbers()
    # Single precision holds no difference that small at seven.
    lost = {"model.pt"} if value == 7.0000001 else set()
    same = {name.rsplit("/")[-1] for name in first if first[name] == second[name]}
    assert same == lost
