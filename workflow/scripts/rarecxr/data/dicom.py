"""Grey levels of DICOM files, as a viewer shows them.

pydicom is imported when the first such file is met: most data sets have none.
"""

import io

import numpy as np

# The preamble of a DICOM file (PS3.10, section 7.1).
_PLACE, _MARK = 128, b"DICM"
# Between the lowest and the highest value that a window lets through there is nothing beyond.
_FAR = 1e9


def is_dicom(data: bytes) -> bool:
    """Whether a file's content is DICOM's."""
    return data[_PLACE : _PLACE + 4] == _MARK


def read_dicom(data: bytes, most_pixels: int) -> np.ndarray:
    """Grey levels (H, W) float32 from 0, black, to 255, white.

    Stored values are rescaled (modality LUT, PS3.3 section C.11.1), then windowed by the file's VOI
    LUT or first window (C.11.2); without either the range is that of the image's own values. The
    levels of MONOCHROME1, whose lowest value is white, are inverted.

    Args:
        data: content of the file.
        most_pixels: more are refused before any is decoded.

    Raises:
        ValueError: the file is damaged or no single grey image, no decoder for its compression is
            installed, or pydicom is not.
    """
    try:
        import pydicom
        from pydicom.pixels import apply_modality_lut, apply_voi_lut
    except ImportError:
        raise ValueError("a DICOM file, and pydicom, which reads these, is not installed") from None
    # Deviations from the standard that do not touch the pixels are no matter here.
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    dataset = pydicom.Dataset()
    try:
        dataset = pydicom.dcmread(io.BytesIO(data))
        _check(dataset, most_pixels)
        values = apply_modality_lut(dataset.pixel_array, dataset)
        shown = np.asarray(apply_voi_lut(values, dataset), np.float64)
        low, high = _range(dataset, shown, apply_voi_lut)
    except _Refused:
        raise
    except RuntimeError as error:
        syntax = getattr(getattr(dataset, "file_meta", None), "TransferSyntaxUID", None)
        raise ValueError(
            f"its pixels are compressed as {getattr(syntax, 'name', syntax)}, and no package that "
            f"unpacks this is installed ({str(error).splitlines()[0]}); pydicom uses pylibjpeg or "
            "python-gdcm where it finds them"
        ) from None
    except Exception as error:  # whatever a damaged file makes pydicom and its plugins raise
        raise ValueError(f"damaged: {type(error).__name__}: {error}") from None
    if high <= low:
        levels = np.zeros(shown.shape, np.float32)
    else:
        levels = np.clip((shown - low) * (255 / (high - low)), 0, 255).astype(np.float32)
    return 255 - levels if dataset.PhotometricInterpretation == "MONOCHROME1" else levels


class _Refused(ValueError):
    """A file that is whole and no single grey image."""


def _check(dataset, most_pixels: int) -> None:
    """Refuse what is no single grey image of a sane size, before any pixel is decoded."""
    if "PixelData" not in dataset:
        raise _Refused("a DICOM file without an image")
    kind = str(dataset.get("PhotometricInterpretation", "missing"))
    if kind not in ("MONOCHROME1", "MONOCHROME2"):
        raise _Refused(f"PhotometricInterpretation {kind}; takes MONOCHROME1 or MONOCHROME2")
    if int(dataset.get("NumberOfFrames") or 1) > 1:
        raise _Refused(f"{dataset.NumberOfFrames} frames; takes a single image")
    if dataset.Rows * dataset.Columns > most_pixels:
        raise _Refused(
            f"{dataset.Columns} x {dataset.Rows} pixels are more than the {most_pixels} allowed"
        )


def _range(dataset, shown: np.ndarray, apply_voi_lut) -> tuple[float, float]:
    """The values that are black and white, before any inversion."""
    if "VOILUTSequence" in dataset:
        lut = dataset.VOILUTSequence[0]
        return 0, 2 ** int(lut.LUTDescriptor[2]) - 1
    if "WindowCenter" in dataset and "WindowWidth" in dataset:
        low, high = apply_voi_lut(np.array([-_FAR, _FAR]), dataset)
        return float(low), float(high)
    return float(shown.min()), float(shown.max())
