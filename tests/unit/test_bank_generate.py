"""Banks from generators: sizes, seeds, and what they say about themselves."""

import json

import numpy as np
import pytest
import torch
from gan_files import arguments, bank_arguments, write_training_set

from rarecxr.bank.bank_file import Bank
from rarecxr.bank.generate import LATENT_BLOCK, bank_latents, bank_size, make_bank
from rarecxr.core.files import sha256
from rarecxr.gan.checkpoint import networks_from, read_checkpoint
from rarecxr.gan.training import train_gan
from rarecxr.study.configuration.bank import BankSettings

FILTERS = ["none"] * 6 + ["gaussian"] * 6


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A folder with a training set of six real positives and a generator."""
    folder = tmp_path_factory.mktemp("study")
    images = write_training_set(folder / "training_set.h5", count=12, filters=FILTERS)
    train_gan(**arguments(images, folder, final_kimg=0.012))
    return folder


def bank(study, path, **changes):
    files = {"generator": study / "generator.pt", "training_set": study / "training_set.h5"}
    files |= {name: changes.pop(name) for name in files if name in changes}
    make_bank(**bank_arguments(**files, bank=path, **{"recipe": "filtered"} | changes))
    return path


def images_of(path):
    with Bank(path) as source:
        return source.read()


def test_a_bank_is_a_multiple_of_the_real_positives_alone(study, tmp_path):
    assert len(images_of(bank(study, tmp_path / "bank.h5"))) == 15


def test_the_same_seed_gives_the_same_bytes_and_another_one_other_images(study, tmp_path):
    first = bank(study, tmp_path / "first.h5")
    again = bank(study, tmp_path / "again.h5")
    other = bank(study, tmp_path / "other.h5", seed=6)
    assert first.read_bytes() == again.read_bytes()
    assert not np.array_equal(images_of(first), images_of(other))


def test_any_image_can_be_made_again_from_the_stored_seed(study, tmp_path):
    path = bank(study, tmp_path / "bank.h5")
    with Bank(path) as source:
        seed, image = source.attributes["seed"], source.read(7, 1)[0]
    generator, _ = networks_from(read_checkpoint(study / "generator.pt"))
    with torch.no_grad():
        found = generator(bank_latents(seed, 7, 1, 8))[0, 0] * 127.5 + 127.5
    assert np.abs(found.numpy().clip(0, 255) - image).max() <= 0.51


def test_the_number_of_threads_that_compress_changes_no_byte(study, tmp_path, monkeypatch):
    # What is computed may differ in the last bit with the number of threads: that is kept out.
    monkeypatch.setattr(torch, "set_num_threads", lambda threads: None)
    monkeypatch.setattr("rarecxr.bank.generate.provenance", lambda *about: {"study": "test"})
    paths = [bank(study, tmp_path / f"{n}.h5", number=70, threads=n) for n in (1, 4)]
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_latents_do_not_depend_on_where_one_begins():
    whole = bank_latents(3, 0, 2 * LATENT_BLOCK + 10, 4)
    assert torch.equal(bank_latents(3, LATENT_BLOCK - 3, 8, 4), whole[LATENT_BLOCK - 3 :][:8])
    assert torch.equal(bank_latents(3, 2 * LATENT_BLOCK + 9, 1, 4), whole[-1:])
    assert whole.std().item() == pytest.approx(1, abs=0.05)
    assert len({tuple(row) for row in whole.tolist()}) == len(whole)


def test_a_bank_says_what_made_it(study, tmp_path):
    with Bank(bank(study, tmp_path / "bank.h5")) as source:
        attributes = source.attributes
    assert attributes["generator_digest"] == sha256(study / "generator.pt")
    assert attributes["training_digest"] == sha256(study / "training_set.h5")
    wanted = {"finding": "Lung Lesion", "recipe": "filtered", "fraction": 10.0, "draw": 0}
    assert wanted.items() <= attributes.items()
    assert attributes["study"] == "test"
    # Every setting that can change an image, by construction.
    made_from = json.loads(attributes["settings"])
    settings = BankSettings(ratio=2.5, select=None, batch_size=4, seed=5)
    assert made_from == settings.with_effect() | wanted | {"number": 15}
    assert "torch" in json.loads(attributes["versions"])
    assert "synthetic" in attributes["notice"].lower()


@pytest.mark.parametrize(
    ("ratio", "number", "size"),
    [
        (1, None, 6),
        (1.75, None, 10),
        (None, 9, 9),
        (3, 9, 9),
        ({"default": 1, "Lung Lesion": 2}, None, 12),
        ({"default": 1, "Fracture": 2}, None, 6),
        (2, {"Fracture": 30}, 12),
        (2, {"Lung Lesion": 30}, 30),
    ],
)
def test_sizes_by_ratio_and_number(study, ratio, number, size):
    settings = BankSettings(ratio=ratio, number=number)
    assert bank_size(study / "training_set.h5", settings) == size


def test_a_size_must_be_given(study):
    with pytest.raises(ValueError, match="neither ratio nor number is given for Lung Lesion"):
        bank_size(study / "training_set.h5", BankSettings(ratio={"Fracture": 1}))


def test_a_bank_of_negatives_matches_the_banks_of_all_findings_together(study, tmp_path):
    fracture = write_training_set(tmp_path / "fracture.h5", count=7, finding="Fracture")
    path = bank(
        study,
        tmp_path / "bank.h5",
        finding="negatives",
        ratio={"default": 1.5, "Fracture": 1},
        sizes_from=[study / "training_set.h5", fracture],
    )
    assert len(images_of(path)) == 9 + 7


def test_an_empty_bank_is_an_error(study, tmp_path):
    with pytest.raises(ValueError, match="the bank would be empty"):
        bank(study, tmp_path / "bank.h5", ratio=0.01)


def test_a_generator_of_another_training_set_is_refused(study, tmp_path):
    other = write_training_set(tmp_path / "other.h5", count=9)
    with pytest.raises(ValueError, match="was not trained on"):
        bank(study, tmp_path / "bank.h5", training_set=other)


def test_a_file_that_is_no_generator_is_refused(study, tmp_path):
    (tmp_path / "generator.pt").write_text("nothing", encoding="utf-8")
    with pytest.raises(ValueError, match="not a generator file"):
        bank(study, tmp_path / "bank.h5", generator=tmp_path / "generator.pt")
