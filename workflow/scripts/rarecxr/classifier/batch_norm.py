"""Running statistics of batch normalization, taken anew from real images."""

import numpy as np
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.swa_utils import update_bn

from rarecxr.classifier.fitting import Procedure
from rarecxr.classifier.images import DeviceImages, MappedImages
from rarecxr.classifier.networks import network_input
from rarecxr.core.devices import autocast
from rarecxr.study.seeds import seed_for


def has_statistics(network: nn.Module) -> bool:
    """Whether a network has batch normalization with running statistics."""
    return any(
        isinstance(module, _BatchNorm) and module.track_running_stats
        for module in network.modules()
    )


def take_statistics(
    network: nn.Module, images: DeviceImages | MappedImages, real: int, procedure: Procedure
) -> None:
    """Replace a network's running means and variances with those of real images.

    Synthetic images have other statistics than real ones, and a classifier that was trained on both
    judges real ones by a mixture of the two. Here each image counts once, as it is judged, without
    transforms; batches are those of a training step, in an order drawn from the run's seed, so that
    a patient's images seldom share one. What is left over of a last batch is not used. The mean
    over all batches is taken, not a moving one (`torch.optim.swa_utils.update_bn`).

    Args:
        network: on the procedure's device; left ready to predict.
        images: the first `real` of them are the fraction's real images.
        real: their number.
        procedure: how steps are made.
    """
    size = min(procedure.settings.batch_size, real)
    order = np.random.default_rng([procedure.seed, 2]).permutation(real)[: real // size * size]
    device = procedure.device
    with (
        torch.random.fork_rng(devices=[device] if device.type == "cuda" else []),
        autocast(procedure.precision, device),
    ):
        torch.manual_seed(seed_for(procedure.seed, "batch norm"))
        batches = images.batches(order, size)
        architecture = procedure.settings.architecture
        update_bn((network_input(x, architecture) for x in batches), network)
    network.eval()
