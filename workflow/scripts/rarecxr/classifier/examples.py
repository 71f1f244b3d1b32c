"""What an arm trains on: real images, and the images of each kind that it adds to them."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rarecxr.bank.bank_file import Bank
from rarecxr.core.files import sha256
from rarecxr.study.sizes import Addition

REAL, REPEATED, POSITIVE, NEGATIVE, RESERVE = range(5)
_KINDS = ("real", "repeated", "synthetic positive", "synthetic negative", "reserve")
# Kinds whose images no patient has.
SYNTHETIC = (POSITIVE, NEGATIVE)


@dataclass(frozen=True)
class Synthetic:
    """A bank, as the classifier sees it.

    Attributes:
        path: the HDF5 file.
        count: number of images M.
        labels: (M, F) float32 in {0, 1, NaN} where each image brings labels of its own; None
            where all images show the bank's finding.
    """

    path: Path
    count: int
    labels: np.ndarray | None = None


@dataclass(frozen=True)
class Block:
    """Images of one source, beyond the fraction's own.

    Attributes:
        kind: POSITIVE, NEGATIVE or RESERVE.
        finding: whose they are; None for negatives that all findings share.
        count: how many of the source's images are used: its first ones.
    """

    kind: int
    finding: str | None
    count: int


@dataclass(frozen=True)
class Examples:
    """Images with labels, in a fixed order; an image may stand in several places.

    Attributes:
        image: (E,) int64, place in the list of images: the fraction's real ones, then those of
            each block.
        labels: (E, F) float32 in {0, 1, NaN}; NaN is masked out of the loss.
        kind: (E,) uint8: REAL, REPEATED, POSITIVE (synthetic), NEGATIVE (synthetic) or RESERVE
            (real images of patients who were set apart).
        blocks: the sources of the images beyond the fraction's own, in their order.
    """

    image: np.ndarray
    labels: np.ndarray
    kind: np.ndarray
    blocks: tuple[Block, ...] = ()

    def __len__(self) -> int:
        return len(self.image)

    def real(self) -> "Examples":
        """The fraction's real images alone, each once."""
        chosen = self.kind == REAL
        return Examples(self.image[chosen], self.labels[chosen], self.kind[chosen])

    def counts(self, findings: Sequence[str]) -> dict[str, dict[str, int]]:
        """Number of labels 1 and 0, by finding and by kind of image."""
        table = {}
        for column, finding in enumerate(findings):
            labels = self.labels[:, column]
            table[finding] = {
                f"{name} labelled {label}": int(np.sum(labels[self.kind == kind] == label))
                for kind, name in enumerate(_KINDS)
                for label in (1, 0)
            }
        return table


def open_bank(
    path: str | os.PathLike,
    findings: Sequence[str],
    expected: Mapping[str, Any],
    pair: str | os.PathLike | None = None,
) -> Synthetic:
    """A bank's size and labels, once its attributes are seen to be the expected ones.

    Args:
        path: the HDF5 file.
        findings: the classifier's outputs, the columns of `labels`.
        expected: attributes with the values that they must have. A bank of another fraction or
            draw was made from other patients, which would leak into this run.
        pair: for negatives in pairs, the bank of positives whose pairs they must be.

    Raises:
        ValueError: an attribute is missing or differs, or it holds pairs of another bank.
    """
    with Bank(path) as bank:
        count, attributes = len(bank), bank.attributes
        stored, names = bank.labels, bank.findings
    for name, value in expected.items():
        found = attributes.get(name)
        if found != value:
            raise ValueError(
                f"{path}: its {name} is {found!r}, this run needs {value!r}; "
                "remove the file and run the workflow again"
            )
    if pair is not None:
        told = json.loads(attributes.get("paired_with", "{}"))
        if told.get("bank_digest") != sha256(pair):
            raise ValueError(
                f"{path}: does not hold the pairs of {pair}; remove it and run the workflow again"
            )
    if stored is None:
        return Synthetic(Path(path), count)
    labels = np.full((count, len(findings)), np.nan, np.float32)
    for column, finding in enumerate(findings):
        if finding in names:
            labels[:, column] = stored[:, names.index(finding)]
    return Synthetic(Path(path), count, labels)


def assemble(
    labels: np.ndarray,
    findings: Sequence[str],
    target_findings: Sequence[str],
    banks: Mapping[str, Synthetic],
    negatives: Synthetic | Mapping[str, Synthetic] | None,
    repeated: Mapping[str, int],
    dose: Mapping[str, int] | None,
    seed: int,
    reserve: Mapping[str, int] | None = None,
    real: bool = True,
) -> Examples:
    """The examples of one arm.

    A positive that is added, whether repeated, synthetic or of a reserve patient, supervises its
    own finding alone: its other labels are NaN. So the arms that add positives differ in nothing
    but what they add. (A bank with labels of its own supervises all that they name.) A synthetic
    negative supervises one finding as 0, and there are as many for each finding as it has
    synthetic positives: dealt out in blocks, in the order of the target findings, from negatives
    that all share, or taken from the finding's own.

    Args:
        labels: (N, F) float32 in {0, 1, NaN}, of the fraction's real images.
        findings: F names, the columns of `labels`.
        target_findings: names of the findings that are added to, in the order of their banks.
        banks: synthetic positives by target finding: one for each, or none at all.
        negatives: synthetic images without any target finding, in one bank that all findings
            share or in one for each; or None for none.
        repeated: how many positives are added by repetition, by target finding. Each real one
            is repeated equally often; the rest is drawn without replacement.
        dose: how many images of each bank are used, by target finding; None for all. The first
            ones are taken, so a smaller dose lies inside a larger one.
        seed: seed of what is drawn.
        reserve: how many real positives of reserve patients are added, by target finding.
        real: whether the fraction's real images are among the examples.

    Raises:
        ValueError: a bank is missing, or holds fewer images than are to be used.
    """
    missing = [finding for finding in target_findings if banks and finding not in banks]
    if missing:
        raise ValueError(f"there is no bank of {', '.join(missing)}; banks: {', '.join(banks)}")
    if negatives is not None and not banks:
        raise ValueError("synthetic negatives need banks of positives to be as many as")

    count, width = labels.shape
    findings = list(findings)
    shown = count if real else 0
    image, added, kind = [np.arange(shown)], [labels[:shown]], [np.full(shown, REAL)]
    blocks: list[Block] = []
    begin = count

    def add(images, rows, what):
        image.append(images)
        added.append(rows)
        kind.append(np.full(len(images), what))

    def add_source(rows, what, finding):
        nonlocal begin
        add(np.arange(begin, begin + len(rows)), rows, what)
        blocks.append(Block(what, finding, len(rows)))
        begin += len(rows)

    def only(finding, value, n):
        rows = np.full((n, width), np.nan, np.float32)
        rows[:, findings.index(finding)] = value
        return rows

    for place, finding in enumerate(target_findings):
        n = repeated.get(finding, 0)
        real = np.flatnonzero(labels[:, findings.index(finding)] == 1)
        if n and not len(real):
            raise ValueError(f"{finding}: there is no positive image to repeat")
        if n:
            rng = np.random.default_rng([seed, place])
            whole, rest = divmod(n, len(real))
            again = np.concatenate([np.repeat(real, whole), rng.permutation(real)[:rest]])
            add(np.sort(again), only(finding, 1, n), REPEATED)

    used: dict[str, int] = {}
    for finding in target_findings if banks else ():
        bank = banks[finding]
        n = bank.count if dose is None else dose[finding]
        _enough(bank, n)
        own = only(finding, 1, n) if bank.labels is None else bank.labels[:n]
        add_source(own, POSITIVE, finding)
        used[finding] = n
    if isinstance(negatives, Mapping):
        for finding, n in used.items():
            _enough(negatives[finding], n)
            add_source(only(finding, 0, n), NEGATIVE, finding)
    elif negatives is not None:
        _enough(negatives, sum(used.values()))
        add_source(
            np.concatenate([only(finding, 0, n) for finding, n in used.items()]), NEGATIVE, None
        )
    for finding, n in (reserve or {}).items():
        add_source(only(finding, 1, n), RESERVE, finding)
    return Examples(
        np.concatenate(image).astype(np.int64),
        np.concatenate(added).astype(np.float32),
        np.concatenate(kind).astype(np.uint8),
        tuple(blocks),
    )


def most_examples(real: int, positives: Mapping[str, int], largest: Sequence[Addition]) -> int:
    """Number of examples of the largest arm of a cell.

    Args:
        real: number of the fraction's real images.
        positives: number of real positives by target finding.
        largest: what the largest arms add: see `rarecxr.study.arms.largest_additions`.
    """
    added = [one.times * sum(one.images_of_all(positives).values()) for one in largest]
    return real + max(added, default=0)


def _enough(bank: Synthetic, count: int) -> None:
    if bank.count < count:
        raise ValueError(
            f"{bank.path}: holds {bank.count} images, this arm needs {count}; "
            "give the bank a larger ratio or the arm a smaller one"
        )
