"""Where the time of a classifier's training step goes, and what share of the processor it uses.

    python benchmarks/classifier.py --resolution 32 64 --threads 1
    python benchmarks/classifier.py --architecture densenet121 --resolution 64 --precision bf16

Steps are those of a run (gather, transform, normalize, loss, Adam) on random pixels. Beside the
whole step, its parts by themselves: what comes before the network, the network's two passes, and
the optimizer. `share_of_peak` is the step's convolutions and matrix products a second, over those
of the fastest convolution among some that a network of this kind might have, measured in turns with
the step. With --output, a JSON file.
"""

import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if __name__ == "__main__":
    # In the place of this folder, one of whose files has the name of a module of Python's own.
    sys.path[:1] = [str(ROOT), str(ROOT / "workflow/scripts")]

import numpy as np
import torch
from benchmarks.timing import in_turns, parser, report
from torch.utils.flop_counter import FlopCounterMode

from rarecxr.classifier.examples import REAL, Examples
from rarecxr.classifier.fitting import Fit, Phase, Procedure, Validation
from rarecxr.classifier.networks import build, network_input
from rarecxr.classifier.prediction import BATCH, predict_logits
from rarecxr.core.devices import autocast, choose_device
from rarecxr.core.losses import masked_bce
from rarecxr.core.processor import use_processor
from rarecxr.study.configuration.classifier import TrainingSettings
from rarecxr.study.configuration.training import TransformSettings

FINDINGS = 14
# Channels and side of the 3 x 3 convolutions that the peak is taken from, and the batch.
SHAPES = ((64, 32), (128, 16), (256, 16))
SHAPE_BATCH = 32


class RandomImages:
    """Random pixels in place of a study's, (N, R, R) uint8 on the device."""

    def __init__(self, count, resolution, device):
        shape = (count, resolution, resolution)
        self.pixels = torch.randint(0, 256, shape, dtype=torch.uint8, device=device)

    def __len__(self):
        return len(self.pixels)

    def batches(self, order, batch):
        """As `rarecxr.classifier.images.DeviceImages`."""
        for chosen in torch.from_numpy(order).to(self.pixels.device).split(batch):
            yield self.pixels.index_select(0, chosen).unsqueeze(1).float().div_(255)


class NoState:
    """A store that holds nothing."""

    def load(self):
        """As `rarecxr.core.resume.ResumeStore`."""


def fit_on(architecture, resolution, precision, batch, images, transforms=False, device="cpu"):
    """A run of `rarecxr.classifier` at its first step."""
    count = len(images)
    labels = np.random.default_rng(0).integers(0, 2, (count, FINDINGS)).astype(np.float32)
    procedure = Procedure(
        settings=TrainingSettings(architecture=architecture, batch_size=batch, schedule="constant"),
        epoch_length=batch,
        transforms=TransformSettings() if transforms else None,
        precision=precision,
        device=torch.device(device),
        real_images=count,
        seed=0,
    )
    examples = Examples(np.arange(count), labels, np.full(count, REAL))
    network = build(architecture, FINDINGS, resolution, seed=0)
    validation = Validation(np.arange(1), labels[:1], {0: "Edema"})
    phase = Phase("train", examples, 1, 1e-3)
    return Fit(network, [phase], images, validation, procedure, NoState())


def convolutions(precision, device):
    """Works that are one convolution each, by name, and their operations."""
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    works, operations = {}, {}
    for channels, side in SHAPES:
        layer = torch.nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        layer = layer.to(device, dtype, memory_format=torch.channels_last)
        x = torch.randn(SHAPE_BATCH, channels, side, side, device=device, dtype=dtype)
        x = x.contiguous(memory_format=torch.channels_last)
        name = f"{channels} channels, {side} px"
        works[name] = _without_gradients(layer, x)
        operations[name] = 2 * 9 * channels**2 * side**2 * SHAPE_BATCH
    return works, operations


def _without_gradients(layer, x):
    def work():
        with torch.inference_mode():
            for _ in range(8):
                layer(x)

    return work


def measure(asked, architecture, resolution, precision, threads, batch):
    """One line of the table."""
    use_processor(threads)
    device = choose_device(asked.device)
    images = RandomImages(max(4 * batch, 2 * BATCH), resolution, device)
    fit = fit_on(architecture, resolution, precision, batch, images, asked.transforms, device)
    network = fit.network.train()
    rows = torch.arange(batch, device=device)
    order = np.arange(batch)
    fixed = network_input(next(images.batches(order, batch)), architecture)
    steps = 4

    def synchronize():
        if device.type == "cuda":
            torch.cuda.synchronize()

    def repeated(work):
        def works():
            for _ in range(steps):
                work()
            synchronize()

        return works

    def step():
        fit._step(next(images.batches(order, batch)), fit.labels[rows])

    def passes():
        with autocast(precision, device):
            logits = network(fixed)
        fit.optimizer.zero_grad()
        masked_bce(logits, fit.labels[rows]).backward()

    def prediction():
        network.eval()
        wanted = images.batches(np.arange(BATCH), BATCH)
        predict_logits(network, wanted, architecture, precision, device)
        network.train()

    counter = FlopCounterMode(display=False)
    with counter:
        passes()
    works, operations = convolutions(precision, device)
    parts = {
        "step": repeated(step),
        "passes": repeated(passes),
        "optimizer": repeated(fit.optimizer.step),
        "prediction": repeated(prediction),
    }
    # One thread's processor time does not count what other processes take.
    clock = time.process_time if threads == 1 and device.type == "cpu" else time.perf_counter
    seconds = in_turns({**parts, **works}, asked.repeats, clock)
    peak = max(8 * operations[name] / seconds[name] for name in works)
    each = {name: seconds[name] / steps for name in parts}
    operations_of_step = counter.get_total_flops()
    rest = each["step"] - each["passes"] - each["optimizer"]
    return {
        "network": architecture,
        "px": resolution,
        "precision": precision,
        "threads": threads,
        "batch": batch,
        "share_of_peak": operations_of_step / each["step"] / peak,
        "passes_share_of_peak": operations_of_step / each["passes"] / peak,
        "time_in_passes": each["passes"] / each["step"],
        "in_optimizer": each["optimizer"] / each["step"],
        "in_rest": rest / each["step"],
        "training_images_per_s": batch / each["step"],
        "prediction_images_per_s": BATCH / each["prediction"],
        "peak_GFLOP_per_s": peak / 1e9,
    }


def main():
    """Measure all combinations asked for."""
    options = parser(__doc__.splitlines()[0])
    options.add_argument("--architecture", nargs="+", default=["small_resnet10", "resnet18"])
    options.add_argument("--resolution", type=int, nargs="+", default=[32, 64])
    options.add_argument("--precision", nargs="+", default=["fp32", "bf16"])
    options.add_argument("--threads", type=int, nargs="+", default=[1])
    options.add_argument("--batch", type=int, nargs="+", default=[32])
    options.add_argument("--transforms", action="store_true")
    options.add_argument("--device", default="auto")
    asked = options.parse_args()
    rows = [
        measure(asked, architecture, resolution, precision, threads, batch)
        for architecture in asked.architecture
        for resolution in asked.resolution
        for precision in asked.precision
        for threads in asked.threads
        for batch in asked.batch
    ]
    report(rows, asked.output)


if __name__ == "__main__":
    main()
