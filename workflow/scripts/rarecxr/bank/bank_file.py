"""Banks of synthetic images: HDF5 files that say what they are and what made them."""

import contextlib
import json
import os
import zlib
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from rarecxr.core.files import REMEDY, written_whole
from rarecxr.core.hdf5 import create_hdf5, open_hdf5, read_attributes
from rarecxr.core.provenance import write_attributes
from rarecxr.data.image_file import as_announced

FORMAT = 1
NOTICE = (
    "Synthetic chest X-rays from a generative model. They show no patient. "
    "For research only, never for diagnosis."
)

# Images a chunk: banks are read in order, whole chunks at a time.
_CHUNK = 16
# The fastest of zlib's: X-rays hardly become smaller with more work.
_LEVEL = 1
# Pixels that are unpacked at once where single images are wanted, in bytes.
_PART_BYTES = 1 << 26


def write_bank(
    path: str | os.PathLike,
    number: int,
    resolution: int,
    batches: Iterable[np.ndarray],
    attributes: Mapping[str, Any],
    labels: np.ndarray | None = None,
    findings: Sequence[str] = (),
    candidates: Mapping[str, np.ndarray] | None = None,
    threads: int = 1,
) -> None:
    """Write a bank, whole or not at all.

    Images are compressed by threads of their own while the next ones are made; the file is the
    same for any number of them, and memory does not grow with the number of images.

    Args:
        path: HDF5 file.
        number: images in all.
        resolution: their side in pixels.
        batches: arrays (n, resolution, resolution) uint8, `number` images together.
        attributes: plain values that say what made the bank.
        labels: (number, L) float32, the label vectors of a conditional GAN's images.
        findings: names of the L labels.
        candidates: columns (C,) about all images generated for the bank, by name; they go
            into the group `candidates`.
        threads: number of threads that compress.

    Raises:
        ValueError: the batches hold more or fewer than `number` images, or other ones.
    """
    with written_whole(path) as temporary, create_hdf5(temporary) as file:
        images = file.create_dataset(
            "images",
            (number, resolution, resolution),
            np.uint8,
            chunks=(min(_CHUNK, number), resolution, resolution),
            compression="gzip",
            compression_opts=_LEVEL,
        )
        checked = _exactly(as_announced(batches, path, number, resolution), path, number)
        _write_compressed(images, checked, threads)
        if labels is not None:
            file["labels"] = labels
            write_attributes(file, {"findings": list(findings)})
        for name, values in (candidates or {}).items():
            file[f"candidates/{name}"] = values
        write_attributes(file, attributes, format=FORMAT, notice=NOTICE)


def _exactly(
    batches: Iterable[np.ndarray], path: str | os.PathLike, number: int
) -> Iterator[np.ndarray]:
    """The batches, and their number checked at the end."""
    done = 0
    for batch in batches:
        done += len(batch)
        yield batch
    if done != number:
        raise ValueError(f"{path}: {done} images instead of the {number} announced")


def _write_compressed(dataset: h5py.Dataset, batches: Iterable[np.ndarray], threads: int) -> None:
    """Write images into an empty dataset with the filter gzip, as its chunks are filled.

    HDF5 compresses in the thread that writes, one chunk after the other. Here chunks are
    compressed outside of it, where zlib leaves Python's lock, and written in their order.
    """
    step = dataset.chunks[0]
    waiting: deque = deque()

    def write_first() -> None:
        row, packed = waiting.popleft()
        dataset.id.write_direct_chunk((row, 0, 0), packed.result())

    with ThreadPoolExecutor(threads) as pool:
        for row, chunk in _chunks_of(batches, step):
            waiting.append((row, pool.submit(zlib.compress, chunk, _LEVEL)))
            if len(waiting) > 2 * threads:
                write_first()
        while waiting:
            write_first()


def _chunks_of(batches: Iterable[np.ndarray], step: int) -> Iterator[tuple[int, np.ndarray]]:
    """First row and images of each chunk of `step`, the last one filled up with black images."""
    row, filled, chunk = 0, 0, None
    for batch in batches:
        begin = 0
        while begin < len(batch):
            if chunk is None:
                chunk = np.zeros((step, *batch.shape[1:]), np.uint8)
            taken = batch[begin : begin + step - filled]
            chunk[filled : filled + len(taken)] = taken
            begin, filled = begin + len(taken), filled + len(taken)
            if filled == step:
                yield row, chunk
                row, filled, chunk = row + step, 0, None
    if filled:
        yield row, chunk


class Bank:
    """A bank that is open for reading; any study's bank will do.

    Use it as a context manager. `len(bank)` is the number of images.

    Attributes:
        resolution: side of the images in pixels.
        packed: that images lie in chunks which are unpacked when they are read.
        attributes: what the file says about itself (finding, recipe, fraction, draw, study,
            seed, generator_digest, notice, …). Nested values are JSON text.
        labels: (N, L) float32, the labels that a conditional GAN drew each image with; None for
            a bank of one finding.
        findings: names of the L labels.
        candidates: columns (C,) about all images generated for the bank, by name; empty where
            none was selected.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is no bank, or is damaged.
    """

    packed = True

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)
        if not self.path.exists():
            raise FileNotFoundError(f"{path}: no such bank; rule make_bank writes it")
        with contextlib.ExitStack() as opened:
            file = opened.enter_context(open_hdf5(path))
            images = file.get("images")
            missing = sorted({"finding", "study", "notice", "format"} - set(file.attrs))
            right = (
                isinstance(images, h5py.Dataset) and images.dtype == np.uint8 and images.ndim == 3
            )
            if missing or not right:
                lacks = ", ".join([*missing, *([] if right else ["images (N, R, R) uint8"])])
                raise ValueError(f"{path}: no bank of synthetic images: lacks {lacks}; {REMEDY}")
            self.attributes = read_attributes(file)
            self.labels = file["labels"][:] if "labels" in file else None
            stored = file.get("candidates", {})
            self.candidates = {name: values[:] for name, values in stored.items()}
            self._opened = opened.pop_all()
        self._images = images
        self._chunk = images.chunks[0] if images.chunks else 1
        self.resolution = int(images.shape[-1])
        self.findings = json.loads(self.attributes.get("findings", "[]"))

    def __len__(self) -> int:
        return len(self._images)

    def __enter__(self) -> "Bank":
        return self

    def __exit__(self, *exception) -> None:
        # What the HDF5 library said of a damaged part becomes an error that names the file.
        self._opened.__exit__(*exception)

    def close(self) -> None:
        """Close the file."""
        self._opened.close()

    def read(self, first: int = 0, count: int | None = None) -> np.ndarray:
        """Images `first` to `first + count - 1`, (count, R, R) uint8; all from `first` without.

        Raises:
            ValueError: the bank does not hold so many.
        """
        count = len(self) - first if count is None else count
        if first < 0 or count < 0 or first + count > len(self):
            raise ValueError(
                f"{self.path}: {count} images from number {first} are wanted, it holds {len(self)}"
            )
        return self._images[first : first + count]

    def parts(self, rows: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Images of some rows in the order of the file: places in `rows`, and pixels (n, R, R).

        The file is read by runs of whole chunks, each unpacked once.
        """
        order = np.argsort(rows, kind="stable")
        rows = rows[order]
        step = max(self._chunk, _PART_BYTES // self.resolution**2)
        while len(rows):
            first = rows[0] // self._chunk * self._chunk
            # The run ends at the first chunk that is not needed, or where the block is full.
            needed = np.unique(rows[rows < first + step] // self._chunk)
            gap = np.flatnonzero(np.diff(needed) > 1)
            last = (needed[gap[0]] if len(gap) else needed[-1]) * self._chunk + self._chunk
            n = np.searchsorted(rows, last)
            yield order[:n], self._images[first:last][rows[:n] - first]
            order, rows = order[n:], rows[n:]

    def batches(self, size: int = 1024) -> Iterator[np.ndarray]:
        """All images in order, `size` at a time."""
        for first in range(0, len(self), size):
            yield self._images[first : first + size]


def export_png(
    bank: str | os.PathLike, folder: str | os.PathLike, number: int | None = None
) -> list[Path]:
    """Write a bank's first `number` images (default: all) as PNG, with the notice inside.

    Names are `{finding}_{number}.png`, numbered from 0 as in the bank; the file
    `attributes.json` beside them says what made the bank.

    Returns:
        The images' paths.

    Raises:
        ValueError: the bank does not hold so many.
    """
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    from rarecxr.core.json_file import write_json
    from rarecxr.study.findings import slug

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    with Bank(bank) as source:
        number = len(source) if number is None else number
        if not 0 < number <= len(source):
            raise ValueError(f"{bank}: {number} images are wanted, it holds {len(source)}")
        finding = slug(str(source.attributes["finding"]))
        note = PngInfo()
        note.add_text("Comment", str(source.attributes["notice"]))
        for first in range(0, number, 1024):
            images = source.read(first, min(1024, number - first))
            for place, image in enumerate(images, start=first):
                paths.append(folder / f"{finding}_{place:06d}.png")
                with written_whole(paths[-1]) as temporary:
                    Image.fromarray(image).save(temporary, pnginfo=note)
        write_json(folder / "attributes.json", source.attributes)
    return paths
