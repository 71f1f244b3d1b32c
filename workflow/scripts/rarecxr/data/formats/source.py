"""What a reader of a data set is given, and the rows that it yields. Standard library alone.

The workflow reads a user's tables before any job, so no reader imports more than it must.
"""

import logging
import math
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from rarecxr.data.image_rows import LABELS, VIEWS

log = logging.getLogger(__name__)

UNKNOWN = "Unknown"
# The share of images that may have no labels: a few reports are missing, and no more.
MOST_LEFT_OUT = 0.01
OLDEST_YEARS = 120
# Published splits, by what publishers call them.
SPLIT_NAMES = {
    "train": "train",
    "val": "val",
    "valid": "val",
    "validate": "val",
    "validation": "val",
    "test": "test",
}

_ABSOLUTE = re.compile(r"/|[A-Za-z]:")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_IMAGE_FIELD = re.compile(
    r"(?:^|[,\"])[^,\"\s]+\.(?:png|jpe?g|dcm|dicom)\s*(?:[,\"]|\Z)", re.IGNORECASE
)
_AGE = re.compile(r"([0-9]{1,3})(?:\.[0-9]*)?")


class Row(NamedTuple):
    """One image of a data set.

    Attributes:
        image: key of the image, the path of its file below the root; see `ImageFolder`.
        line: where the row begins in its table; the header's is 1.
        patient: begins with `patient`, so that no number is ever made of it.
        study: the patient's study.
        view: one of `VIEWS`.
        sex: Female, Male or Unknown.
        age: years, NaN where unknown.
        labels: 1, 0, -1 (uncertain) or NaN (blank) by finding.
        rest: the label of each finding that `labels` does not name.
        published: train, val or test in the publisher's split; empty where there is none.
    """

    image: str
    line: int
    patient: str
    study: str
    view: str
    sex: str
    age: float
    labels: Mapping[str, float]
    rest: float = math.nan
    published: str = ""


@dataclass(frozen=True)
class Source:
    """A data set's tables and how to read them.

    Attributes:
        files: path of each table, by what the format calls it.
        columns: of format table: what each column is; see `TableColumns`.
        view_names: further names of views in the tables, and which of `VIEWS` each is.
    """

    files: Mapping[str, str]
    columns: Mapping[str, Any] = field(default_factory=dict)
    view_names: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Format:
    """How one publisher ships a data set.

    Attributes:
        tables: by what a table is for, the names that its file may have, the usual one first.
        read: the rows of a source; raises ValueError with file, line and remedy.
        about: what the report says about labels and patients of such data.
        findings: names of the findings; empty where the tables say which there are.
        named: the findings that the tables of a source name, for formats without `findings`.
        publishes: the parts of the publisher's split.
        of_split: the tables that are needed for the published split alone.
    """

    tables: Mapping[str, Sequence[str]]
    read: Callable[[Source], Iterator[Row]]
    about: str
    findings: Sequence[str] = ()
    named: Callable[[Source], list[str]] | None = None
    publishes: Sequence[str] = ()
    of_split: Sequence[str] = ()


def wrong(path: str | os.PathLike, line: int, column: str, found: str, takes: str) -> ValueError:
    """The error for a value that a table may not have."""
    return ValueError(f"{path}: column {column!r}: line {line} has {found!r}; {takes}")


def view_of(text: str, known: Mapping[str, str], source: Source) -> str:
    """The view that a table's text names.

    Raises:
        ValueError: no such view is known; says what would be right.
    """
    found = source.view_names.get(text) or known.get(text)
    if found is None:
        names = ", ".join(name or "blank" for name in {**known, **source.view_names})
        raise ValueError(
            f"takes {names}; say in dataset.view_names which of {', '.join(VIEWS)} another one is"
        )
    return found


def sex_of(text: str) -> str:
    """Female, Male or Unknown.

    Raises:
        ValueError: the text is none of the ways to write these.
    """
    sexes = {"f": "Female", "female": "Female", "m": "Male", "male": "Male"}
    sexes |= dict.fromkeys(("", "o", "other", "u", "unknown"), UNKNOWN)
    if text.lower() not in sexes:
        raise ValueError("takes F, Female, M, Male, and O, Other, Unknown or blank for unknown")
    return sexes[text.lower()]


def age_of(text: str) -> float:
    """An age in years; NaN where it is blank.

    Raises:
        ValueError: the text is no age.
    """
    if not text:
        return math.nan
    if not _AGE.fullmatch(text) or float(text) > OLDEST_YEARS:
        raise ValueError(f"an age is a number of years up to {OLDEST_YEARS}, blank where unknown")
    return float(text)


def label_of(text: str) -> float:
    """1, 0, -1 (uncertain) or NaN (blank).

    Raises:
        ValueError: the text is no label.
    """
    if text not in LABELS:
        raise ValueError(f"takes {', '.join(name or 'blank' for name in LABELS)}")
    return LABELS[text]


def split_of(text: str) -> str:
    """train, val or test; empty where it is blank.

    Raises:
        ValueError: the text names no part of a split.
    """
    if text and text.lower() not in SPLIT_NAMES:
        raise ValueError(f"takes {', '.join(SPLIT_NAMES)} or blank")
    return SPLIT_NAMES.get(text.lower(), "")


def patient_of(text: str) -> str:
    """The patient's name in a study, from the publisher's number or letters.

    Raises:
        ValueError: blank, or with characters that no name has.
    """
    if not text or _CONTROL.search(text) or "," in text:
        raise ValueError("takes the patient's number or name, without commas, never blank")
    return text if text.startswith("patient") else f"patient{text}"


def image_of(path: str) -> str:
    r"""The key of the image that a path below the root names; `\\` counts as `/`.

    Raises:
        ValueError: the path is blank, absolute or leads upwards.
    """
    path = re.sub(r"(?<=/)(?:\.?/)+|^(?:\./+)+", "", path.replace("\\", "/"))
    if not path or path.endswith("/") or _CONTROL.search(path):
        raise ValueError("takes the path of an image file below dataset.root")
    if _ABSOLUTE.match(path):
        raise ValueError("a path starts at dataset.root: take out what is before")
    if "/../" in f"/{path}/":
        raise ValueError("a path leads down into the data set: take out the `..`")
    return path


def has_fields(line: str) -> bool:
    """Whether a line is a row of a table whose fields hold no text over several lines."""
    return line.count(",") >= 2


def names_image(line: str) -> bool:
    """Whether a line of a table holds the name of an image file as a field."""
    return _IMAGE_FIELD.search(line) is not None


class Fields:
    """The fields of one row, checked one after the other so that an error names its column.

    Args:
        path: the table.
        line: the row's line.
    """

    def __init__(self, path: str | os.PathLike, line: int):
        self.path, self.line = path, line

    def read(self, column: str, text: str, reader: Callable, *more) -> Any:
        """What `reader` makes of a field.

        Raises:
            ValueError: it cannot; names file, line and column.
        """
        try:
            return reader(text, *more)
        except ValueError as error:
            raise wrong(self.path, self.line, column, text, str(error)) from None


class LeftOut:
    """Images without labels, which are left out; more than a few are a wrong file of labels.

    Args:
        path: the table of the images.
        labels: the table of their labels.
        column: what joins the two.
    """

    def __init__(self, path: str | os.PathLike, labels: str | os.PathLike, column: str):
        self.path, self.labels, self.column = path, labels, column
        self._images = 0
        self._without: list[tuple[int, str]] = []

    def found(self, labels: Mapping[str, float] | None, line: int, name: str):
        """The labels; notes where there are none."""
        self._images += 1
        if labels is None:
            self._without.append((line, name))
        return labels

    def tell(self) -> None:
        """Say how many images were left out.

        Raises:
            ValueError: too many.
        """
        if not self._without:
            return
        line, name = self._without[0]
        text = (
            f"{self.path}: {len(self._without)} of {self._images} images have no labels in "
            f"{self.labels}, the first is in line {line} ({self.column} {name})"
        )
        if len(self._without) > MOST_LEFT_OUT * self._images:
            raise ValueError(f"{text}; fetch both files from the same release")
        log.warning("%s; they are left out", text)
