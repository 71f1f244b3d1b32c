"""What is odd about images that could be read: copies, and grey levels unlike all others'.

An image file that is listed for two patients is refused: one of them could be trained on and the
other tested on. All else is noted, counted and left in.
"""

import hashlib
import logging
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from rarecxr.core.files import written_whole
from rarecxr.data.image_file import ImageFile
from rarecxr.data.image_notes import (
    BITS,
    COPY_OF,
    GREY_LEVELS,
    OTHER_PATIENT,
    SAME_FILE,
    SAME_PIXELS,
)

log = logging.getLogger(__name__)

# Percentiles of an image's grey levels that stand for its histogram.
_PERCENTS = (5, 25, 50, 75, 95)
# Pixels along a side that are enough for them.
_ENOUGH = 128
# An image is unlike the others if its percentiles differ from the typical ones by this many grey
# levels on the average, and by so many times what they do in half of the images. In 1,596 X-rays
# half of the images differ by 21 levels, one by more than 71; a black one would differ by 132.
_UNLIKE_LEVELS = 48
_UNLIKE_TIMES = 3.5
# Fewest grey levels from the lowest to the highest percentile. In the same X-rays it is 80 or more.
_FEWEST_LEVELS = 24
# With fewer images than this there is no typical one.
_FEWEST_IMAGES = 10
# A number of bits is unusual that less than this share of the 16-bit files has.
_RARE_BITS = 0.05
# What an error or a warning names.
_NAMED = 5


def level_percentiles(pixels: np.ndarray) -> np.ndarray:
    """Five percentiles of an image's grey levels (R, R) uint8, as (5,) uint8.

    Of larger images every second, third, … row and column is counted.
    """
    step = max(1, len(pixels) // _ENOUGH)
    pixels = np.ascontiguousarray(pixels[::step, ::step])
    # Pillow counts bytes as they are; NumPy would first make 64-bit integers of them.
    counts = np.cumsum(Image.fromarray(pixels).histogram())
    return np.searchsorted(counts, np.array(_PERCENTS) / 100 * counts[-1]).astype(np.uint8)


def refuse_shared_files(images: pd.DataFrame, root: str, listed: Path) -> None:
    """Refuse files that are listed for several patients.

    Args:
        images: image, row, patient and digest (of the image's file).
        root: folder of the images, for the message.
        listed: CSV that lists all of them if there are any.

    Raises:
        ValueError: there are some.
    """
    listed.unlink(missing_ok=True)
    patients = images.groupby("digest", sort=False)["patient"].transform("nunique")
    shared = images[patients > 1]
    if shared.empty:
        return
    order = shared.groupby("digest")["row"].transform("min")
    shared = shared.iloc[np.lexsort([shared["row"], order])]
    with written_whole(listed) as temporary:
        shared.to_csv(temporary, index=False, lineterminator="\n")
    groups = [list(group) for _, group in shared.groupby("digest", sort=False)["image"]]
    first = "\n  ".join(" and ".join(group[:_NAMED]) for group in groups[:_NAMED])
    raise ValueError(
        f"{root}: image files that are listed for several patients, byte for byte the same: "
        f"{len(groups)}. One patient could be trained on and the other tested on: take the wrong "
        f"rows out of the CSV file, or give them to one patient. All are listed in {listed}, the "
        f"first are\n  {first}"
    )


def note(images: pd.DataFrame, cache: ImageFile, levels: np.ndarray) -> pd.DataFrame:
    """What is odd about the images of a pixel cache; the log gets the numbers.

    Args:
        images: image, row, patient, digest and bits of every image of the cache, in its order.
        cache: the cache.
        levels: `level_percentiles` of each image, (N, 5).

    Returns:
        `NOTE_COLUMNS`: image; row, of the index; note, one of the kinds of
        `rarecxr.data.image_notes`; detail, what was found and what others have. By image and kind
        in the order of the cache.
    """
    notes = [*_copies(images, cache), *_grey_levels(levels), *_bits(images["bits"].to_numpy())]
    notes.sort(key=lambda entry: entry[0])
    places = [place for place, _, _ in notes]
    table = images[["image", "row"]].iloc[places].reset_index(drop=True)
    table["note"] = [kind for _, kind, _ in notes]
    table["detail"] = [detail for _, _, detail in notes]
    for kind, part in table.groupby("note"):
        first = ", ".join(part["image"][:_NAMED])
        log.warning("%s: %d images, the first are %s", kind, len(part), first)
    return table


def _copies(images: pd.DataFrame, cache: ImageFile) -> list[tuple[int, str, str]]:
    # A checksum says which may be equal, and the pixels themselves which are.
    alike = np.flatnonzero(pd.Series(cache.checksums).duplicated(keep=False))
    pixels: dict[str, list[int]] = {}
    for place in alike:
        digest = hashlib.sha256(cache.read([place])).hexdigest()
        pixels.setdefault(digest, []).append(int(place))
    notes = []
    names, patients, files = (images[name].to_numpy() for name in ("image", "patient", "digest"))
    for places in pixels.values():
        for place in places:
            others = [other for other in places if patients[other] != patients[place]]
            if others:
                notes.append((place, OTHER_PATIENT, f"{COPY_OF}{names[others[0]]}"))
        seen: dict[str, int] = {}
        for place in places:
            if (first := seen.setdefault(patients[place], place)) != place:
                kind = SAME_FILE if files[first] == files[place] else SAME_PIXELS
                notes.append((place, kind, f"{COPY_OF}{names[first]}"))
    return notes


def _grey_levels(levels: np.ndarray) -> list[tuple[int, str, str]]:
    found = {}
    for place in np.flatnonzero(levels[:, -1].astype(int) - levels[:, 0] < _FEWEST_LEVELS):
        found[place] = "hardly any contrast"
    if len(levels) >= _FEWEST_IMAGES:
        typical = np.median(levels, axis=0)
        distance = np.abs(levels - typical).mean(axis=1)
        far = max(_UNLIKE_LEVELS, _UNLIKE_TIMES * np.median(distance))
        for place in np.flatnonzero(distance > far):
            found.setdefault(place, f"typical are {_text(typical)}")
        if typical[-1] - typical[0] < _FEWEST_LEVELS:
            log.warning(
                "most images have hardly any contrast: %s of their grey levels from 0 to 255 are "
                "typically %s; were their files scaled to 8 bits the wrong way?",
                "5, 25, 50, 75 and 95 %",
                _text(typical),
            )
    return [
        (int(place), GREY_LEVELS, f"5, 25, 50, 75 and 95 % are {_text(levels[place])}; {why}")
        for place, why in found.items()
    ]


def _bits(bits: np.ndarray) -> list[tuple[int, str, str]]:
    """Images of 16-bit files whose samples were taken to have other bits than most."""
    deep = np.flatnonzero(bits)
    counts = Counter(bits[deep].tolist())
    if not counts:
        return []
    shares = ", ".join(f"{count} files of {each}" for each, count in sorted(counts.items()))
    log.info("bits of the samples that 16-bit files were taken to hold: %s", shares)
    most = max(counts, key=counts.__getitem__)
    rare = {each for each, count in counts.items() if count < _RARE_BITS * len(deep)}
    return [
        (int(place), BITS, f"read as samples of {bits[place]} bits, most 16-bit files of {most}")
        for place in deep
        if bits[place] in rare
    ]


def _text(levels: np.ndarray) -> str:
    return " ".join(f"{level:.0f}" for level in levels)
