"""The HDF5 files of real images: pixel cache, training sets and validation sets.

Dataset `images` (N, R, R) uint8 is stored in one uncompressed, unbroken stretch of the file, so
that it can be mapped into memory as it is: training reads the images that it needs at the
disk's speed, whatever their number, and nothing is unpacked. The datasets beside it are columns,
N values or rows each. No other module opens such a file.

Damage is noticed. Every image has a checksum, compared when the image is first read. All else
(columns, checksums, attributes) is sealed by a digest, compared when the file is opened.
"""

import functools
import mmap
import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from rarecxr.core.files import REMEDY, written_whole
from rarecxr.core.hdf5 import checked_content, create_hdf5, open_hdf5, read_attributes
from rarecxr.core.provenance import write_attributes
from rarecxr.study.recipes import NO_FILTER

# Images of one step of a copy, in bytes: large enough for the disk, small beside the memory.
BLOCK_BYTES = 1 << 26

# The column of each image's CRC-32.
_CHECKSUM = "checksum"


class ImageFile:
    """A file of real images, open for reading; an image is read from the disk when it is needed.

    `len(file)` is the number of images N.

    Attributes:
        path: of the file.
        packed: that images must be unpacked to be read, which they need not.
        resolution: side R of the images in pixels.
        attributes: what the file says about itself; nested values are JSON text.
        checksums: each image's CRC-32, (N,) uint32.
        content: SHA-256 that stands for the content of the whole file.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is damaged, or is no file of images.
    """

    packed = False

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)
        with open_hdf5(path) as file:
            self.content = checked_content(path)
            self.attributes = read_attributes(file)
            images, checksums = file.get("images"), file.get(_CHECKSUM)
            # Squares, one after the other, each with its checksum.
            if (
                not isinstance(images, h5py.Dataset)
                or not isinstance(checksums, h5py.Dataset)
                or images.dtype != np.uint8
                or images.ndim != 3
                or images.shape[1] != images.shape[2]
                or checksums.shape != images.shape[:1]
                or (images.size and images.id.get_offset() is None)
            ):
                raise ValueError(f"{path}: no file of images as this workflow writes it; {REMEDY}")
            shape, offset = images.shape, images.id.get_offset()
            self.checksums = checksums[:]
            self._stored = {
                name: dataset[:]
                for name, dataset in file.items()
                if name not in ("images", _CHECKSUM)
            }
        self._seen = np.zeros(len(self.checksums), bool)
        self.resolution = int(shape[-1])
        if len(self):
            with open(path, "rb") as opened:
                self._map = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
            pixels = np.frombuffer(self._map, np.uint8, np.prod(shape), offset)
            self._images = pixels.reshape(shape)
        else:
            self._map, self._images = None, np.empty(shape, np.uint8)

    def __len__(self) -> int:
        return len(self.checksums)

    @functools.cached_property
    def columns(self) -> dict[str, np.ndarray]:
        """By name N values: text as arrays of `str` objects (N,), numbers as they are stored.

        Numbers are (N,) or, as labels are, (N, L).
        """
        return {
            name: values
            if values.dtype.kind not in "SO"
            else np.array([value.decode() for value in values], object)
            for name, values in self._stored.items()
        }

    @property
    def unfiltered(self) -> np.ndarray:
        """Rows (n,) int64 of the images that are no filtered copies of others."""
        if "filter" not in self.columns:
            return np.arange(len(self))
        return np.flatnonzero(self.columns["filter"] == NO_FILTER)

    def rows_of(self, keys: Sequence[str]) -> np.ndarray:
        """Rows (n,) int64 at which the file has the images of `keys`.

        Raises:
            ValueError: a key is not in the file, or the file has several images of one key, as
                training sets with filtered copies have.
        """
        there = self.columns["image"]
        row_of = {key: row for row, key in enumerate(there)}
        if len(row_of) < len(there):
            raise ValueError(f"{self.path}: has several images of one key; choose by its columns")
        missing = [key for key in keys if key not in row_of]
        if missing:
            raise ValueError(
                f"{self.path}: {len(missing)} of {len(keys)} images are not in this file, "
                f"the first is {missing[0]}; it holds other images, or was made from another "
                f"images.parquet: {REMEDY}"
            )
        return np.array([row_of[key] for key in keys], np.int64)

    def read(self, rows: np.ndarray | None = None) -> np.ndarray:
        """The images of some rows, in their order, (n, R, R) uint8 in memory; all without rows.

        Raises:
            ValueError: an image is damaged.
        """
        rows = np.arange(len(self)) if rows is None else np.asarray(rows, np.int64)
        images = np.asarray(self._images[rows])
        for place in np.flatnonzero(~self._seen[rows]):
            row = rows[place]
            if zlib.crc32(images[place]) != self.checksums[row]:
                key = self.columns["image"][row] if "image" in self.columns else "without a name"
                raise ValueError(
                    f"{self.path}: damaged: the pixels of image {row} ({key}) are not those that "
                    f"were written; {REMEDY}"
                )
        self._seen[rows] = True
        return images

    def parts(self, rows: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Images of some rows in the order of the file: places in `rows`, and pixels (n, R, R)."""
        rows = np.asarray(rows, np.int64)
        order = np.argsort(rows, kind="stable")
        for part in blocks(len(rows), self.resolution**2):
            yield order[part], self.read(rows[order[part]])
            self._let_go()

    def batches(self, rows: np.ndarray | None = None) -> Iterator[np.ndarray]:
        """The images of some rows (all without), about `BLOCK_BYTES` at a time."""
        rows = np.arange(len(self)) if rows is None else np.asarray(rows, np.int64)
        for part in blocks(len(rows), self.resolution**2):
            yield self.read(rows[part])
            self._let_go()

    def _let_go(self) -> None:
        """Have what was read counted as this process's memory no longer; it stays readable."""
        if self._map is not None and hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED)


def write_image_file(
    path: str | os.PathLike,
    batches: Iterable[np.ndarray],
    count: int,
    resolution: int,
    columns: Mapping[str, Sequence] | Callable[[], Mapping[str, Sequence]],
    attributes: Mapping[str, Any] | None = None,
    known: np.ndarray | None = None,
) -> None:
    """Write a file of images, whole or not at all.

    Args:
        path: the file.
        batches: arrays (n, resolution, resolution) uint8.
        count: number of images that there is room for; fewer may come.
        resolution: side of an image in pixels.
        columns: one value or row for each image that came, by name; a function is called when all
            have come.
        attributes: plain values that say what the file is.
        known: checksums (count,) of images that come from files which compared them just now;
            of others they are taken here.

    Raises:
        ValueError: more images come than announced, other ones, or a column has another length.
    """
    with written_whole(path) as temporary:
        checked = as_announced(batches, path, count, resolution)
        checksums = _write(temporary, checked, count, resolution, columns, attributes, known)
        if len(checksums) < count:
            # HDF5 cannot take room back from a dataset that is stored in one stretch.
            larger = temporary.with_name(f"{temporary.name}.larger")
            os.replace(temporary, larger)
            try:
                with open_hdf5(larger) as file:
                    images = file["images"]
                    parts = blocks(len(checksums), resolution**2)
                    came = (images[part] for part in parts)
                    _write(temporary, came, len(checksums), resolution, columns, attributes)
            finally:
                larger.unlink()


def blocks(count: int, image_bytes: int) -> Iterator[slice]:
    """Consecutive slices of 0..count, each of about `BLOCK_BYTES`."""
    step = max(1, BLOCK_BYTES // max(1, image_bytes))
    return (slice(start, min(start + step, count)) for start in range(0, count, step))


def as_announced(
    batches: Iterable[np.ndarray], path: str | os.PathLike, count: int, resolution: int
) -> Iterator[np.ndarray]:
    """The batches, each checked before it is passed on.

    Args:
        batches: images as (n, resolution, resolution) uint8.
        path: the file that they are for, for messages.
        count: number of images at most.
        resolution: side of the images in pixels.

    Raises:
        ValueError: a batch is of another type or shape, or there are more images.
    """
    done = 0
    for batch in batches:
        if batch.dtype != np.uint8 or batch.shape[1:] != (resolution, resolution):
            raise ValueError(
                f"{path}: a batch is {batch.dtype} of shape {batch.shape}; "
                f"uint8 of (n, {resolution}, {resolution}) is wanted"
            )
        done += len(batch)
        if done > count:
            raise ValueError(f"{path}: more than the {count} images that were announced")
        yield batch


def _write(path, batches, count, resolution, columns, attributes, known=None) -> list[int]:
    """The images' checksums; columns and attributes are only written if `count` images came."""
    with create_hdf5(path) as file:
        shape = (count, resolution, resolution)
        images = file.create_dataset("images", shape, np.uint8, chunks=None)
        checksums: list[int] = []
        for batch in batches:
            start = len(checksums)
            stop = start + len(batch)
            images[start:stop] = batch
            if known is None:
                checksums += [zlib.crc32(np.ascontiguousarray(image)) for image in batch]
            else:
                checksums += known[start:stop].tolist()
        if len(checksums) < count:
            return checksums
        columns = columns() if callable(columns) else columns
        for name, values in {**columns, _CHECKSUM: np.array(checksums, np.uint32)}.items():
            if len(values) != count:
                raise ValueError(f"{path}: {len(values)} values of {name} for {count} images")
            _write_column(file, name, values)
        write_attributes(file, attributes or {})
    return checksums


def _write_column(file: h5py.File, name: str, values: Sequence) -> None:
    """Numbers as they are, text as UTF-8 of fixed length.

    Text of variable length would lie scattered over the file and be slow to read.
    """
    array = np.asarray(values)
    dtype = array.dtype
    if dtype.kind in "OU":
        encoded = [value.encode() for value in values]
        dtype = h5py.string_dtype("utf-8", max(map(len, encoded), default=1) or 1)
        array = np.array(encoded, dtype)
    file.create_dataset(name, data=array, dtype=dtype)
