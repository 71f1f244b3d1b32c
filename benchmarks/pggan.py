"""Time and memory of one full PGGAN training step, critic and generator.

    python benchmarks/pggan.py --resolution 64 --batch 16 --device cpu

Prints a table and, with --output, writes JSON: for both losses, in fp32 and bf16, seconds a
step, seconds a thousand images, images a second, the share of the device's measured matrix
product rate, and the peak memory. Each case runs in a process of its own, so that its memory is
its own. Times are the shortest of several, since other work on a machine only adds to them.
"""

import argparse
import json
import multiprocessing
import platform
import resource
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow" / "scripts"))

from rarecxr.core.files import written_whole
from rarecxr.core.processor import use_processor
from rarecxr.gan.images import TrainingImages
from rarecxr.gan.networks import build_networks
from rarecxr.gan.trainer import DTYPES, Trainer
from rarecxr.study.configuration.gan import GanSettings


def main():
    arguments = parse()
    context = multiprocessing.get_context("spawn")
    results = []
    for loss in arguments.losses:
        for precision in arguments.precisions:
            with context.Pool(1) as pool:
                results.append(pool.apply(measure, (arguments, loss, precision)))
            print(line(results[-1]), flush=True)
    if arguments.output:
        with written_whole(arguments.output) as temporary:
            temporary.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--resolution", type=int, default=64)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--losses", nargs="+", default=["wgan-gp", "r1"])
    parser.add_argument("--precisions", nargs="+", default=["fp32", "bf16"])
    parser.add_argument("--latent-size", type=int, default=512)
    parser.add_argument("--fmap-base", type=int, default=8192)
    parser.add_argument("--fmap-max", type=int, default=512)
    parser.add_argument("--fresh-latents", action="store_true", help="as published")
    parser.add_argument("--repeats", type=int, default=3, help="timed steps of each kind")
    parser.add_argument("--output", help="JSON file")
    return parser.parse_args()


def measure(arguments, loss, precision):
    """One case: a dictionary of plain values."""
    use_processor(arguments.threads)
    device = torch.device(arguments.device)
    trainer = make_trainer(arguments, loss, precision, device)
    peak = matmul_rate(DTYPES[precision], device)
    # With lazy R1 a step with penalty is one of r1_interval, the others are without.
    kinds = {"penalty": 0, "plain": 1} if loss == "r1" else {"penalty": 0}
    seconds, operations = {}, {}
    for kind, number in kinds.items():
        operations[kind] = count_operations(trainer, number)
        seconds[kind] = min(timed(trainer, number, device) for _ in range(arguments.repeats))
    share = 1 / trainer.settings.r1_interval if loss == "r1" else 1.0
    weights = {"penalty": share, "plain": 1 - share}
    step = sum(weights[kind] * seconds[kind] for kind in kinds)
    work = sum(weights[kind] * operations[kind] for kind in kinds)
    return {
        "resolution": arguments.resolution,
        "batch": arguments.batch,
        "loss": loss,
        "precision": precision,
        "fresh_latents": arguments.fresh_latents,
        "fmap_base": arguments.fmap_base,
        "fmap_max": arguments.fmap_max,
        "device": device_name(device),
        "threads": arguments.threads,
        "torch": torch.__version__,
        "s_per_step": step,
        "s_per_kimg": 1000 * step / arguments.batch,
        "images_per_s": arguments.batch / step,
        "tflop_per_step": work / 1e12,
        "matmul_tflop_per_s": peak / 1e12,
        "share_of_matmul": work / step / peak,
        "peak_memory_gib": peak_memory(device) / 2**30,
    }


def make_trainer(arguments, loss, precision, device):
    settings = GanSettings(
        resolution=arguments.resolution,
        start_resolution=arguments.resolution,
        latent_size=arguments.latent_size,
        fmap_base=arguments.fmap_base,
        fmap_max=arguments.fmap_max,
        batch_size=arguments.batch,
        loss=loss,
        precision=precision,
        fresh_latents=arguments.fresh_latents,
    )
    side = arguments.resolution
    images = np.random.default_rng(0).integers(0, 256, (256, 1, side, side), dtype=np.uint8)
    levels = {side: torch.from_numpy(images).to(device)}
    data = TrainingImages(levels, np.zeros((256, 0), np.float32), [], device, seed=1)
    return Trainer(settings, data, build_networks(settings.plain()), 1, False, device)


def timed(trainer, number, device):
    """Seconds of one step, as number `number` of its R1 interval."""
    trainer.steps = number
    synchronize(device)
    begin = time.perf_counter()
    trainer.step()
    synchronize(device)
    return time.perf_counter() - begin


class OperationCounter(TorchDispatchMode):
    """Adds up the floating-point operations of convolutions and matrix products."""

    def __init__(self):
        super().__init__()
        self.operations = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        formula = flop_registry.get(function._overloadpacket)
        if formula is not None:
            self.operations += formula(*args, **(kwargs or {}), out_val=result)
        return result


def count_operations(trainer, number):
    """Operations of one step; warms up, too."""
    trainer.steps = number
    with OperationCounter() as counter:
        trainer.step()
    return counter.operations


def matmul_rate(dtype, device):
    """Operations a second of the device's best square matrix product."""
    best = 0.0
    for size in (1024, 2048) if device.type == "cpu" else (4096, 8192):
        a = torch.randn(size, size, device=device).to(dtype)
        for _ in range(5):
            synchronize(device)
            begin = time.perf_counter()
            a @ a
            synchronize(device)
            best = max(best, 2 * size**3 / (time.perf_counter() - begin))
    return best


def synchronize(device):
    if device.type == "cuda":
        torch.cuda.synchronize()


def peak_memory(device):
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated()
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def device_name(device):
    if device.type == "cuda":
        return torch.cuda.get_device_name()
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        models = [text.split(":")[1].strip() for text in file if text.startswith("model name")]
    return models[0] if models else platform.processor()


def line(result):
    return (
        f"{result['resolution']} px, batch {result['batch']}, {result['loss']:7} "
        f"{result['precision']}: {result['s_per_step']:8.3f} s a step, "
        f"{result['s_per_kimg']:8.1f} s/kimg, {result['images_per_s']:7.1f} images/s, "
        f"{100 * result['share_of_matmul']:3.0f} % of matmul, "
        f"{result['peak_memory_gib']:.2f} GiB"
    )


if __name__ == "__main__":
    main()
