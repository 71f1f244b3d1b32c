"""What trained networks predict for an external test set."""

import numpy as np
import pandas as pd
import pytest
from classifier_files import FINDINGS, make_study, run

from rarecxr.classifier.external import predict_external
from rarecxr.core.files import sha256
from rarecxr.data.file_digests import digest_of_files
from rarecxr.data.image_file import ImageFile, write_image_file


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A study, two networks, and the study's own judged images as if they were another's."""
    folder = tmp_path_factory.mktemp("study")
    study = make_study(folder)
    runs = [run(study, folder / str(seed), epochs=1, seed=seed) for seed in (0, 1)]
    predictions = pd.read_parquet(runs[0]["predictions"])
    cache = ImageFile(study["pixels"])
    # In another order than that of the keys.
    chosen = predictions.sample(frac=1, random_state=0).reset_index(drop=True)
    rows = cache.rows_of(chosen["image"])
    columns = {name: cache.columns[name][rows] for name in ("image", "row", "digest")}
    write_image_file(folder / "other.h5", [cache.read(rows)], len(rows), 32, columns)
    chosen[["image", "patient"]].to_parquet(folder / "readable.parquet", index=False)
    return folder, runs


def predicted(trained, folder, **changes):
    made, runs = trained
    folder.mkdir(exist_ok=True)
    outputs = [folder / f"{number}.parquet" for number in range(len(runs))]
    arguments = {
        "models": [one["model"] for one in runs],
        "pixels": made / "other.h5",
        "images": made / "readable.parquet",
        "outputs": outputs,
        "external": "north",
        "study": "tiny",
        "device": "cpu",
    }
    predict_external(**{**arguments, **changes})
    return outputs


def test_a_network_predicts_another_set_as_it_predicts_its_studys_own(trained, tmp_path):
    outputs = predicted(trained, tmp_path)
    for one, path in zip(trained[1], outputs, strict=True):
        own, other = pd.read_parquet(one["predictions"]), pd.read_parquet(path)
        assert other["image"].tolist() == own["image"].tolist()
        assert other["patient"].tolist() == own["patient"].tolist()
        assert set(other["split"]) == {"external"}
        assert np.abs(own[FINDINGS]).to_numpy().max() > 0.1
        np.testing.assert_allclose(other[FINDINGS], own[FINDINGS], atol=1e-5)
    first, second = map(pd.read_parquet, outputs)
    assert (first[FINDINGS] != second[FINDINGS]).any(axis=None)


def test_a_file_says_which_network_and_images_it_was_made_from(trained, tmp_path):
    folder, runs = trained
    for seed, (one, path) in enumerate(zip(runs, predicted(trained, tmp_path), strict=True)):
        about = pd.read_parquet(path).attrs
        inputs = about["provenance"]["inputs"]
        assert (about["external"], about["scale"]) == ("north", "logits")
        assert inputs["model"] == sha256(one["model"])
        assert inputs["images"] == sha256(folder / "readable.parquet")
        cache = ImageFile(folder / "other.h5")
        columns = cache.columns["image"], cache.columns["digest"]
        assert inputs["pixels"] == digest_of_files(*columns)
        assert about["provenance"]["seed"] == seed
        stated = about["provenance"]["settings"]
        assert (stated["fraction"], stated["draw"], stated["resolution"]) == (100.0, 0, 32)
        assert stated["precision"] == "fp32"


def test_pixels_that_are_mapped_from_disk_give_the_same(trained, tmp_path):
    held = predicted(trained, tmp_path / "held")
    mapped = predicted(trained, tmp_path / "mapped", pixel_memory_mib=0)
    for one, other in zip(held, mapped, strict=True):
        assert pd.read_parquet(one).equals(pd.read_parquet(other))


def test_an_image_that_the_cache_lacks_is_named(trained, tmp_path):
    table = pd.read_parquet(trained[0] / "readable.parquet")
    table.loc[0, "image"] = "elsewhere.jpg"
    table.to_parquet(tmp_path / "readable.parquet", index=False)
    with pytest.raises(ValueError, match=r"the first is elsewhere\.jpg"):
        predicted(trained, tmp_path / "out", images=tmp_path / "readable.parquet")
    assert not list((tmp_path / "out").glob("*.parquet"))
