"""Occlusion: which regions of an image a network's logit rests on, found by hiding them."""

import torch
from captum.attr import Occlusion
from torch import nn

from rarecxr.classifier.networks import network_input
from rarecxr.classifier.prediction import BATCH
from rarecxr.classifier.windows import window_and_stride


def occlusion_maps(
    network: nn.Module, images: torch.Tensor, output: int, architecture: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """By how much one logit falls when a region of an image is hidden, and the logit itself.

    A square window takes the image's mean grey level, at one place after the other (Zeiler & Fergus
    2014, section 4.2). Where windows overlap, the map is the mean of their falls. Nothing is
    assumed about the network, and the unit is that of its output: where the map is 1, hiding the
    surroundings divides the odds of the finding by e.

    Computed in float32 whatever the precision of the training: a fall is the difference of two
    logits that are nearly equal, of which bf16 keeps three digits.

    Args:
        network: a trained network in evaluation mode, on the device of the images.
        images: (N, 1, R, R) float32 in [0, 1].
        output: which of the network's logits.
        architecture: of the network, for `network_input`.

    Returns:
        Maps (N, R, R) and logits (N,), float32 on the CPU. A map is negative where the logit rises.
    """

    def logit(shown: torch.Tensor) -> torch.Tensor:
        return network(network_input(shown, architecture))[:, output]

    window, stride = window_and_stride(images.shape[-1])
    occlusion = Occlusion(logit)
    maps, logits = torch.zeros(images.shape)[:, 0], torch.zeros(len(images))
    for place in range(len(images)):
        # One image at a time: its windows fill a batch.
        image = images[place : place + 1]
        with torch.no_grad():
            logits[place] = logit(image)[0]
        maps[place] = occlusion.attribute(
            image,
            sliding_window_shapes=(1, window, window),
            strides=(1, stride, stride),
            baselines=image.mean().item(),
            perturbations_per_eval=BATCH,
        )[0, 0]
    return maps, logits
