"""The leak check of a study whose negatives are in pairs with its positives."""

import numpy as np
import pandas as pd
import pytest
from gan_files import PLACE, arguments, bank_arguments

from rarecxr.bank.generate import make_bank
from rarecxr.bank.pairs import PairInputs, make_paired_bank
from rarecxr.core.files import sha256
from rarecxr.core.provenance import digest_of_images
from rarecxr.data.image_file import write_image_file
from rarecxr.data.study_files import StudyFiles
from rarecxr.gan.training import train_gan
from rarecxr.leakage import check_leakage
from rarecxr.study.configuration.bank import BankSettings
from rarecxr.study.place import Place

CELL = {"fraction": "100", "draw": 0}
SHORT = {"fraction": 100.0, "final_kimg": 0.012, "finetune_kimg": 0.012}


def write_set(path, finding, recipe, first):
    """A training set of 12 images of 6 patients; returns the names of both."""
    path.parent.mkdir(parents=True, exist_ok=True)
    images = np.random.default_rng(first).integers(0, 256, (12, 16, 16), dtype=np.uint8)
    numbers = range(first, first + 12)
    columns = {
        "image": [f"image{number}.png" for number in numbers],
        "patient": [f"patient{number // 2}" for number in numbers],
        "filter": ["none"] * 12,
    }
    about = {"finding": finding, "recipe": recipe, "fraction": 100.0, "draw": 0}
    write_image_file(path, [images], 12, 16, columns, about)
    return columns["image"], columns["patient"]


def gan(folder, recipe, finding):
    files = {name: folder / name for name in ("training_set.h5", "generator.pt", "generator.json")}
    named = dict(zip(("training_set", "generator", "metadata"), files.values(), strict=True))
    return {"recipe": recipe, "finding": finding, **CELL, **named}


def run_of(path, files, banks, judged):
    """The predictions of a run that says which banks it used."""
    files = {"labels": files.labels, "split": files.split, "draw": files.draws[0], **banks}
    judged.attrs = {
        "trained_on": digest_of_images(f"image{number}.png" for number in range(24)),
        "provenance": {
            "inputs": {name: sha256(file) for name, file in files.items()},
            "settings": {"fraction": 100.0, "draw": 0},
            "seed": 0,
        },
    }
    judged.to_parquet(path)


@pytest.fixture
def study(tmp_path):
    """Arguments of `check_leakage` for one finding, with a bank and its pairs, and one run."""
    base, fine = tmp_path / "base", tmp_path / "fine"
    rows = [
        write_set(folder / "training_set.h5", finding, recipe, first)
        for folder, finding, recipe, first in (
            (base, "negatives", "base", 0),
            (fine, "Lung Lesion", "plain", 12),
        )
    ]
    table = pd.DataFrame({"image": rows[0][0] + rows[1][0], "patient": rows[0][1] + rows[1][1]})
    judged = pd.DataFrame({"image": ["judged.png"], "patient": ["other"], "split": ["test"]})
    files = StudyFiles(
        tmp_path / "labels.parquet",
        tmp_path / "split.csv",
        [tmp_path / "draw0.csv"],
        tmp_path / "rejected.csv",
    )
    pd.concat([table, judged[["image", "patient"]]]).to_parquet(files.labels)
    patients = table["patient"].unique()
    split = pd.DataFrame({"patient": [*patients, "other"], "split": ["train"] * 12 + ["test"]})
    split.to_csv(files.split, index=False)
    ranks = pd.DataFrame({"patient": patients, "rank": range(12), "minimum": 0})
    ranks.to_csv(files.draws[0], index=False)
    pd.DataFrame({"image": [], "patient": []}).to_csv(files.rejected, index=False)
    notes = tmp_path / "notes.csv"
    pd.DataFrame({"image": [], "row": [], "note": [], "detail": []}).to_csv(notes, index=False)

    start = base / "generator.pt"
    whose = {"finding": "negatives", "recipe": "base"}
    train_gan(**arguments(base / "training_set.h5", base, **whose, **SHORT))
    train_gan(**arguments(fine / "training_set.h5", fine, base=start, **SHORT))
    bank, pairs = tmp_path / "bank.h5", tmp_path / "pairs.h5"
    draw_bank(fine, bank)
    inputs = PairInputs(start, base / "training_set.h5", bank, fine / "generator.pt")
    settings = BankSettings(number=6, ratio=None, select=None, seed=5, batch_size=4, device="cpu")
    place = Place(**PLACE | {"recipe": "paired_plain", "fraction": 100.0})
    make_paired_bank(inputs, pairs, settings, place, "code")

    run = {"arm": "paired_gan", "seed": 0, "real": True, "recipe": "plain", **CELL}
    run |= {
        "negatives": "paired",
        "reserve": False,
        "unlabelled": False,
        "predictions": tmp_path / "run.parquet",
    }
    used = {"bank Lung Lesion": bank, "bank negatives Lung Lesion": pairs}
    run_of(run["predictions"], files, used, judged)
    return {
        "files": files,
        "notes": notes,
        "gans": [
            {
                **gan(fine, "plain", "Lung Lesion"),
                "parent": {"recipe": "base", "finding": None, **CELL},
            },
            {**gan(base, "base", None), "parent": None},
        ],
        "validation_sets": [],
        "banks": [
            {"recipe": recipe, "finding": "Lung Lesion", **CELL, "bank": path}
            for recipe, path in (("plain", bank), ("paired_plain", pairs))
        ],
        "features": [],
        "pretrainings": [],
        "runs": [run],
        "output": tmp_path / "leakage.csv",
    }


def draw_bank(folder, bank, **changes):
    files = (folder / "generator.pt", folder / "training_set.h5", bank)
    make_bank(**bank_arguments(*files, fraction=100.0, number=6, **changes))


def test_pairs_without_a_leak_pass(study):
    check_leakage(**study)
    looked = pd.read_csv(study["output"]).set_index("check")
    assert looked.loc["banks", "files"] == 2


def test_pairs_of_another_bank_are_found(study):
    """The positives were drawn again, from other latents, and the pairs were not."""
    generator = study["gans"][0]["generator"]
    draw_bank(generator.parent, study["banks"][0]["bank"], seed=6)
    with pytest.raises(ValueError, match=r"pairs.h5: the bank of positives it is paired with is "):
        check_leakage(**study)


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (["bank Lung Lesion"], "its bank negatives Lung Lesion is None, not"),
        (
            ["bank Lung Lesion", "bank negatives Lung Lesion", "bank negatives"],
            "1 banks do not belong to this arm, the first is bank negatives",
        ),
    ],
)
def test_a_run_with_other_negatives_than_its_pairs_is_found(study, names, problem):
    paths = {"bank Lung Lesion": study["banks"][0]["bank"]}
    banks = {name: paths.get(name, study["banks"][1]["bank"]) for name in names}
    predictions = study["runs"][0]["predictions"]
    run_of(predictions, study["files"], banks, pd.read_parquet(predictions))
    with pytest.raises(ValueError, match=f"classifiers: .*{problem}"):
        check_leakage(**study)
