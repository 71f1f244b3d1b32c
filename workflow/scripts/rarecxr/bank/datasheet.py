"""The datasheet of a bank: what it is, in words for whoever finds the file."""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rarecxr.bank.bank_file import Bank
from rarecxr.bank.sample_sheet import write_sheet
from rarecxr.core.files import sha256, written_whole
from rarecxr.core.json_file import read_json
from rarecxr.core.provenance import GENERATOR_DIGEST, TRAINING_DIGEST
from rarecxr.data.image_file import ImageFile
from rarecxr.study.findings import NEGATIVES

_PHANTOMS = "rarecxr's digital phantoms"
_PHANTOM_TERMS = "Drawn by a program, from nobody's data; MIT licence, as rarecxr."
_NOT_STATED = "Not stated in the configuration (dataset.terms): ask whoever gave you the data set."
_MEASURES = {
    "kid": "KID (0 is best)",
    "precision": "precision",
    "recall": "recall",
    "density": "density",
    "coverage": "coverage",
    "c2st": "classifier two-sample test (AUROC, 0.5 is best)",
    "finding_auc": "the finding, seen by a classifier (AUROC)",
    "memorised": "memorised (share of near-copies)",
    "nearest_ratio": "nearest ratio",
}
_APPEARANCE = {
    "sharpness": "sharpness (median)",
    "contrast": "contrast (grey levels)",
    "variety": "variety (grey levels)",
}


@dataclass(frozen=True)
class DatasheetInputs:
    """What a bank is described from: paths.

    Attributes:
        bank: the bank (HDF5).
        positives: real training images of the bank's finding (HDF5).
        training_set: what the bank's generator was trained on (HDF5).
        quality: the bank's quality (JSON).
    """

    bank: str | os.PathLike
    positives: str | os.PathLike
    training_set: str | os.PathLike
    quality: str | os.PathLike


@dataclass(frozen=True)
class DataSource:
    """Where the training images come from.

    Attributes:
        name: of the data set, or None. It and `terms` are the user's text: what Markdown or HTML
            would take for markup in them is escaped.
        terms: the data set's terms, or None.
        phantom: whether its images are digital phantoms.
    """

    name: str | None
    terms: str | None
    phantom: bool

    def words(self) -> tuple[str, str]:
        """Name and terms, or what is said in their place."""
        unnamed = _PHANTOMS if self.phantom else "a data set that the configuration does not name"
        unstated = _PHANTOM_TERMS if self.phantom else _NOT_STATED
        name = _as_text(self.name) if self.name else unnamed
        return name, _as_text(self.terms) if self.terms else unstated


def describe_bank(
    files: DatasheetInputs,
    datasheet: str | os.PathLike,
    sheet: str | os.PathLike,
    filters: Mapping[str, Mapping[str, Any]],
    source: DataSource,
) -> None:
    """Write a bank's datasheet, and a sheet of its images beside real ones.

    Args:
        files: what it is described from.
        datasheet: as `output` of `write_datasheet`.
        sheet: as `output` of `rarecxr.bank.sample_sheet.write_sheet`.
        filters: the filters of the bank's recipe, by name.
        source: where the training images come from.
    """
    write_sheet(files.positives, files.training_set, files.bank, sheet)
    write_datasheet(files, datasheet, filters, source)


def write_datasheet(
    files: DatasheetInputs,
    output: str | os.PathLike,
    filters: Mapping[str, Mapping[str, Any]],
    source: DataSource,
) -> None:
    """Write a bank's datasheet (after Gebru et al. 2021, arXiv 1803.09010) as Markdown.

    Args:
        files: what it is described from.
        output: the Markdown file to write.
        filters: the filters of the bank's recipe, by name.
        source: where the training images come from.
    """
    with Bank(files.bank) as made:
        about, number, side = made.attributes, len(made), made.resolution
    measured = read_json(files.quality)
    real = ImageFile(files.positives)
    data_set, terms = source.words()
    file_name = Path(files.bank).name
    finding = about["finding"]
    of_what = "without any target finding" if finding == NEGATIVES else f"of {_as_text(finding)}"
    title = f"Synthetic chest X-rays {of_what}"
    lines = [
        f"# {title}",
        "",
        f"> {_as_text(about['notice'])}",
        "",
        *_warnings(measured),
        "## What it is",
        "",
        f"{number:,} grey images of {side} x {side} pixels (uint8) in `{file_name}`, dataset"
        f" `images`. Study {about['study']}, recipe `{about.get('recipe')}`,"
        f" {about.get('fraction'):g} % of the training patients, draw {about.get('draw')}."
        f" SHA-256 {sha256(files.bank)}.",
        "",
        "Meant for training classifiers, beside real images. In a loss, an image stands for its own"
        " finding alone: nothing is known of the others. Not for diagnosis, not for teaching people"
        " what a finding looks like, not for measuring a classifier.",
        "",
        "## What it was made from",
        "",
        f"{_trained_on(ImageFile(files.training_set))} from {data_set}, all of patients in the"
        " training split.",
        "",
        "## How it was made",
        "",
        *_how(about, filters),
        "",
        "## How images were selected",
        "",
        _selection(about),
        "",
        "## How close it is to real images",
        "",
        *_quality(measured),
        "",
        "## Known limits",
        "",
        *_limits(measured, source.phantom, len(real.unfiltered)),
        "",
        "## Terms",
        "",
        f"{terms} Terms of the source data hold for this bank too.",
        "",
        *_reading(file_name),
    ]
    with written_whole(output) as temporary:
        temporary.write_text("\n".join(lines), encoding="utf-8")


def _as_text(text: str) -> str:
    """Text in one line whose characters stand for themselves in Markdown and HTML.

    Whatever the user has written, it is no heading, list, link or tag of the datasheet.
    """
    line = " ".join(str(text).split())
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    # Within a word, as in sigma_px, an underscore is no markup.
    line = re.sub(r"([\\`*{}\[\]#|~!]|(?<!\w)_|_(?!\w))", r"\\\1", line)
    # At the beginning of a line these make a list or a rule: "- a", "+ a", "===", "1. a", "1) a".
    return re.sub(r"^(\d*)([-+=.)])", r"\1\\\2", line)


def _warnings(measured):
    """What makes the bank useless (`rarecxr.quality.bank_faults`), above all else."""
    warnings = measured.get("warnings", [])
    if not warnings:
        return []
    return ["## Warnings", "", *(f"- **In this bank, {_as_text(text)}.**" for text in warnings), ""]


def _trained_on(training_set):
    real = training_set.unfiltered
    patients = len(np.unique(training_set.columns["patient"][real]))
    copies = len(training_set) - len(real)
    more = f", and {copies:,} filtered copies of them," if copies else ""
    return f"{len(real):,} real images of {patients:,} patients{more}"


def _how(about, filters):
    """The generator, its recipe, seed and versions."""
    used = ", ".join(f"{_as_text(name)} ({_in_words(each)})" for name, each in filters.items())
    versions = json.loads(about.get("versions", "{}"))
    settings = json.loads(about.get("generator_settings", "{}"))
    plain = {key: value for key, value in settings.items() if not isinstance(value, dict | list)}
    return [
        "Generated by a progressively grown GAN (Karras et al. 2018, arXiv 1710.10196) from"
        f" normally distributed latents, seed {about.get('seed')}."
        f" Filters of the recipe: {used or 'none'}.",
        "",
        f"- generator: SHA-256 {about.get(GENERATOR_DIGEST)}",
        f"- training set: SHA-256 {about.get(TRAINING_DIGEST)}",
        f"- versions: {_in_words(versions)}",
        *([f"- settings: {_in_words(plain)}"] if plain else []),
    ]


def _in_words(values):
    return _as_text(", ".join(f"{name} {value}" for name, value in sorted(values.items())))


def _selection(about):
    """How many candidates were rejected, and why (`rarecxr.bank.selection`)."""
    if "paired_with" in about:
        pair = json.loads(about["paired_with"])
        return (
            "In pairs: each image comes from the latent vector of the same row of the bank of"
            f" {_as_text(pair['finding'])}, recipe `{pair['recipe']}` (SHA-256"
            f" {pair['bank_digest']}), whose selection decided which latent vectors are used. That"
            " bank's GAN started from this one's, so that a pair has about the same anatomy, there"
            " with the finding and here without."
        )
    if "selection" not in about:
        return "None: all images, in the order in which they were generated."
    counts = json.loads(about["selection"])
    parts = [
        f"{counts['candidates']:,} images were generated in the order of their latents and"
        f" {counts['kept']:,} kept."
    ]
    if counts["copies"] is not None:
        parts.append(
            f"{counts['rejected_copies']:,} were rejected as near-copies: nearer to a real training"
            f" image in the feature space `{counts['space']}` than percentile {counts['copies']:g}"
            f" of the distances between real images of two patients"
            f" ({_short(counts['threshold'])})."
        )
    if counts["implausible"]:
        parts.append(
            f"{counts['rejected_implausible']:,}, a share of {counts['implausible']:g} of the rest,"
            " were rejected as the least plausible for their finding, by a classifier trained on"
            " the fraction's real images alone."
        )
    parts.append("What became of each candidate is in the group `candidates` of the file.")
    return " ".join(parts)


def _quality(measured):
    """The measures of every feature space beside their floors, as a table."""
    reference = (
        "validation images, which no GAN has seen"
        if measured["reference"] == "validation"
        else "the training images themselves, since there are too few validation images: flattering"
    )
    lines = [
        f"Compared with {measured['reference_images']:,} real images ({reference}), and those with"
        " each other in halves of different patients (the floor).",
        "",
        "| feature space | measure | this bank | floor |",
        "| --- | --- | --- | --- |",
    ]
    for space, found in measured["spaces"].items():
        if found.get("too_few_images"):
            lines.append(f"| {space} | too few images | – | – |")
        for name, words in _MEASURES.items():
            value, floor = (found.get(part, {}).get(name) for part in ("bank", "floor"))
            if value is not None:
                lines.append(f"| {space} | {words} | {_short(value)} | {_short(floor)} |")
    for name, words in _APPEARANCE.items():
        pair = measured.get(name)
        if pair is not None:
            synthetic, real = _short(pair["synthetic"]), _short(pair["real"])
            lines.append(f"| images as they are | {words} | {synthetic} | {real} |")
    return lines


def _limits(measured, phantom, real):
    lines = [
        f"- The finding is known from {real:,} real images: rarer ways in which it looks are"
        " missing here too, and whatever else these images share (devices, views) may have become"
        " part of it.",
        "- Labels of the training images come with the data set; wrong ones were learned as well.",
        "- Nobody has looked at the images one by one. Some show the finding badly or not at all.",
        "- A generator can reproduce training images. See `memorised` above, and the third row of"
        " the sample sheet.",
    ]
    if measured["reference"] != "validation":
        lines.append("- The measures above compare with training images and look better than true.")
    if phantom:
        lines.append("- Made from drawn phantoms: says nothing about X-rays of people.")
    return lines


def _reading(file_name):
    return [
        "## How to read it",
        "",
        "    import h5py",
        f'    with h5py.File("{file_name}") as file:',
        '        images = file["images"][:]   # (N, R, R) uint8, 0 is black',
        "        about = dict(file.attrs)     # what made it: settings, versions, digests, seed",
        "",
        f"Or as PNG files: `python workflow/scripts/export_bank.py {file_name} FOLDER`.",
        "",
    ]


def _short(value):
    if value is None or np.isnan(value):
        return "–"
    return f"{value:.3f}" if value == 0 or abs(value) >= 0.001 else f"{value:.1e}"
