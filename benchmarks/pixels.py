"""The way of pixels into training: images a second, memory, and waiting, as a table and JSON.

    python benchmarks/pixels.py cache [--size 390 320] [--images 500]
    python benchmarks/pixels.py memory
    python benchmarks/pixels.py feed
    python benchmarks/pixels.py waiting [--resolution 64]
    python benchmarks/pixels.py watch [--images 200000]

`cache` measures both stages of the pixel cache beside the JPEG decoder alone (Pillow), on one
core; `memory` the peak memory of both stages for N and 8 N images; `feed` images that reach a
training step of 224 pixels from a cache of 256, beside the published way (scikit-image: read,
centre crop, resize, for every image in every epoch); `waiting` the time of a training step with
images from the cache over that with one fixed batch; `watch` how long it takes to look at so many
image files for changes. The images are noise on a smooth ground, JPEGs of the size of
CheXpert-v1.0-small's.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if __name__ == "__main__":
    # In the place of this folder, one of whose files has the name of a module of Python's own.
    sys.path[:1] = [str(ROOT), str(ROOT / "workflow/scripts")]

import numpy as np
import pandas as pd
from benchmarks.timing import in_a_process, in_turns, parser, report
from PIL import Image

from rarecxr.data.fingerprint import file_states, image_fingerprint
from rarecxr.data.image_file import ImageFile, write_image_file
from rarecxr.data.image_folder import ImageFolder
from rarecxr.data.pixel_cache import CacheFiles, cache_pixels, decode_images
from rarecxr.study.configuration.pixels import PixelSettings

SIZE = (390, 320)


def write_jpegs(folder, count, size=SIZE):
    """`count` JPEGs of some detail under the keys that it returns."""
    random = np.random.default_rng(0)
    coarse = random.integers(40, 200, (16, 12, 14), dtype=np.uint8)
    grounds = [
        np.asarray(Image.fromarray(c).resize(size, Image.Resampling.BICUBIC)) for c in coarse
    ]
    keys = [f"train/patient{number:05d}/study1/view1_frontal.jpg" for number in range(count)]
    for number, key in enumerate(keys):
        noise = random.normal(0, 6, size[::-1])
        image = np.clip(grounds[number % len(grounds)] + noise, 0, 255).astype(np.uint8)
        path = Path(folder, key)
        path.parent.mkdir(parents=True)
        Image.fromarray(image).save(path, quality=85)
    return keys


class Jpegs:
    """A data set of JPEGs in a folder, and the stages that make its pixel cache."""

    def __init__(self, folder, count, resolution, size=SIZE):
        self.folder, self.count = Path(folder), count
        self.settings = PixelSettings(resolution=resolution)
        if not (self.folder / "images.parquet").exists():
            keys = write_jpegs(folder, count, size)
            table = pd.DataFrame({"image": keys, "patient": [key.split("/")[1] for key in keys]})
            table.to_parquet(self.folder / "images.parquet", index=False)

    def decoder(self):
        """Pillow alone."""
        for path in sorted(self.folder.glob("train/*/*/*.jpg")):
            with Image.open(path) as image:
                image.load()

    def decode(self, threads=1):
        """Rule decode_images, in one share."""
        images, shard = self.folder / "images.parquet", self.folder / "shard.h5"
        left_out = self.folder / "left_out.csv"
        decode_images(images, self.folder, shard, left_out, self.settings, threads)

    def join(self):
        """Rule cache_pixels."""
        names = ("pixels.h5", "rejected.csv", "readable.parquet", "notes.csv")
        cache_pixels(
            self.folder / "images.parquet",
            [self.folder / "shard.h5"],
            [self.folder / "left_out.csv"],
            self.folder,
            CacheFiles(*(self.folder / name for name in names)),
            self.settings,
            "benchmark",
        )

    def remove(self):
        """Both stages' images, so that none takes time to give back the room of older ones."""
        for name in ("shard.h5", "pixels.h5"):
            (self.folder / name).unlink(missing_ok=True)


def cache(asked, folder):
    """Both stages beside the decoder, by processor time."""
    data = Jpegs(folder, asked.images or 500, asked.resolution or 256, tuple(asked.size))
    works = {"decoder": data.decoder, "decode_images": data.decode, "cache_pixels": data.join}
    seconds = in_turns({"remove": data.remove, **works}, asked.repeats)
    both = seconds["decode_images"] + seconds["cache_pixels"]
    return [
        {
            "JPEG": "x".join(map(str, asked.size)),
            "cache_px": data.settings.resolution,
            "share_of_decoder": seconds["decoder"] / both,
            "decode_images_alone": seconds["decoder"] / seconds["decode_images"],
            "decoder_images_per_s": data.count / seconds["decoder"],
            "cached_images_per_s": data.count / both,
        }
    ]


def memory(asked, folder):
    """Peak memory of both stages, each in a process of its own, for N and 8 N images."""
    rows = []
    for number in (asked.images or 1000, 8 * (asked.images or 1000)):
        part = Path(folder, str(number))
        part.mkdir()
        Jpegs(part, number, asked.resolution or 256)
        for stage in ("decode", "join"):
            arguments = (stage, "--folder", str(part), "--resolution", str(asked.resolution or 256))
            _, _, peak = in_a_process(__file__, arguments)
            rows.append({"stage": stage, "images": number, "peak_MiB": peak})
    return rows


def feed(asked, folder):
    """Images a second at 224 px: in the device's memory, mapped, and read the published way."""
    import torch
    from skimage.io import imread
    from skimage.transform import resize

    from rarecxr.classifier.images import DeviceImages, MappedImages, Part
    from rarecxr.core.processor import use_processor

    use_processor(1)
    side, count, batch = asked.resolution or 224, asked.images or 1000, 16
    data = Jpegs(folder, count, 256)
    data.decode()
    data.join()
    parts = [Part(ImageFile(data.folder / "pixels.h5"), np.arange(count))]
    order = np.random.default_rng(0).permutation(count)
    cpu = torch.device("cpu")
    resident = DeviceImages(parts, side, cpu)
    mapped = MappedImages(parts, side, cpu, data.folder / "scratch")
    few = sorted(data.folder.glob("train/*/*/*.jpg"))[:50]

    def published():
        for path in few:
            image = imread(path).astype(np.float32)
            least = min(image.shape)
            top, left = ((length - least) // 2 for length in image.shape)
            square = image[top : top + least, left : left + least]
            resize(square, (side, side), mode="constant", preserve_range=True)

    def all_of(images):
        for _ in images.batches(order, batch):
            pass

    seconds = in_turns(
        {
            "published": published,
            "resident": lambda: all_of(resident),
            "mapped": lambda: all_of(mapped),
        },
        asked.repeats,
    )
    rate = {name: count / seconds[name] for name in ("resident", "mapped")}
    rate["published"] = len(few) / seconds["published"]
    return [
        {
            "feed": name,
            "px": side,
            "times_published": rate[name] / rate["published"],
            "images_per_s": rate[name],
        }
        for name in rate
    ]


def waiting(asked, folder):
    """Time of a training step with images from the cache, over one with a fixed batch."""
    import torch
    from benchmarks.classifier import fit_on

    from rarecxr.classifier.images import DeviceImages, MappedImages, Part
    from rarecxr.core.processor import use_processor

    use_processor(1)
    side, batch = asked.resolution or 64, 32
    count = asked.images or 20 * batch
    path = Path(folder, "pixels.h5")
    _random_cache(path, count, side)
    parts = [Part(ImageFile(path), np.arange(count))]
    cpu = torch.device("cpu")
    resident = DeviceImages(parts, side, cpu)
    mapped = MappedImages(parts, side, cpu, Path(folder, "scratch"))
    order = np.random.default_rng(0).permutation(count)
    rows = torch.from_numpy(order).split(batch)
    table = []
    for architecture in asked.architecture:
        fit = fit_on(architecture, side, "fp32", batch, resident)
        fit.network.train()
        fixed = next(resident.batches(order, batch))

        def steps(images, fit=fit):
            for x, chosen in zip(images.batches(order, batch), rows, strict=True):
                fit._step(x, fit.labels[chosen])

        def steps_on_fixed(fit=fit, fixed=fixed):
            for chosen in rows:
                fit._step(fixed, fit.labels[chosen])

        seconds = in_turns(
            {
                "fixed": steps_on_fixed,
                "resident": lambda steps=steps: steps(resident),
                "mapped": lambda steps=steps: steps(mapped),
            },
            asked.repeats,
            time.perf_counter,
        )
        table.append(
            {
                "network": architecture,
                "px": side,
                "waiting_in_memory": seconds["resident"] / seconds["fixed"],
                "waiting_mapped": seconds["mapped"] / seconds["fixed"],
                "images_per_s": count / seconds["resident"],
            }
        )
    return table


def _random_cache(path, count, resolution):
    keys = [f"{number}.jpg" for number in range(count)]
    block = np.random.default_rng(0).integers(0, 256, (256, resolution, resolution), np.uint8)
    parts = (block[: min(256, count - start)] for start in range(0, count, 256))
    write_image_file(path, parts, count, resolution, {"image": keys})


def watch(asked, folder):
    """Seconds to look at so many small files, in CheXpert's layout."""
    count = asked.images or 200_000
    keys = [
        f"train/patient{number // 3:05d}/study{number % 3}/view1_frontal.jpg"
        for number in range(count)
    ]
    for key in keys:
        path = Path(folder, key)
        os.makedirs(path.parent)
        path.write_bytes(b"x")
    seconds = in_turns(
        {"watch": lambda: image_fingerprint(file_states(ImageFolder(folder), keys))}, asked.repeats
    )
    return [{"files": count, "seconds": seconds["watch"]}]


PARTS = {"cache": cache, "memory": memory, "feed": feed, "waiting": waiting, "watch": watch}


def main():
    """Measure one part and print its table."""
    options = parser(__doc__.splitlines()[0])
    # The last two are what `memory` starts.
    options.add_argument("part", choices=[*PARTS, "decode", "join"])
    options.add_argument("--images", type=int)
    options.add_argument("--resolution", type=int, help="in pixels")
    options.add_argument("--size", type=int, nargs=2, default=SIZE, help="of the JPEGs of `cache`")
    options.add_argument("--architecture", nargs="+", default=["small_resnet10", "resnet18"])
    options.add_argument("--folder", type=Path)
    asked = options.parse_args()
    if asked.part in ("decode", "join"):
        data = Jpegs(asked.folder, 0, asked.resolution)
        return getattr(data, asked.part)()
    with tempfile.TemporaryDirectory() as folder:
        report(PARTS[asked.part](asked, folder), asked.output)
    return None


if __name__ == "__main__":
    main()
