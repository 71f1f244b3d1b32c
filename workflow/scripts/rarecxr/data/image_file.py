"""The HDF5 files of real images: the pixel cache and the GANs' training sets.

Dataset `images` (N, R, R) uint8 lies in one uncompressed, unbroken stretch of the file, so
that it can be mapped into memory as it is: training reads the images that it needs at the
disk's speed, whatever their number, and nothing is unpacked. The one-dimensional datasets
beside it are columns, one value an image.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence

import h5py
import numpy as np

# Images of one step of a copy, in bytes: large enough for the disk, small beside the memory.
BLOCK_BYTES = 1 << 26
# Not a column: keys of the images that are not in the file because they could not be read.
REJECTED = "rejected"


def read_columns(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """All columns by name: text as arrays of `str` objects (N,), numbers as they are stored."""
    with h5py.File(path) as file:
        return {
            name: _column(dataset)
            for name, dataset in file.items()
            if dataset.ndim == 1 and name != REJECTED
        }


def read_rejected(path: str | os.PathLike) -> list[str]:
    """Keys of the images that a pixel cache lacks because they could not be read."""
    with h5py.File(path) as file:
        return list(_column(file[REJECTED]))


def map_images(path: str | os.PathLike) -> np.memmap:
    """All images (N, R, R) uint8, read only and mapped: they are read when they are used.

    Raises:
        ValueError: the images are compressed or chunked, so this file is none of ours.
    """
    with h5py.File(path) as file:
        dataset = file["images"]
        offset = dataset.id.get_offset()
        if offset is None or dataset.dtype != np.uint8:
            raise ValueError(
                f"{path}: the images cannot be mapped into memory, since they are not stored "
                "as one uncompressed block of bytes; make the file anew"
            )
        shape = dataset.shape
    return np.memmap(path, np.uint8, mode="r", offset=offset, shape=shape)


def read_images(path: str | os.PathLike, keys: Sequence[str]) -> np.ndarray:
    """The images of `keys`, in their order, as (n, R, R) uint8 in memory.

    The file is read from its beginning to its end, whatever the order of the keys.

    Raises:
        ValueError: a key is not in the file.
    """
    rows = rows_of(path, keys)
    images = map_images(path)
    found = np.empty((len(rows), *images.shape[1:]), np.uint8)
    order = np.argsort(rows, kind="stable")
    for part in blocks(len(rows), images[:1].nbytes):
        found[order[part]] = images[rows[order[part]]]
    return found


def rows_of(path: str | os.PathLike, keys: Sequence[str]) -> np.ndarray:
    """Rows (n,) int64 at which the images of `keys` stand in the file.

    Raises:
        ValueError: a key is not in the file, or the file has several images of one key, as
            training sets with filtered copies have.
    """
    with h5py.File(path) as file:
        there = _column(file["image"])
    row_of = {key: row for row, key in enumerate(there)}
    if len(row_of) < len(there):
        raise ValueError(f"{path}: has several images of one key; choose by its columns")
    missing = [key for key in keys if key not in row_of]
    if missing:
        raise ValueError(
            f"{path}: {len(missing)} of {len(keys)} images are not in this file, "
            f"the first is {missing[0]}; was it made from another images.parquet?"
        )
    return np.array([row_of[key] for key in keys], np.int64)


def write_images(
    file: h5py.File, batches: Iterable[np.ndarray], count: int, resolution: int
) -> int:
    """Write up to `count` images into a new file as they come.

    Args:
        file: the file, open for writing.
        batches: arrays (n, resolution, resolution) uint8.
        count: number of images that there is room for. If fewer come, `shrink` the file.
        resolution: side of an image in pixels.

    Returns:
        The number of images that came.
    """
    shape = (count, resolution, resolution)
    dataset = file.create_dataset("images", shape, np.uint8, chunks=None)
    written = 0
    for batch in batches:
        dataset[written : written + len(batch)] = batch
        written += len(batch)
    return written


def shrink(path: str | os.PathLike, count: int) -> None:
    """Keep the first `count` images of a file that holds nothing else.

    HDF5 cannot take room back from a dataset that lies in one stretch, so they are copied.
    """
    smaller = f"{path}.shrunk"
    with h5py.File(path) as old, h5py.File(smaller, "w") as new:
        images = old["images"]
        parts = blocks(count, images.shape[1] * images.shape[2])
        write_images(new, (images[part] for part in parts), count, images.shape[1])
    os.replace(smaller, path)


def write_columns(file: h5py.File, columns: Mapping[str, Sequence]) -> None:
    """Write columns, one value an image: numbers as they are, text as UTF-8 of fixed length.

    Text of variable length would lie scattered over the file and be slow to read.
    """
    for name, values in columns.items():
        array = np.asarray(values)
        if array.dtype.kind in "OU":
            encoded = [value.encode() for value in values]
            longest = max(map(len, encoded), default=1)
            dtype = h5py.string_dtype("utf-8", max(longest, 1))
            array = np.array(encoded, dtype)
        else:
            dtype = array.dtype
        file.create_dataset(name, data=array, dtype=dtype)


def blocks(count: int, image_bytes: int) -> Iterator[slice]:
    """Consecutive slices of 0..count, each of about `BLOCK_BYTES`."""
    step = max(1, BLOCK_BYTES // max(1, image_bytes))
    return (slice(start, min(start + step, count)) for start in range(0, count, step))


def _column(dataset: h5py.Dataset) -> np.ndarray:
    return dataset.asstr()[:] if h5py.check_string_dtype(dataset.dtype) else dataset[:]
