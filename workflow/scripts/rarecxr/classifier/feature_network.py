"""The network whose features synthetic images are measured in."""

import os
from collections.abc import Sequence

from rarecxr.classifier.run import Inputs, Outputs, Run
from rarecxr.classifier.training import train_classifier
from rarecxr.study.configuration.classifier import FeatureSettings
from rarecxr.study.configuration.training import Arm


def train_features(
    *,
    inputs: Inputs,
    outputs: Outputs,
    state: str | os.PathLike,
    study: str,
    fraction: float,
    draw: int,
    findings: Sequence[str],
    target_findings: Sequence[str],
    settings: FeatureSettings,
    code: str | None = None,
) -> None:
    """Train a classifier on the real images of one fraction, and nothing else.

    It is a run of `rarecxr.classifier.training.train` with an arm that adds nothing. It has
    settings of its own, so that a change to the study's classifiers does not make its GANs stale.

    Args:
        inputs: the files that it is made from, without banks.
        outputs: the files to write.
        state: folder for what an interrupted run goes on from; no declared output.
        study: name of the study.
        fraction: percent of the training patients whose images are trained on.
        draw: number of the draw.
        findings: the network's outputs, names of columns of the labels.
        target_findings: those that choose the epoch.
        settings: the section `features`.
        code: digest of the code, for the provenance.

    Raises:
        The errors of `train`.
    """
    train_classifier(
        inputs=inputs,
        outputs=outputs,
        state=state,
        run=Run(study, fraction, draw, settings.seed, findings, target_findings),
        settings=settings.training(),
        arm=Arm(),
        code=code,
    )
