"""VinDr-CXR (Nguyen et al. 2022, Scientific Data 9), as PhysioNet ships it.

DICOM files in `train/` and `test/`. Of a training image `annotations/image_labels_train.csv` has
one row for each of three readers; `image_labels_test.csv` has the consensus of five.
"""

import math
from collections.abc import Iterator

from rarecxr.data.csv_file import read_header, read_rows
from rarecxr.data.formats.source import (
    UNKNOWN,
    Fields,
    Format,
    Row,
    Source,
    has_fields,
    label_of,
)
from rarecxr.study.findings import NO_FINDING

# Names that the two tables write in two ways, and the one that all formats share.
_NAMES = {"Other disease": "Other diseases", "No finding": NO_FINDING}
_NO_FINDINGS = ("image_id", "rad_id")


def rows(source: Source) -> Iterator[Row]:
    """The images of both tables, those for training first.

    Readers vote: what most readers of an image saw is 1, what some saw and most did not is -1
    (uncertain), what none saw is 0. The data set names no patients: every image is one of its own.
    All images are PA.
    """
    for role, folder in (("train", "train"), ("test", "test")):
        if role not in source.files:
            continue
        path = source.files[role]
        columns = _columns(path)
        votes: dict[str, tuple[int, list[dict[str, float]]]] = {}
        for line, (image, *texts) in read_rows(path, ("image_id", *columns), has_fields):
            fields = Fields(path, line)
            image = fields.read("image_id", image.strip(), _name)
            vote = {
                _NAMES.get(column, column): fields.read(column, text.strip(), _vote)
                for column, text in zip(columns, texts, strict=True)
            }
            votes.setdefault(image, (line, []))[1].append(vote)
        for image, (line, readers) in votes.items():
            yield Row(
                image=f"{folder}/{image}.dicom",
                line=line,
                patient=f"patient{image}",
                study="study1",
                view="PA",
                sex=UNKNOWN,
                age=math.nan,
                labels={
                    finding: _verdict([reader[finding] for reader in readers])
                    for finding in readers[0]
                },
                published=role,
            )


def named(source: Source) -> list[str]:
    """The findings that have a column in the first table."""
    path = next(iter(source.files.values()))
    return [_NAMES.get(column, column) for column in _columns(path)]


def _columns(path: str) -> list[str]:
    return [name for name in read_header(path) if name and name not in _NO_FINDINGS]


def _verdict(votes: list[float]) -> float:
    known = [vote for vote in votes if not math.isnan(vote)]
    if not known:
        return math.nan
    seen = sum(known)
    return 1 if 2 * seen > len(known) else -1 if seen else 0


def _vote(text: str) -> float:
    value = label_of(text)
    if value == -1:
        raise ValueError("a reader's vote is 0, 1 or blank")
    return value


def _name(text: str) -> str:
    if not text.isalnum():
        raise ValueError("takes the name of an image's file without its ending")
    return text


FORMAT = Format(
    tables={
        "train": ("annotations/image_labels_train.csv", "image_labels_train.csv"),
        "test": ("annotations/image_labels_test.csv", "image_labels_test.csv"),
    },
    read=rows,
    about=(
        "Labels are votes of radiologists: positive where most readers of an image saw the "
        "finding, uncertain where fewer did. The data set names no patients, so every image counts "
        "as a patient of its own: images of one person may be in two parts of the split, and "
        "intervals may be too narrow"
    ),
    named=named,
    publishes=("train", "test"),
)
