"""Negatives in pairs with positives: the same latent vectors, row by row, through the base GAN."""

import json

import numpy as np
import pytest
import torch
from gan_files import PLACE, arguments, bank_arguments, write_training_set
from hdf5_files import amended

from rarecxr.bank.bank_file import Bank
from rarecxr.bank.generate import bank_latents, make_bank
from rarecxr.bank.pairs import PairInputs, make_paired_bank
from rarecxr.bank.selection import KEPT, CopyFilter
from rarecxr.core.files import sha256
from rarecxr.data.image_file import ImageFile
from rarecxr.gan.checkpoint import networks_from, read_checkpoint
from rarecxr.gan.training import train_gan
from rarecxr.quality.feature_spaces import FeatureSpace
from rarecxr.study.configuration.bank import BankSettings
from rarecxr.study.place import Place


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A base, a GAN that started from it, another that did not, and a bank of the second."""
    folder = tmp_path_factory.mktemp("study")
    negatives = write_training_set(
        folder / "negatives.h5", count=12, finding="negatives", recipe="base"
    )
    images = write_training_set(folder / "positives.h5", count=20)
    with amended(images) as file:
        # One patient like nobody else: percentiles reach any distance that a generator has.
        file["images"][-2:] = 255
    short = {"final_kimg": 0.012, "finetune_kimg": 0.012}
    base = folder / "base" / "generator.pt"
    train_gan(**arguments(negatives, base.parent, finding="negatives", recipe="base", **short))
    train_gan(**arguments(images, folder / "fine", base=base, **short))
    train_gan(**arguments(images, folder / "scratch", **short))
    files = (folder / "fine/generator.pt", images)
    make_bank(**bank_arguments(*files, folder / "all.h5", number=60))
    select = {"space": "pixels", "copies": half_are_copies(images, folder / "all.h5")}
    make_bank(**bank_arguments(*files, folder / "bank.h5", number=10, select=select))
    return folder


def half_are_copies(training_set, bank):
    """A percentile that takes about half of a bank's images for near-copies."""
    space, real = FeatureSpace("pixels", torch.device("cpu")), ImageFile(training_set)
    with Bank(bank) as drawn:
        distance, _ = CopyFilter(space, real, 1.0).nearest(drawn.read())
    fits = (
        p
        for p in np.linspace(0, 100, 401)
        if CopyFilter(space, real, p).threshold >= np.median(distance)
    )
    return float(next(fits))


def paired(study, path, positives="bank.h5", generator="fine"):
    inputs = PairInputs(
        study / "base/generator.pt",
        study / "negatives.h5",
        study / positives,
        study / generator / "generator.pt",
    )
    settings = BankSettings(number=10, batch_size=3, device="cpu")
    place = Place(**PLACE | {"recipe": "paired_plain"})
    make_paired_bank(inputs, path, settings, place, "code")
    return path


def images_of(generator, latents):
    network, _ = networks_from(read_checkpoint(generator))
    with torch.no_grad():
        return network(latents)[:, 0].numpy() * 127.5 + 127.5


def test_each_negative_comes_from_the_latents_of_the_positive_in_its_row(study, tmp_path):
    """Both banks are drawn again, image by image, from the seed and candidates of the positives."""
    with Bank(study / "bank.h5") as bank:
        positives, seed, outcome = (
            bank.read(),
            bank.attributes["seed"],
            bank.candidates["outcome"],
        )
    rows = np.flatnonzero(outcome == KEPT)
    assert len(rows) == 10 < len(outcome)  # some candidates were left out in between
    assert (rows != np.arange(10)).any()
    with Bank(paired(study, tmp_path / "paired.h5")) as bank:
        negatives = bank.read()
        np.testing.assert_array_equal(bank.candidates["outcome"], outcome)
    assert not np.array_equal(negatives, positives)
    for row, positive, negative in zip(rows, positives, negatives, strict=True):
        latents = bank_latents(seed, int(row), 1, 8)
        for folder, image in (("fine", positive), ("base", negative)):
            found = images_of(study / folder / "generator.pt", latents)[0]
            assert np.abs(found.clip(0, 255) - image).max() <= 0.51, (row, folder)


def test_a_paired_bank_says_whose_pairs_it_holds_and_that_it_shows_no_finding(study, tmp_path):
    with Bank(paired(study, tmp_path / "paired.h5")) as bank:
        about = bank.attributes
    assert about["finding"] == "negatives"
    assert about["recipe"] == "paired_plain"
    assert about["generator_digest"] == sha256(study / "base/generator.pt")
    assert json.loads(about["paired_with"]) == {
        "recipe": "plain",
        "finding": "Lung Lesion",
        "bank_digest": sha256(study / "bank.h5"),
        "generator_digest": sha256(study / "fine/generator.pt"),
    }


def test_the_same_pairs_give_the_same_bytes(study, tmp_path):
    first, again = (paired(study, tmp_path / name).read_bytes() for name in ("a.h5", "b.h5"))
    assert first == again


def test_pairs_of_a_bank_without_selection_are_all_of_its_images(study, tmp_path):
    files = (study / "fine/generator.pt", study / "positives.h5", study / "plain.h5")
    make_bank(**bank_arguments(*files, number=7))
    with Bank(paired(study, tmp_path / "paired.h5", "plain.h5")) as bank:
        assert len(bank) == 7


def test_a_gan_that_did_not_start_from_the_base_has_no_pairs(study, tmp_path):
    files = (study / "scratch/generator.pt", study / "positives.h5", study / "other.h5")
    make_bank(**bank_arguments(*files, number=4))
    with pytest.raises(ValueError, match=r"scratch/generator.pt: did not start from .*base"):
        paired(study, tmp_path / "paired.h5", "other.h5", "scratch")


def test_a_bank_of_another_generator_is_refused(study, tmp_path):
    with pytest.raises(ValueError, match=r"bank.h5: was not drawn from .*scratch"):
        paired(study, tmp_path / "paired.h5", generator="scratch")
