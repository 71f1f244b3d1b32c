"""MIMIC-CXR-JPG (Johnson et al. 2019, arXiv 1901.07042), as PhysioNet ships it.

Three tables, packed by gzip: labels by study, views by image, the split by image. Images lie in
`files/p10/p10000032/s50414267/<dicom_id>.jpg`. Sex and age are not part of the data set.
"""

import math
from collections.abc import Iterator

from rarecxr.data.csv_file import read_header, read_rows
from rarecxr.data.formats.source import (
    UNKNOWN,
    Fields,
    Format,
    LeftOut,
    Row,
    Source,
    has_fields,
    label_of,
    split_of,
    view_of,
)
from rarecxr.study.findings import FINDINGS

# By the number of images in the data set. LL and LATERAL are lateral views, decubitus and oblique
# ones frontal of a direction of their own.
_VIEWS = {
    **{"AP": "AP", "PA": "PA", "LATERAL": "Lateral", "LL": "Lateral", "": UNKNOWN},
    **{"PA LLD": "LL", "AP LLD": "LL", "AP RLD": "RL", "PA RLD": "RL"},
    **{"AP AXIAL": UNKNOWN, "XTABLE LATERAL": "Lateral", "SWIMMERS": "Lateral"},
    **dict.fromkeys(("LAO", "RAO", "LPO", "RPO"), UNKNOWN),
}


def rows(source: Source) -> Iterator[Row]:
    """The images of the table of views, in its order, joined with labels and split."""
    labels = _labels(source.files["labels"])
    split = _split(source.files["split"]) if "split" in source.files else {}
    path = source.files["views"]
    columns = ("dicom_id", "subject_id", "study_id", "ViewPosition")
    left_out = LeftOut(path, source.files["labels"], "study_id")
    for line, texts in read_rows(path, columns, has_fields):
        image, subject, study, view = (text.strip(" \t") for text in texts)
        fields = Fields(path, line)
        subject = fields.read("subject_id", subject, _number)
        study = fields.read("study_id", study, _number)
        image = fields.read("dicom_id", image, _name)
        if "split" in source.files and image not in split:
            raise ValueError(
                f"{source.files['split']}: has no row of the dicom_id {image}, which {path} has in "
                f"line {line}; fetch both files from the same release"
            )
        of_study = left_out.found(labels.get(study), line, study)
        if of_study is None:
            continue
        yield Row(
            image=f"files/p{subject[:2]}/p{subject}/s{study}/{image}.jpg",
            line=line,
            patient=f"patient{subject}",
            study=f"s{study}",
            view=fields.read("ViewPosition", view, view_of, _VIEWS, source),
            sex=UNKNOWN,
            age=math.nan,
            labels=of_study,
            published=split.get(image, ""),
        )
    left_out.tell()


def named(source: Source) -> list[str]:
    """The findings that have a column."""
    header = read_header(source.files["labels"])
    return [finding for finding in FINDINGS if finding in header]


def _labels(path: str) -> dict[str, dict[str, float]]:
    """Labels by finding of each study."""
    header = read_header(path)
    findings = [finding for finding in FINDINGS if finding in header]
    found: dict[str, dict[str, float]] = {}
    for line, (study, *texts) in read_rows(path, ("study_id", *findings), has_fields):
        fields = Fields(path, line)
        study = fields.read("study_id", study.strip(), _number)
        if study in found:
            raise ValueError(f"{path}: line {line}: study {study} is there twice; take one out")
        found[study] = {
            finding: fields.read(finding, text.strip(), label_of)
            for finding, text in zip(findings, texts, strict=True)
        }
    return found


def _split(path: str) -> dict[str, str]:
    """The part of the split that each image is in."""
    found = {}
    for line, (image, split) in read_rows(path, ("dicom_id", "split"), has_fields):
        found[image.strip()] = Fields(path, line).read("split", split.strip(), split_of)
    return found


def _number(text: str) -> str:
    if not text.isdecimal():
        raise ValueError("takes a number of eight digits")
    return text


def _name(text: str) -> str:
    if not text.replace("-", "").isalnum():
        raise ValueError("takes the name of an image's file without its ending")
    return text


FORMAT = Format(
    tables={
        "views": ("mimic-cxr-2.0.0-metadata.csv.gz",),
        "labels": ("mimic-cxr-2.0.0-chexpert.csv.gz", "mimic-cxr-2.0.0-negbio.csv.gz"),
        "split": ("mimic-cxr-2.0.0-split.csv.gz",),
    },
    read=rows,
    about=(
        "Labels were extracted from reports by the CheXpert labeler; sex and age are not part of "
        "the data set"
    ),
    findings=(),
    named=named,
    publishes=("train", "val", "test"),
    of_split=("split",),
)
