"""What a row of CheXpert's CSV says of its image: which file it is, whose, and from which side.

Needs the standard library alone: the workflow looks at a user's CSV files before any job.
"""

import math
import os
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rarecxr.data.csv_file import read_header, read_rows
from rarecxr.study.findings import FINDINGS

SIDES = ("", "Frontal", "Lateral")
# Directions of frontal images.
DIRECTIONS = ("", "AP", "PA", "LL", "RL")
# Frontal: of unknown direction. Unknown: not known to be frontal or lateral.
VIEWS = ("AP", "PA", "LL", "RL", "Frontal", "Lateral", "Unknown")
# What a finding's column may hold: 1, 0, -1 (uncertain) or blank.
LABELS = {"": math.nan, "1": 1, "0": 0, "-1": -1, "1.0": 1, "0.0": 0, "-1.0": -1}
# Columns of a table of CheXpert, not counting the findings.
PLACE_COLUMNS = ("Path", "Frontal/Lateral", "AP/PA")
FEWEST_COLUMNS = 19

_NAME = r"[^/\x00-\x1f\x7f]+"
# What stands above the folder of the patients' folders names the edition of the data set, and says
# nothing of its folder.
_LAYOUT = re.compile(
    rf"(?:{_NAME}/)*?(?P<key>(?:{_NAME}/)?(?P<patient>patient[0-9]+)/(?P<study>study[0-9]+)"
    rf"/{_NAME}\.(?:jpg|jpeg|png|JPG|JPEG|PNG))"
)
_ABSOLUTE = re.compile(r"/|[A-Za-z]:")
_NOWHERE = re.compile(r"(?<=/)(?:\.?/)+|^(?:\./+)+")
_PATH_FIELD = re.compile(
    r"patient[0-9]+[/\\]study[0-9]+[/\\][^,\"]*\.(?:jpe?g|png)\s*(?:[,\"]|\Z)", re.IGNORECASE
)


class ImagePath(NamedTuple):
    """The path of a row's image.

    Attributes:
        key: path from the folder that holds the patients' folders (train, valid, …), unique.
        patient: as in patient00001.
        study: as in study1.
    """

    key: str
    patient: str
    study: str


def parse_path(path: str) -> ImagePath:
    r"""The image that a path of the CSV names; `\\` counts as `/`, and `./` and `//` lead nowhere.

    Raises:
        ValueError: the path is absolute, leads upwards, or is not of CheXpert's layout; says what
            would be right.
    """
    path = path.replace("\\", "/")
    if _ABSOLUTE.match(path):
        raise ValueError(
            "a path starts at the data set's folder, as in CheXpert-v1.0-small/train/patient00001/"
            "study1/view1_frontal.jpg: take out what is before"
        )
    if "/../" in f"/{path}/":
        raise ValueError("a path leads down into the data set: take out the `..`")
    found = _LAYOUT.fullmatch(_NOWHERE.sub("", path))
    if found is None:
        raise ValueError("an image's path ends like train/patient00001/study1/view1_frontal.jpg")
    return ImagePath(*found.group("key", "patient", "study"))


def view_of(side: str, direction: str) -> str:
    """One of `VIEWS`, from one of `SIDES` and one of `DIRECTIONS`."""
    if side == "Lateral" or not direction:
        return side or "Unknown"
    return direction


def is_row(line: str) -> bool:
    """Whether a line of a CSV holds an image's path, or as many fields as a row has at least."""
    return line.count(",") >= FEWEST_COLUMNS - 1 or _PATH_FIELD.search(line) is not None


def known_findings(path: str | os.PathLike) -> list[str]:
    """CheXpert's findings that have a column in a CSV file, in the order of `FINDINGS`.

    Raises:
        ValueError: the file is no table; see `read_rows`.
    """
    header = read_header(path)
    return [finding for finding in FINDINGS if finding in header]


def named_images(
    path: str | os.PathLike, views: Sequence[str], columns: Sequence[str] = ()
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The images of one CSV file that have one of the views, in the order of the file.

    Args:
        path: the CSV.
        views: any of `VIEWS`.
        columns: further columns.

    Yields:
        The image's key, and the text of `columns`, without spaces and tabs around it.

    Raises:
        ValueError: the file is no such table or a path is wrong; see `read_rows` and `parse_path`.
    """
    for line, fields in read_rows(path, (*PLACE_COLUMNS, *columns), is_row):
        name, side, direction, *more = (field.strip(" \t") for field in fields)
        try:
            key = parse_path(name).key
        except ValueError as error:
            raise ValueError(f"{path}: column 'Path': line {line} has {name!r}; {error}") from None
        if view_of(side, direction) in views:
            yield key, tuple(more)
