"""The part of the page that says what the classifiers were trained on, from runs.csv."""

import pandas as pd

from rarecxr.report import wording as words
from rarecxr.report.tables import Cell, Table, number, text

_ADDED = {
    "repeated": "repeated",
    "synthetic_positives": "synthetic positives",
    "synthetic_negatives": "synthetic negatives",
    "reserve": "of the reserve",
}


def training_table(runs: pd.DataFrame) -> Table:
    """Mean passes over the real images and what was added, by fraction and arm.

    Below a number of reserve images stands how many were wanted where there were not as many, and
    below an arm on how many images without labels its network was pretrained.
    """
    rows = []
    for (fraction, arm), part in runs.groupby(["fraction", "arm"], sort=False):
        trained = part.groupby(["draw", "seed"])
        once = trained[["images_shown", "real_passes", "real_images", "unlabelled_images"]].first()
        once = once.mean()
        added = trained[list(_ADDED)].sum().mean()
        cells = [
            number(fraction, words.percent),
            text(arm, note=_pretraining(once["unlabelled_images"])),
            number(once["real_images"], words.count),
            number(once["images_shown"], words.count),
            number(once["real_passes"], lambda value: words.share(value, 1)),
        ]
        for name in _ADDED:
            note = f"of {words.count(_wanted(part))}" if name == "reserve" and _capped(part) else ""
            cells.append(number(added[name], words.count, note=note) if added[name] else Cell(""))
        rows.append(cells)
    columns = ["fraction", "arm", "real images", "images shown", "passes over the real images"]
    groups = [Cell("", span=2), Cell("training", span=3), Cell("added images", span=len(_ADDED))]
    every = [*columns, *_ADDED.values()]
    return Table("training", every, rows, groups, frozenset({0, *range(2, len(every))}))


def reserve_note(runs: pd.DataFrame) -> str:
    """A sentence where the reserve held fewer positives than an arm was to add; else empty."""
    capped = runs[(runs["reserve"] > 0) & (runs["reserve"] < runs["wanted"])]
    if capped.empty:
        return ""
    parts = []
    for finding, part in capped.groupby("finding", sort=False):
        at = " and ".join(words.percent(fraction) for fraction in sorted(set(part["fraction"])))
        parts.append(f"{finding} ({words.count(part['reserve'].max())} images; at {at})")
    return (
        "The reserve holds fewer positives than the arms with reserve images were to add of "
        + ", ".join(parts)
        + ": each was added once and none repeated, so the ceiling is that of fewer images."
    )


def _pretraining(images):
    return f"pretrained without labels on {words.plural(images, 'image')}" if images else ""


def _capped(part):
    return bool(((part["reserve"] > 0) & (part["reserve"] < part["wanted"])).any())


def _wanted(part):
    return part.groupby(["draw", "seed"])["wanted"].sum().mean()
