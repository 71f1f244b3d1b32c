"""ChestX-ray14 of the NIH Clinical Center (Wang et al., CVPR 2017), as its site ships it.

One list of images, `Data_Entry_2017_v2020.csv` (or the older `Data_Entry_2017.csv`), with the
findings of an image in one text column; twelve archives that unpack into
`images_001/images/00000001_000.png`, or all into `images/`; `test_list.txt`, the official test set.
"""

import math
import re
from collections.abc import Iterator
from pathlib import Path

from rarecxr.data.csv_file import read_rows
from rarecxr.data.formats.source import (
    OLDEST_YEARS,
    Fields,
    Format,
    Row,
    Source,
    image_of,
    names_image,
    patient_of,
    sex_of,
    view_of,
)
from rarecxr.study.findings import NO_FINDING

FINDINGS = (
    NO_FINDING,
    "Atelectasis",
    "Cardiomegaly",
    "Consolidation",
    "Edema",
    "Effusion",
    "Emphysema",
    "Fibrosis",
    "Hernia",
    "Infiltration",
    "Mass",
    "Nodule",
    "Pleural_Thickening",
    "Pneumonia",
    "Pneumothorax",
)
_VIEWS = {"PA": "PA", "AP": "AP", "": "Frontal"}
_COLUMNS = (
    "Image Index",
    "Finding Labels",
    "Follow-up #",
    "Patient ID",
    "Patient Age",
    "Patient Gender",
    "View Position",
)
# 058Y, 011M and 013D are how the older list writes ages.
_AGE = re.compile(r"([0-9]{1,3})([YMD]?)")


def rows(source: Source) -> Iterator[Row]:
    """The images of the list, in its order.

    A finding that an image's list does not name is 0. The follow-up number is the study. Of the
    older list ages above 120 years, which the newer one corrects, are unknown.
    """
    path = source.files["images"]
    tested = _listed(source.files["test"]) if "test" in source.files else None
    missing = set(tested or ())
    for line, texts in read_rows(path, _COLUMNS, names_image):
        image, labels, follow_up, patient, age, sex, view = (text.strip() for text in texts)
        fields = Fields(path, line)
        key = fields.read("Image Index", image, image_of)
        missing.discard(key)
        yield Row(
            image=key,
            line=line,
            patient=fields.read("Patient ID", patient, patient_of),
            study=fields.read("Follow-up #", follow_up, _study),
            view=fields.read("View Position", view, view_of, _VIEWS, source),
            sex=fields.read("Patient Gender", sex, sex_of),
            age=fields.read("Patient Age", age, _age),
            labels=fields.read("Finding Labels", labels, _labels),
            rest=0,
            published="" if tested is None else "test" if key in tested else "train",
        )
    if missing:
        raise ValueError(
            f"{source.files['test']}: {len(missing)} images are not in {path}, the first is "
            f"{min(missing)}; fetch both files from the same release"
        )


def _listed(path: str) -> set[str]:
    names = {line.strip() for line in Path(path).read_text(encoding="utf-8").splitlines()}
    return names - {""}


def _labels(text: str) -> dict[str, float]:
    names = text.split("|")
    unknown = [name for name in names if name not in FINDINGS]
    if unknown:
        raise ValueError(f"takes names with | between them, each one of {', '.join(FINDINGS)}")
    return dict.fromkeys(names, 1)


def _study(text: str) -> str:
    if not text.isdecimal():
        raise ValueError("a follow-up number is a whole number from 0")
    return f"study{int(text)}"


def _age(text: str) -> float:
    if not text:
        return math.nan
    found = _AGE.fullmatch(text)
    if found is None:
        raise ValueError("an age is a whole number of years, as in 58 or 058Y, or blank")
    years = (
        int(found[1]) if found[2] in ("", "Y") else 0 if found[2] == "D" else int(found[1]) // 12
    )
    return math.nan if years > OLDEST_YEARS else years


FORMAT = Format(
    tables={
        "images": ("Data_Entry_2017_v2020.csv", "Data_Entry_2017.csv"),
        "test": ("test_list.txt",),
    },
    read=rows,
    about=(
        "Labels were extracted from reports by the publisher's software; a finding that is not "
        "listed counts as absent"
    ),
    findings=FINDINGS,
    publishes=("train", "test"),
    of_split=("test",),
)
