"""PadChest (Bustos et al. 2020, arXiv 1901.07441), as BIMCV ships it.

One table, `PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv`, whose column `Labels` holds
lists as Python writes them; 16-bit PNG files in the folders 0 to 54.
"""

import ast
import math
import re
from collections.abc import Iterator

from rarecxr.data.csv_file import read_rows
from rarecxr.data.formats.source import (
    OLDEST_YEARS,
    UNKNOWN,
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

_VIEWS = {
    **{"PA": "PA", "AP": "AP", "AP_horizontal": "AP", "L": "Lateral"},
    **{"COSTAL": UNKNOWN, "EXCLUDE": UNKNOWN, "UNK": UNKNOWN, "": UNKNOWN},
}
_NORMAL = "normal"
# Labels that say nothing of the image's findings.
_EMPTY = {"unchanged", "exclude", "suboptimal study"}
_COLUMNS = (
    *("ImageID", "ImageDir", "StudyDate_DICOM", "StudyID", "PatientID", "PatientBirth"),
    *("PatientSex_DICOM", "Projection", "Labels"),
)
_BIRTH = re.compile(r"([0-9]{4})(?:\.0)?")


def rows(source: Source) -> Iterator[Row]:
    """The images of the table, in its order.

    The label `normal` is No Finding. A finding that an image's list does not name is 0; all are
    blank where the list is empty or says nothing of findings (`unchanged`, `exclude`). The age is
    the year of the study less that of birth.
    """
    path = source.files["images"]
    for line, texts in read_rows(path, _COLUMNS, names_image):
        name, folder, date, study, patient, birth, sex, view, labels = (
            text.strip() for text in texts
        )
        fields = Fields(path, line)
        found = fields.read("Labels", labels, _labels)
        yield Row(
            image=fields.read("ImageID", f"{_folder(fields, folder)}/{name}", image_of),
            line=line,
            patient=fields.read("PatientID", patient, patient_of),
            study=f"study{study}",
            view=fields.read("Projection", view, view_of, _VIEWS, source),
            sex=fields.read("PatientSex_DICOM", "" if sex == "None" else sex, sex_of),
            age=_age(fields, date, birth),
            labels=dict.fromkeys(found, 1),
            rest=math.nan if set(found) <= _EMPTY else 0,
        )


def named(source: Source) -> list[str]:
    """All labels that the table names."""
    path = source.files["images"]
    found: dict[str, None] = {}
    for line, (text,) in read_rows(path, ("Labels",), names_image):
        found.update(dict.fromkeys(Fields(path, line).read("Labels", text.strip(), _labels)))
    return list(found)


def _labels(text: str) -> list[str]:
    if text.lower() in ("", "nan"):
        return []
    try:
        # `nan` stands in some lists where a label is missing.
        names = ast.literal_eval(re.sub(r"(?<=[\[ ,])nan(?=[\],])", "''", text))
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError("takes a list as in ['pulmonary fibrosis', 'chronic changes'], or blank")
    names = [name.strip().lower() for name in names]
    return list(dict.fromkeys(NO_FINDING if name == _NORMAL else name for name in names if name))


def _folder(fields: Fields, text: str) -> str:
    def number(text: str) -> str:
        if not text.removesuffix(".0").isdecimal():
            raise ValueError("takes the number of a folder")
        return text.removesuffix(".0")

    return fields.read("ImageDir", text, number)


def _age(fields: Fields, date: str, birth: str) -> float:
    def year(text: str) -> int | None:
        if text.lower() in ("", "nan"):
            return None
        found = _BIRTH.fullmatch(text)
        if found is None:
            raise ValueError("takes a year, as in 1946 or 1946.0, or blank")
        return int(found[1])

    def year_of_date(text: str) -> int | None:
        if not text:
            return None
        if not re.fullmatch(r"[0-9]{8}(\.0)?", text):
            raise ValueError("takes a date, as in 20140915, or blank")
        return int(text[:4])

    born = fields.read("PatientBirth", birth, year)
    seen = fields.read("StudyDate_DICOM", date, year_of_date)
    if born is None or seen is None or not 0 <= seen - born <= OLDEST_YEARS:
        return math.nan
    return seen - born


FORMAT = Format(
    tables={"images": ("PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv",)},
    read=rows,
    about=(
        "Labels of 27 % of the reports are by physicians, of the others by a network that was "
        "trained on these; a finding that is not listed counts as absent"
    ),
    named=named,
)
