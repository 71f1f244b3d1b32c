import cv2
import numpy as np
import pytest
from png_files import png
from skimage import data

from rarecxr.data.png16 import is_wide, read_wide

RANDOM = np.random.default_rng(0).integers(0, 65536, (23, 18, 4), dtype=np.uint16)


@pytest.mark.parametrize("interlaced", [False, True], ids=["plain", "interlaced"])
@pytest.mark.parametrize("filters", [(0,), (1,), (2,), (3,), (4,), (4, 1, 3, 0, 2)])
@pytest.mark.parametrize("channels", [2, 3, 4])
def test_all_bits_come_back_from_any_filter(channels, filters, interlaced):
    content = png(RANDOM[..., :channels], filters, interlaced)
    assert is_wide(content)
    np.testing.assert_array_equal(read_wide(content), RANDOM[..., :channels])


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (5, 1), (2, 3), (9, 9)])
def test_passes_without_pixels_have_no_rows(size):
    image = RANDOM[: size[0], : size[1], :3]
    np.testing.assert_array_equal(read_wide(png(image, (4, 3), interlaced=True)), image)


def test_files_of_libpng_are_read_as_opencv_reads_them():
    grey = data.camera()[:80, :60].astype(np.uint16) * 200
    image = np.dstack([grey, grey[::-1], grey // 3])
    _, content = cv2.imencode(".png", image)
    # OpenCV's channels are blue, green, red.
    np.testing.assert_array_equal(read_wide(content.tobytes()), image[..., ::-1])


def test_narrow_files_are_none_of_these():
    assert not is_wide(cv2.imencode(".png", RANDOM[..., 0])[1].tobytes())
    assert not is_wide(cv2.imencode(".png", (RANDOM >> 8).astype(np.uint8))[1].tobytes())
    assert not is_wide(cv2.imencode(".jpg", (RANDOM >> 8).astype(np.uint8)[..., :3])[1].tobytes())


def test_what_does_not_unpack_is_refused():
    content = png(RANDOM[..., :3])
    with pytest.raises(ValueError, match="bytes of pixels instead of"):
        read_wide(png(RANDOM[:5, :, :3])[:33] + content[33:60])
    with pytest.raises(ValueError, match="row filter 5 does not exist"):
        read_wide(png(RANDOM[..., :3], (0, 5)))
