"""Small data sets in CheXpert's layout, for the tests of the data stages."""

import os
import socket
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from rarecxr.data.pixel_cache import CacheFiles, cache_pixels, decode_images
from rarecxr.study.configuration.pixels import PixelSettings
from rarecxr.study.findings import FINDINGS

# Of a pixel cache: itself, what it lacks, the index without that, and what is odd.
_CACHE_FILES = (".h5", "_rejected.csv", "_readable.parquet", "_notes.csv")

TARGETS = ["Lung Lesion", "Pleural Other", "Fracture"]


def csv_table(patients, prefix="CheXpert-v1.0-small", folder="train", seed=0):
    """A CSV's content as text: two frontal images and a lateral one a patient."""
    random = np.random.default_rng(seed)
    rows = []
    for patient in patients:
        for study, view in ((1, "AP"), (2, "PA"), (2, "")):
            side = "frontal" if view else "lateral"
            path = f"patient{patient:05d}/study{study}/view1_{side}.jpg"
            labels = random.choice(
                ["", "1.0", "0.0", "-1.0"], len(FINDINGS), p=[0.4, 0.3, 0.2, 0.1]
            )
            rows.append(
                {
                    "Path": "/".join(part for part in (prefix, folder, path) if part),
                    "Sex": random.choice(["Female", "Male", "Unknown"]),
                    "Age": str(random.integers(0, 91)),
                    "Frontal/Lateral": side.capitalize(),
                    "AP/PA": view,
                    **dict(zip(FINDINGS, labels, strict=True)),
                }
            )
    return pd.DataFrame(rows).astype(str)


def write_csv(path, table, **options):
    path = Path(path)
    table.to_csv(path, index=False, lineterminator="\n", **options)
    return path


def index_table(positives, images_each=2):
    """The columns of images.parquet that splitting needs, from patients' positive findings.

    `positives` has one row a patient and one bool column a finding; only the last image of a
    patient is positive, the others are uncertain or blank by turns.
    """
    rows = []
    for patient, row in positives.iterrows():
        for image in range(images_each):
            last = image == images_each - 1
            missing = -1 if image % 2 else np.nan
            labels = {name: 1.0 if row[name] and last else missing for name in positives.columns}
            rows.append({"patient": patient, "csv": "train", **labels})
    return pd.DataFrame(rows, columns=["patient", "csv", *positives.columns])


def write_images(root, keys, seed=0, size=(24, 20)):
    """A smooth random grey JPEG for every key; `size` is (width, height)."""
    random = np.random.default_rng(seed)
    for key in keys:
        path = Path(root, key)
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse = Image.fromarray(random.integers(0, 256, (4, 5), dtype=np.uint8))
        coarse.resize(size, Image.Resampling.BICUBIC).save(path, quality=95)


def patients_of(keys):
    """The patients of images, from their paths."""
    return [key.split("/")[-3] for key in keys]


def cache(folder, images, root, name="pixels", shards=1, threads=1, watched=None, **settings):
    """Decode and join all images, as the rules do: `{name}.h5` and the files beside it."""
    chosen = PixelSettings(**{"resolution": 16, "max_rejected": 0.1, **settings})
    made = []
    for shard in range(shards):
        paths = [folder / f"{name}_{shard}{end}" for end in (".h5", "_rejected.csv")]
        decode_images(images, root, *paths, chosen, threads, shard, shards)
        made.append(paths)
    files = CacheFiles(*(folder / f"{name}{end}" for end in _CACHE_FILES))
    parts = zip(*made, strict=True)
    cache_pixels(images, *parts, root, files, chosen, "test", **(watched or {}))
    return files.pixels


def make_socket(path):
    """A socket in the place of a file."""
    # Its address is short, as addresses of sockets must be.
    here = os.getcwd()
    os.chdir(path.parent)
    try:
        socket.socket(socket.AF_UNIX).bind(path.name)
    finally:
        os.chdir(here)
