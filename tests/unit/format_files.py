"""Tiny data sets in the layout of each publisher, with the images that the tables name."""

import gzip
from pathlib import Path

import numpy as np
from PIL import Image


def grey(seed, size=(28, 24)):
    """A smooth random image (H, W) uint8, another one for each seed."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 5), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC))


def write_text(path, lines):
    """Lines as a UTF-8 file, packed where the name ends with .gz."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    data = "".join(f"{line}\n" for line in lines).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def write_image(path, seed, bits=8):
    """A grey image of 8 or 16 bits in the format of its name."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = grey(seed)
    Image.fromarray(pixels if bits == 8 else pixels.astype(np.uint16) * 16).save(path)


NIH_HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]"
)


def nih_line(patient, follow_up, labels, age="57", sex="M", view="PA"):
    """A line of NIH's list."""
    image = f"{patient:08d}_{follow_up:03d}.png"
    return f"{image},{labels},{follow_up},{patient},{age},{sex},{view},2682,2749,0.143,0.143"


def nih(root, lines, tested=()):
    """ChestX-ray14: the list, the archives as they unpack, and the official test set."""
    write_text(Path(root, "Data_Entry_2017_v2020.csv"), [NIH_HEADER, *lines])
    for number, line in enumerate(lines):
        name = line.partition(",")[0]
        write_image(Path(root, f"images_{number % 3 + 1:03d}/images", name), number)
    if tested:
        write_text(Path(root, "test_list.txt"), tested)
    return root
