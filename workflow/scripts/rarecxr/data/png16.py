"""PNG files of 16-bit colours, or of 16-bit grey levels with alpha, with all of their bits.

Pillow reads these with 8 bits a sample. Of 12-bit samples, as radiographs have them, only the upper
four bits would be left. PNG's five row filters are those of its specification (W3C Recommendation
of 2003, sections 8.2 and 9).
"""

import zlib

import numpy as np

_SIGNATURE_BYTES = 8
_CHANNELS = {2: 3, 4: 2, 6: 4}  # by colour type: RGB, grey and alpha, RGBA
# First row and column of Adam7's passes, and the distance between their rows and columns.
_PASSES = (
    (0, 0, 8, 8),
    (0, 4, 8, 8),
    (4, 0, 8, 4),
    (0, 2, 4, 4),
    (2, 0, 4, 2),
    (0, 1, 2, 2),
    (1, 0, 2, 1),
)


def is_wide(data: bytes) -> bool:
    """Whether a PNG file has several channels of 16 bits."""
    return data[12:16] == b"IHDR" and data[24] == 16 and data[25] in _CHANNELS


def read_wide(data: bytes) -> np.ndarray:
    """All samples of such a file, (H, W, C) uint16; C is 3 (RGB), 2 (grey, alpha) or 4 (RGBA).

    Args:
        data: a PNG file for which `is_wide` holds and whose checksums Pillow has seen to be right.

    Raises:
        ValueError: the file holds too few pixels, or cannot be unpacked.
    """
    width, height = (int.from_bytes(data[start : start + 4], "big") for start in (16, 20))
    channels, interlaced = _CHANNELS[data[25]], data[28]
    passes = _PASSES if interlaced else ((0, 0, 1, 1),)
    shapes = [
        (len(range(top, height, down)), len(range(left, width, across)))
        for top, left, down, across in passes
    ]
    # A row is a byte that names its filter, and the samples; a pass without pixels has no rows.
    sizes = [rows * (1 + columns * 2 * channels) if columns else 0 for rows, columns in shapes]
    packed = b"".join(_chunks(data, b"IDAT"))
    try:
        unpacked = zlib.decompressobj().decompress(packed, sum(sizes))
    except zlib.error as error:
        raise ValueError(str(error)) from None
    if len(unpacked) < sum(sizes):
        raise ValueError(f"{len(unpacked)} bytes of pixels instead of {sum(sizes)}")
    image = np.empty((height, width, channels), np.uint16)
    begin = 0
    for (top, left, down, across), (rows, columns), size in zip(passes, shapes, sizes, strict=True):
        if size:
            part = np.frombuffer(unpacked, np.uint8, size, begin).reshape(rows, -1)
            filtered = part[:, 1:].reshape(rows, columns, 2 * channels)
            samples = _unfiltered(filtered, part[:, 0]).view(">u2")
            image[top::down, left::across] = samples
            begin += size
    return image


def _chunks(data: bytes, kind: bytes):
    """Content of all chunks of one kind."""
    begin = _SIGNATURE_BYTES
    while begin + 12 <= len(data):
        length = int.from_bytes(data[begin : begin + 4], "big")
        if data[begin + 4 : begin + 8] == kind:
            yield data[begin + 8 : begin + 8 + length]
        begin += 12 + length


def _unfiltered(filtered: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    """Bytes (H, W, B) uint8 of an image from the filtered ones and each row's filter (H,).

    A byte is predicted from those to its left, above, and above to its left. So all bytes on one
    line from the lower left to the upper right can be had at once, from the two lines before.
    """
    if kinds.max() > 4:
        raise ValueError(f"row filter {kinds.max()} does not exist")
    height, width, size = filtered.shape
    # One row and one column of zeros stand for what is outside.
    image = np.zeros((height + 1, width + 1, size), np.uint8)
    for diagonal in range(height + width - 1):
        y = np.arange(max(0, diagonal - width + 1), min(height, diagonal + 1))
        x = diagonal - y
        left = image[y + 1, x].astype(np.int16)
        above = image[y, x + 1].astype(np.int16)
        corner = image[y, x].astype(np.int16)
        kind = kinds[y, None]
        predicted = np.select(
            [kind == 1, kind == 2, kind == 3, kind == 4],
            [left, above, (left + above) >> 1, _paeth(left, above, corner)],
            0,
        )
        image[y + 1, x + 1] = filtered[y, x] + predicted.astype(np.uint8)
    return np.ascontiguousarray(image[1:, 1:])


def _paeth(left: np.ndarray, above: np.ndarray, corner: np.ndarray) -> np.ndarray:
    """Which of the three is nearest to left + above - corner; the first of them on a draw."""
    to_left, to_above = abs(above - corner), abs(left - corner)
    to_corner = abs(left + above - 2 * corner)
    first = (to_left <= to_above) & (to_left <= to_corner)
    return np.where(first, left, np.where(to_above <= to_corner, above, corner))
