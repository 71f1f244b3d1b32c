"""A digest of a data set's image files that changes when one does, taken without reading any.

Needs the standard library alone: the workflow takes it before any job.
"""

import csv
import hashlib
import logging
import os
import stat
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

from rarecxr.core.files import sha256, written_whole
from rarecxr.data.image_folder import ImageFolder

log = logging.getLogger(__name__)

# Size in bytes and time of change in nanoseconds of a regular file; None where there is none.
FileState = tuple[int, int] | None
# Files of new times are read again up to this many bytes in all; more counts as changed.
MOST_BYTES = 50 << 30
_THREADS = 8


def file_states(folder: ImageFolder, keys: Iterable[str]) -> dict[str, FileState]:
    """Size and time of the files of some images, links followed; seconds for 100,000 of them."""
    return {key: _state(folder.place(key)) for key in keys}


def image_fingerprint(states: Mapping[str, FileState]) -> str:
    """Digest of the names, sizes and times of images: 64 hexadecimal digits, in whatever order."""
    digest = hashlib.sha256()
    for key in sorted(states):
        digest.update(f"{key}\t{states[key]}\n".encode())
    return digest.hexdigest()


def known_fingerprint(
    folder: ImageFolder,
    keys: Iterable[str],
    record: str | os.PathLike,
    say: Callable[[str], None] = log.info,
) -> str:
    """The fingerprint of the images, or that of the pixel cache if it was made from the same.

    A copy of a study has files of new times. Where a record says what the cache was made from,
    files of another time and the same size are read and compared by their digests; if all are
    the same, the cache's own fingerprint is given, and the new times are noted in the record.

    Args:
        folder: the images' folder.
        keys: their keys.
        record: what `write_record` wrote; may not be there.
        say: called with a sentence before files are read.
    """
    states = file_states(folder, keys)
    found = _read_record(record)
    if found is None:
        return image_fingerprint(states)
    fingerprint, known = found
    if known.keys() != states.keys():
        return image_fingerprint(states)
    changed = [key for key in states if states[key] != known[key][0]]
    if not changed:
        return fingerprint
    if not _same_contents(folder, changed, states, known, say):
        return image_fingerprint(states)
    digests = {key: digest for key, (_, digest) in known.items()}
    try:
        _write(record, fingerprint, states, digests)
    except OSError as error:
        log.info("%s: the new times cannot be noted: %s", record, error)
    return fingerprint


def write_record(
    folder: ImageFolder,
    digests: Mapping[str, str],
    fingerprint: str,
    record: str | os.PathLike,
) -> None:
    """Note what a pixel cache was made from, for `known_fingerprint`.

    Nothing is written if a file has changed since the fingerprint was taken: it would be noted as
    one that the cache holds.

    Args:
        folder: the images' folder.
        digests: by key of every image the SHA-256 digest of the file that was decoded; empty for
            one that was not.
        fingerprint: of the images, taken before the first was decoded.
        record: the file (CSV), outside of what any rule makes.
    """
    if known_fingerprint(folder, digests, record) != fingerprint:
        log.warning("images have changed since the study started; the next start will notice")
        return
    _write(record, fingerprint, file_states(folder, digests), digests)


def _write(
    record: str | os.PathLike,
    fingerprint: str,
    states: Mapping[str, FileState],
    digests: Mapping[str, str],
) -> None:
    with (
        written_whole(record) as temporary,
        open(temporary, "w", encoding="utf-8", newline="") as file,
    ):
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["fingerprint", fingerprint, "", ""])
        rows.writerows((key, *(state or ("", "")), digests[key]) for key, state in states.items())


def _read_record(
    record: str | os.PathLike,
) -> tuple[str, dict[str, tuple[FileState, str]]] | None:
    """The fingerprint, and by key state and digest; None if there is no record or a broken one."""
    try:
        with open(record, encoding="utf-8", newline="") as file:
            rows = csv.reader(file)
            _, fingerprint, _, _ = next(rows)
            return fingerprint, {
                key: ((int(size), int(time)) if size else None, digest)
                for key, size, time, digest in rows
            }
    except (OSError, ValueError, StopIteration, csv.Error):
        return None


def _same_contents(
    folder: ImageFolder,
    keys: list[str],
    states: Mapping[str, FileState],
    known: Mapping[str, tuple[FileState, str]],
    say: Callable[[str], None],
) -> bool:
    """Whether files of new times are those whose digests are known."""
    total = 0
    for key in keys:
        (state, digest), now = known[key], states[key]
        if now is None or state is None or now[0] != state[0] or not digest:
            return False
        total += now[0]
    if total > MOST_BYTES:
        say(
            f"{len(keys)} images have new times; {total / 2**30:.0f} GiB are too much to compare "
            "with the pixel cache, so they count as changed (`cp -a` and `rsync -a` keep times)"
        )
        return False
    say(
        f"{len(keys)} images have new times: comparing {total / 2**20:.0f} MiB with the pixel cache"
    )

    def same(key: str) -> bool:
        try:
            return sha256(folder.place(key)) == known[key][1]
        except OSError:
            return False

    # Some at a time, so that one that differs ends it.
    with ThreadPoolExecutor(_THREADS) as pool:
        step = 32 * _THREADS
        return all(
            all(pool.map(same, keys[start : start + step])) for start in range(0, len(keys), step)
        )


def _state(path: str) -> FileState:
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        # Not there, a link to nothing or to itself, or no name that a file can have.
        return None
    return (found.st_size, found.st_mtime_ns) if stat.S_ISREG(found.st_mode) else None
