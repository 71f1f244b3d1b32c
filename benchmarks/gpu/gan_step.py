"""Matrix product rates, and the PGGAN's full training step at 64, 128 and 256 px.

Networks of the published width. For both losses (WGAN-GP; lazy R1, whose penalty comes every 16th
step): seconds a thousand images, floating-point operations a second, the share of the bf16 matrix
product rate, peak memory. The operations are those of convolutions and matrix products, counted.
"""

import contextlib
from argparse import Namespace

import torch
from benchmarks.pggan import count_operations, make_trainer
from shared import (
    Results,
    forget_memory,
    options,
    peak_memory_gib,
    seconds_each,
    seconds_left,
    synchronize,
)

from rarecxr.study.values import ByResolution

# The most telling ones first: time may run out.
CASES = [
    (256, "r1", (32, 64, 16, 8)),
    (256, "wgan-gp", (32, 64)),
    (128, "r1", (64, 16)),
    (64, "r1", (64, 16)),
    (128, "wgan-gp", (64, 16)),
    (64, "wgan-gp", (64, 16)),
]
TINY = [(16, "r1", (8, 4)), (8, "wgan-gp", (8,))]
# As the networks were published, and R1 as exactly.
EXACT = [
    (16, {"loss": "r1", "precision": "fp32"}),
    (8, {"loss": "wgan-gp", "precision": "fp32", "fresh_latents": True}),
]


def main():
    asked = options(__doc__.splitlines()[0])
    results = Results(asked, "gan_step")
    results["matmul_tflop_per_s"] = matrix_rates(asked.device, 256 if asked.tiny else 8192)
    enough = 0.1 if asked.tiny else 0.8
    cases = TINY if asked.tiny else CASES
    for number, (resolution, loss, batches) in enumerate(cases):
        trainer = full_trainer(asked, resolution, loss)
        for batch in batches:
            if seconds_left() < 5:
                print("no time left")
                return
            results.attempt("steps", lambda: step(trainer, batch, enough, results))  # noqa: B023
        if number == 1:
            for batch, case in EXACT:
                results.attempt(
                    "steps",
                    lambda: step(  # noqa: B023
                        full_trainer(asked, cases[0][0], **case),  # noqa: B023
                        4 if asked.tiny else batch,  # noqa: B023
                        enough,
                        results,
                    ),
                )


def matrix_rates(device, side):
    """TFLOP/s of a square matrix product in bf16, in TF32 and in fp32."""
    rates = {}
    for name, dtype, tf32 in (
        ("bf16", torch.bfloat16, False),
        ("tf32", torch.float32, True),
        ("fp32", torch.float32, False),
    ):
        with tf32_products(tf32):
            a = torch.randn(side, side, device=device).to(dtype)
            b = torch.randn(side, side, device=device).to(dtype)
            out = torch.empty_like(a)
            each = seconds_each(lambda: torch.mm(a, b, out=out), device, 0.6)  # noqa: B023
        rates[name] = 2 * side**3 / each / 1e12
    return rates


@contextlib.contextmanager
def tf32_products(allowed):
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = allowed
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


def full_trainer(asked, resolution, loss, precision="bf16", fresh_latents=False):
    """A trainer of the published width on random images, at `resolution` from its first step."""
    forget_memory(asked.device)
    wanted = Namespace(
        resolution=resolution,
        latent_size=512,
        fmap_base=64 if asked.tiny else 8192,
        fmap_max=16 if asked.tiny else 512,
        batch=32,
        fresh_latents=fresh_latents,
    )
    return make_trainer(wanted, loss, precision, asked.device)


def step(trainer, batch, enough_s, results):
    """One case: a step with the penalty and, with lazy R1, one without it, weighted."""
    trainer.settings = trainer.settings.model_copy(update={"batch_size": ByResolution(batch)})
    settings, device = trainer.settings, trainer.device
    forget_memory(device)
    interval = settings.r1_interval if settings.loss == "r1" else 1
    seconds, operations = {}, {}
    for kind, number in {"penalty": 0, "plain": 1}.items():
        if kind == "plain" and interval == 1:
            continue
        operations[kind] = count_operations(trainer, number)

        def again(number=number):
            trainer.steps = number
            trainer.step()

        seconds[kind] = seconds_each(again, device, enough_s / (2 if interval > 1 else 1))
    trainer.check()
    synchronize(device)
    share = 1 / interval
    each = share * seconds["penalty"] + (1 - share) * seconds.get("plain", 0)
    work = share * operations["penalty"] + (1 - share) * operations.get("plain", 0)
    rate = work / each / 1e12
    return {
        "resolution": settings.resolution,
        "batch": batch,
        "loss": settings.loss,
        "precision": settings.precision,
        "fresh_latents": settings.fresh_latents,
        "ms_per_step": {kind: 1000 * value for kind, value in seconds.items()},
        "s_per_kimg": 1000 * each / batch,
        "tflop_per_kimg": work / batch / 1e9,
        "tflop_per_s": rate,
        "share_of_bf16": rate / results["matmul_tflop_per_s"]["bf16"],
        "peak_memory_gib": peak_memory_gib(device),
    }


if __name__ == "__main__":
    main()
