"""Sample sheets: real images, synthetic ones, and the real one that each is nearest to."""

import base64
import io
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from PIL import Image

from rarecxr.data.bank import Bank

# Nearest neighbours are looked for at this side in pixels, where a shift of a pixel does not count.
_COARSE = 32
# Side in pixels above which pictures are reduced for the page.
_SHOWN = 128
_BLOCK = 512


@dataclass(frozen=True)
class Sheet:
    """Pictures of one bank, as PNG files written as text for the page.

    Attributes:
        real: training images of the finding.
        synthetic: images of the bank.
        nearest: for each of `synthetic` the training image nearest to it, pixel by pixel.
        n_real: training images in all.
        n_synthetic: images in the bank.
        attributes: what the bank says about itself.
    """

    real: list[str]
    synthetic: list[str]
    nearest: list[str]
    n_real: int
    n_synthetic: int
    attributes: dict


def sheet(training_set: str | Path, bank: str | Path, number: int) -> Sheet:
    """Some images of a bank beside those that its generator was trained on.

    Images are taken at equal distances, so nobody has picked them; filtered copies of training
    images are left out.

    Args:
        training_set: training_set.h5 of the bank's GAN.
        bank: the bank.
        number: images a row.
    """
    with h5py.File(training_set) as file:
        originals = np.flatnonzero(file["filter"].asstr()[:] == "none")
        images = file["images"]
        chosen = originals[_evenly(len(originals), number)]
        real = [images[place] for place in chosen]
        with Bank(bank) as source:
            places = _evenly(len(source), number)
            synthetic = np.stack([source.read(int(place), 1)[0] for place in places])
            total, attributes = len(source), source.attributes
        nearest = [images[place] for place in _nearest(images, originals, synthetic)]
    return Sheet(
        real=[png(image) for image in real],
        synthetic=[png(image) for image in synthetic],
        nearest=[png(image) for image in nearest],
        n_real=len(originals),
        n_synthetic=total,
        attributes=attributes,
    )


def png(image: np.ndarray) -> str:
    """A grey picture as the address of a PNG file inside a page.

    Args:
        image: (H, W) uint8; pictures wider than the page shows are reduced.
    """
    picture = Image.fromarray(image)
    if picture.width > _SHOWN:
        size = (_SHOWN, round(_SHOWN * picture.height / picture.width))
        picture = picture.resize(size, Image.Resampling.BOX)
    return inline(picture)


def inline(picture: Image.Image) -> str:
    """Any picture as the address of a PNG file inside a page."""
    file = io.BytesIO()
    picture.save(file, "png", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def _evenly(total, number):
    return np.unique(np.linspace(0, total - 1, min(number, total)).astype(int))


def _nearest(images, originals, synthetic):
    """Places of the training images with the smallest mean squared difference to each picture."""
    wanted = _coarse(synthetic)
    best = np.full(len(synthetic), np.inf)
    place = np.full(len(synthetic), originals[0])
    original = np.zeros(len(images), bool)
    original[originals] = True
    for start in range(0, len(images), _BLOCK):
        kept = np.flatnonzero(original[start : start + _BLOCK])
        if not len(kept):
            continue
        block = _coarse(images[start : start + _BLOCK][kept])
        # |a - b|^2 without a table of all differences.
        distance = (wanted**2).sum(1)[:, None] - 2 * wanted @ block.T + (block**2).sum(1)
        nearer = distance.min(axis=1) < best
        best[nearer] = distance.min(axis=1)[nearer]
        place[nearer] = start + kept[distance.argmin(axis=1)[nearer]]
    return place


def _coarse(images):
    """(N, R, R) uint8 as (N, C * C) float64, each pixel the mean of a block."""
    side = images.shape[-1]
    block = max(side // _COARSE, 1)
    small = images.reshape(len(images), side // block, block, side // block, block).mean((2, 4))
    return small.reshape(len(images), -1)
