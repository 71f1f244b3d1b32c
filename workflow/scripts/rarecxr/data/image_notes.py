"""What is odd about images, in pixels_{resolution}_notes.csv: kinds of notes, and their reader."""

import os

import pandas as pd

from rarecxr.core.tables import read_csv

SAME_FILE = "same file"
SAME_PIXELS = "same pixels"
OTHER_PATIENT = "same pixels under another patient"
GREY_LEVELS = "unusual grey levels"
BITS = "unusual bits"

NOTE_COLUMNS = ("image", "row", "note", "detail")

# How the detail of a note about a copy names the other image.
COPY_OF = "as "


def read_notes(path: str | os.PathLike) -> pd.DataFrame:
    """What `rarecxr.data.image_checks.note` found: `NOTE_COLUMNS`, one row per image and kind.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is damaged, or of another kind.
    """
    text = {"image": str, "note": str, "detail": str}
    return read_csv(path, NOTE_COLUMNS, text)


def copies_under_other_patients(notes: pd.DataFrame) -> list[list[str]]:
    """Images of several patients that have the same pixels, a list for each picture.

    Args:
        notes: what `read_notes` gives.
    """
    table = notes[notes["note"] == OTHER_PATIENT]
    # Each image names the first one of another patient than its own. So all images of a picture
    # name one of two, its first image and the first one of another patient, which name each other.
    named = dict(zip(table["image"], table["detail"].str.removeprefix(COPY_OF), strict=True))
    pictures: dict[frozenset[str], list[str]] = {}
    for image, other in named.items():
        pictures.setdefault(frozenset([other, named.get(other, image)]), []).append(image)
    return list(pictures.values())
