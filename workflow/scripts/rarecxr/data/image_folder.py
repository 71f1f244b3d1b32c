"""Where the files of a data set's images lie below its root. Needs the standard library alone."""

import os
import re
from pathlib import Path

_BATCH = re.compile(r".* batch [0-9]+ \(.*\)")
# Where the archives of CheXpert Plus unpack.
_PNG = ("PNG", "PNG/PNG")
# Where the twelve archives of ChestX-ray14 unpack, each into a folder of its own or not.
_PARTS = re.compile(r"images(_[0-9]+)?")


class ImageFolder:
    """The folder of a data set, as its publisher's archives unpack.

    An image's key is the path of its file below the root, but for these. CheXpert's small edition
    has `train/patient…` and `valid/patient…` below its root. The full-size one unpacks into
    `CheXpert-v1.0 batch N (train M)/patient…` and
    `CheXpert-v1.0 batch 1 (validate & csv)/valid/patient…`, while its CSV files name
    `train/patient…` and `valid/patient…` too; CheXpert Plus has them in `PNG`. ChestX-ray14 names
    files without folders, which lie in `images_001/images` to `images_012/images`, or in `images`.

    Args:
        root: the folder; may be a link itself.
        follow_links: whether links below it may lead out of it.
    """

    def __init__(self, root: str | os.PathLike, follow_links: bool = False):
        self.root = os.fspath(root).rstrip("/") or "/"
        self.follow_links = follow_links
        self._inside = os.path.join(os.path.realpath(self.root), "")
        self._real_folders: dict[str, str] = {}
        self._batches: list[str] | None = None
        # By first folder of a key where its patients lie: in one place, or by patient in several.
        self._places: dict[str, str | dict[str, str]] = {}
        # By name of a file the folders that hold it, for keys without a folder.
        self._files: dict[str, list[str]] | None = None

    def place(self, key: str) -> str:
        """Path of an image's file, there or not.

        Raises:
            ValueError: a patient's folder is in two batches, or a file without a folder in its key
                is in two folders, so that the file is not certain.
        """
        first, _, rest = key.partition("/")
        if not rest:
            return self._place_of_file(first)
        if first not in self._places:
            self._places[first] = self._place_of(first)
        place = self._places[first]
        if isinstance(place, dict):
            place = place.get(rest.partition("/")[0], f"{self.root}/{first}")
        return f"{place}/{rest}"

    def table(self, name: str) -> str:
        """Path of a CSV file, there or not: below the root, or in a folder of the full edition."""
        places = [f"{folder}/{name}" for folder in (self.root, *self._batch_folders())]
        return next((place for place in places if os.path.isfile(place)), places[0])

    def leads_out(self, path: str) -> str | None:
        """Where links take a file out of the data set, or None; None too if that is allowed.

        Args:
            path: what `place` gave.
        """
        if self.follow_links:
            return None
        folder, name = os.path.split(path)
        real = f"{self._real_folder(folder)}/{name}"
        if os.path.islink(real):
            real = os.path.realpath(real)
        return None if real.startswith(self._inside) else real

    def _real_folder(self, folder: str) -> str:
        # Each folder is looked at once; `realpath` of each image would look at all of them again.
        if folder not in self._real_folders:
            above, name = os.path.split(folder)
            if folder == self.root or not name:
                real = os.path.realpath(folder)
            else:
                real = f"{self._real_folder(above)}/{name}"
                real = os.path.realpath(real) if os.path.islink(real) else real
            self._real_folders[folder] = real
        return self._real_folders[folder]

    def _place_of(self, first: str) -> str | dict[str, str]:
        direct = f"{self.root}/{first}"
        if os.path.isdir(direct) or not self._batch_folders():
            return direct
        named = [f"{batch}/{first}" for batch in self._batch_folders()]
        places = [place for place in named if os.path.isdir(place)] or self._batch_folders()
        if len(places) == 1:
            return places[0]
        found: dict[str, str] = {}
        for place in places:
            for name in os.listdir(place):
                if not name.startswith("patient"):
                    continue
                other = found.setdefault(name, place)
                if other != place:
                    raise ValueError(
                        f"{self.root}: {name} is in {Path(other).relative_to(self.root)} and in "
                        f"{Path(place).relative_to(self.root)}; put its studies into one folder"
                    )
        return found

    def _place_of_file(self, name: str) -> str:
        if self._files is None:
            self._files = {}
            parts = [f"{self.root}/{part}" for part in _listed(self.root) if _PARTS.fullmatch(part)]
            for folder in (self.root, *(f for part in parts for f in (part, f"{part}/images"))):
                for file in _listed(folder):
                    self._files.setdefault(file, []).append(folder)
        folders = self._files.get(name, [self.root])
        if len(folders) > 1:
            first, second = (os.path.relpath(folder, self.root) for folder in folders[:2])
            raise ValueError(
                f"{self.root}: {name} is in {first} and in {second}; keep one of the two"
            )
        return f"{folders[0]}/{name}"

    def _batch_folders(self) -> list[str]:
        if self._batches is None:
            names = [name for name in _listed(self.root) if _BATCH.fullmatch(name)]
            paths = [f"{self.root}/{name}" for name in (*names, *_PNG)]
            self._batches = [path for path in paths if os.path.isdir(path)]
        return self._batches


def _listed(folder: str) -> list[str]:
    """What is in a folder, sorted; nothing where it cannot be said, which is noticed by image."""
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []
