"""The PGGAN's step in other ways: without fused operations or CUDA graphs, fading in, compiled.

All with lazy R1 and bf16; steps with the penalty, every 16th, and without it apart. Last a
profile.
"""

import contextlib
import copy
import os
from types import SimpleNamespace

import torch
from gan_step import full_trainer
from shared import Results, options, peak_memory_gib, seconds_each, seconds_left, synchronize

from rarecxr.gan import fused, losses, second_gradients
from rarecxr.gan.fused import SWITCH
from rarecxr.gan.schedule import Moment
from rarecxr.study.values import ByResolution

CASES = [(256, 32), (64, 16), (128, 32)]
TINY = [(16, 8)]


def main():
    asked = options(__doc__.splitlines()[0])
    results = Results(asked, "gan_variants")
    enough = 0.1 if asked.tiny else 0.6
    cases = TINY if asked.tiny else CASES
    for resolution, batch in cases:
        trainer = make(asked, resolution, batch)
        case = {"resolution": resolution, "batch": batch}

        def note(step, way, work, case=case, trainer=trainer):
            about = {"step": step, "way": way, **case}
            results.attempt("variants", lambda: measured(about, work(), trainer, enough))

        for step in ("plain", "penalty"):
            trainer.graphs.possible = False
            os.environ[SWITCH] = "0"
            with pytorch_penalties():
                note(step, "PyTorch's operations", lambda: steps_of(trainer, step))  # noqa: B023
            os.environ[SWITCH] = "1"
            note(step, "fused; penalty by formula", lambda: steps_of(trainer, step))  # noqa: B023
            trainer.graphs.possible = asked.device.type == "cuda"
            note(step, "the same as a CUDA graph", lambda: steps_of(trainer, step))  # noqa: B023
        half_in = Moment(resolution, 0.5, 0)
        trainer.schedule = SimpleNamespace(at=lambda images, moment=half_in: moment)
        for way, possible in (("fading in", False), ("fading in, as a CUDA graph", True)):
            trainer.graphs.possible = possible and asked.device.type == "cuda"
            note("plain", way, lambda: steps_of(trainer, "plain"))  # noqa: B023
    for resolution, batch in cases[:2]:
        trainer = make(asked, resolution, batch)
        trainer.graphs.possible = False
        for step in ("plain", "penalty"):
            about = {"step": step, "resolution": resolution, "batch": batch}
            results.attempt(
                "profiles",
                lambda: about | profile(steps_of(trainer, step), asked),  # noqa: B023
            )
    if seconds_left() < 25 or asked.tiny:
        return
    resolution, batch = cases[0]
    trainer = make(asked, resolution, batch)
    trainer.graphs.possible = False
    about = {"step": "plain", "way": "torch.compile", "resolution": resolution, "batch": batch}
    results.attempt("variants", lambda: measured(about, compiled(trainer), trainer, enough))


@contextlib.contextmanager
def pytorch_penalties():
    """Penalties that PyTorch differentiates, as on the CPU."""
    before = losses._by_formula
    losses._by_formula = lambda images: False
    try:
        yield
    finally:
        losses._by_formula = before


def make(asked, resolution, batch):
    trainer = full_trainer(asked, resolution, "r1")
    trainer.settings = trainer.settings.model_copy(update={"batch_size": ByResolution(batch)})
    return trainer


def measured(about, work, trainer, enough_s):
    device = trainer.device
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    # As many calls as a graph is recorded after.
    for _ in range(3):
        work()
    synchronize(device)
    each = seconds_each(work, device, enough_s)
    return {**about, "ms_per_step": 1000 * each, "peak_memory_gib": peak_memory_gib(device)}


def steps_of(trainer, step):
    """Steps that are all with the penalty, or all without."""

    def work():
        trainer.steps = {"plain": 1, "penalty": 0}[step]
        trainer.step()

    return work


def compiled(trainer):
    """Generator and critic through torch.compile; the last way, since it is not taken back.

    The penalty is not among it: it needs second gradients.
    """
    trainer.step()
    # What the compiler cannot look into; it is to fuse by itself.
    fused.possible = lambda *about: False
    second_gradients.current = lambda: None
    twin = copy.copy(trainer)
    twin.generator = torch.compile(trainer.generator, dynamic=False)
    twin.critic = torch.compile(trainer.critic, dynamic=False)
    return steps_of(twin, "plain")


def profile(work, asked, steps=3):
    """Milliseconds a step by kernel, the largest first, and the share of time with one running."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as watch

    work()
    synchronize(asked.device)
    activities = [ProfilerActivity.CPU]
    if asked.device.type == "cuda":
        activities.append(ProfilerActivity.CUDA)
    with watch(activities=activities) as found:
        for _ in range(steps):
            work()
        synchronize(asked.device)
    rows, total = [], 0.0
    for event in found.key_averages():
        own = getattr(event, "self_device_time_total", 0.0) / 1000 / steps
        if own and event.device_type != torch.autograd.DeviceType.CPU:
            total += own
            rows.append([event.key[:110], own, event.count / steps])
    rows.sort(key=lambda row: -row[1])
    return {
        "kernel_ms_per_step": total,
        "kernels_per_step": sum(row[2] for row in rows),
        "kernels": [[name, round(ms, 4), round(count, 1)] for name, ms, count in rows[:40]],
    }


if __name__ == "__main__":
    main()
