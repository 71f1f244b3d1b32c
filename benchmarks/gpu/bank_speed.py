"""A bank of synthetic images, drawn and read back, beside the generator's own speed."""

import time
from types import SimpleNamespace

import numpy as np
import torch
from shared import Results, options, seconds_each, seconds_left

from rarecxr.bank.bank_file import Bank
from rarecxr.bank.generate import BankInputs, make_bank
from rarecxr.core.files import sha256
from rarecxr.data.image_file import write_image_file
from rarecxr.gan.checkpoint import write_checkpoint
from rarecxr.gan.networks import build_networks
from rarecxr.study.configuration.bank import BankSettings
from rarecxr.study.place import Place

BATCH = 64


def main():
    asked = options(__doc__.splitlines()[0])
    results = Results(asked, "bank_speed")
    for side, count in [(16, 1024)] if asked.tiny else [(256, 8192), (64, 32768), (128, 16384)]:
        if seconds_left() < 6:
            return
        results.attempt("banks", lambda: drawn_and_read(asked, side, count))  # noqa: B023


def drawn_and_read(asked, side, count):
    """Images a second: of the generator alone, into a new bank, and out of it."""
    width = (
        {"fmap_base": 64, "fmap_max": 16} if asked.tiny else {"fmap_base": 8192, "fmap_max": 512}
    )
    settings = {"resolution": side, "latent_size": 512, "group_size": 4, **width}
    generator, critic = build_networks(settings)
    files = SimpleNamespace(
        images=asked.work / f"bank_images_{side}.h5",
        generator=asked.work / f"bank_generator_{side}.pt",
        bank=asked.work / f"bank_{side}.h5",
        small=asked.work / f"bank_{side}_small.h5",
    )
    black = np.zeros((2, side, side), np.uint8)
    columns = {"filter": ["none"] * 2, "patient": ["patient0", "patient1"]}
    made = {"finding": "Lung Lesion", "recipe": "plain", "fraction": 100.0, "draw": 0}
    write_image_file(files.images, [black], 2, side, columns, made)
    about = {"inputs": {"images": sha256(files.images)}}
    settings |= {"label_size": 0, "label_names": []}
    write_checkpoint(files.generator, generator, critic, settings, about)

    generator.to(asked.device, memory_format=torch.channels_last)
    latents = torch.randn(BATCH, 512, device=asked.device)
    with torch.inference_mode():
        forward = seconds_each(lambda: generator(latents), asked.device, 0.5)

    def write(path, number):
        begin = time.perf_counter()
        wanted = BankSettings(
            number=number,
            select=None,
            batch_size=BATCH,
            threads=1 if asked.tiny else 16,
            device=asked.device.type,
        )
        inputs = BankInputs(files.generator, files.images)
        make_bank(inputs, path, wanted, Place("gpu", "Lung Lesion", "plain", 100.0, 0))
        return time.perf_counter() - begin

    # What a bank of any size costs, reading the checkpoint above all, is not part of the rate.
    few = 2 * BATCH
    write(files.small, few)
    start = write(files.small, few)
    written = write(files.bank, count)
    begin = time.perf_counter()
    with Bank(files.bank) as bank:
        read = 0
        for images in bank.batches(256):
            read += len(images)
            if time.perf_counter() - begin > 2:
                break
    back = time.perf_counter() - begin
    return {
        "resolution": side,
        "images": count,
        "generator_images_per_s": BATCH / forward,
        "written_images_per_s": (count - few) / (written - start),
        "seconds_of_few": start,
        "read_images_per_s": read / back,
        "mib": files.bank.stat().st_size / 2**20,
    }


if __name__ == "__main__":
    main()
