"""Pictures inside the page."""

import base64
import io
from pathlib import Path

from PIL import Image

from rarecxr.bank.sample_sheet import Sheet, read_sheet
from rarecxr.core.files import REMEDY, readable
from rarecxr.gan import sample_sheet

# Widths in pixels that pictures are reduced to: of each finding's first bank, of its others, which
# are folded away, and of the sheets of samples.
FIRST, OTHER, SAMPLES = 128, 64, 360

# Rows of real images at the end of a GAN's sample sheet.
REAL_ROWS = 2

# Of WebP, from 0 to 100: differences from the original stay below what can be seen.
_QUALITY = 90
# Of rows of many small images over a training, of which a page may have hundreds.
SAMPLES_QUALITY = 60


def sheet(path: str | Path, number: int, width: int) -> tuple[Sheet, dict[str, list[str]]]:
    """A bank's sample sheet, and its three rows of pictures as addresses for the page.

    Args:
        path: the file that `rarecxr.bank.sample_sheet` wrote.
        number: images per row at most.
        width: of a picture in pixels, at most.
    """
    found = read_sheet(path, number)
    rows = {name: getattr(found, name) for name in ("real", "synthetic", "nearest")}
    return found, {
        name: [inline(Image.fromarray(image), width) for image in images]
        for name, images in rows.items()
    }


def read_picture(path: str | Path) -> Image.Image:
    """A PNG file's grey levels.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is damaged, or no PNG file.
    """
    try:
        with Image.open(readable(path), formats=("PNG",)) as picture:
            return picture.convert("L")
    except (FileNotFoundError, PermissionError):
        raise
    # Whatever Pillow raises for damaged files; the checksums of a PNG are among what it checks.
    except (OSError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path}: damaged, or not a PNG file ({error}); {REMEDY}") from None


def over_training(samples: str | Path, sheet: str | Path) -> tuple[list[Image.Image], Image.Image]:
    """The rows of a GAN's sample sheet: one for each snapshot, and the real images below them.

    Args:
        samples: the PNG file, as `rarecxr.gan.sample_sheet` draws it.
        sheet: the sheet of a bank of this GAN, whose images have the same side.

    Raises:
        ValueError: the file is damaged, or has too few rows for such a sheet.
    """
    picture = read_picture(samples)
    side = read_sheet(sheet, 1).synthetic.shape[-1]
    row = side * max(1, round(sample_sheet._WANTED_SIDE / side)) + 2
    top = sample_sheet._LINE + sample_sheet._MARGIN
    rows = (picture.height - 2 * sample_sheet._LINE - 3 * sample_sheet._MARGIN) // row
    last = rows - REAL_ROWS
    if last < 1:
        raise ValueError(
            f"{samples}: has no row of generated images of {side} pixels above {REAL_ROWS} of real "
            f"ones; {REMEDY}"
        )

    def part(first: int, number: int) -> Image.Image:
        return picture.crop((0, top + first * row, picture.width, top + (first + number) * row))

    return [part(place, 1) for place in range(last)], part(last, REAL_ROWS)


def inline(picture: Image.Image, width: int, quality: int = _QUALITY) -> str:
    """A picture as the address of a WebP file inside a page, reduced to `width` pixels at most."""
    if picture.width > width:
        size = (width, round(width * picture.height / picture.width))
        picture = picture.resize(size, Image.Resampling.BOX)
    file = io.BytesIO()
    picture.save(file, "webp", quality=quality)
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode()
