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
from rarecxr.study.configuration.external import ExternalSettings
from rarecxr.study.configuration.source import SourceSettings
from rarecxr.study.findings import NO_FINDING
from rarecxr.study.values import near


def tables_of(dataset: SourceSettings, folder: str = ".") -> dict[str, str]:
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
    found, missing = find_tables(
        root, dataset.format, dataset.tables, dataset.takes_published_split
    )
    return found | {role: f"{root}/{name}" for role, name in missing.items()}


def missing_tables(dataset: SourceSettings, root: str, section: str = "dataset") -> Iterator[str]:
    """Tables of a format that are not there, one sentence for each with the key that names them.

    Args:
        dataset: the settings.
        root: its folder.
        section: where the settings stand.
    """
    published = dataset.takes_published_split
    _, missing = find_tables(root, dataset.format, dataset.tables, published)
    for role, names in missing.items():
        yield (
            f"{section}.tables.{role}: there is no file {names} in {root}, packed by gzip or not; "
            f"give the name of {dataset.format}'s table of this kind in that folder"
        )


def named_keys(
    dataset: DatasetSettings | ExternalSettings, tables: Mapping[str, str]
) -> Iterator[str]:
    """Keys of the images that the tables name and whose views are used, in their order.

    Args:
        dataset: the settings; of an external test set those that are complete.
        tables: the tables, as `tables_of` gives them.

    Raises:
        ValueError: a table is not what it must be.
    """
    only = dataset.only
    if dataset.format == CHEXPERT:
        for role, path in tables.items():
            if not only or role == "expert_csv":
                yield from (key for key, _ in named_images(path, dataset.views))
        return
    for row in FORMATS[dataset.format].read(source_of(dataset, tables)):
        if row.view in dataset.views and (not only or row.published == only):
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


def source_of(dataset: SourceSettings, tables: Mapping[str, str]) -> Source:
    """What the format's reader is given."""
    columns: Mapping[str, Any] = {} if dataset.columns is None else dataset.columns.plain()
    return Source(tables, columns, dataset.view_names)


def unknown_findings(dataset: SourceSettings, findings: Iterable[str]) -> Iterator[str]:
    """Findings that the tables do not name, one sentence for each.

    Raises:
        ValueError: a table is not what it must be.
    """
    path, there, near_by = _named_findings(dataset)
    for finding in dict.fromkeys(findings):
        if finding not in there:
            yield (
                f"dataset.findings: got {finding!r}, which {path} does not name: "
                f"{near(finding, near_by, 'finding there')}; take out what the study does not need"
            )


def unknown_labels(
    external: ExternalSettings, section: str, targets: Iterable[str]
) -> Iterator[str]:
    """Labels that an external set is to have and its tables do not name, one sentence for each.

    Args:
        external: the set, without a policy that is the study's.
        section: where its settings stand.
        targets: the study's target findings, which it has or says that it has not.

    Raises:
        ValueError: a table is not what it must be.
    """
    path, there, near_by = _named_findings(external)
    for finding in dict.fromkeys([*external.labels, *targets]):
        for name in external.names_of(finding):
            if name not in there:
                got = "" if finding in external.labels else "is not given; "
                yield (
                    f"{section}.labels.{finding}: {got}{path} does not name {name!r}: "
                    f"{near(name, near_by, 'finding there')}; takes what it calls {finding}, or "
                    "null if it has no such label"
                )
    if external.blank == "no_finding" and NO_FINDING not in there:
        yield (
            f"{section}.blank: is no_finding, and {path} does not name {NO_FINDING}; takes zeros "
            "or ignore"
        )


def _named_findings(dataset: SourceSettings) -> tuple[str, list[str], list[str]]:
    """A table, the findings that it names, and the names among which others are looked for."""
    tables = tables_of(dataset)
    if dataset.format == CHEXPERT:
        path = tables["train_csv"]
        return path, chexpert_findings(path), read_header(path)
    kind = FORMATS[dataset.format]
    there = list(kind.findings) or kind.named(source_of(dataset, tables))
    return next(iter(tables.values())), there, there
