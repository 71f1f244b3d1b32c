"""Pairs of synthetic images: from the same latents, by the finding's GAN and by the base."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from rarecxr.bank.sample_sheet import read_sheet
from rarecxr.report import images
from rarecxr.study.recipes import paired_with


def paired_sheets(
    gans: Sequence[Mapping[str, Any]], qualities: pd.DataFrame, number: int
) -> list[dict[str, Any]]:
    """The pairs of each bank of negatives that has them, from the largest fraction on.

    The sheets of both banks show the same places of banks of one size, and so the same latents.

    Args:
        gans: as of `rarecxr.report.inputs.Inputs`.
        qualities: likewise.
        number: pairs at most.

    Returns:
        finding, fraction, recipe (that of the positives), `present` and `absent` (addresses of
        pictures for the page), and `alignment`: of each feature space its name, the alignment of
        the pairs and that of images of different pairs.

    Raises:
        ValueError: the two banks have not the same number of images.
    """
    keys = ("finding", "fraction", "draw")
    by_place = {(gan["recipe"], *(gan[key] for key in keys)): gan for gan in gans}
    found = []
    for gan in sorted(gans, key=lambda gan: -gan["fraction"]):
        recipe = paired_with(gan["recipe"])
        if recipe is None:
            continue
        other = by_place[recipe, *(gan[key] for key in keys)]
        absent, present = (read_sheet(one["sheet"], number) for one in (gan, other))
        if absent.n_synthetic != present.n_synthetic:
            raise ValueError(
                f"{gan['sheet']}: has images of a bank of {absent.n_synthetic}, and "
                f"{other['sheet']} of {present.n_synthetic}; pairs are as many: remove both and "
                "run the workflow again"
            )
        rows = qualities[
            (qualities[["recipe", *keys]] == [gan["recipe"], *map(gan.get, keys)]).all(axis=1)
        ]
        found.append(
            {
                "finding": gan["finding"],
                "fraction": gan["fraction"],
                "recipe": recipe,
                "present": _pictures(present.synthetic),
                "absent": _pictures(absent.synthetic),
                "alignment": [
                    (row.space, row.alignment, row.alignment_floor)
                    for row in rows.itertuples()
                    if pd.notna(row.alignment)
                ],
            }
        )
    return found


def _pictures(stack: np.ndarray) -> list[str]:
    return [images.inline(Image.fromarray(image), images.FIRST) for image in stack]
