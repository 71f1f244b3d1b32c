"""CheXpert Plus (Chambon et al. 2024, arXiv 2405.19538), as Stanford ships it.

A table with reports, `df_chexpert_plus_240401.csv`; CheXbert's labels of the impressions as
one JSON object a line, `impression_fixed.json`; and PNG files in `PNG/train/patient…`, whose paths
the table gives with the ending of CheXpert's JPEG files.
"""

import json
import math
from collections.abc import Iterator
from pathlib import Path

from rarecxr.data.csv_file import read_rows
from rarecxr.data.formats.source import (
    Fields,
    Format,
    LeftOut,
    Row,
    Source,
    age_of,
    label_of,
    sex_of,
    split_of,
)
from rarecxr.data.image_rows import DIRECTIONS, SIDES, parse_path, view_of
from rarecxr.study.findings import FINDINGS

_COLUMNS = (
    *("path_to_image", "frontal_lateral", "ap_pa", "deid_patient_id"),
    *("sex", "age", "split"),
)


def rows(source: Source) -> Iterator[Row]:
    """The images of the table, in its order, joined with their labels; reports may be of any text.

    A validation set is published, and no test set.
    """
    labels = _labels(source.files["labels"])
    path = source.files["images"]
    left_out = LeftOut(path, source.files["labels"], "path_to_image")
    for line, texts in read_rows(path, _COLUMNS, _is_row):
        place, side, direction, patient, sex, age, split = (text.strip() for text in texts)
        fields = Fields(path, line)
        image = fields.read("path_to_image", place, parse_path)
        if patient != image.patient:
            raise ValueError(
                f"{path}: column 'deid_patient_id': line {line} has {patient!r}, and the image's "
                f"path is of {image.patient}; download the table again"
            )
        fields.read("frontal_lateral", side, _one_of, SIDES)
        fields.read("ap_pa", direction, _one_of, DIRECTIONS)
        years = fields.read("age", age, age_of)
        of_image = left_out.found(labels.get(image.key), line, place)
        if of_image is None:
            continue
        yield Row(
            image=str(Path(image.key).with_suffix(".png")),
            line=line,
            patient=image.patient,
            study=image.study,
            view=view_of(side, direction),
            sex=fields.read("sex", sex, sex_of),
            # 0 stands for unknown in CheXpert's tables.
            age=years or math.nan,
            labels=of_image,
            published=fields.read("split", split, split_of),
        )
    left_out.tell()


def named(source: Source) -> list[str]:
    """The findings that the first labels have."""
    path = source.files["labels"]
    _, first = next(_objects(path), (0, {}))
    return [finding for finding in FINDINGS if finding in first]


def _labels(path: str) -> dict[str, dict[str, float]]:
    """Labels by finding of each image, by the key of CheXpert's JPEG file."""
    found = {}
    findings: list[str] = []
    for line, labels in _objects(path):
        findings = findings or [finding for finding in FINDINGS if finding in labels]
        fields = Fields(path, line)
        key = fields.read("path_to_image", str(labels.get("path_to_image", "")), parse_path).key
        if key in found:
            raise ValueError(f"{path}: line {line}: {key} is there twice; take one out")
        found[key] = {
            finding: fields.read(finding, _text(labels.get(finding, "")), label_of)
            for finding in findings
        }
    return found


def _objects(path: str) -> Iterator[tuple[int, dict]]:
    with open(path, encoding="utf-8") as file:
        for line, text in enumerate(file, start=1):
            if not text.strip():
                continue
            try:
                value = json.loads(text)
            except ValueError as error:
                raise ValueError(
                    f"{path}: line {line}: no JSON ({error}); each line takes one object, as in "
                    '{"path_to_image": "train/patient00001/study1/view1_frontal.jpg", "Edema": 1.0}'
                ) from None
            if not isinstance(value, dict):
                raise ValueError(
                    f"{path}: line {line}: got {text.strip()[:40]!r}; each line takes one object"
                )
            yield line, value


def _text(value) -> str:
    return "" if value is None or value != value else str(value)


def _one_of(text: str, known: tuple[str, ...]) -> str:
    if text not in known:
        raise ValueError(f"takes {', '.join(name or 'blank' for name in known)}")
    return text


def _is_row(line: str) -> bool:
    return line.startswith(("train/patient", "valid/patient")) and line.count(",") >= 5


FORMAT = Format(
    tables={
        "images": ("df_chexpert_plus_240401.csv",),
        "labels": ("impression_fixed.json", "chexbert_labels/impression_fixed.json"),
    },
    read=rows,
    about="Labels were extracted from the impressions of the reports by CheXbert",
    named=named,
    publishes=("train", "val"),
)
