import io
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps
from png_files import png, with_transparent
from skimage import data

from rarecxr.data import decode as decoding
from rarecxr.data.decode import Unreadable

SIDE = 64
GREY = data.camera()[100:164, 200:264]


def decode(content, resolution, square):
    """The pixels alone."""
    return decoding.decode(content, resolution, square).pixels


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


def test_what_is_equally_transparent_everywhere_is_shown():
    for alpha in (0, 77, 255):
        pixels = decode(encoded(with_alpha(GREY, np.full_like(GREY, alpha))), SIDE, "crop")
        np.testing.assert_array_equal(pixels, GREY)


def test_sixteen_bits_are_averaged_before_they_are_rounded():
    # 200.4 and 201.4 in 8-bit levels: their mean is 200.9, that of the rounded ones 200.5.
    levels = np.array([[51503], [51760]], np.uint16)
    assert (decode(encoded(np.tile(levels, (2, 4))), 2, "crop") == 201).all()
    column = np.tile(np.array([[65535], [0]], np.uint16), (2, 4))
    assert (decode(encoded(column), 2, "crop") == 128).all()


# A radiograph's samples, as a detector of so many bits gives them.
DEPTHS = [8, 10, 12, 13, 14, 15, 16]
LEVELS = GREY.astype(float) / GREY.max()


def samples(bits):
    return np.rint(LEVELS * (2**bits - 1)).astype(np.uint16)


def wide_png(bits, channels, alpha=None, **options):
    """A 16-bit PNG of several channels: grey and alpha (2), RGB (3) or RGBA (4)."""
    grey = samples(bits)
    planes = [grey] * (1 if channels == 2 else 3)
    if channels != 3:
        planes.append(np.full_like(grey, 65535) if alpha is None else alpha)
    return png(np.dstack(planes), **options)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("bits", DEPTHS)
def test_samples_of_a_16_bit_file_are_scaled_from_their_own_range(bits, channels):
    content = encoded(samples(bits)) if channels == 1 else wide_png(bits, channels)
    pixels, found = decoding.decode(content, SIDE, "crop")
    assert found == bits
    # Rounded twice: to whole samples, and to whole levels.
    assert np.abs(pixels - 255 * LEVELS).max() <= 0.5 + 0.5 * 255 / (2**bits - 1)


@pytest.mark.parametrize("channels", [1, 3])
def test_stray_bright_samples_do_not_make_the_rest_dark(channels):
    grey = samples(12)
    strays = np.random.default_rng(0).integers(0, SIDE, (2, 30))
    grey[tuple(strays)] = 65535
    content = encoded(grey) if channels == 1 else png(np.dstack([grey] * 3))
    expected = 255 * LEVELS
    expected[tuple(strays)] = 255
    pixels, bits = decoding.decode(content, SIDE, "crop")
    assert bits == 12
    assert np.abs(pixels - expected).max() <= 0.54


def test_a_black_margin_does_not_hide_the_range():
    grey = np.zeros((256, 256), np.uint16)
    grey[100:116, 100:116] = 16383 - np.arange(256).reshape(16, 16)
    assert decoding.decode(encoded(grey), 256, "crop").bits == 14
    assert (decode(encoded(grey * 0), 8, "crop") == 0).all()


@pytest.mark.parametrize("channels", [2, 4])
def test_alpha_of_16_bits_is_transparency_unless_it_is_the_same_everywhere(channels):
    left = np.zeros((SIDE, SIDE), np.uint16)
    for highest in (4095, 65535):
        left[:, 32:] = highest
        pixels = decode(wide_png(12, channels, left), SIDE, "crop")
        assert (pixels[:, :32] == 0).all()
        assert np.abs(pixels - 255 * LEVELS)[:, 32:].max() <= 0.54
    for alpha in (0, 4095, 40000):
        pixels = decode(wide_png(12, channels, np.full_like(left, alpha)), SIDE, "crop")
        assert np.abs(pixels - 255 * LEVELS).max() <= 0.54


def test_a_transparent_level_or_colour_of_16_bits_is_black():
    grey = samples(16)
    grey[:5] = 40000
    colours = np.dstack([grey, grey, grey])
    for content in (png(grey[..., None]), png(colours)):
        keyed = with_transparent(content, 40000)
        pixels = decode(keyed, SIDE, "crop")
        assert (pixels[:5] == 0).all()
        np.testing.assert_array_equal(pixels[5:], decode(content, SIDE, "crop")[5:])


def test_colours_of_16_bits_become_luma():
    colours = np.zeros((8, 8, 3), np.uint16)
    colours[:] = (60000, 20000, 40000)
    expected = round((0.299 * 60000 + 0.587 * 20000 + 0.114 * 40000) / 257)
    assert (decode(png(colours), 8, "crop") == expected).all()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "16-bit PNG"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_turned_as_their_exif_orientation_says(kind, orientation):
    exif = Image.Exif()
    exif[274] = orientation
    upright = GREY[:40, :60].astype(np.uint16) * 257 if kind[0] == "1" else GREY[:40, :60]
    content = encoded(upright, kind.split()[-1], exif=exif)
    # Pillow's own way; it cannot turn what has several channels of 16 bits.
    turned = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
    np.testing.assert_array_equal(decode(content, 64, "pad"), decode(encoded(turned), 64, "pad"))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_damaged_exif_leaves_the_image_as_it_is():
    content = encoded(GREY, "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    assert np.abs(decode(content, SIDE, "crop").astype(int) - GREY).mean() < 5


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


@pytest.mark.parametrize("square", ["crop", "pad"])
def test_long_and_narrow_images_are_refused_before_they_are_decoded(square):
    content = encoded(Image.new("L", (65500, 1)), "JPEG")
    tracemalloc.start()
    try:
        with pytest.raises(Unreadable, match="65500 x 1 pixels: one side is more than 10 times"):
            decode(content, 64, square)
        assert tracemalloc.get_traced_memory()[1] < 1 << 22
    finally:
        tracemalloc.stop()


def test_padding_takes_no_memory():
    content = encoded(Image.new("L", (4000, 400), 200), "PNG")
    decode(content, 64, "pad")
    tracemalloc.start()
    try:
        assert decode(content, 40, "pad")[20].tolist() == [200] * 40
        # The image as floats, and less than half as much beside it.
        assert tracemalloc.get_traced_memory()[1] < 1.5 * 4 * 4000 * 400
    finally:
        tracemalloc.stop()


def test_too_many_pixels_are_refused_before_they_are_decoded():
    header = b"IHDR" + (8193).to_bytes(4, "big") * 2 + bytes([8, 0, 0, 0, 0])
    content = b"\x89PNG\r\n\x1a\n" + (13).to_bytes(4, "big") + header
    content += zlib.crc32(header).to_bytes(4, "big") + encoded(GREY)[33:]
    with pytest.raises(Unreadable, match="8193 x 8193 pixels are more than the 67108864 allowed"):
        decode(content, 8, "crop")


def test_a_jpeg_of_endless_scans_is_refused():
    content = encoded(GREY, "JPEG", progressive=True)
    last = content.rindex(b"\xff\xda")
    assert decode(content, 8, "crop").shape == (8, 8)
    with pytest.raises(Unreadable, match=r"a JPEG of \d+ scans; up to 100 are decoded"):
        decode(content[:-2] + content[last:-2] * 100 + content[-2:], 8, "crop")


def damaged(data):
    """A PNG whose pixels do not unpack, though every checksum is right."""
    begin = data.index(b"IDAT")
    size = int.from_bytes(data[begin - 4 : begin], "big")
    chunk = b"IDAT" + bytes(size)
    return data[:begin] + chunk + zlib.crc32(chunk).to_bytes(4, "big") + data[begin + 8 + size :]


JPEG = encoded(GREY, "JPEG")
WIDE = wide_png(12, 3)


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
        (WIDE[:-200], "damaged"),
        (damaged(WIDE), "damaged"),
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
