"""The network whose features synthetic images are measured in."""

import os
from typing import Any

from rarecxr.classifier.training import train


def train_features(
    *,
    model: str | os.PathLike,
    history: str | os.PathLike,
    threads: int,
    **settings: Any,
) -> None:
    """Train a classifier on the real images of one fraction, and nothing else.

    It is a run of `rarecxr.classifier.training.train` without synthetic images, transforms and
    predictions: it has settings of its own, so that a change to the study's classifiers does not
    make its GANs stale.

    Args:
        model: the network that comes out, `model.pt`.
        history: CSV file with one row an epoch.
        threads: number of CPU threads.
        **settings: inputs, the study's names and the section `features`: see `train`.
    """
    train(
        model=model,
        history=history,
        threads=threads,
        predictions=None,
        arm={},
        banks={},
        negatives=None,
        transforms=None,
        ratio=None,
        number=None,
        largest=[],
        pretrain_share=0.5,
        finetune_rate=1.0,
        **settings,
    )
