"""Images a second of the pixel cache, into it and out of it, as JSON.

    python benchmarks/pixels.py --images 2000 --threads 1 2
    python benchmarks/pixels.py --images 0 --files 200000

The images are noise on a smooth ground, JPEGs of the size of CheXpert-v1.0-small's. `--files`
measures how long it takes to look at that many image files for changes.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow/scripts"))

import numpy as np
import pandas as pd
from PIL import Image

from rarecxr.data.fingerprint import file_states, image_fingerprint
from rarecxr.data.image_file import ImageFile, write_image_file
from rarecxr.data.image_folder import ImageFolder
from rarecxr.data.pixel_cache import decode_images
from rarecxr.study.configuration.pixels import PixelSettings

SIZE = (390, 320)


def write_jpegs(folder, count):
    """`count` JPEGs of some detail under the keys that it returns."""
    random = np.random.default_rng(0)
    coarse = random.integers(40, 200, (16, 12, 14), dtype=np.uint8)
    grounds = [
        np.asarray(Image.fromarray(c).resize(SIZE, Image.Resampling.BICUBIC)) for c in coarse
    ]
    keys = [f"train/patient{number:05d}/study1/view1_frontal.jpg" for number in range(count)]
    for number, key in enumerate(keys):
        noise = random.normal(0, 6, SIZE[::-1])
        image = np.clip(grounds[number % len(grounds)] + noise, 0, 255).astype(np.uint8)
        path = Path(folder, key)
        path.parent.mkdir(parents=True)
        Image.fromarray(image).save(path, quality=85)
    return keys


def caching(folder, count, resolution, threads):
    """Images a second from JPEG to cache, by number of threads."""
    pd.DataFrame({"image": write_jpegs(folder, count)}).to_parquet(Path(folder, "images.parquet"))
    rates = {}
    for number in threads:
        start = time.perf_counter()
        decode_images(
            images=Path(folder, "images.parquet"),
            root=folder,
            output=Path(folder, "pixels.h5"),
            rejected=Path(folder, "rejected.csv"),
            settings=PixelSettings(resolution=resolution),
            threads=number,
        )
        rates[number] = round(count / (time.perf_counter() - start))
    return rates


def reading(folder, count, resolution):
    """Images a second from the cache, in random order: copied at once, and mapped by batches."""
    path, random = Path(folder, "read.h5"), np.random.default_rng(0)
    keys = [f"{number}.jpg" for number in range(count)]
    block = random.integers(0, 256, (256, resolution, resolution), dtype=np.uint8)
    parts = (block[: min(256, count - start)] for start in range(0, count, 256))
    write_image_file(path, parts, count, resolution, {"image": keys})
    order = random.permutation(count)
    start = time.perf_counter()
    images = ImageFile(path)
    images.read(images.rows_of([keys[row] for row in order]))
    copied = time.perf_counter() - start
    # Every image is compared with its checksum only once.
    start = time.perf_counter()
    for batch in np.array_split(order, max(1, count // 32)):
        images.read(batch)
    mapped = time.perf_counter() - start
    return {"read_images": round(count / copied), "mapped_batches": round(count / mapped)}


def watching(folder, count):
    """Seconds to look at `count` small files, in CheXpert's layout."""
    keys = [
        f"train/patient{number // 3:05d}/study{number % 3}/view1_frontal.jpg"
        for number in range(count)
    ]
    for key in keys:
        path = Path(folder, "watched", key)
        os.makedirs(path.parent)
        path.write_bytes(b"x")
    times = []
    for _ in range(3):
        start = time.perf_counter()
        image_fingerprint(file_states(ImageFolder(Path(folder, "watched")), keys))
        times.append(time.perf_counter() - start)
    return round(min(times), 2)


def main():
    """Measure what is asked for and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--resolution", type=int, default=256, help="of the cache, in pixels")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--files", type=int, default=0, help="files to look at for changes")
    arguments = parser.parse_args()
    results = {"resolution": arguments.resolution}
    with tempfile.TemporaryDirectory() as folder:
        if arguments.images:
            sizes = arguments.images, arguments.resolution
            results["cached_images_per_s"] = caching(folder, *sizes, arguments.threads)
            results["read_images_per_s"] = reading(folder, *sizes)
        if arguments.files:
            results["files"] = arguments.files
            results["watch_images_s"] = watching(folder, arguments.files)
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
