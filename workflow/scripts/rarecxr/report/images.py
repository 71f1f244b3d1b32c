"""Pictures inside the page."""

import base64
import io
from pathlib import Path

from PIL import Image

from rarecxr.bank.sample_sheet import Sheet, read_sheet
from rarecxr.core.files import REMEDY, readable

# Widths in pixels that pictures are reduced to: of each finding's first bank, of its others, which
# are folded away, and of the sheets of samples.
FIRST, OTHER, SAMPLES = 128, 64, 560


# Of WebP, from 0 to 100: differences from the original stay below what can be seen.
_QUALITY = 90


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


def inline(picture: Image.Image, width: int) -> str:
    """A picture as the address of a WebP file inside a page, reduced to `width` pixels at most."""
    if picture.width > width:
        size = (width, round(width * picture.height / picture.width))
        picture = picture.resize(size, Image.Resampling.BOX)
    file = io.BytesIO()
    picture.save(file, "webp", quality=_QUALITY)
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode()
