"""DenseNet-121 at 224 px: training and prediction, images a second, beside the published step.

Ours trains from a real pixel cache, made from JPEGs on the spot: held on the device, and mapped
from disk; beside both the same steps on one fixed batch, which shows whether the network has to
wait for images. The published step is that of torchxrayvision's training script (Cohen et al. 2022,
arXiv 2111.00595): fp32, batch 16, each image read, cropped and resized by scikit-image when its
turn comes, a loss a finding, Adam with amsgrad; images are read in the same process, and by four
workers.
"""

import time
from types import SimpleNamespace

import numpy as np
import pandas as pd
import torch
import torchvision
from benchmarks.classifier import NoState
from benchmarks.pixels import write_jpegs
from shared import (
    Results,
    forget_memory,
    options,
    peak_memory_gib,
    seconds_each,
    seconds_left,
    synchronize,
)
from skimage.io import imread
from skimage.transform import resize

from rarecxr.classifier.examples import REAL, Examples
from rarecxr.classifier.fitting import Fit, Phase, Procedure, Validation
from rarecxr.classifier.images import DeviceImages, MappedImages, Part
from rarecxr.classifier.networks import build
from rarecxr.classifier.prediction import predict_logits
from rarecxr.data.image_file import ImageFile
from rarecxr.data.pixel_cache import CacheFiles, cache_pixels, decode_images
from rarecxr.study.configuration.classifier import TrainingSettings
from rarecxr.study.configuration.pixels import PixelSettings
from rarecxr.study.configuration.training import TransformSettings

FINDINGS = 14


def main():
    asked = options(__doc__.splitlines()[0])
    results = Results(asked, "classifier_step")
    side, count = (32, 64) if asked.tiny else (224, 1024)
    # A cache's side is a power of two; the images are resized when they are loaded.
    cached = 32 if asked.tiny else 256
    architecture = "shufflenet_v2_x0_5" if asked.tiny else "densenet121"
    keys = write_jpegs(asked.work / "jpegs", count)
    begin = time.perf_counter()
    cache = make_cache(asked, keys, cached)
    results["cache_images_per_s"] = count / (time.perf_counter() - begin)
    case = SimpleNamespace(
        asked=asked, cache=cache, keys=keys, side=side, architecture=architecture, count=count
    )

    # The most telling ones first: time may run out.
    precision, batch = ("fp32", 8) if asked.tiny else ("bf16", 32)
    plan = [("training", training, (precision, batch)), ("prediction", prediction, (precision,))]
    if asked.device.type == "cuda":
        plan += [("one_by_one", one_by_one, (32,))]
    if not asked.tiny:
        plan += [
            ("training", training, ("bf16", 128)),
            ("published", published, (4,)),
            ("training", training, ("bf16", 64)),
            ("training", training, ("fp32", 32)),
            ("prediction", prediction, ("fp32",)),
        ]
    plan += [("published", published, (0,))]
    for name, work, arguments in plan:
        if seconds_left() < 6:
            print("no time left")
            return
        results.attempt(name, lambda: work(case, *arguments))  # noqa: B023


def make_cache(asked, keys, side):
    """The pixel cache of these JPEGs, by the stages of a study."""
    work = asked.work
    table = pd.DataFrame({"image": keys, "patient": [key.split("/")[1] for key in keys]})
    images, shard, rejected = work / "jpegs.parquet", work / "jpegs_0.h5", work / "jpegs_0.csv"
    table.to_parquet(images, index=False)
    threads = 1 if asked.tiny else 16
    settings = PixelSettings(resolution=side)
    decode_images(images, work / "jpegs", shard, rejected, settings, threads)
    files = CacheFiles(
        work / "jpegs.h5", work / "jpegs.csv", work / "readable.parquet", work / "notes.csv"
    )
    cache_pixels(images, [shard], [rejected], work / "jpegs", files, settings, "gpu")
    return files.pixels


def fit_on(case, images, precision, batch):
    """A run of `rarecxr.classifier` at its first step."""
    labels = np.random.default_rng(0).integers(0, 2, (case.count, FINDINGS)).astype(np.float32)
    examples = Examples(np.arange(case.count), labels, np.full(case.count, REAL))
    procedure = Procedure(
        settings=TrainingSettings(
            architecture=case.architecture, batch_size=batch, schedule="cosine"
        ),
        epoch_length=case.count,
        transforms=TransformSettings(),
        precision=precision,
        device=case.asked.device,
        real_images=case.count,
        seed=0,
    )
    network = build(case.architecture, FINDINGS, case.side, seed=0)
    validation = Validation(np.arange(8), labels[:8], {0: "Edema"})
    phase = Phase("train", examples, 100, 1e-3)
    return Fit(network, [phase], images, validation, procedure, NoState())


def training(case, precision, batch):
    """Images a second on one fixed batch, from the device's memory, and from a mapped file."""
    device, enough = case.asked.device, 0.2 if case.asked.tiny else 0.8
    part = [Part(ImageFile(case.cache), np.arange(case.count))]
    forget_memory(device)
    resident = DeviceImages(part, case.side, device)
    fit = fit_on(case, resident, precision, batch)
    fit.network.train()
    # Few steps a pass, so that several passes take seconds.
    steps = min(case.count // batch, 8)
    order = np.random.default_rng(1).permutation(case.count)[: steps * batch]
    rows = torch.from_numpy(order).to(device).split(batch)
    fixed = next(resident.batches(order, batch))
    for _ in range(3):  # as many steps as are made before a graph is
        fit._step(fixed, fit.labels[rows[0]])
    once = seconds_each(lambda: fit._step(fixed, fit.labels[rows[0]]), device, enough)

    def passes(images):
        for x, chosen in zip(images.batches(order, batch), rows, strict=True):
            fit._step(x, fit.labels[chosen])

    mapped = MappedImages(part, case.side, device, case.asked.work / "mapped")
    seconds = {
        name: seconds_each(lambda: passes(images), device, enough) / len(rows)  # noqa: B023
        for name, images in (("device", resident), ("mapped", mapped))
    }
    if not torch.isfinite(fit.loss):
        raise ArithmeticError("the loss is not finite")
    return {
        "precision": precision,
        "batch": batch,
        "fixed_images_per_s": batch / once,
        "images_per_s": {name: batch / each for name, each in seconds.items()},
        "starvation": {name: each / once for name, each in seconds.items()},
        "peak_memory_gib": peak_memory_gib(device),
    }


def prediction(case, precision):
    """Images a second of `predict_logits`, from the device's memory and from one fixed batch."""
    device, enough = case.asked.device, 0.2 if case.asked.tiny else 0.8
    images = DeviceImages([Part(ImageFile(case.cache), np.arange(case.count))], case.side, device)
    network = build(case.architecture, FINDINGS, case.side, seed=0)
    network.to(device, memory_format=torch.channels_last)
    order, batch = np.arange(case.count), 64
    fixed = next(images.batches(order, batch))

    def predicted(batches):
        return predict_logits(network, batches, case.architecture, precision, device)

    times = [
        seconds_each(lambda: predicted(images.batches(order, batch)), device, enough),
        seconds_each(lambda: predicted([fixed] * -(-case.count // batch)), device, enough),
    ]
    return {
        "precision": precision,
        "batch": batch,
        "images_per_s": case.count / times[0],
        "starvation": times[0] / times[1],
    }


def one_by_one(case, batch):
    """Training on one fixed batch in bf16, every kernel launched by itself."""
    images = DeviceImages(
        [Part(ImageFile(case.cache), np.arange(case.count))], case.side, case.asked.device
    )
    fit = fit_on(case, images, "bf16", batch)
    fit.network.train()
    fit.graphs.possible = False
    x, labels = next(images.batches(np.arange(batch), batch)), fit.labels[:batch]
    each = seconds_each(lambda: fit._step(x, labels), case.asked.device, 0.8)
    return {"batch": batch, "fixed_images_per_s": batch / each}


class PublishedImages(torch.utils.data.Dataset):
    """Images as the published pipeline reads them: one by one, from their files."""

    def __init__(self, folder, keys, side):
        self.folder, self.keys, self.side = folder, keys, side

    def __len__(self):
        return len(self.keys)

    def __getitem__(self, number):
        image = imread(self.folder / self.keys[number])
        grey = (2 * (image.astype(np.float32) / 255) - 1) * 1024
        height, width = grey.shape
        least = min(height, width)
        top, left = height // 2 - least // 2, width // 2 - least // 2
        square = grey[top : top + least, left : left + least]
        small = resize(square, (self.side, self.side), mode="constant", preserve_range=True)
        return small[None].astype(np.float32), np.float32(np.arange(FINDINGS) % 2)


def published(case, workers):
    """Images a second of the published step, with its images and on one fixed batch."""
    device, batch = case.asked.device, 16
    network = torchvision.models.get_model(case.architecture, weights=None, num_classes=FINDINGS)
    # As in torchxrayvision, the first convolution takes one grey channel.
    name, first = next(
        (name, m) for name, m in network.named_modules() if isinstance(m, torch.nn.Conv2d)
    )
    grey = torch.nn.Conv2d(
        1, first.out_channels, first.kernel_size, first.stride, first.padding, bias=False
    )
    network.set_submodule(name, grey)
    network.to(device).train()
    optimizer = torch.optim.Adam(network.parameters(), 1e-3, weight_decay=1e-5, amsgrad=True)
    criterion = torch.nn.BCEWithLogitsLoss()
    losses = []

    def step(x, labels):
        optimizer.zero_grad()
        outputs = network(x)
        loss = torch.zeros(1, device=device)
        for column in range(FINDINGS):
            known = ~torch.isnan(labels[:, column])
            loss = loss + criterion(outputs[known, column], labels[known, column])
        loss.sum().backward()
        losses.append(loss.detach().cpu().numpy())
        optimizer.step()

    count = 64 if case.asked.tiny or not workers else case.count // 2
    data = PublishedImages(case.asked.work / "jpegs", case.keys[:count], case.side)
    loader = torch.utils.data.DataLoader(
        data, batch, shuffle=True, num_workers=workers, pin_memory=device.type == "cuda",
        drop_last=True, persistent_workers=workers > 0,
    )  # fmt: skip

    def one_pass():
        for x, labels in loader:
            step(x.to(device), labels.to(device))

    x, labels = (value.to(device) for value in next(iter(loader)))
    once = seconds_each(lambda: step(x, labels), device, 0.2 if case.asked.tiny else 0.8)
    one_pass()
    synchronize(device)
    begin = time.perf_counter()
    one_pass()
    synchronize(device)
    each = (time.perf_counter() - begin) / len(loader)
    return {
        "workers": workers,
        "batch": batch,
        "images_per_s": batch / each,
        "fixed_images_per_s": batch / once,
    }


if __name__ == "__main__":
    main()
