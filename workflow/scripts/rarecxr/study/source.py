"""A study's data set before any job: its tables, its images, its findings. Standard library alone,
but for tables in Parquet files.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rarecxr.data.csv_file import read_header
from rarecxr.data.formats.registry import CHEXPERT, FORMATS, find_tables
from rarecxr.data.formats.source import Source
from rarecxr.data.image_folder import ImageFolder
from rarecxr.data.image_rows import known_findings as chexpert_findings
from rarecxr.data.image_rows import named_images
from rarecxr.study.configuration.dataset import DatasetSettings
from rarecxr.study.values import near


def tables_of(dataset: DatasetSettings, folder: str = ".") -> dict[str, str]:
    """Path of each table of the user's data set, by what the format calls it; there or not.

    Args:
        dataset: the settings, with a root.
        folder: what a relative root is relative to.
    """
    root = dataset.root if folder == "." else f"{folder}/{dataset.root}"
    if dataset.format == CHEXPERT:
        names = {"train_csv": dataset.train_csv, "expert_csv": dataset.expert_csv}
        place = ImageFolder(root)
        return {key: place.table(name) for key, name in names.items() if name is not None}
    found, missing = find_tables(root, dataset.format, dataset.tables, _published(dataset))
    return found | {role: f"{root}/{name}" for role, name in missing.items()}


def missing_tables(dataset: DatasetSettings, root: str) -> Iterator[str]:
    """Tables of a format that are not there, one sentence for each with the key that names them."""
    _, missing = find_tables(root, dataset.format, dataset.tables, _published(dataset))
    for role, names in missing.items():
        yield (
            f"dataset.tables.{role}: there is no file {names} in {root}, packed by gzip or not; "
            f"give the name of {dataset.format}'s table of this kind in that folder"
        )


def named_keys(dataset: DatasetSettings, tables: Mapping[str, str]) -> Iterator[str]:
    """Keys of the images that the tables name and whose views are used, in their order.

    Raises:
        ValueError: a table is not what it must be.
    """
    if dataset.format == CHEXPERT:
        for path in tables.values():
            yield from (key for key, _ in named_images(path, dataset.views))
        return
    for row in FORMATS[dataset.format].read(source_of(dataset, tables)):
        if row.view in dataset.views:
            yield row.image


def labels_as_text(
    dataset: DatasetSettings, tables: Mapping[str, str], findings: Sequence[str]
) -> Iterator[tuple[str, ...]]:
    """The labels of some findings as a table of CheXpert writes them, of each image that is used.

    Images of a second test set are not among them. A finding without a column is blank.

    Raises:
        ValueError: a table is not what it must be.
    """
    if dataset.format == CHEXPERT:
        path = tables["train_csv"]
        there = chexpert_findings(path)
        for _, texts in named_images(path, dataset.views, [f for f in findings if f in there]):
            known = dict(zip((f for f in findings if f in there), texts, strict=True))
            yield tuple(known.get(finding, "") for finding in findings)
        return
    for row in FORMATS[dataset.format].read(source_of(dataset, tables)):
        if row.view in dataset.views:
            labels = (row.labels.get(finding, row.rest) for finding in findings)
            yield tuple("" if label != label else str(int(label)) for label in labels)


def source_of(dataset: DatasetSettings, tables: Mapping[str, str]) -> Source:
    """What the format's reader is given."""
    columns: Mapping[str, Any] = {} if dataset.columns is None else dataset.columns.plain()
    return Source(tables, columns, dataset.view_names)


def unknown_findings(dataset: DatasetSettings, findings: Iterable[str]) -> Iterator[str]:
    """Findings that the tables do not name, one sentence for each.

    Raises:
        ValueError: a table is not what it must be.
    """
    tables = tables_of(dataset)
    if dataset.format == CHEXPERT:
        path = tables["train_csv"]
        there, near_by = chexpert_findings(path), read_header(path)
    else:
        kind = FORMATS[dataset.format]
        path = next(iter(tables.values()))
        there = near_by = list(kind.findings) or kind.named(source_of(dataset, tables))
    for finding in dict.fromkeys(findings):
        if finding not in there:
            yield (
                f"dataset.findings: got {finding!r}, which {path} does not name: "
                f"{near(finding, near_by, 'finding there')}; take out what the study does not need"
            )


def _published(dataset: DatasetSettings) -> bool:
    return dataset.split == "published"
