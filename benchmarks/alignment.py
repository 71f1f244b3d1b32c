"""How far a finding's GAN is still aligned with its base, against the length of its fine-tuning.

    python benchmarks/alignment.py BASE/generator.pt FINDING/generator.pt ... [--images 200]

Of each latent vector both generators make an image; printed is the mean correlation of such pairs,
and of images of two different latent vectors, in pixels and in the features of a network with
random weights (`rarecxr.quality.alignment`). GANs of several lengths come from studies that differ
in gan.finetune_kimg alone, or from the same one again.
"""

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow" / "scripts"))

import numpy as np
import pandas as pd
import torch

from rarecxr.bank.generate import bank_latents, generate_images
from rarecxr.core.files import sha256
from rarecxr.gan.checkpoint import networks_from, read_checkpoint
from rarecxr.quality.alignment import measure_alignment
from rarecxr.quality.feature_spaces import FeatureSpace

BATCH = 50


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("base", help="generator.pt of the base GAN")
    parser.add_argument("findings", nargs="+", help="generator.pt of GANs that started from it")
    parser.add_argument("--images", type=int, default=200, help="pairs of images")
    asked = parser.parse_args()
    spaces = {"pixels": None, "random": FeatureSpace("random", torch.device("cpu"))}
    own = drawn(read_checkpoint(asked.base), asked.images)
    rows = []
    for path in asked.findings:
        content = read_checkpoint(path)
        if content["provenance"]["inputs"].get("base") != sha256(asked.base):
            sys.exit(f"{path}: did not start from {asked.base}")
        images, settings = drawn(content, asked.images), content["settings"]
        for name, space in spaces.items():
            found = measure_alignment(own, images, space)
            row = {"finding": settings["finding"], "finetune_kimg": settings["finetune_kimg"]}
            rows.append(row | {"space": name, "pairs": found.pairs, "others": found.others})
    table = pd.DataFrame(rows).sort_values(["finding", "space", "finetune_kimg"])
    print(table.to_string(index=False, float_format="%.3f"))


def drawn(content, count):
    """Images of a generator, (count, R, R) uint8, the same latent vectors for all."""
    network = networks_from(content)[0].eval()
    latents = bank_latents(7, 0, count, network.latent_size)
    return np.concatenate([generate_images(network, part) for part in latents.split(BATCH)])


if __name__ == "__main__":
    main()
