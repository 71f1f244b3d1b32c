"""One image file, decoded to a square of grey levels."""

import io
from typing import NamedTuple

import numpy as np
from PIL import Image

from rarecxr.data.dicom import is_dicom, read_dicom
from rarecxr.data.png16 import is_wide, read_wide
from rarecxr.data.resize import resize_area

# What Pillow raises for broken files, by format and kind of damage.
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, OverflowError)

# Bounds of what one file may cost, far beyond any radiograph: a film of 35 x 43 cm scanned at
# 50 micrometres has 60 million pixels.
MAX_PIXELS = 1 << 26
MAX_ASPECT = 10
# Scans of a progressive JPEG. Encoders make about ten; each costs a pass over the whole image.
MAX_SCANS = 100

# Bits that the samples of a 16-bit file may have: those of detectors, and of 8-bit images.
_DEPTHS = (8, 10, 12, 13, 14, 15, 16)
# Percent of the pixels above black that have to lie within the range: stray bright pixels and
# letters that were written into the image may lie above it.
_WITHIN_PERCENT = 99
# Pixels that are enough to find the range.
_ENOUGH = 1 << 20

# What turns or mirrors an image, by its EXIF orientation (JEITA CP-3451, tag 274).
_UPRIGHT = {
    2: lambda image: image[:, ::-1],
    3: lambda image: image[::-1, ::-1],
    4: lambda image: image[::-1],
    5: lambda image: image.swapaxes(0, 1),
    6: lambda image: image[::-1].swapaxes(0, 1),
    7: lambda image: image[::-1, ::-1].swapaxes(0, 1),
    8: lambda image: image[:, ::-1].swapaxes(0, 1),
}
_ORIENTATION = 274


class Unreadable(Exception):
    """An image that cannot be used; the text says why and names no path."""


class Decoded(NamedTuple):
    """An image's pixels (R, R) uint8, and the bits of a 16-bit file's samples, 0 for others."""

    pixels: np.ndarray
    bits: int


def decode(data: bytes, resolution: int, square: str) -> Decoded:
    """A square image from the bytes of a JPEG, PNG or DICOM file.

    Grey, RGB, RGBA, palette and 1-bit images are taken, of 8 or 16 bits. The image is turned as its
    EXIF orientation says. Colours become luma (ITU-R 601-2), transparent parts black; where all
    pixels are equally transparent, transparency says nothing and is ignored. The middle square is
    cropped or the shorter side padded with black, then the square is resized by area.

    Samples of 16-bit files are scaled from their own range to 0..255. That range is 0..65535 by the
    PNG standard, but files often hold a detector's samples of 12 to 15 bits as they are, which
    would be all but black. So the range is that of the fewest bits (8, 10, or 12 to 16) that hold
    99 % of the samples above 0; what is above it becomes white. DICOM files say themselves what is
    black and white; see `read_dicom`.

    Args:
        data: content of the file.
        resolution: side of the result in pixels.
        square: `crop` or `pad`.

    Returns:
        Grey levels (resolution, resolution) uint8, and the bits that the samples of a 16-bit file
        were taken to have, or 0.

    Raises:
        Unreadable: the file is damaged, is no image, or is too large or too long and narrow.
    """
    grey, bits = _grey(data)
    return Decoded(to_uint8(_squared(grey, resolution, square)), bits)


def to_uint8(values: np.ndarray) -> np.ndarray:
    """Grey levels, rounded (halves to the even level) and kept within 0..255, as uint8."""
    levels = np.rint(values)
    return np.ascontiguousarray(np.clip(levels, 0, 255, out=levels).astype(np.uint8))


def _grey(data: bytes) -> tuple[np.ndarray, int]:
    """Upright grey levels (H, W) from 0 to 255, uint8 or float32, and the bits of `Decoded`."""
    if is_dicom(data):
        return _levels_of_dicom(data), 0
    image = _opened(data)
    transparent = image.info.get("transparency")
    if is_wide(data) and image.format == "PNG":
        try:
            levels, bits = _luma_of_16_bits(read_wide(data), transparent)
        except ValueError as error:
            raise Unreadable(f"damaged: {error}") from None
    elif image.mode in ("I;16", "I;16B", "I;16L", "I"):
        levels, bits = _levels_of_16_bits(np.asarray(image), transparent)
    else:
        levels, bits = _levels_of_8_bits(image), 0
    return _UPRIGHT.get(_orientation(image), lambda upright: upright)(levels), bits


def _levels_of_dicom(data: bytes) -> np.ndarray:
    try:
        levels = read_dicom(data, MAX_PIXELS)
    except ValueError as error:
        raise Unreadable(str(error)) from None
    _refuse_narrow(*levels.shape[::-1])
    return levels


def _opened(data: bytes) -> Image.Image:
    if not data:
        raise Unreadable("the file is empty")
    try:
        image = Image.open(io.BytesIO(data), formats=("JPEG", "PNG"))
        _refuse_extremes(image, data)
        image.load()
    except Image.UnidentifiedImageError:
        raise Unreadable("neither a JPEG nor a PNG nor a DICOM image") from None
    except Image.DecompressionBombError as error:
        raise Unreadable(str(error)) from None
    except _BROKEN as error:
        raise Unreadable(f"damaged: {error}") from None
    return image


def _refuse_extremes(image: Image.Image, data: bytes) -> None:
    """Refuse what would take much memory or time, before any pixel is decoded."""
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise Unreadable(f"{width} x {height} pixels are more than the {MAX_PIXELS} allowed")
    _refuse_narrow(width, height)
    # Within compressed pixels the two bytes of a scan's marker cannot stand side by side.
    scans = data.count(b"\xff\xda") if image.format != "PNG" else 0
    if scans > MAX_SCANS:
        raise Unreadable(f"a JPEG of {scans} scans; up to {MAX_SCANS} are decoded")


def _refuse_narrow(width: int, height: int) -> None:
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise Unreadable(
            f"{width} x {height} pixels: one side is more than {MAX_ASPECT} times the other"
        )


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 (upright) to 8; 1 as well where it is missing or cannot be read."""
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except (*_BROKEN, TypeError, AttributeError):
        return 1


def _levels_of_8_bits(image: Image.Image) -> np.ndarray:
    if image.has_transparency_data:
        image = image.convert("RGBA")
        least, most = image.getchannel("A").getextrema()
        if least < most:
            # Colours under transparent pixels are arbitrary.
            black = Image.new("RGBA", image.size, (0, 0, 0, 255))
            image = Image.alpha_composite(black, image)
    if image.mode not in ("L", "1"):
        # Pillow reaches luma from every colour space through RGB.
        image = image.convert("RGB")
    return np.asarray(image if image.mode == "L" else image.convert("L"))


def _levels_of_16_bits(samples: np.ndarray, transparent: int | None) -> tuple[np.ndarray, int]:
    bits = _bits(samples)
    levels = np.minimum(samples.astype(np.float32) / ((2**bits - 1) / 255), 255)
    if transparent is not None:
        _blacken(levels, samples == transparent)
    return levels, bits


def _luma_of_16_bits(
    samples: np.ndarray, transparent: tuple[int, ...] | None
) -> tuple[np.ndarray, int]:
    """Levels of (H, W, C) samples: grey and alpha, RGB, or RGBA."""
    channels = samples.shape[-1]
    weights = (1.0,) if channels == 2 else (0.299, 0.587, 0.114)
    colours = samples[..., : len(weights)]
    bits = _bits(colours.max(axis=-1))
    luma = sum(
        np.float32(weight) * colours[..., place].astype(np.float32)
        for place, weight in enumerate(weights)
    )
    levels = np.minimum(luma / ((2**bits - 1) / 255), 255)
    if channels != 3 and (alpha := samples[..., -1]).min() < alpha.max():
        levels *= np.minimum(alpha.astype(np.float32) / (2 ** _bits(alpha) - 1), 1)
    elif transparent is not None:
        _blacken(levels, (colours == np.array(transparent)).all(axis=-1))
    return levels, bits


def _blacken(levels: np.ndarray, transparent: np.ndarray) -> None:
    if not transparent.all():
        levels[transparent] = 0


def _bits(samples: np.ndarray) -> int:
    """The fewest bits that hold nearly all samples (H, W) above 0."""
    step = int(np.ceil(np.sqrt(max(1, samples.size / _ENOUGH))))
    some = samples[::step, ::step]
    lit = some[some > 0]
    highest = np.percentile(lit, _WITHIN_PERCENT, method="lower") if lit.size else 0
    return next(bits for bits in _DEPTHS if highest < 2**bits)


def _squared(image: np.ndarray, resolution: int, square: str) -> np.ndarray:
    """A grey image (H, W) as a square of `resolution` pixels, float32."""
    height, width = image.shape
    if square == "pad":
        return resize_area(image, resolution, side=max(height, width))
    if square != "crop":
        raise ValueError(f"square must be crop or pad, got {square!r}")
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return resize_area(image[top : top + side, left : left + side], resolution)
