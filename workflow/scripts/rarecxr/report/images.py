"""Pictures inside the page."""

import base64
import io
from pathlib import Path

import numpy as np
from PIL import Image

from rarecxr.bank.sample_sheet import Sheet, read_sheet

# Side in pixels above which pictures are reduced for the page.
_SHOWN = 128


def sheet(path: str | Path, number: int) -> tuple[Sheet, dict[str, list[str]]]:
    """A bank's sample sheet, and its three rows of pictures as addresses for the page.

    Args:
        path: the file that `rarecxr.bank.sample_sheet` wrote.
        number: images a row at most.
    """
    found = read_sheet(path, number)
    rows = {name: getattr(found, name) for name in ("real", "synthetic", "nearest")}
    return found, {name: [png(image) for image in images] for name, images in rows.items()}


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
