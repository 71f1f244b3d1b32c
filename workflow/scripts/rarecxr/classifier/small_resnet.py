"""A ResNet for images of 32 to 128 pixels that a processor without a GPU trains in minutes."""

import torch
from torch import nn

NAME = "small_resnet10"
CHANNELS = (16, 32, 64, 128)
# ImageNet's, which torchvision's presets of ResNets have.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class _BasicBlock(nn.Module):
    """Two convolutions beside a shortcut (He et al. 2016, Deep Residual Learning, figure 5).

    Layer by layer torchvision's `BasicBlock`, which would cost every job of a small network up to
    a second for loading torchvision.
    """

    def __init__(
        self, inputs: int, outputs: int, stride: int = 1, downsample: nn.Module | None = None
    ):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = downsample

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, inputs, H, W) -> (N, outputs, H / stride, W / stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.bn2(self.conv2(x))
        x += shortcut
        return self.relu(x)


class SmallResNet(nn.Module):
    """Ten layers, 0.3 million weights, of basic blocks.

    As the ResNets for small images of He et al. 2016 (Deep Residual Learning, section 4.2): a first
    convolution of 3 x 3 without pooling behind it, few channels, few blocks. Here that convolution
    halves the sides, and four stages of one block follow: from 16 channels at half the sides to 128
    at a sixteenth of them.

    Shapes: (N, 3, H, W) -> (N, num_classes).
    """

    def __init__(self, num_classes: int):
        super().__init__()
        width = CHANNELS[0]
        self.stem = nn.Sequential(_convolution(3, width, 3, 2), nn.ReLU(inplace=True))
        stages = [_BasicBlock(width, width)]
        for channels in CHANNELS[1:]:
            shortcut = _convolution(width, channels, 1, 2)
            stages.append(_BasicBlock(width, channels, 2, shortcut))
            width = channels
        self.stages = nn.Sequential(*stages)
        self.fc = nn.Linear(width, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits of a batch."""
        return self.fc(self.stages(self.stem(images)).mean((2, 3)))


def _convolution(inputs: int, outputs: int, side: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, side, stride, side // 2, bias=False), nn.BatchNorm2d(outputs)
    )
