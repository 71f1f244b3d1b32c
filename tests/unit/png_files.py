"""PNG files of any channels and filters, written byte by byte, for the tests of decoding."""

import zlib

import numpy as np

_COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
_PASSES = [
    (0, 0, 8, 8),
    (0, 4, 8, 8),
    (4, 0, 8, 4),
    (0, 2, 4, 4),
    (2, 0, 4, 2),
    (0, 1, 2, 2),
    (1, 0, 2, 1),
]


def png(samples, filters=(0,), interlaced=False):
    """A 16-bit PNG of (H, W, C) uint16; the row filters are used in turn."""
    height, width, channels = samples.shape
    passes = _PASSES if interlaced else [(0, 0, 1, 1)]
    rows = b""
    for top, left, down, across in passes:
        part = samples[top::down, left::across]
        if part.size:
            rows += _filtered(part.astype(">u2"), filters)
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    header += bytes([16, _COLOUR_TYPES[channels], 0, 0, int(interlaced)])
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*chunk) for chunk in chunks)


def with_transparent(content, level):
    """The file with a level (or a grey colour) that is transparent."""
    size = 3 if content[25] == 2 else 1
    return content[:33] + _chunk(b"tRNS", level.to_bytes(2, "big") * size) + content[33:]


def _chunk(kind, content):
    body = kind + content
    return len(content).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")


def _filtered(part, filters):
    """Rows under the filters of the PNG specification, pixel by pixel."""
    height, width, channels = part.shape
    size = 2 * channels
    raw = np.frombuffer(part.tobytes(), np.uint8).reshape(height, width * size).astype(int)
    out = bytearray()
    for y in range(height):
        kind = filters[y % len(filters)]
        out.append(kind)
        for i in range(width * size):
            left = raw[y, i - size] if i >= size else 0
            above = raw[y - 1, i] if y else 0
            corner = raw[y - 1, i - size] if y and i >= size else 0
            near = min((left, above, corner), key=lambda v: abs(left + above - corner - v))
            predicted = [0, left, above, (left + above) // 2, near, 0][kind]
            out.append((raw[y, i] - predicted) % 256)
    return bytes(out)
