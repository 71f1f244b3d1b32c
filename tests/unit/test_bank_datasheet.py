"""The datasheet of a bank says what stands in the files, and what holds for it."""

import json

import numpy as np
import pytest
from hdf5_files import amended

from rarecxr.bank.bank_file import write_bank
from rarecxr.bank.datasheet import DatasheetInputs, DataSource, write_datasheet
from rarecxr.core.files import sha256
from rarecxr.data.image_file import write_image_file

SOURCE = {"name": None, "terms": None, "phantom": True}
FILTERS = {"gaussian": {"kind": "gaussian", "size_px": 5, "sigma_px": 1.1}}


@pytest.fixture
def files(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (30, 32, 32), dtype=np.uint8)
    attributes = {
        "finding": "Pleural Other",
        "study": "test",
        "recipe": "filtered",
        "fraction": 10.0,
        "draw": 0,
        "seed": 17,
        "versions": {"torch": "2.11.0"},
        "generator_digest": "abc123",
        "training_digest": "def456",
    }
    write_bank(tmp_path / "pleural_other.h5", 30, 32, [images], attributes)
    columns = {
        "filter": ["none"] * 12 + ["gaussian"] * 12,
        "patient": [f"patient{number // 3:05d}" for number in range(12)] * 2,
    }
    about = {"finding": "Pleural Other"}
    write_image_file(tmp_path / "training_set.h5", [images[:24]], 24, 32, columns, about)
    quality = {
        "reference": "training",
        "reference_images": 12,
        "sharpness": {"real": 0.25, "synthetic": 0.5},
        "spaces": {
            "pixels": {
                "images": 12,
                "bank": {"kid": 0.125, "c2st": 0.75},
                "floor": {"kid": 0.001, "c2st": 0.5},
            },
            "random": {"too_few_images": True},
        },
    }
    (tmp_path / "quality.json").write_text(json.dumps(quality), encoding="utf-8")
    return {
        "bank": tmp_path / "pleural_other.h5",
        "positives": tmp_path / "training_set.h5",
        "training_set": tmp_path / "training_set.h5",
        "quality": tmp_path / "quality.json",
    }


def text_of(files, **changed):
    about = SOURCE | changed
    output = files["bank"].with_name("pleural_other_datasheet.md")
    write_datasheet(DatasheetInputs(**files), output, FILTERS, DataSource(**about))
    return output.read_text(encoding="utf-8")


def test_a_datasheet_counts_its_images_and_those_it_was_made_from(files):
    text = text_of(files)
    assert text.startswith("# Synthetic chest X-rays of Pleural Other\n")
    assert "30 grey images of 32 x 32 pixels" in text
    assert "12 real images of 4 patients, and 12 filtered copies of them, from rarecxr's" in text
    assert "gaussian (kind gaussian, sigma_px 1.1, size_px 5)" in text
    assert sha256(files["bank"]) in text
    for word in ("10 % of the training patients", "seed 17", "abc123", "torch 2.11.0"):
        assert word in text


def test_a_datasheet_shows_every_measure_beside_its_floor(files):
    text = text_of(files)
    assert "| pixels | KID (0 is best) | 0.125 | 0.001 |" in text
    assert "| pixels | classifier two-sample test (AUROC, 0.5 is best) | 0.750 | 0.500 |" in text
    assert "| random | too few images | – | – |" in text
    assert "| images as they are | sharpness (median) | 0.500 | 0.250 |" in text
    assert "look better than true" in text


def test_terms_of_the_source_are_quoted_or_said_to_be_unknown(files):
    assert "Drawn by a program" in text_of(files)
    text = text_of(files, phantom=False)
    assert "Not stated in the configuration (dataset.terms)" in text
    assert "phantom" not in text
    text = text_of(files, phantom=False, name="CheXpert", terms="Not to be passed on.")
    assert "from CheXpert" in text
    assert "Not to be passed on. Terms of the source data hold for this bank too." in text


def test_a_selection_is_quality_with_its_numbers(files):
    assert "None: all images, in the order" in text_of(files)
    selection = {
        "candidates": 48,
        "kept": 30,
        "rejected_copies": 8,
        "rejected_implausible": 10,
        "not_needed": 0,
        "threshold": 0.125,
        "space": "classifier",
        "copies": 1.0,
        "implausible": 0.25,
        "max_candidates": 4,
    }
    with amended(files["bank"]) as file:
        file.attrs["selection"] = json.dumps(selection)
    text = text_of(files)
    assert "48 images were generated in the order of their latents and 30 kept." in text
    assert "8 were rejected as near-copies" in text
    assert "between real images of two patients (0.125)" in text
    assert "10, a share of 0.25 of the rest, were rejected as the least plausible" in text


HOSTILE = """Free for all.

## Known limits

- None at all, <b>really</b> & [see](https://example.org).
1. `code` *bold* _slanted_ sigma_px | cell
"""


def test_text_of_the_user_is_no_markup(files):
    """Names and terms cannot forge a section, a list, a link, a tag or a table."""
    ours = [line for line in text_of(files, phantom=False).splitlines() if line.startswith("#")]
    for name in ("name", "terms"):
        text = text_of(files, phantom=False, **{name: HOSTILE})
        assert [line for line in text.splitlines() if line.startswith("#")] == ours
        (line,) = [line for line in text.splitlines() if "Free for all" in line]
        assert r"\## Known limits - None at all, &lt;b&gt;really&lt;/b&gt; &amp;" in line.replace(
            r"\#\#", r"\##"
        )
        assert r"\[see\](https://example.org)" in line
        assert r"1. \`code\` \*bold\* \_slanted\_ sigma_px \| cell" in line


@pytest.mark.parametrize(
    ("terms", "line"),
    [
        ("- a point", r"\- a point"),
        ("1. first", r"1\. first"),
        ("12) first", r"12\) first"),
        ("2.5 % of it", r"2\.5 % of it"),
        ("# heading", r"\# heading"),
        ("> quote", "&gt; quote"),
        ("=====", r"\====="),
    ],
)
def test_terms_begin_no_block(files, terms, line):
    text = text_of(files, phantom=False, terms=terms)
    assert f"\n{line} Terms of the source data" in text


def test_warnings_of_the_quality_stand_above_all_else(files):
    assert "## Warnings" not in text_of(files)
    quality = json.loads(files["quality"].read_text(encoding="utf-8"))
    quality["warnings"] = ["images have hardly any contrast", "images <script> are copies"]
    files["quality"].write_text(json.dumps(quality), encoding="utf-8")
    text = text_of(files)
    assert text.index("## Warnings") < text.index("## What it is")
    assert "- **In this bank, images have hardly any contrast.**" in text
    assert "images &lt;script&gt; are copies" in text
