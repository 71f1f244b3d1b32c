"""Speed and memory of the stages between pixels and report, beside their own goal, as a table.

    python benchmarks/stages.py filters
    python benchmarks/stages.py banks [--resolution 64]
    python benchmarks/stages.py bank-memory

`filters` makes a filtered training set of 256 pixels (rule make_training_set, three filters) in
two processes, as two findings' jobs on two cores, and scales the time to 10,000 images; `banks`
measures a bank's writing beside the generator alone and reading it back, on one core;
`bank-memory` the peak memory of writing N and 8 N images.
"""

import multiprocessing
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if __name__ in ("__main__", "__mp_main__"):
    # In the place of this folder, one of whose files has the name of a module of Python's own.
    sys.path[:1] = [str(ROOT), str(ROOT / "workflow/scripts")]

import numpy as np
from benchmarks.timing import in_a_process, in_turns, median, parser, report

from rarecxr.data.filters import apply
from rarecxr.data.image_file import ImageFile, write_image_file

FILTERS = {
    "gaussian": {"kind": "gaussian", "size_px": 5, "sigma_px": 1.1},
    "minimum": {"kind": "minimum", "size_px": 3},
    "unsharp": {"kind": "unsharp", "sigma_px": 2.0, "amount": 1.0},
}


def pixels(path, count, resolution):
    """A pixel cache of random images."""
    keys = [f"train/patient{number:05d}/study1/view1_frontal.jpg" for number in range(count)]
    block = np.random.default_rng(0).integers(0, 256, (256, resolution, resolution), np.uint8)
    parts = (block[: min(256, count - first)] for first in range(0, count, 256))
    write_image_file(path, parts, count, resolution, {"image": keys})
    return keys


def filters(asked, folder):
    """Seconds of all filters over 10,000 images on two cores, and of each on one."""
    count, resolution = asked.images or 1000, asked.resolution or 256
    for number in range(2):
        files_of_a_fraction(Path(folder, str(number)), count, resolution)
    context = multiprocessing.get_context("spawn")
    with context.Pool(2) as pool:
        jobs = [str(Path(folder, str(number))) for number in range(2)]
        seconds = in_turns(
            {"both": lambda: pool.map(filtered_set, jobs, 1)}, asked.repeats, time.perf_counter
        )
        used = [sum(pool.map(filtered_set, jobs, 1)) for _ in range(asked.repeats)]
    of_all = 10_000 * seconds["both"] / (2 * count)
    images = ImageFile(Path(folder, "0/pixels.h5")).read(np.arange(200))
    each = in_turns(
        {name: lambda given=given: apply(images, **given) for name, given in FILTERS.items()},
        asked.repeats,
    )
    return [
        {
            "px": resolution,
            "wall_s_10000_on_2_cores": of_all,
            # What it would be if nothing else used them.
            "CPU_s_10000_on_2_cores": 10_000 * median(used) / (2 * count) / 2,
            **{f"{name}_images_per_s": len(images) / value for name, value in each.items()},
        }
    ]


def files_of_a_fraction(folder, count, resolution):
    """What rule make_training_set reads, all images of one finding."""
    import pandas as pd

    folder.mkdir()
    keys = pixels(folder / "pixels.h5", count, resolution)
    patients = [key.split("/")[1] for key in keys]
    table = pd.DataFrame({"image": keys, "patient": patients, "Fracture": 1.0})
    table.to_parquet(folder / "labels.parquet", index=False)
    pd.DataFrame({"patient": patients, "split": "train"}).to_csv(folder / "split.csv", index=False)
    ranks = np.arange(count)
    pd.DataFrame({"patient": patients, "rank": ranks, "minimum": 0}).to_csv(
        folder / "draw0.csv", index=False
    )


def filtered_set(folder):
    """Rule make_training_set; the processor seconds that it took."""
    from rarecxr.data.training_set import make_training_set
    from rarecxr.study.configuration.image_sets import TrainingSetSettings
    from rarecxr.study.place import Place

    folder, begin = Path(folder), time.process_time()
    make_training_set(
        pixels=folder / "pixels.h5",
        labels=folder / "labels.parquet",
        split=folder / "split.csv",
        draw_csv=folder / "draw0.csv",
        output=folder / "training_set.h5",
        place=Place("benchmark", "Fracture", "filtered", 100.0, 0),
        settings=TrainingSetSettings.of(
            {
                "resolution": ImageFile(folder / "pixels.h5").resolution,
                "filters": FILTERS,
                "findings": ["Fracture"],
                "target_findings": ["Fracture"],
            }
        ),
    )
    return time.process_time() - begin


class Generator:
    """A generator of full width with random weights, and rule make_bank with it."""

    def __init__(self, folder, resolution, fmap_base, create):
        self.folder, self.resolution = Path(folder), resolution
        self.generator, self.images = self.folder / "generator.pt", self.folder / "images.h5"
        if create:
            self._create(fmap_base)

    def _create(self, fmap_base):
        import torch

        from rarecxr.core.files import sha256
        from rarecxr.gan.checkpoint import write_checkpoint
        from rarecxr.gan.networks import build_networks

        settings = {"resolution": self.resolution, "latent_size": 512, "group_size": 4}
        settings |= {"fmap_base": fmap_base, "fmap_max": 512}
        torch.manual_seed(0)
        networks = build_networks(settings)
        side = self.resolution
        columns = {"filter": ["none"] * 2, "patient": ["patient0", "patient1"]}
        made = {"finding": "Fracture", "recipe": "plain", "fraction": 100.0, "draw": 0}
        write_image_file(self.images, [np.zeros((2, side, side), np.uint8)], 2, side, columns, made)
        about = {"inputs": {"images": sha256(self.images)}}
        settings |= {"label_size": 0, "label_names": []}
        write_checkpoint(self.generator, *networks, settings, about)

    def write(self, count, batch=32):
        """Rule make_bank, on one thread."""
        from rarecxr.bank.generate import BankInputs, make_bank
        from rarecxr.study.configuration.bank import BankSettings
        from rarecxr.study.place import Place

        settings = BankSettings(
            number=count, select=None, batch_size=batch, threads=1, device="cpu"
        )
        inputs = BankInputs(self.generator, self.images)
        bank = self.folder / f"bank_{count}.h5"
        make_bank(inputs, bank, settings, Place("benchmark", "Fracture", "plain", 100.0, 0))
        return bank


def banks(asked, folder):
    """The generator alone, the same images into a bank, and out of it, by processor time."""
    import torch

    from rarecxr.bank.bank_file import Bank
    from rarecxr.bank.generate import bank_latents
    from rarecxr.core.processor import use_processor
    from rarecxr.gan.checkpoint import networks_from, read_checkpoint

    use_processor(1)
    side, batch = asked.resolution or 64, 32
    few, count = 2 * batch, asked.images or 512
    made = Generator(folder, side, asked.fmap_base, create=True)
    network = networks_from(read_checkpoint(made.generator))[0]
    network.eval().to(memory_format=torch.channels_last)

    def alone():
        with torch.inference_mode():
            for first in range(0, count - few, batch):
                network(bank_latents(0, first, batch, 512))

    # What a bank of any size costs, reading the checkpoint above all, is not part of the rate.
    seconds = in_turns(
        {
            "generator": alone,
            "few": lambda: made.write(few),
            "written": lambda: made.write(count),
        },
        asked.repeats,
    )
    read = made.folder / "read.h5"
    number = 8192 * 64**2 // side**2
    write_random_bank(read, number, side)

    def out():
        with Bank(read) as bank:
            for _ in bank.batches():
                pass

    back = in_turns({"read": out}, asked.repeats)["read"]
    written = seconds["written"] - seconds["few"]
    return [
        {
            "px": side,
            "fmap_base": asked.fmap_base,
            "share_of_generator": seconds["generator"] / written,
            "generator_images_per_s": (count - few) / seconds["generator"],
            "written_images_per_s": (count - few) / written,
            "read_images_per_s": number / back,
        }
    ]


def write_random_bank(path, count, resolution):
    """A bank of images that compress as X-rays do: a smooth ground with little noise."""
    from rarecxr.bank.bank_file import write_bank

    random = np.random.default_rng(0)
    ground = np.linspace(40, 200, resolution)[:, None] + random.normal(
        0, 3, (256, resolution, resolution)
    )
    block = np.clip(np.rint(ground), 0, 255).astype(np.uint8)
    parts = (block[: min(256, count - first)] for first in range(0, count, 256))
    write_bank(path, count, resolution, parts, {"finding": "Fracture", "study": "benchmark"})


def bank_memory(asked, folder):
    """Peak memory of rule make_bank for N and 8 N images, each in a process of its own."""
    side, number = asked.resolution or 64, asked.images or 512
    Generator(folder, side, asked.fmap_base, create=True)
    rows = []
    for count in (number, 8 * number):
        arguments = ["write", "--folder", folder, "--images", str(count)]
        _, _, peak = in_a_process(__file__, [*arguments, "--resolution", str(side)])
        rows.append({"px": side, "images": count, "peak_MiB": peak})
    return rows


PARTS = {"filters": filters, "banks": banks, "bank-memory": bank_memory}


def main():
    """Measure one part and print its table."""
    options = parser(__doc__.splitlines()[0], repeats=3)
    # The last is what `bank-memory` starts.
    options.add_argument("part", choices=[*PARTS, "write"])
    options.add_argument("--images", type=int)
    options.add_argument("--resolution", type=int, help="in pixels")
    options.add_argument("--fmap-base", type=int, default=8192, help="width of the generator")
    options.add_argument("--folder", type=Path)
    asked = options.parse_args()
    if asked.part == "write":
        Generator(asked.folder, asked.resolution, 0, create=False).write(asked.images)
        return
    with tempfile.TemporaryDirectory() as folder:
        report(PARTS[asked.part](asked, folder), asked.output)


if __name__ == "__main__":
    main()
