"""What a study occupies on disk, and what of it may go."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

# What becomes of a study without this place, in the order in which places are looked for.
_MEANING = (
    ("state", "resume files; `snakemake clean_states` removes those of finished trainings"),
    ("gan/*/training_set.h5", "training sets of the GANs; inputs of what may be asked for later"),
    ("dataset/pixels_*", "pixel cache; made again from the images, and everything after it"),
    ("external/pixels_*", "pixel caches of external test sets; made again from their images"),
    ("bank/*.h5", "banks of synthetic images; drawn again from the generators"),
    ("gan", "generators and their curves; hours of training"),
    ("classifier/*/model.pt", "trained classifiers; external test sets need them, and you"),
    ("classifier", "predictions and histories"),
    ("external", "tables of external test sets"),
    ("report", "the report"),
    ("", "tables, logs, measurements"),
)


class Part(NamedTuple):
    """One kind of files: where, how many, how large and what they are."""

    place: str
    files: int
    size: int
    meaning: str


def usage(results: str | os.PathLike) -> list[Part]:
    """The parts of a study's folder `results/{study}`, sizes in bytes as they lie on the disk.

    Raises:
        FileNotFoundError: there is no such folder.
    """
    root = Path(results)
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: there is no such folder; give results/{{study}}")
    counted = {place: [0, 0] for place, _ in _MEANING}
    for path, size in _files(root):
        place = next(place for place, _ in _MEANING if _inside(path, place))
        counted[place][0] += 1
        counted[place][1] += size
    return [Part(place or "the rest", *counted[place], meaning) for place, meaning in _MEANING]


def table(parts: list[Part]) -> str:
    """The parts as text, the sum in the last line."""
    rows = [*parts, Part("together", sum(p.files for p in parts), sum(p.size for p in parts), "")]
    lines = [
        f"{row.size / 1e9:10.3f} GB {row.files:8}  {row.place:22} {row.meaning}".rstrip()
        for row in rows
    ]
    return "\n".join([f"{'size':>13} {'files':>8}", *lines])


def _inside(path: Path, place: str) -> bool:
    folder, _, pattern = place.partition("/")
    if folder and path.parts[0] != folder:
        return False
    return not pattern or any(part.match(pattern) for part in (path, *path.parents) if part.name)


def _files(root: Path) -> Iterator[tuple[Path, int]]:
    """Every file below the root, seen from there, with the bytes of the disk that it takes."""
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder, name)
            yield path.relative_to(root), path.lstat().st_blocks * 512
