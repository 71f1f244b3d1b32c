"""A ResNet for images of 32 to 128 pixels that a processor without a GPU trains in minutes."""

import torch
from torch import nn
from torchvision.models.resnet import BasicBlock

NAME = "small_resnet10"
CHANNELS = (16, 32, 64, 128)


class SmallResNet(nn.Module):
    """Ten layers, 0.3 million weights, of torchvision's basic blocks.

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
        stages = [BasicBlock(width, width)]
        for channels in CHANNELS[1:]:
            shortcut = _convolution(width, channels, 1, 2)
            stages.append(BasicBlock(width, channels, 2, shortcut))
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
