"""One answer of several studies, each of which tested another part of the same patients."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from rarecxr.core.tables import read_csv
from rarecxr.statistics.hypothesis_tests import detectable, p_difference

# How summary.csv begins the columns of a comparison, by its role in overall.csv.
_ROLES = {"baseline": "change_vs_baseline", "control": "change_vs_control"}
_CELL = ["finding", "fraction"]
_FILES = ("dataset/split.csv", "report/overall.csv", "report/summary.csv")
_CHANGE = ["arm", "role", "reference", *_CELL]
_Z = float(stats.norm.ppf(0.975))


def pool_folds(studies: Sequence[str | os.PathLike]) -> pd.DataFrame:
    """The changes of the AUROC in studies of several folds (`dataset.fold`), over all of them.

    A change is the mean over the folds, whose test sets are of one size. Its variance is the sum of
    theirs over the square of their number: no patient is tested on twice, but the folds' training
    patients overlap, for which no estimate of the variance makes up (Bengio & Grandvalet 2004,
    Journal of Machine Learning Research 5). A fold's variance comes from its interval as if that
    were a normal one; with few degrees of freedom it was wider, so this errs on the other side.

    Args:
        studies: the studies' folders, results/{study}: of one configuration but for its name and
            dataset.fold, all finished.

    Returns:
        One row for each comparison over all cells (`finding` and `fraction` are NaN), then one for
        each of its cells: `arm`, `role`, `reference`, `finding`, `fraction`, `folds`, `cells`, and
        of the AUROC `change`, `low` and `high` (95 % interval), `p` (two-sided, not corrected),
        `detectable` (with 80 % power). Cells without an interval in a fold are left out.

    Raises:
        FileNotFoundError: a folder is none of a finished study.
        ValueError: fewer than two studies, ones that are not of the same comparisons, or ones that
            tested the same patient.
    """
    if len(studies) < 2:
        raise ValueError(f"got {len(studies)} study; takes two or more, of different folds")
    folders = [Path(study) for study in studies]
    for folder in folders:
        for name in _FILES:
            if not (folder / name).exists():
                raise FileNotFoundError(
                    f"{folder}: has no {name}; takes folders results/{{study}} of finished studies"
                )
    _check_test_patients(folders)
    tables = [_changes(folder) for folder in folders]
    for folder, table in zip(folders[1:], tables[1:], strict=True):
        _check_same(folders[0], tables[0], folder, table)
    # Where a fold has no interval the sum has none either.
    values = sum(table["change"] for table in tables) / len(tables)
    half = np.sqrt(sum((table["high"] - table["low"]) ** 2 for table in tables)) / 2 / len(tables)
    pooled = pd.DataFrame(
        {
            "folds": len(tables),
            "cells": tables[0]["cells"],
            "change": values,
            "low": values - half,
            "high": values + half,
        }
    )
    pooled = pooled[np.isfinite(half)]
    errors = half[np.isfinite(half)] / _Z
    pooled["p"] = [
        p_difference(value, error, np.inf)
        for value, error in zip(pooled["change"], errors, strict=True)
    ]
    pooled["detectable"] = [detectable(error, np.inf) for error in errors]
    return pooled.reset_index()


def _changes(folder: Path) -> pd.DataFrame:
    """A study's changes over all cells and in each, by what is compared and where."""
    columns = ["change", "low", "high"]
    overall = read_csv(
        folder / "report/overall.csv", ["arm", "role", "reference", "cells", *columns]
    )
    summary = read_csv(folder / "report/summary.csv", [*_CELL, "arm"])
    parts = [overall.assign(finding=np.nan, fraction=np.nan)]
    references = overall.drop_duplicates("role").set_index("role")["reference"]
    for role, name in _ROLES.items():
        if role not in references or name not in summary:
            continue
        ends = [name, f"{name}_low", f"{name}_high"]
        cells = summary.dropna(subset=[name])[[*_CELL, "arm", *ends]]
        cells = cells.rename(columns=dict(zip(ends, columns, strict=True)))
        parts.append(cells.assign(role=role, reference=references[role], cells=1))
    table = pd.concat([part[[*_CHANGE, "cells", *columns]] for part in parts], ignore_index=True)
    return table.set_index(_CHANGE)


def _check_test_patients(folders: Sequence[Path]) -> None:
    """Whether no patient is tested on in two of the studies."""
    tested: dict[str, Path] = {}
    for folder in folders:
        split = read_csv(folder / "dataset/split.csv", ["patient", "split"], dtype=str)
        for patient in split.loc[split["split"] == "test", "patient"]:
            other = tested.setdefault(patient, folder)
            if other is not folder or folders.count(folder) > 1:
                raise ValueError(
                    f"{folder}/dataset/split.csv: {patient} was tested on in {other} too; takes "
                    "studies of one dataset.seed and dataset.test_percent, with different "
                    "dataset.fold"
                )


def _check_same(first: Path, one: pd.DataFrame, folder: Path, other: pd.DataFrame) -> None:
    """Whether two studies made the same comparisons in the same cells."""
    for missing, where, has in (
        (one.index.difference(other.index), folder, first),
        (other.index.difference(one.index), first, folder),
    ):
        for arm, role, reference, finding, fraction in missing[:1]:
            cell = "over all cells" if pd.isna(fraction) else f"for {finding} at {fraction:g} %"
            raise ValueError(
                f"{where}/report: has no change of arm {arm} against {reference} ({role}) {cell}, "
                f"which {has} has; takes studies of one configuration"
            )
    # Not looked up by what is compared, which is NaN over all cells.
    cells, others = one["cells"].to_numpy(), other["cells"].reindex(one.index).to_numpy()
    for place in np.flatnonzero(cells != others)[:1]:
        raise ValueError(
            f"{folder}/report/overall.csv: changes over {others[place]} cells, in {first} over "
            f"{cells[place]}: in one of them a finding has too few test patients for an interval. "
            "Raise dataset.test_percent"
        )
