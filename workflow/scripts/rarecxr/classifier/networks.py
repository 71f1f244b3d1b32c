"""The classifier's network for grey images: a model of torchvision, or a small one."""

import functools
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from rarecxr.classifier import small_resnet
from rarecxr.classifier.small_maps import use_products
from rarecxr.classifier.weights import read_weights

# Torchvision takes up to a second to load, and `small_resnet10` does without: it is imported where
# one of its models is built.

# Outputs that help training ImageNet alone, dropped here: parts of weight files with no place.
_AUXILIARY = ("aux1.", "aux2.", "AuxLogits.")


def build(
    architecture: str,
    outputs: int,
    resolution: int,
    seed: int,
    weights: Path | None = None,
) -> nn.Module:
    """A network with one logit for each finding, on the CPU.

    All but `small_resnet10` are torchvision's models as they are, with `outputs` in place of the
    1000 classes, so that their `state_dict` loads into the same model of torchvision. Images go in
    through `network_input`.

    Shapes: (N, 3, resolution, resolution) -> (N, outputs).

    Args:
        architecture: name of a torchvision classification model, or small_resnet10.
        outputs: number of logits.
        resolution: side of the images in pixels.
        seed: seed of the random initialization. The last layer depends on it always, the
            others where there are no `weights`.
        weights: file of pretrained weights for all layers but the last.

    Raises:
        ValueError: there is no such model, it cannot take images of this size, or the
            weights are another architecture's.
    """
    make = small_resnet.SmallResNet if architecture == small_resnet.NAME else _model(architecture)
    options = {}
    if architecture in ("googlenet", "inception_v3"):
        options = {"aux_logits": False, "init_weights": True}
    elif architecture.startswith("vit_"):
        options = {"image_size": resolution}
    elif architecture.startswith("maxvit"):
        options = {"input_size": (resolution, resolution)}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            model = make(num_classes=outputs, **options)
            with torch.no_grad():
                model.eval()(torch.zeros(1, 3, resolution, resolution))
        except (AssertionError, RuntimeError, ValueError) as error:
            raise ValueError(
                f"classifier.resolution: {architecture} cannot take images of "
                f"{resolution} pixels ({error}); choose another resolution or architecture"
            ) from None
    if weights is not None:
        load_trunk(model, weights, architecture)
        # torchvision's weights of these two were trained on another range and bring the mapping
        # along.
        if hasattr(model, "transform_input"):
            model.transform_input = True
    return use_products(model)


def _model(architecture: str) -> Callable[..., nn.Module]:
    """What makes a model of torchvision, without weights."""
    import torchvision

    known = torchvision.models.list_models(module=torchvision.models)
    if architecture not in known:
        raise ValueError(
            f"classifier.architecture: got {architecture!r}; the models are "
            f"{', '.join([*known, small_resnet.NAME])}"
        )
    return functools.partial(torchvision.models.get_model, architecture, weights=None)


def network_input(images: torch.Tensor, architecture: str) -> torch.Tensor:
    """Grey images as the RGB images that torchvision's networks were made for.

    The grey level stands in all three channels, each normalized with the mean and standard
    deviation of the architecture's own preset. So a pretrained network sees a grey photograph,
    exactly, at the borders too. (Folding the three channels of the first convolution into one
    is exact only where no zero padding is in sight, since the padding stands for another grey
    level in each channel. It would save nothing that can be measured.)

    Shapes: (N, 1, H, W) in [0, 1] -> (N, 3, H, W), channels last in memory.
    """
    mean, std = _normalization(architecture, images.device)
    return ((images - mean) / std).contiguous(memory_format=torch.channels_last)


def head_name(model: nn.Module) -> str:
    """Name of the layer that gives the logits: the last linear one, or else convolution."""
    for kind in (nn.Linear, nn.Conv2d):
        names = [name for name, module in model.named_modules() if isinstance(module, kind)]
        if names:
            return names[-1]
    raise AssertionError(f"{type(model).__name__} has neither linear layers nor convolutions")


def load_trunk(model: nn.Module, path: Path, architecture: str) -> None:
    """Load all layers of a network but the last from a file of weights.

    Raises:
        ValueError: the weights are another architecture's.
    """
    head = head_name(model) + "."
    tensors = {
        name: value
        for name, value in read_weights(path).items()
        if not name.startswith((head, *_AUXILIARY))
    }
    own = {name: value for name, value in model.state_dict().items() if not name.startswith(head)}
    if "encoder.pos_embedding" in own:
        import torchvision

        tensors = torchvision.models.vision_transformer.interpolate_embeddings(
            model.image_size, model.patch_size, tensors
        )
    wrong = sorted(set(own) ^ set(tensors)) or [
        name for name in own if own[name].shape != tensors[name].shape
    ]
    if wrong:
        raise ValueError(
            f"{path}: these are not the weights of {architecture}: {len(wrong)} tensors do not "
            f"fit, the first is {wrong[0]}"
        )
    model.load_state_dict(tensors, strict=False)


@functools.cache
def _normalization(architecture: str, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation of the channels in torchvision's preset, (1, 3, 1, 1) each."""
    if architecture == small_resnet.NAME:
        values = small_resnet.MEAN, small_resnet.STD
    else:
        import torchvision

        preset = torchvision.models.get_model_weights(architecture).DEFAULT.transforms()
        values = preset.mean, preset.std
    # What is kept for later steps must be fit for training, whoever asks first.
    with torch.inference_mode(False):
        mean, std = (torch.tensor(v, device=device).view(1, 3, 1, 1) for v in values)
    return mean, std
