"""Whether the PGGAN's step on a CPU has become more than 15 % slower, beside a matrix product.

    python benchmarks/pggan_regression.py            # or: make benchmark-pggan

One thread makes steps of a PGGAN of full width at 16 pixels and, in turns with them, large matrix
products of the same precision. The share of the product's rate that the steps reach is compared
with a reference for the instruction set. bf16 is measured only where the processor has it.

Exit status: 0 no loss, 1 a loss of more than 15 %, 2 no reference for this instruction set.
"""

import sys
import time
from pathlib import Path
from types import SimpleNamespace

ROOT = Path(__file__).resolve().parents[1]
if __name__ == "__main__":
    # In the place of this folder, one of whose files has the name of a module of Python's own.
    sys.path[:1] = [str(ROOT), str(ROOT / "workflow/scripts")]

import torch
from benchmarks.pggan import count_operations, make_trainer
from benchmarks.timing import in_turns, parser, report

from rarecxr.core.processor import use_processor

# Shares that were measured: instruction set as PyTorch names it, precision, loss.
REFERENCE = {
    ("AVX512", "fp32", "r1"): 0.93,
    ("AVX512", "fp32", "wgan-gp"): 0.90,
    ("AVX512", "bf16", "r1"): 0.70,
    ("AVX512", "bf16", "wgan-gp"): 0.73,
    ("AMX", "fp32", "r1"): 0.67,
    ("AMX", "fp32", "wgan-gp"): 0.65,
    ("AMX", "bf16", "r1"): 0.46,
    ("AMX", "bf16", "wgan-gp"): 0.35,
    ("AVX2", "fp32", "r1"): 0.69,
    ("AVX2", "fp32", "wgan-gp"): 0.83,
}
LOSS = 0.15
SIZE, PRODUCTS = 2048, 4


def share(precision, loss, repeats):
    """The share of the rate of a matrix product that steps reach."""
    settings = {"resolution": 16, "batch": 16, "latent_size": 512, "fmap_base": 8192}
    settings |= {"fmap_max": 512, "fresh_latents": False}
    trainer = make_trainer(SimpleNamespace(**settings), loss, precision, torch.device("cpu"))
    a = torch.randn(SIZE, SIZE).to(torch.bfloat16 if precision == "bf16" else torch.float32)
    # Lazy R1: most steps are without the penalty.
    number = 1 if loss == "r1" else 0

    def step():
        trainer.steps = number
        trainer.step()

    def products():
        for _ in range(PRODUCTS):
            a @ a

    operations = count_operations(trainer, number)
    seconds = in_turns({"step": step, "products": products}, repeats, time.process_time)
    rate = PRODUCTS * 2 * SIZE**3 / seconds["products"]
    return operations / seconds["step"] / rate


def main():
    """Compare with the references and exit."""
    asked = parser(__doc__.splitlines()[0], repeats=3).parse_args()
    use_processor(1)
    # PyTorch does not name the matrix unit of newer processors, which multiplies far faster.
    matrix_unit = torch.cpu._is_amx_tile_supported()
    instructions = "AMX" if matrix_unit else torch.backends.cpu.get_cpu_capability()
    precisions = ["fp32"]
    if torch.ops.mkldnn._is_mkldnn_bf16_supported():
        precisions.append("bf16")
    rows = []
    for precision in precisions:
        for loss in ("r1", "wgan-gp"):
            found = share(precision, loss, asked.repeats)
            reference = REFERENCE.get((instructions, precision, loss))
            rows.append(
                {
                    "instructions": instructions,
                    "precision": precision,
                    "loss": loss,
                    "share_of_product": found,
                    "reference": reference,
                    "change": None if reference is None else found / reference - 1,
                }
            )
    report(rows, asked.output)
    if status(rows) == 2:
        print(f"no reference for {instructions}: add these shares to REFERENCE")
    sys.exit(status(rows))


def status(rows):
    """The exit status."""
    changes = [row["change"] for row in rows if row["change"] is not None]
    if not changes:
        return 2
    return 1 if min(changes) < -LOSS else 0


if __name__ == "__main__":
    main()
