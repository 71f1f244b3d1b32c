"""What makes a bank useless at a glance, or its measures: a generator that learned nothing, say.

A classifier two-sample test near 1 alone is no fault: a classifier may recognise images that help
all the same. What counts is that images look unlike any X-ray of the study, by measures in which
generators that have learned something come close. In a study of phantoms at 64 px, banks of GANs
trained for minutes had 1.00 to 1.03 times the contrast of real images, 0.93 to 1.03 times their
variety and 1.18 to 1.25 times their sharpness; after a hundredth of that training, 1.5 to 2 times
the variety and 2.6 to 3.2 times the sharpness.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from rarecxr.quality.evaluation import knows_by_heart
from rarecxr.quality.metrics import sharpness
from rarecxr.quality.visible_finding import hardly_visible

# A contrast, variety or sharpness of less than half or more than double of the real images'.
_FAR = 2.0
# Images with less than a quarter of the contrast or variety are flat or all alike.
_FLAT = 0.25
# A two-sample test from here on recognises every image but a stray one.
_C2ST = 0.99
# From this share on, most images are near-copies.
_MEMORISED = 0.5

_LEARNED_NOTHING = (
    "The generator has learned nothing or has diverged: see its sample sheet and training.csv, and "
    "train it with a lower learning rate or for longer"
)


def appearance(images: np.ndarray) -> dict[str, float]:
    """How images look as a whole.

    Args:
        images: (N, H, W) uint8, N at least 1.

    Returns:
        contrast, the median over the images of the standard deviation of an image's grey levels;
        variety, the root mean square over the pixels of the grey levels' standard deviation from
        image to image; sharpness, the median of `rarecxr.quality.metrics.sharpness`; mean_grey.
    """
    pixels = images.reshape(len(images), -1).astype(np.float32)
    return {
        "contrast": float(np.median(pixels.std(axis=1))),
        "variety": float(np.sqrt(pixels.var(axis=0).mean())),
        "sharpness": float(np.median(sharpness(images))),
        "mean_grey": float(images.mean()),
    }


def find_faults(quality: Mapping[str, Any]) -> list[str]:
    """What makes a bank or its measures useless, as sentences; empty without such faults.

    - Hardly any contrast, or hardly any difference from image to image: less than a quarter of
      the real images'.
    - Unlike X-rays: contrast, variety or sharpness is less than half or more than double of the
      real images', and in some feature space the two-sample test recognises the images (AUROC of
      at least 0.99). With too few images for the test the first condition suffices.
    - At least half of the images are near-copies of training images in some feature space.
    - The network that knows what findings look like sees the bank's less than half as well as in
      real images (`rarecxr.quality.visible_finding`).
    - The bank is compared with training images in the features of a network that knows these by
      heart: what the measures in this space say is about the network, not about the bank.

    Args:
        quality: contrast, variety and sharpness, each with `real` and `synthetic`, and the
            measures by feature space, as in a bank's quality file.
    """
    ratios = {name: _ratio(quality[name]) for name in ("contrast", "variety", "sharpness")}
    faults = []
    if ratios["contrast"] < _FLAT:
        faults.append(
            "images have hardly any contrast: the standard deviation of the grey levels within an "
            f"image is {_values(quality['contrast'])}. {_LEARNED_NOTHING}"
        )
    if ratios["variety"] < _FLAT:
        faults.append(
            "images hardly differ from each other: the standard deviation of the grey levels from "
            f"image to image is {_values(quality['variety'])}. {_LEARNED_NOTHING}"
        )
    banks = [space["bank"] for space in quality["spaces"].values() if "bank" in space]
    tests = [bank["c2st"] for bank in banks if bank.get("c2st") is not None]
    far = [name for name, ratio in ratios.items() if not 1 / _FAR <= ratio <= _FAR]
    if not faults and far and max(tests, default=1.0) >= _C2ST:
        differences = ", ".join(f"{name} {_values(quality[name])}" for name in far)
        test = (
            f"; a classifier recognises them as generated with an AUROC of {max(tests):.3f}"
            if tests
            else ""
        )
        faults.append(f"images are unlike real ones: {differences}{test}. {_LEARNED_NOTHING}")
    memorised = [bank["memorised"] for bank in banks if bank.get("memorised") is not None]
    if max(memorised, default=0.0) >= _MEMORISED:
        faults.append(
            f"{100 * max(memorised):.0f} % of the images are near-copies of training images: they "
            "add nothing to these, and may show patients. Train for a shorter time "
            "(gan.finetune_kimg) or with gan.ada, or reject near-copies (bank.select)"
        )
    for name, space in quality["spaces"].items():
        shown = space.get("visible_finding")
        if hardly_visible(shown):
            faults.append(
                "the finding can hardly be seen in the images: the network of the section features "
                f"tells them from real negatives with an AUROC of {shown['bank']:.2f}, and real "
                f"positives with {shown['floor']:.2f}. Train the GAN for longer "
                "(gan.finetune_kimg); bank.select.implausible leaves out the least plausible images"
            )
        unseen = space.get("unseen_real")
        if knows_by_heart(unseen) and "bank" in space:
            faults.append(
                f"the measures in the feature space {name} cannot be trusted: its network was "
                "trained on the images that the bank is compared with, and knows them by heart. "
                f"{unseen['images']} real images that it was not trained on have a KID of "
                f"{unseen['kid']:.2f} to them (p = {unseen['p']:.3f}), the bank has "
                f"{space['bank']['kid']:.2f}. Go by another space (quality.spaces: pixels), or "
                "train the network for fewer epochs (features.epochs)"
            )
    return faults


def _ratio(pair: Mapping[str, float]) -> float:
    """Synthetic over real; 1 where both are 0."""
    if pair["real"] == 0:
        return 1.0 if pair["synthetic"] == 0 else float("inf")
    return pair["synthetic"] / pair["real"]


def _values(pair: Mapping[str, float]) -> str:
    return f"{pair['synthetic']:.3g} (real images: {pair['real']:.3g})"
