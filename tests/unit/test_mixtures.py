"""Files of a study that were not made alike are found by what they say themselves."""

import json

import h5py
import numpy as np
import pandas as pd
import pytest

from rarecxr.classifier.prediction_file import write_predictions
from rarecxr.core.provenance import provenance, write_attributes
from rarecxr.core.tables import read_parquet
from rarecxr.mixtures import Origin, compare, from_attributes


def origin(number=0, arm="none", kind="run", **changed):
    settings = {"learning_rate": 0.001, "fraction": 10.0, "draw": 0, "ratio": None}
    about = provenance("demo", settings, {}, seed=number, code="a" * 64)
    about["inputs"]["pixels"] = "b" * 64
    for key, value in changed.items():
        part = settings if key in settings else about["inputs"] if key == "pixels" else about
        part[key] = value
    about["settings"] = settings
    place = {"seed": number, "settings.fraction": 10.0, "settings.draw": 0}
    return Origin(f"{arm}/seed{number}", kind, about, place, {"settings.ratio": arm})


def found(*origins):
    return [(look.wrong, look.noted) for look in compare(origins)]


def test_files_that_were_made_alike_agree_and_everything_was_compared():
    looks = list(compare([origin(0), origin(1), origin(0, "gan", ratio=2.0)]))
    assert not any(look.wrong or look.noted for look in looks)
    versions = len(provenance("demo", {}, {})["versions"])
    # Study, seed, code, pixels, the four settings, and the versions.
    assert [look.compared for look in looks] == 3 * [8 + versions]


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("learning_rate", 0.01, "settings.learning_rate is 0.01, but 0.001 in none/seed0"),
        ("pixels", "c", f'pixels is "c", but "{"b" * 64}" in none/seed0'),
        ("study", "other", 'study is "other", but "demo" in none/seed0'),
        ("seed", 7, "seed is 7, where 1 belongs"),
        ("fraction", 50.0, "settings.fraction is 50.0, where 10.0 belongs"),
        ("ratio", 2.0, "settings.ratio is 2.0, but null in none/seed0"),
    ],
)
def test_another_setting_seed_or_cache_is_named_with_both_values_and_files(key, value, words):
    assert found(origin(0), origin(1, **{key: value})) == [([], []), ([words], [])]


def test_other_code_and_versions_are_noted_alone():
    changed = origin(1, code="c" * 64, versions={"python": "3.99"})
    _, (wrong, noted) = found(origin(0), changed)
    assert not wrong
    assert [line.split()[0] for line in noted] == ["code", "versions.python"]


def test_what_is_an_arms_or_another_kinds_is_not_compared():
    assert found(origin(0), origin(0, "gan", ratio=3.0)) == 2 * [([], [])]
    assert found(origin(0), origin(0, kind="bank", learning_rate=1.0)) == 2 * [([], [])]


def test_two_seeds_of_other_learning_rates_are_found_in_their_predictions(tmp_path):
    images = pd.DataFrame({"image": ["a"], "patient": ["p"], "split": ["test"]})
    origins = []
    for seed, rate in enumerate((0.001, 0.01)):
        path = tmp_path / f"seed{seed}.parquet"
        about = provenance("demo", {"learning_rate": rate}, {}, seed=seed)
        write_predictions(path, images, np.zeros((1, 1)), ["Fracture"], {"provenance": about})
        told = read_parquet(path, ["image"]).attrs["provenance"]
        origins.append(Origin(path, "run", told, {"seed": seed}))
    _, look = compare(origins)
    assert look.wrong == [
        f"settings.learning_rate is 0.01, but 0.001 in {tmp_path / 'seed0.parquet'}"
    ]


def test_the_provenance_in_an_hdf5_file_is_what_was_written(tmp_path):
    about = provenance("demo", {"batch_size": 4, "select": None}, {}, seed=3, code="d")
    with h5py.File(tmp_path / "x.h5", "w") as file:
        write_attributes(file, about, pixels="e")
        told = from_attributes(dict(file.attrs))
    wanted = {name: about[name] for name in ("study", "code", "settings", "versions")}
    assert told == json.loads(json.dumps(wanted | {"pixels": "e"}))


def test_the_odd_one_is_named_and_not_all_others():
    looks = found(origin(0, learning_rate=0.5), origin(1), origin(2))
    assert looks == [
        (["settings.learning_rate is 0.5, but 0.001 in none/seed1"], []),
        ([], []),
        ([], []),
    ]
