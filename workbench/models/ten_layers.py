"""Networks of ten layers, one block per stage: what IIC, ViCC and CPR call R3D and R(2+1)D."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from workbench.config import Config
from workbench.models.parts import he_normal
from workbench.models.video_nets import VideoResNet

STAGES = (64, 128, 256, 512)
"""Channels of the stages; from the second one on, each halves picture and time."""


class R3D10(Config):
    """R3D-10, 3-D throughout (Hara et al. 2018, one block per stage; IIC's): 14.4 M parameters.

    3.2 G multiply-adds for 8 frames of 64 x 64, 19.9 G for 16 of 112 x 112.
    """

    name: Literal["r3d_10"] = "r3d_10"
    weights: str = "none"
    """none (random) or the path of a local file."""

    def build(self) -> VideoResNet:
        """The network with its weights; raises `WeightsError` where they cannot be had."""
        from torchvision.models.video import resnet

        def make(weights: None) -> nn.Module:
            convs = [resnet.Conv3DSimple] * 4
            return resnet.VideoResNet(resnet.BasicBlock, convs, [1] * 4, resnet.BasicStem)

        return VideoResNet(make, 8, self.weights, None)


class R2Plus1D10(Config):
    """R(2+1)D-10 of IIC and ViCC: each convolution in space, then in time; 14.4 M parameters.

    3.5 G multiply-adds for 8 frames of 64 x 64, 21.4 G for 16 of 112 x 112.
    """

    name: Literal["r2plus1d_10"] = "r2plus1d_10"
    weights: str = "none"
    """none (random) or the path of a local file."""

    def build(self) -> VideoResNet:
        """The network with its weights; raises `WeightsError` where they cannot be had."""

        def make(weights: None) -> nn.Module:
            return he_normal(_R2Plus1D10())

        return VideoResNet(make, 8, self.weights, None)


class _R2Plus1D10(nn.Module):
    """The parts that `VideoResNet` runs, as VCOP's code has them (Xu et al. 2019)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            _factored(3, STAGES[0], (3, 7), (1, 2)), nn.BatchNorm3d(STAGES[0]), nn.ReLU()
        )
        inputs = (STAGES[0], *STAGES)
        stages = [_Block(i, o, 1 if i == o else 2) for i, o in zip(inputs, STAGES, strict=False)]
        self.layer1, self.layer2, self.layer3, self.layer4 = stages


class _Block(nn.Module):
    """Two factored 3 x 3 x 3 convolutions beside a skip, itself factored where sizes change."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _factored(inputs, outputs, (3, 3), (stride, stride))
        self.norm1 = nn.BatchNorm3d(outputs)
        self.conv2 = _factored(outputs, outputs, (3, 3), (1, 1))
        self.norm2 = nn.BatchNorm3d(outputs)
        self.skip = nn.Sequential()
        if stride > 1:
            conv = _factored(inputs, outputs, (1, 1), (stride, stride))
            self.skip = nn.Sequential(conv, nn.BatchNorm3d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(y)) + self.skip(x))


def _factored(
    inputs: int, outputs: int, size: tuple[int, int], stride: tuple[int, int]
) -> nn.Sequential:
    """A t x s x s convolution as one in space and one in time, of no more weights than it has.

    size and stride: (t, s). (R(2+1)D, Tran et al. 2018, section 3.5.)
    """
    (t, s), (t_stride, s_stride) = size, stride
    middle = t * s * s * inputs * outputs // (s * s * inputs + t * outputs)
    space = nn.Conv3d(
        inputs, middle, (1, s, s), (1, s_stride, s_stride), (0, s // 2, s // 2), bias=False
    )
    time = nn.Conv3d(middle, outputs, (t, 1, 1), (t_stride, 1, 1), (t // 2, 0, 0), bias=False)
    return nn.Sequential(space, nn.BatchNorm3d(middle), nn.ReLU(inplace=True), time)
