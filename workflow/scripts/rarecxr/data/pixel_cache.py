"""The pixel cache: every image decoded once, for all that is trained on it.

It is made in shards, consecutive shares of the images, so that machines can share the work and
one that fails costs one share.
"""

import collections
import concurrent.futures
import hashlib
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from rarecxr.core.files import written_whole
from rarecxr.core.job_log import Progress
from rarecxr.core.provenance import provenance
from rarecxr.core.tables import read_csv, read_parquet
from rarecxr.data.decode import Unreadable, decode
from rarecxr.data.fingerprint import write_record
from rarecxr.data.image_bytes import look_at, read_bytes
from rarecxr.data.image_checks import level_percentiles, note, refuse_shared_files
from rarecxr.data.image_file import ImageFile, write_image_file
from rarecxr.data.image_folder import ImageFolder
from rarecxr.study.configuration.pixels import PixelSettings

log = logging.getLogger(__name__)

# Images of one task: few enough for a smooth bar, many enough that handing over costs nothing.
TASK_IMAGES = 16
# Rejected files that an error names.
NAMED = 5
# Columns of the tables of rejected images.
_REASON_TYPES = {"image": str, "row": np.int64, "reason": str}


class _Read(NamedTuple):
    """One image of the cache, and what is known about it."""

    pixels: np.ndarray
    digest: str
    bits: int
    levels: np.ndarray


class CacheFiles(NamedTuple):
    """What `cache_pixels` writes.

    Attributes:
        pixels: the cache (`ImageFile`), with the columns of a shard but `levels`.
        rejected: CSV of what is not in the cache: image, row, reason, patient.
        readable: the rows of the index that are in the cache (Parquet). Whatever follows starts
            from them, so that nothing counts or promises images that cannot be read.
        notes: CSV of what is odd about images that are in the cache: image, row, note, detail
            (`rarecxr.data.image_checks`).
    """

    pixels: str | os.PathLike
    rejected: str | os.PathLike
    readable: str | os.PathLike
    notes: str | os.PathLike


def decode_images(
    images: str | os.PathLike,
    root: str | os.PathLike,
    output: str | os.PathLike,
    rejected: str | os.PathLike,
    settings: PixelSettings,
    threads: int,
    shard: int = 0,
    shards: int = 1,
) -> None:
    """Decode one share of the index's images into a file of its own.

    Files are decoded by `threads` threads (Pillow decodes outside Python's lock), read ahead
    by two tasks a thread and written in the order of the index: memory does not grow with
    the number of images, and the file is the same for any number of threads.

    Args:
        images: the index, `images.parquet`.
        root: the data set's folder, see `ImageFolder`.
        output: the shard (`ImageFile`) with the columns `image` (key), `row` (int64, row of the
            index from 0), `digest` (SHA-256 of the image's file), `bits` (uint8, of a 16-bit file's
            samples, 0 for other files) and `levels` ((N, 5) uint8, percentiles of grey levels).
        rejected: CSV of what is not in the shard: image, row, reason.
        settings: how images are found, decoded and made square.
        threads: number of threads.
        shard: number of this share, from 0. Shares are consecutive; their sizes differ by one
            image at most.
        shards: number of shares.

    Raises:
        ValueError: a link leads out of the root and may not, or more images of this share are
            missing or unreadable than of all may be. They are then listed in a file beside
            `rejected`, `…_all.csv`: no rule declares it as an output, so it outlives the job.
    """
    everything = read_parquet(images, columns=["image"])["image"].tolist()
    start, stop = (len(everything) * number // shards for number in (shard, shard + 1))
    keys = everything[start:stop]
    listed = Path(rejected).with_name(f"{Path(rejected).stem}_all.csv")
    listed.unlink(missing_ok=True)

    folder = ImageFolder(root, settings.follow_links)
    places = {key: folder.place(key) for key in keys}
    _refuse_links_out(folder, places)
    # Missing files first: a wrong root shows in seconds, not after all the rest is decoded.
    looks = ((key, _lacking(place)) for key, place in places.items())
    reasons = {key: reason for key, reason in looks if reason is not None}
    row_of = {key: row for row, key in enumerate(keys, start)}

    def refuse() -> None:
        table = _reasons(reasons, row_of)
        _refuse_too_many(table, len(everything), settings.max_rejected, root, listed)

    refuse()

    known: dict[str, _Read] = {}

    def columns() -> dict[str, Any]:
        # All have been looked at now, and nothing is written if too many were refused.
        refuse()
        found = [known[key] for key in keys if key in known]
        return {
            "image": [key for key in keys if key in known],
            "row": np.array([row_of[key] for key in keys if key in known], np.int64),
            "digest": [each.digest for each in found],
            "bits": np.array([each.bits for each in found], np.uint8),
            "levels": np.array([each.levels for each in found], np.uint8).reshape(-1, 5),
        }

    batches = _decoded(places, settings, threads, known, reasons)
    write_image_file(output, batches, len(keys), settings.resolution, columns)
    _write_table(rejected, _reasons(reasons, row_of))


def cache_pixels(
    images: str | os.PathLike,
    shards: Sequence[str | os.PathLike],
    left_out: Sequence[str | os.PathLike],
    root: str | os.PathLike,
    output: CacheFiles,
    settings: PixelSettings,
    study: str,
    code: str | None = None,
    fingerprint: str | None = None,
    record: str | os.PathLike | None = None,
) -> None:
    """Join the shards of `decode_images` into one file, the same for any number of them.

    Args:
        images: the index, `images.parquet`.
        shards: all shards in their order, and
        left_out: what each of them left out, CSV.
        root: the data set's folder.
        output: the files to write.
        settings: those that the shards were made with.
        study: name of the study.
        code: digest of the code, for the provenance.
        fingerprint: of the images before the first was decoded; None if they are not watched.
        record: where to note which files were decoded, see `write_record`.

    Raises:
        ValueError: the shards are not those of this index, more than `max_rejected` of the
            images are missing or unreadable, or several patients have one and the same image file.
    """
    index = read_parquet(images)
    table = pd.concat([read_csv(path, _REASON_TYPES, _REASON_TYPES) for path in left_out])
    parts = [ImageFile(path) for path in shards]
    columns = {
        name: np.concatenate([part.columns[name] for part in parts]) for name in parts[0].columns
    }
    rows = np.sort(np.concatenate([columns["row"], table["row"]]))
    if not np.array_equal(rows, np.arange(len(index))) or not np.array_equal(
        index["image"].to_numpy()[columns["row"]], columns["image"]
    ):
        raise ValueError(
            f"{Path(shards[0]).parent}: the shards are not those of {images}; "
            "remove the folder, so that they are made anew"
        )
    table["patient"] = index["patient"].to_numpy()[table["row"]]
    rejected = Path(output.rejected)
    listed = rejected.with_name(f"{rejected.stem}_all.csv")
    listed.unlink(missing_ok=True)
    _refuse_too_many(table, len(index), settings.max_rejected, root, listed)
    if len(table):
        log.warning("%d of %d images are not cached, see %s", len(table), len(index), rejected)
    known = pd.DataFrame({name: columns[name] for name in ("image", "row", "digest", "bits")})
    known["patient"] = index["patient"].to_numpy()[columns["row"]]
    same = rejected.with_name(f"{Path(output.pixels).stem}_same_files.csv")
    refuse_shared_files(known.drop(columns="bits"), root, same)

    levels = columns.pop("levels")
    stated = {"resolution": settings.resolution, "square": settings.square}
    made_from = provenance(study, stated, {"images": images}, code=code)
    batches = (batch for part in parts for batch in part.batches())
    checksums = np.concatenate([part.checksums for part in parts])
    write_image_file(
        output.pixels, batches, len(known), settings.resolution, columns, made_from, checksums
    )
    with written_whole(output.readable) as temporary:
        index.iloc[columns["row"]].to_parquet(temporary, index=False)
    _write_table(output.notes, note(known, ImageFile(output.pixels), levels))
    _write_table(rejected, table)
    if fingerprint and record:
        folder = ImageFolder(root, settings.follow_links)
        _write_record(folder, columns, table["image"].tolist(), fingerprint, record)


def _write_record(
    folder: ImageFolder,
    columns: Mapping[str, Sequence],
    rejected: list[str],
    fingerprint: str,
    record: str | os.PathLike,
) -> None:
    """Note which files a cache was made from; rejected ones are read again for their digests."""
    digests = dict(zip(columns["image"], columns["digest"], strict=True))
    for key in rejected:
        try:
            digests[key] = hashlib.sha256(read_bytes(folder.place(key))).hexdigest()
        except Unreadable:
            digests[key] = ""
    write_record(folder, digests, fingerprint, record)


def _refuse_links_out(folder: ImageFolder, places: Mapping[str, str]) -> None:
    outside = {key: folder.leads_out(place) for key, place in places.items()}
    outside = {key: real for key, real in outside.items() if real is not None}
    if outside:
        key, real = next(iter(outside.items()))
        raise ValueError(
            f"{folder.root}: links lead {len(outside)} of {len(places)} images out of this folder, "
            f"the first is {key}, to {real}; set dataset.follow_links to true if these images "
            "belong to the data set, or put the files themselves below the folder"
        )


def _decoded(
    places: dict[str, str],
    settings: PixelSettings,
    threads: int,
    known: dict[str, _Read],
    reasons: dict[str, str],
) -> Iterator[np.ndarray]:
    """Decoded images in the order of `places`, as batches (n, resolution, resolution) uint8.

    Notes what is `known` of every image but its pixels, or in `reasons` why it is left out.
    """

    def decode_task(task: list[str]) -> list[tuple[str, _Read | str]]:
        return [(key, _read(places[key], settings)) for key in task]

    keys = list(places)
    tasks = [keys[start : start + TASK_IMAGES] for start in range(0, len(keys), TASK_IMAGES)]
    with Progress(len(keys), unit="images") as bar:
        for results in _in_order(decode_task, tasks, threads):
            batch = []
            for key, result in results:
                if isinstance(result, str):
                    reasons[key] = result
                else:
                    batch.append(result.pixels)
                    known[key] = result._replace(pixels=None)
            if batch:
                yield np.stack(batch)
            bar.update(len(results))


def _read(path: str, settings: PixelSettings) -> _Read | str:
    """What an image's file decodes to, or why it cannot be used."""
    try:
        data = read_bytes(path)
        pixels, bits = decode(data, settings.resolution, settings.square)
    except Unreadable as error:
        return str(error)
    return _Read(pixels, hashlib.sha256(data).hexdigest(), bits, level_percentiles(pixels))


def _lacking(path: str) -> str | None:
    """Why there is no image file at a path, or None."""
    try:
        look_at(path)
    except Unreadable as error:
        return str(error)
    return None


def _in_order(function: Callable, tasks: Iterable, threads: int) -> Iterator:
    """Results of `function` for all tasks, in their order, few at a time in memory."""
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        waiting = collections.deque()
        for task in tasks:
            waiting.append(pool.submit(function, task))
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _refuse_too_many(
    table: pd.DataFrame,
    total: int,
    max_rejected: float,
    root: str | os.PathLike,
    listed: Path,
) -> None:
    if len(table) <= max_rejected * total:
        return
    _write_table(listed, table)
    first = [
        f"{key}: {reason}" for key, reason in zip(table["image"], table["reason"], strict=True)
    ]
    raise ValueError(
        f"{root}: {len(table)} of {total} images are missing or unreadable, more than "
        f"dataset.max_rejected = {max_rejected:g} allows ({int(max_rejected * total)}); "
        f"all of them are listed in {listed}, the first are\n  " + "\n  ".join(first[:NAMED])
    )


def _reasons(reasons: dict[str, str], row_of: dict[str, int]) -> pd.DataFrame:
    """What is left out and why, in the order of the index: image, row, reason."""
    rejected = [(key, row, reasons[key]) for key, row in row_of.items() if key in reasons]
    return pd.DataFrame(rejected, columns=list(_REASON_TYPES)).astype(_REASON_TYPES)


def _write_table(path: str | os.PathLike, table: pd.DataFrame) -> None:
    with written_whole(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")
