"""How long an epoch is, and the learning rate: pure functions of the images shown."""

import math


def epoch_length(
    epoch_images: str | int, real: int, examples: int, largest: int, batch: int
) -> int:
    """Images of one epoch, as whole batches.

    Args:
        epoch_images: `largest` for as many as the largest arm has, so that every arm shows each of
            its images at least once an epoch and all make the same number of steps; `real` for as
            many as there are real images; `all` for as many as the arm has; or a number.
        real: number of real images.
        examples: number of the arm's examples.
        largest: number of the largest arm's examples.
        batch: images of one step.
    """
    lengths = {"largest": largest, "real": real, "all": examples}
    images = lengths.get(epoch_images, epoch_images)
    return math.ceil(images / batch) * batch


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
