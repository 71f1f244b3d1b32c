"""The PGGAN's step in other ways: cuDNN's search, CUDA graphs, torch.compile; and a profile.

All with lazy R1 and bf16, without the penalty of every 16th step, so that one number tells.
"""

import copy
from dataclasses import replace

import torch
from gan_step import full_trainer
from shared import Results, options, peak_memory_gib, seconds_each, seconds_left, synchronize

CASES = [(256, 32), (64, 16), (128, 32)]
TINY = [(16, 8)]


def main():
    asked = options(__doc__.splitlines()[0])
    results = Results(asked, "gan_variants")
    enough = 0.1 if asked.tiny else 0.8
    cases = TINY if asked.tiny else CASES
    for resolution, batch in cases:
        trainer = make(asked, resolution, batch)
        case = {"resolution": resolution, "batch": batch}

        def note(name, way, case=case, trainer=trainer):
            results.attempt("variants", lambda: measured(name, case, way(), trainer, enough))

        note("eager", lambda: eager(trainer))  # noqa: B023
        results.attempt("profiles", lambda: case | profile(eager(trainer), asked))  # noqa: B023
        if asked.device.type == "cuda":
            note("CUDA graph", lambda: graphed(trainer))  # noqa: B023
        torch.backends.cudnn.benchmark = True
        note("cudnn.benchmark", lambda: eager(trainer))  # noqa: B023
        torch.backends.cudnn.benchmark = False
    for resolution, batch in cases[:1]:
        if seconds_left() < 30 and not asked.tiny:
            return
        trainer = make(asked, resolution, batch)
        case = {"resolution": resolution, "batch": batch}
        results.attempt(
            "variants",
            lambda: measured("torch.compile", case, compiled(trainer), trainer, enough),  # noqa: B023
        )


def make(asked, resolution, batch):
    trainer = full_trainer(asked, resolution, "r1")
    trainer.settings = replace(trainer.settings, minibatch=batch)
    return trainer


def measured(name, case, work, trainer, enough_s):
    device = trainer.device
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    work()
    synchronize(device)
    each = seconds_each(work, device, enough_s)
    return {
        "way": name,
        **case,
        "ms_per_step": 1000 * each,
        "s_per_kimg": 1000 * each / case["batch"],
        "peak_memory_gib": peak_memory_gib(device),
    }


def eager(trainer):
    def work():
        trainer.steps = 1
        trainer.step()

    return work


def fixed_inputs(trainer):
    size, resolution = trainer.settings.minibatch, trainer.settings.resolution
    real = trainer.data.batch(0, size, resolution)
    latents = torch.randn(size, trainer.settings.latent_size, device=trainer.device)
    return real, trainer.data.batch_labels(0, size), latents


def step_on(trainer, real, labels, latents):
    """`Trainer.step` on given images and latents."""
    trainer.steps = 1
    fake = trainer.generator(latents, None, dtype=trainer.dtype)
    trainer._critic_step(real, labels, fake.detach(), None, 1.0, None)
    trainer._generator_step(fake, None, 1.0)
    trainer._update_ema(len(real))


def graphed(trainer):
    """A whole step as one CUDA graph, with new images and latents copied in before each replay."""
    trainer.step()
    for optimizer in (trainer.generator_optimizer, trainer.critic_optimizer):
        optimizer.param_groups[0]["capturable"] = True
    static = fixed_inputs(trainer)
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            step_on(trainer, *static)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step_on(trainer, *static)
    random = torch.Generator(trainer.device)

    def work():
        size, resolution = trainer.settings.minibatch, trainer.settings.resolution
        static[0].copy_(trainer.data.batch(trainer.images, size, resolution))
        static[2].copy_(torch.randn(static[2].shape, generator=random, device=trainer.device))
        graph.replay()
        trainer.images += size

    return work


def compiled(trainer):
    """Generator and critic through torch.compile; the penalty needs second gradients, so not it."""
    trainer.step()
    generator, critic = trainer.generator, trainer.critic
    fast = torch.compile(generator), torch.compile(critic)
    twin = copy.copy(trainer)
    twin.generator, twin.critic = fast
    return eager(twin)


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
