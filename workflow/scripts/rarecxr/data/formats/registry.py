"""The formats of data sets, by name, and where their tables lie. Standard library alone."""

import os
from collections.abc import Mapping

from rarecxr.data.formats import chexpert_plus, mimic, nih, padchest, table, vindr
from rarecxr.data.formats.source import Format

# CheXpert's own layout, which the phantoms have, too; its reader is rarecxr.data.chexpert.
CHEXPERT = "chexpert"
FORMATS: dict[str, Format] = {
    "chexpert-plus": chexpert_plus.FORMAT,
    "nih": nih.FORMAT,
    "mimic": mimic.FORMAT,
    "padchest": padchest.FORMAT,
    "vindr": vindr.FORMAT,
    "table": table.FORMAT,
}


def find_tables(
    root: str | os.PathLike,
    format: str,
    names: Mapping[str, str | None],
    published: bool,
) -> tuple[dict[str, str], dict[str, str]]:
    """The tables of a data set below its root.

    A name stands for the file packed by gzip, too, and the other way round.

    Args:
        root: the data set's folder.
        format: one of `FORMATS`.
        names: file names that differ from the publisher's, by what a table is for; None for a
            table that there is not.
        published: whether the published split is used.

    Returns:
        Paths of the tables that are there, in the format's order; and by table that is not there
        what it may be called.
    """
    found, missing = {}, {}
    for role, usual in FORMATS[format].tables.items():
        if role in FORMATS[format].of_split and not published:
            continue
        if role in names and names[role] is None:
            continue
        wanted = [names[role]] if role in names else usual
        places = [
            os.path.join(root, name)
            for name in wanted
            for name in (name, name.removesuffix(".gz") if name.endswith(".gz") else f"{name}.gz")
        ]
        path = next((place for place in places if os.path.isfile(place)), None)
        if path is None:
            missing[role] = " or ".join(wanted)
        else:
            found[role] = path
    return found, missing
