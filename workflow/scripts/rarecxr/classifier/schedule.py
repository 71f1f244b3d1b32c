"""Which images a run sees when, and at what learning rate: pure functions of images shown."""

import math

import numpy as np


def epoch_length(epoch_images: str | int, real: int, examples: int, batch: int) -> int:
    """Images of one epoch, as whole batches.

    Args:
        epoch_images: `real` for as many as there are real images, so that every arm trains on
            as many images as `none` does; `all` for as many as the arm has; or a number.
        real: number of real images.
        examples: number of the arm's examples.
        batch: images of one step.
    """
    images = {"real": real, "all": examples}.get(epoch_images, epoch_images)
    return math.ceil(images / batch) * batch


def shown(examples: int, begin: int, end: int, key: tuple[int, ...]) -> np.ndarray:
    """Examples that are shown as number `begin` to `end` of a run, (end - begin,) int64.

    They follow an endless row of permutations, so that no example is shown again before all
    have been, wherever the epochs end.

    Args:
        examples: number of examples.
        begin: images shown before.
        end: images shown after.
        key: whole numbers that the order depends on.
    """
    passes = range(begin // examples, math.ceil(end / examples))
    order = [np.random.default_rng([*key, number]).permutation(examples) for number in passes]
    offset = passes.start * examples
    return np.concatenate(order)[begin - offset : end - offset]


def learning_rate(schedule: str, rate: float, images: int, total: int) -> float:
    """The learning rate of a step.

    Args:
        schedule: `constant`, or `cosine`: from `rate` down to 0 along half a cosine.
        rate: the learning rate of the first step.
        images: images shown before this step.
        total: images of the whole run.
    """
    if schedule == "constant":
        return rate
    return rate * (1 + math.cos(math.pi * images / total)) / 2
