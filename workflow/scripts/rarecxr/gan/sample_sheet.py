"""The sample sheet: what a generator drew over time, above real images."""

import os

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from rarecxr.core.files import written_whole

_MARGIN = 8
_LABEL_WIDTH = 150
_LINE = 20
# Small images are enlarged to about this side, so that a person sees something.
_WANTED_SIDE = 96


def write_sheet(
    path: str | os.PathLike, title: str, rows: list[tuple[str, np.ndarray]], note: str
) -> None:
    """Write a PNG with one labelled row of images for each entry of `rows`.

    Args:
        path: the PNG.
        title: the line above.
        rows: label (lines are parted by a line feed) and images (N, R, R) uint8.
        note: the line below.
    """
    side = rows[0][1].shape[-1]
    scale = max(1, round(_WANTED_SIDE / side))
    cell = side * scale + 2
    columns = max(len(images) for _, images in rows)
    width = _LABEL_WIDTH + columns * cell + 2 * _MARGIN
    height = len(rows) * cell + 2 * _LINE + 3 * _MARGIN
    sheet = Image.new("L", (width, height), 255)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(13)
    draw.text((_MARGIN, _MARGIN), title, font=font, fill=0)
    top = _LINE + _MARGIN
    for label, images in rows:
        draw.multiline_text((_MARGIN, top + cell // 2 - 16), label, font=font, fill=0)
        for column, image in enumerate(images):
            picture = Image.fromarray(image).resize((side * scale, side * scale), Image.NEAREST)
            sheet.paste(picture, (_LABEL_WIDTH + _MARGIN + column * cell, top))
        top += cell
    draw.text((_MARGIN, top + _MARGIN), note, font=font, fill=0)
    with written_whole(path) as temporary:
        sheet.save(temporary)
