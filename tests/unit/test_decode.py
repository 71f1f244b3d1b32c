import io
import zlib

import numpy as np
import pytest
from PIL import Image
from skimage import data

from rarecxr.data.decode import Unreadable, decode

SIDE = 64
GREY = data.camera()[100:164, 200:264]


def encoded(image, kind="PNG", **options):
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def with_alpha(grey, alpha):
    return np.dstack([grey, grey, grey, alpha]).astype(np.uint8)


FORMATS = {
    "grey PNG": encoded(GREY),
    "RGB PNG": encoded(np.dstack([GREY] * 3)),
    "RGBA PNG": encoded(with_alpha(GREY, np.full_like(GREY, 255))),
    "grey PNG with alpha": encoded(Image.fromarray(with_alpha(GREY, GREY * 0 + 255)).convert("LA")),
    "palette PNG": encoded(Image.fromarray(GREY).convert("RGB").quantize(256)),
    "optimised PNG": encoded(GREY, optimize=True),
    "16-bit PNG": encoded(GREY.astype(np.uint16) * 257),
}


@pytest.mark.parametrize("name", FORMATS)
def test_formats_hold_the_same_image(name):
    pixels = decode(FORMATS[name], SIDE, "crop")
    assert pixels.dtype == np.uint8
    # A palette of 256 colours may be built for another set of greys than all that are there.
    assert np.abs(pixels.astype(int) - GREY).max() <= (1 if "palette" in name else 0)


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_jpeg_is_taken_in_grey_and_colour(mode):
    image = Image.fromarray(GREY).convert("RGB").convert(mode)
    pixels = decode(encoded(image, "JPEG", quality=95), SIDE, "crop")
    assert np.abs(pixels.astype(int) - GREY).mean() < 2


def test_one_bit_is_black_and_white():
    bits = GREY > 128
    pixels = decode(encoded(Image.fromarray(bits)), SIDE, "crop")
    np.testing.assert_array_equal(pixels, np.where(bits, 255, 0))


def test_colours_become_luma():
    colours = np.zeros((8, 8, 3), np.uint8)
    colours[:] = (200, 100, 50)
    expected = round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)
    assert (decode(encoded(colours), 8, "crop") == expected).all()


def test_what_is_transparent_is_black():
    alpha = np.zeros((SIDE, SIDE), np.uint8)
    alpha[:, 32:] = 255
    pixels = decode(encoded(with_alpha(GREY, alpha)), SIDE, "crop")
    assert (pixels[:, :32] == 0).all()
    np.testing.assert_array_equal(pixels[:, 32:], GREY[:, 32:])


def test_sixteen_bits_are_averaged_before_they_are_rounded():
    # 100.4 and 101.4 in 8-bit levels: their mean is 100.9, that of the rounded ones 100.5.
    levels = np.array([[25803], [26060]], np.uint16)
    assert (decode(encoded(np.tile(levels, (2, 4))), 2, "crop") == 101).all()
    column = np.tile(np.array([[65535], [0]], np.uint16), (2, 4))
    assert (decode(encoded(column), 2, "crop") == 128).all()


def test_unscaled_12_bits_are_refused_rather_than_black():
    with pytest.raises(Unreadable, match="16-bit grey levels end at 4000 of 65535"):
        decode(encoded(np.linspace(0, 4000, 256, dtype=np.uint16).reshape(16, 16)), 16, "crop")


def test_the_middle_is_cropped():
    wide = np.zeros((10, 30), np.uint8)
    wide[:, 10:20] = 200
    assert (decode(encoded(wide), 10, "crop") == 200).all()
    assert (decode(encoded(wide.T.copy()), 10, "crop") == 200).all()
    assert (decode(encoded(wide), 5, "crop") == 200).all()


def test_the_shorter_side_is_padded_with_black():
    wide = np.full((10, 30), 200, np.uint8)
    expected = np.zeros((30, 30))
    expected[10:20] = 200
    np.testing.assert_array_equal(decode(encoded(wide), 30, "pad"), expected)
    np.testing.assert_array_equal(decode(encoded(wide.T.copy()), 30, "pad"), expected.T)


def test_square_is_crop_or_pad():
    with pytest.raises(ValueError, match="square must be crop or pad, got 'stretch'"):
        decode(FORMATS["grey PNG"], 8, "stretch")


def damaged(data):
    """A PNG whose pixels do not unpack, though every checksum is right."""
    begin = data.index(b"IDAT")
    size = int.from_bytes(data[begin - 4 : begin], "big")
    chunk = b"IDAT" + bytes(size)
    return data[:begin] + chunk + zlib.crc32(chunk).to_bytes(4, "big") + data[begin + 8 + size :]


JPEG = encoded(GREY, "JPEG")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"not an image at all", "neither a JPEG nor a PNG"),
        (encoded(GREY, "BMP"), "neither a JPEG nor a PNG"),
        (JPEG[: len(JPEG) // 2], "damaged: image file is truncated"),
        (JPEG[:30], "neither a JPEG nor a PNG|damaged"),
        (FORMATS["grey PNG"][:-200], "damaged"),
        (damaged(FORMATS["grey PNG"]), "damaged"),
        (FORMATS["grey PNG"][:20], "neither a JPEG nor a PNG|damaged"),
    ],
)
def test_what_is_no_whole_image_is_unreadable(content, reason):
    with pytest.raises(Unreadable, match=reason) as first:
        decode(content, 8, "crop")
    with pytest.raises(Unreadable) as second:
        decode(content, 8, "crop")
    # The reason goes into a file: it names no address in memory.
    assert str(first.value) == str(second.value)
    assert "0x" not in str(first.value)
