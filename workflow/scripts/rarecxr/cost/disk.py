"""Room on the disk: bytes of a unit of each kind of file, learned from a finished study."""

import os
from collections.abc import Iterable
from pathlib import Path

from rarecxr.cost.jobs import Job

# Kinds of files by pattern below the study's folder; the first that fits.
_KINDS = (
    ("state/gan/**/*.pt", "resume files of GANs"),
    ("state/**/*.pt", "resume files of classifiers"),
    ("gan/**/training_set.h5", "training sets"),
    ("gan/**/generator.pt", "GANs"),
    ("dataset/pixels_*.h5", "pixel cache"),
    ("external/*/pixels_*.h5", "pixel cache"),
    ("dataset/validation/*.h5", "validation sets"),
    ("bank/**/*.h5", "banks"),
    ("classifier/**/model.pt", "classifiers"),
    ("features/**/model.pt", "classifiers"),
    ("classifier/**/predictions.parquet", "predictions"),
)
OTHERS = "tables, logs, sheets"


def bytes_by_kind(results: str | os.PathLike) -> dict[str, int]:
    """Bytes of a study's files by kind."""
    root = Path(results)
    found: dict[str, int] = {OTHERS: 0}
    taken: set[Path] = set()
    for pattern, kind in _KINDS:
        new = {path for path in root.glob(pattern) if path.is_file()} - taken
        found[kind] = found.get(kind, 0) + sum(path.stat().st_size for path in new)
        taken |= new
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder, name)
            if path not in taken:
                found[OTHERS] += path.lstat().st_size
    return found


def foreseen(
    results: str | os.PathLike, measured: Iterable[Job], planned: Iterable[Job]
) -> dict[str, float | None]:
    """Bytes of a planned study's files by kind; None where the finished one has none of a kind.

    Args:
        results: folder of the finished study.
        measured: its jobs.
        planned: the jobs of the planned one.
    """
    before, after = _sums(measured), _sums(planned)
    size = bytes_by_kind(results)
    return {
        kind: _size(size.get(kind, 0), before.get(kind, (0.0, 0.0)), content, items)
        for kind, (content, items) in after.items()
    }


def _size(size: float, before: tuple[float, float], content: float, items: float) -> float | None:
    """Bytes of a kind of files: less than its content where they are compressed.

    What they are larger than their content is a constant of each image or file.
    """
    if not size or not any(before):
        return None
    share = min(size / before[0], 1.0) if before[0] else 0.0
    beyond = max(size - before[0], 0.0)
    return share * content + beyond / before[1] * items


def _sums(jobs: Iterable[Job]) -> dict[str, tuple[float, float]]:
    """Content and items by kind of file; the others are a constant of each job."""
    found: dict[str, tuple[float, float]] = {}
    for job in jobs:
        for kind, (content, items) in {**job.files, OTHERS: (0.0, 1.0)}.items():
            before = found.get(kind, (0.0, 0.0))
            found[kind] = before[0] + content, before[1] + items
    return {kind: sums for kind, sums in found.items() if any(sums)}
