"""DICOM files become what a viewer shows."""

import io

import numpy as np
import pytest
from format_files import dicom, grey
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.uid import JPEG2000Lossless, JPEGLosslessSV1

from rarecxr.data.decode import MAX_PIXELS, Unreadable, decode
from rarecxr.data.dicom import is_dicom, read_dicom

VALUES = np.array([[0, 1000, 2000, 4095]], np.uint16)


def levels(*arguments, **options):
    return read_dicom(dicom(*arguments, **options), MAX_PIXELS)


def test_without_a_window_the_range_is_that_of_the_values():
    np.testing.assert_allclose(levels(VALUES), VALUES / 4095 * 255, rtol=1e-6)
    np.testing.assert_allclose(levels(VALUES[:, :3]), VALUES[:, :3] / 2000 * 255, rtol=1e-6)
    assert not levels(np.full((2, 2), 7, np.uint16)).any()


def test_a_window_maps_its_width_to_all_grey_levels():
    """The linear function of PS3.3, section C.11.2.1.2.1."""
    found = levels(VALUES, WindowCenter=1500, WindowWidth=1001)
    expected = ((VALUES - 1499.5) / 1000 + 0.5).clip(0, 1) * 255
    np.testing.assert_allclose(found, expected, atol=1e-3)
    first = levels(VALUES, WindowCenter=[1500, 300], WindowWidth=[1001, 9])
    np.testing.assert_array_equal(first, found)


def test_values_are_rescaled_before_they_are_windowed():
    found = levels(
        VALUES, RescaleSlope=2, RescaleIntercept=-100, WindowCenter=1900, WindowWidth=2001
    )
    rescaled = VALUES * 2.0 - 100
    expected = ((rescaled - 1899.5) / 2000 + 0.5).clip(0, 1) * 255
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_monochrome1_is_inverted():
    options = {"WindowCenter": 1500, "WindowWidth": 1001}
    np.testing.assert_allclose(
        levels(VALUES, kind="MONOCHROME1", **options), 255 - levels(VALUES, **options)
    )


def test_a_table_of_levels_is_applied():
    lut = Dataset()
    lut.LUTDescriptor = [4, 0, 8]
    lut.add_new("LUTData", "US", [0, 10, 200, 255])
    stored = np.array([[0, 1, 2, 3, 9]], np.uint16)
    np.testing.assert_allclose(levels(stored, VOILUTSequence=[lut]), [[0, 10, 200, 255, 255]])


def test_jpeg_2000_is_unpacked():
    stored = (np.arange(64 * 64).reshape(64, 64) % 4096).astype(np.uint16)
    file = io.BytesIO()
    Image.fromarray(stored).save(file, "JPEG2000", irreversible=False)
    packed = levels(stored, syntax=JPEG2000Lossless, packed=file.getvalue())
    np.testing.assert_array_equal(packed, levels(stored))


def test_a_file_becomes_a_square_as_any_other_image_does():
    pixels = grey(1).astype(np.uint16) * 16
    data = dicom(pixels, WindowCenter=2048, WindowWidth=4096)
    assert is_dicom(data)
    found = decode(data, 16, "crop")
    file = io.BytesIO()
    Image.fromarray(grey(1)).save(file, "PNG")
    expected = decode(file.getvalue(), 16, "crop")
    assert found.bits == 0
    assert np.abs(found.pixels.astype(int) - expected.pixels).max() <= 1


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (dicom(VALUES)[:-5], "damaged: .*fewer|damaged: .*less"),
        (dicom(VALUES)[:320], "without an image|damaged"),
        (dicom(VALUES, kind="RGB"), "PhotometricInterpretation RGB; takes MONOCHROME1 or MONO"),
        (dicom(VALUES, NumberOfFrames=2), "2 frames; takes a single image"),
        (dicom(VALUES, Rows=60000, Columns=60000), "60000 x 60000 pixels are more than"),
        (dicom(np.zeros((2, 40), np.uint16)), "one side is more than 10 times the other"),
        (
            dicom(VALUES, syntax=JPEGLosslessSV1, packed=b"123"),
            "compressed as JPEG Lossless",
        ),
    ],
)
def test_what_cannot_be_shown_is_left_out_with_a_reason(data, message):
    with pytest.raises(Unreadable, match=message):
        decode(data, 16, "crop")
