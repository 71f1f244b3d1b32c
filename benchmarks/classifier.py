"""Images a second that a classifier trains and predicts, as JSON.

    python benchmarks/classifier.py --architecture densenet121 --resolution 64 --threads 1 2

Steps are those of a run (gather, transform, normalize, loss, Adam) on random pixels. Each
number is the best of several steps, since other jobs on the machine can only slow one down.
"""

import argparse
import json
import platform
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow/scripts"))

import numpy as np
import torch

from rarecxr.classifier.examples import REAL, Examples
from rarecxr.classifier.fitting import Fit, Phase, Procedure, Validation
from rarecxr.classifier.networks import build
from rarecxr.classifier.prediction import BATCH, predict_logits
from rarecxr.core.devices import choose_device
from rarecxr.study.configuration.classifier import TrainingSettings
from rarecxr.study.configuration.training import TransformSettings


class RandomImages:
    """Random pixels in place of a study's, (N, R, R) uint8 on the device."""

    def __init__(self, count, resolution, device):
        shape = (count, resolution, resolution)
        self.pixels = torch.randint(0, 256, shape, dtype=torch.uint8, device=device)

    def batches(self, order, batch):
        """As `rarecxr.classifier.images.DeviceImages`."""
        for chosen in torch.from_numpy(order).to(self.pixels.device).split(batch):
            yield self.pixels[chosen].unsqueeze(1).float().div_(255)


class NoState:
    """A store that holds nothing."""

    def load(self):
        """As `rarecxr.core.resume.ResumeStore`."""


def measure(architecture, resolution, precision, threads, batch, transforms, steps, device):
    """One line of the table: settings, and images a second."""
    torch.set_num_threads(threads)
    where = choose_device(device)
    images = RandomImages(max(4 * batch, 2 * BATCH), resolution, where)
    count = len(images.pixels)
    labels = np.random.default_rng(0).integers(0, 2, (count, 14)).astype(np.float32)
    examples = Examples(np.arange(count), labels, np.full(count, REAL))
    procedure = Procedure(
        settings=TrainingSettings(architecture=architecture, batch_size=batch, schedule="constant"),
        epoch_length=batch,
        transforms=TransformSettings() if transforms else None,
        precision=precision,
        device=where,
        real_images=count,
        seed=0,
    )
    network = build(architecture, 14, resolution, seed=0)
    validation = Validation(np.arange(BATCH), labels[:BATCH], {0: "Edema"})
    phase = Phase("train", examples, 1, 1e-3)
    fit = Fit(network, [phase], images, validation, procedure, NoState())

    def seconds(work):
        times = []
        for _ in range(steps):
            begin = time.perf_counter()
            work()
            if where.type == "cuda":
                torch.cuda.synchronize()
            times.append(time.perf_counter() - begin)
        return min(times)

    network.train()
    rows = torch.arange(batch, device=where)
    step = seconds(
        lambda: fit._step(next(images.batches(np.arange(batch), batch)), fit.labels[rows])
    )
    order = np.arange(BATCH)
    prediction = seconds(
        lambda: predict_logits(
            network, images.batches(order, BATCH), architecture, precision, where
        )
    )
    return {
        "architecture": architecture,
        "resolution_px": resolution,
        "precision": precision,
        "threads": threads,
        "batch": batch,
        "transforms": transforms,
        "device": where.type,
        "training_images_per_s": round(batch / step, 1),
        "prediction_images_per_s": round(BATCH / prediction, 1),
    }


def main():
    """Measure all combinations asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--architecture", default="densenet121")
    parser.add_argument("--resolution", type=int, nargs="+", default=[64])
    parser.add_argument("--precision", nargs="+", default=["fp32", "bf16"])
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--batch", type=int, nargs="+", default=[32])
    parser.add_argument("--transforms", action="store_true")
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--device", default="auto")
    asked = parser.parse_args()
    rows = [
        measure(
            asked.architecture,
            resolution,
            precision,
            threads,
            batch,
            asked.transforms,
            asked.steps,
            asked.device,
        )
        for resolution in asked.resolution
        for precision in asked.precision
        for threads in asked.threads
        for batch in asked.batch
    ]
    machine = {"processor": platform.processor() or platform.machine(), "torch": torch.__version__}
    print(json.dumps({"machine": machine, "results": rows}, indent=2))


if __name__ == "__main__":
    main()
