"""Sample sheets: real images, synthetic ones, and the training image that each is nearest to."""

import os
from dataclasses import dataclass

import numpy as np

from rarecxr.bank.bank_file import Bank
from rarecxr.core.files import REMEDY, intact, written_whole
from rarecxr.core.order import evenly
from rarecxr.data.image_file import ImageFile, blocks

# Images in each row; a reader may take fewer.
IMAGES = 16
# Nearest neighbours are looked for at this side in pixels, where a shift of a pixel does not count.
_COARSE = 32


@dataclass(frozen=True)
class Sheet:
    """Some images of one bank beside real ones.

    Attributes:
        real: (n, R, R) uint8, real training images of the finding.
        synthetic: (m, R, R) uint8, images of the bank.
        nearest: (m, R, R) uint8, for each of `synthetic` the training image nearest to it, pixel
            by pixel.
        n_real: real training images of the finding in all.
        n_synthetic: images in the bank.
    """

    real: np.ndarray
    synthetic: np.ndarray
    nearest: np.ndarray
    n_real: int
    n_synthetic: int


def write_sheet(
    positives: str | os.PathLike,
    training_set: str | os.PathLike,
    bank: str | os.PathLike,
    output: str | os.PathLike,
    number: int = IMAGES,
) -> None:
    """Write a sheet as a small NPZ file, so that a report need not read banks and training sets.

    Images are taken at equal distances, so nobody has picked them; filtered copies of training
    images are left out.

    Args:
        positives: real training images of the bank's finding (HDF5).
        training_set: what the bank's generator was trained on; may be the same file.
        bank: the bank.
        output: the file to write.
        number: images in each row.
    """
    real = ImageFile(positives)
    originals = real.unfiltered
    with Bank(bank) as source:
        total = len(source)
        places = evenly(np.arange(total), number)
        synthetic = np.stack([source.read(int(place), 1)[0] for place in places])
    training = ImageFile(training_set)
    nearest = _nearest(training, synthetic)
    with written_whole(output) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(
            file,
            real=real.read(evenly(originals, number)),
            synthetic=synthetic,
            nearest=training.read(nearest),
            n_real=len(originals),
            n_synthetic=total,
        )


def read_sheet(path: str | os.PathLike, number: int = IMAGES) -> Sheet:
    """The sheet that `write_sheet` wrote, with at most `number` evenly chosen images in each row.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is damaged, or is no sample sheet.
    """
    path = intact(path)
    try:
        with np.load(path) as file:
            rows = {name: evenly(file[name], number) for name in ("real", "synthetic", "nearest")}
            return Sheet(**rows, n_real=int(file["n_real"]), n_synthetic=int(file["n_synthetic"]))
    except PermissionError:
        raise
    except Exception as error:
        # Whatever a damaged archive raises: its parts are packed in several ways.
        raise ValueError(
            f"{path}: damaged, or no sample sheet of a bank ({error}); {REMEDY}"
        ) from None


def _nearest(images, synthetic):
    """Rows of the unfiltered images with the smallest mean squared difference to each picture."""
    # Not for those who only read a sheet.
    from sklearn.metrics import pairwise_distances_argmin_min

    originals = images.unfiltered
    wanted = _coarse(synthetic)
    best = np.full(len(synthetic), np.inf)
    row = np.full(len(synthetic), originals[0])
    for part in blocks(len(originals), images.resolution**2):
        here = originals[part]
        place, distance = pairwise_distances_argmin_min(wanted, _coarse(images.read(here)))
        nearer = distance < best
        best[nearer], row[nearer] = distance[nearer], here[place[nearer]]
    return row


def _coarse(images):
    """(N, R, R) uint8 as (N, C * C) float64, each pixel the mean of a block."""
    side = images.shape[-1]
    block = max(side // _COARSE, 1)
    small = images.reshape(len(images), side // block, block, side // block, block).mean((2, 4))
    return small.reshape(len(images), -1)
