"""The pixel cache: every image decoded once, for all that is trained on it."""

import collections
import concurrent.futures
import hashlib
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from rarecxr.data.decode import Unreadable, decode
from rarecxr.data.pixels import REJECTED, shrink, write_columns, write_images
from rarecxr.files import written_whole
from rarecxr.joblog import Progress
from rarecxr.provenance import provenance, write_attributes

log = logging.getLogger(__name__)

# Images of one task: few enough for a smooth bar, many enough that handing over costs nothing.
TASK_IMAGES = 16
# Rejected files that an error names.
NAMED = 5


def cache_pixels(
    images: str | os.PathLike,
    root: str | os.PathLike,
    output: str | os.PathLike,
    rejected: str | os.PathLike,
    resolution: int,
    square: str,
    max_rejected: float,
    threads: int,
    study: str,
    code: str | None = None,
) -> None:
    """Decode every image of the index into one file.

    Files are decoded by `threads` threads (Pillow decodes outside Python's lock), read ahead
    by two tasks a thread and written in the order of the index: memory does not grow with
    the number of images, and the file is the same for any number of threads.

    Args:
        images: the index, `images.parquet`.
        root: folder that the index's keys start from.
        output: the cache (HDF5): `images` (N, resolution, resolution) uint8, `image` (key),
            `row` (int64, row of the index from 0), `digest` (SHA-256 of the image's file).
        rejected: CSV of what is not in the cache: image, row, reason.
        resolution: side of the cached images in pixels.
        square: how an image becomes square, `crop` or `pad`.
        max_rejected: share of the images that may be rejected, 0 to 1.
        threads: number of threads.
        study: name of the study.
        code: digest of the code, for the provenance.

    Raises:
        ValueError: more than `max_rejected` of the images are missing or unreadable. All of
            them are then listed in a file beside `rejected`, `…_rejected_all.csv`, which is
            nobody's output and therefore outlives the job.
    """
    if not 0 <= max_rejected <= 1:
        raise ValueError(f"max_rejected is {max_rejected}; it is a share from 0 to 1")
    keys = pd.read_parquet(images, columns=["image"])["image"].tolist()
    everything = Path(rejected).with_name(f"{Path(rejected).stem}_all.csv")
    everything.unlink(missing_ok=True)

    # Missing files first: a wrong root shows in seconds, not after all the rest is decoded.
    reasons = {key: "missing" for key in keys if not os.path.exists(os.path.join(root, key))}
    _refuse_too_many(reasons, keys, max_rejected, root, everything)

    digests = {}
    made_from = provenance(
        study, {"resolution": resolution, "square": square}, {"images": images}, code=code
    )
    with written_whole(output) as temporary:
        with h5py.File(temporary, "w") as file:
            batches = _decoded(keys, root, resolution, square, threads, digests, reasons)
            count = write_images(file, batches, len(keys), resolution)
        _refuse_too_many(reasons, keys, max_rejected, root, everything)
        if count < len(keys):
            log.warning("%d of %d images are not cached, see %s", len(reasons), len(keys), rejected)
            shrink(temporary, count)
        rows = [row for row, key in enumerate(keys) if key in digests]
        used = [keys[row] for row in rows]
        with h5py.File(temporary, "a") as file:
            digest = [digests[key] for key in used]
            write_columns(file, {"image": used, "row": rows, "digest": digest})
            write_columns(file, {REJECTED: [key for key in keys if key in reasons]})
            # Stands for the content of the file, which is too large to be hashed by every reader.
            content = hashlib.sha256("\n".join([str(made_from), *digest]).encode()).hexdigest()
            write_attributes(file, made_from, content=content)
        _write_reasons(rejected, reasons, keys)


def _decoded(
    keys: list[str],
    root: str | os.PathLike,
    resolution: int,
    square: str,
    threads: int,
    digests: dict[str, str],
    reasons: dict[str, str],
) -> Iterator[np.ndarray]:
    """Decoded images in the order of `keys`, as batches (n, resolution, resolution) uint8.

    Notes the digest of every image in `digests`, or why it is left out in `reasons`.
    """

    def decode_task(task: list[str]) -> list[tuple[str, str, np.ndarray | str]]:
        return [(key, *_read(os.path.join(root, key), resolution, square)) for key in task]

    tasks = [keys[start : start + TASK_IMAGES] for start in range(0, len(keys), TASK_IMAGES)]
    with Progress(len(keys), unit="images") as bar:
        for results in _in_order(decode_task, tasks, threads):
            batch = []
            for key, digest, result in results:
                if isinstance(result, str):
                    reasons[key] = result
                else:
                    digests[key] = digest
                    batch.append(result)
            if batch:
                yield np.stack(batch)
            bar.update(len(results))


def _read(path: str, resolution: int, square: str) -> tuple[str, np.ndarray | str]:
    """Digest of an image's file, and its pixels (resolution, resolution) or why there are none."""
    try:
        with open(path, "rb") as file:
            data = file.read()
        return hashlib.sha256(data).hexdigest(), decode(data, resolution, square)
    except FileNotFoundError:
        return "", "missing"
    except OSError as error:
        return "", f"cannot be read: {error.strerror}"
    except Unreadable as error:
        return "", str(error)


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
    reasons: dict[str, str],
    keys: list[str],
    max_rejected: float,
    root: str | os.PathLike,
    everything: Path,
) -> None:
    if len(reasons) <= max_rejected * len(keys):
        return
    _write_reasons(everything, reasons, keys)
    first = [f"{key}: {reasons[key]}" for key in keys if key in reasons][:NAMED]
    raise ValueError(
        f"{root}: {len(reasons)} of {len(keys)} images are missing or unreadable, more than "
        f"dataset.max_rejected = {max_rejected:g} allows ({int(max_rejected * len(keys))}); "
        f"all of them are listed in {everything}, the first are\n  " + "\n  ".join(first)
    )


def _write_reasons(path: str | os.PathLike, reasons: dict[str, str], keys: list[str]) -> None:
    rejected = [(key, row, reasons[key]) for row, key in enumerate(keys) if key in reasons]
    with written_whole(path) as temporary:
        table = pd.DataFrame(rejected, columns=["image", "row", "reason"])
        table.to_csv(temporary, index=False, lineterminator="\n")
