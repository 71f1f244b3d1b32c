"""One image file, decoded to a square of grey levels."""

import io

import numpy as np
from PIL import Image

from rarecxr.data.resize import resize_area

# What Pillow raises for broken files, by format and kind of damage.
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, OverflowError)


class Unreadable(Exception):
    """An image that cannot be used; the text says why and names no path."""


def decode(data: bytes, resolution: int, square: str) -> np.ndarray:
    """A square image from the bytes of a JPEG or PNG file.

    Grey, RGB, RGBA, palette and 1-bit images are taken, of 8 or 16 bits. Colours become
    luma (ITU-R 601-2), transparent parts black, and 16-bit grey levels are scaled from
    0..65535 to 0..255, as the PNG standard means them. The middle square is cropped or the
    shorter side padded with black, then the square is resized by area.

    Args:
        data: content of the file.
        resolution: side of the result in pixels.
        square: `crop` or `pad`.

    Returns:
        Grey levels (resolution, resolution), uint8.

    Raises:
        Unreadable: the file is damaged, no image, or 16-bit in name only.
    """
    grey = _grey(_opened(data))
    return to_uint8(resize_area(_squared(grey, square), resolution))


def to_uint8(values: np.ndarray) -> np.ndarray:
    """Grey levels, rounded (halves to the even level) and kept within 0..255, as uint8."""
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _opened(data: bytes) -> Image.Image:
    if not data:
        raise Unreadable("the file is empty")
    try:
        image = Image.open(io.BytesIO(data), formats=("JPEG", "PNG"))
        image.load()
    except Image.UnidentifiedImageError:
        raise Unreadable("neither a JPEG nor a PNG image") from None
    except Image.DecompressionBombError as error:
        raise Unreadable(str(error)) from None
    except _BROKEN as error:
        raise Unreadable(f"damaged: {error}") from None
    return image


def _grey(image: Image.Image) -> np.ndarray:
    """Grey levels (H, W) on the scale 0..255: uint8, or float32 for 16-bit files."""
    if image.mode in ("I;16", "I;16B", "I;16L", "I"):
        return _grey_of_16_bits(np.asarray(image))
    if image.has_transparency_data:
        # Colours under transparent pixels are arbitrary.
        black = Image.new("RGBA", image.size, (0, 0, 0, 255))
        image = Image.alpha_composite(black, image.convert("RGBA"))
    if image.mode not in ("L", "1"):
        # Pillow reaches luma from every colour space through RGB.
        image = image.convert("RGB")
    return np.asarray(image.convert("L"))


def _grey_of_16_bits(values: np.ndarray) -> np.ndarray:
    highest = int(values.max())
    if highest < 4096:
        # 12-bit samples stored as they are would all but vanish on the way to 8 bits.
        raise Unreadable(
            f"its 16-bit grey levels end at {highest} of 65535, so the image would be black: "
            "stretch it to 16 bits or save it with 8"
        )
    return values.astype(np.float32) / 257


def _squared(image: np.ndarray, square: str) -> np.ndarray:
    height, width = image.shape
    if square == "crop":
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        return image[top : top + side, left : left + side]
    if square == "pad":
        side = max(height, width)
        above, before = (side - height) // 2, (side - width) // 2
        return np.pad(image, ((above, side - height - above), (before, side - width - before)))
    raise ValueError(f"square must be crop or pad, got {square!r}")
