"""CycleCL's network: a 2-D network on every frame, a head that sees a frame's neighbours too."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from workbench.config import Config
from workbench.models.frame_head import FrameHead
from workbench.models.parts import channels_last, load_weights

if TYPE_CHECKING:
    from torchvision.models import WeightsEnum


class FrameNet(Config):
    """ResNet per frame and CycleCL's head: an embedding of every single frame.

    28.4 M parameters on ResNet-34, 18.3 M on ResNet-18, 0.18 M on the small network.
    """

    per_frame: ClassVar[bool] = True

    name: Literal["frame_net"] = "frame_net"
    trunk: Literal["resnet34", "resnet18", "tiny2d"] = "resnet34"
    """Network that sees every frame by itself; tiny2d is for two cores and 48 to 64 pixels."""
    weights: str = "none"
    """Of the trunk: none (random), default (torchvision's ImageNet weights) or the path of a local
    file."""
    dim: int = Field(128, ge=2, le=4096)
    """Dimensions of the embedding (CycleCL's table A compares 64, 128, 256)."""
    over_time: bool = True
    """The head's convolution also sees the frame before and the one after (3-D in table B); off:
    each frame by itself (2-D)."""
    pool: Literal["max", "mean"] = "max"
    """What is kept of a picture: the largest values or their mean (table B)."""
    normalise: bool = True
    """Bring embeddings to unit length, in the loss too (table C). Off: what is evaluated and
    watched compares lengths too; the pages of the explorer compare directions alone."""

    def build(self) -> FrameEncoder:
        """The network with its weights; raises `WeightsError` where they cannot be had."""
        trunk = _trunk(self.trunk, self.weights)
        head = FrameHead(trunk.dim, self.dim, self.over_time, self.pool == "max", self.normalise)
        return FrameEncoder(trunk, head, self.dim)


class FrameEncoder(nn.Module):
    """(B, 3, T, H, W) -> (B, T, dim) embeddings of the frames, of unit length if the head says."""

    time_stride = 1
    per_frame = True

    def __init__(self, trunk: nn.Module, head: FrameHead, dim: int) -> None:
        super().__init__()
        self.dim = dim
        self.unit = head.unit
        self.trunk = trunk
        self.head = head
        channels_last(self)

    def forward(self, clips: Tensor) -> Tensor:
        """The embedding of each frame."""
        return self.head(self.maps(clips).transpose(1, 2))

    def pooled(self, clips: Tensor) -> Tensor:
        """(B, T, C) of the trunk alone, averaged over the picture: what a pretrained one knows."""
        return self.maps(clips).mean(dim=(3, 4))

    def maps(self, clips: Tensor) -> Tensor:
        """(B, T, C, h, w): what the trunk sees of each frame."""
        b, _, t, _, _ = clips.shape
        frames = clips.transpose(1, 2).flatten(0, 1)  # (B T, 3, H, W)
        frames = frames.contiguous(memory_format=torch.channels_last)
        return self.trunk(frames).unflatten(0, (b, t))


class ResNetMaps(nn.Module):
    """(N, 3, H, W) -> (N, 512, H / 32, W / 32): a ResNet of torchvision's without its end."""

    dim = 512

    def __init__(self, make: Callable[..., nn.Module], weights: str, default: WeightsEnum) -> None:
        super().__init__()
        self.net = make(weights=None)
        self.net.fc = nn.Identity()
        load_weights(self.net, weights, default, unused="fc.")

    def forward(self, frames: Tensor) -> Tensor:
        """The last map."""
        net = self.net
        x = net.maxpool(net.relu(net.bn1(net.conv1(frames))))
        return net.layer4(net.layer3(net.layer2(net.layer1(x))))


class Tiny2D(nn.Module):
    """(N, 3, H, W) -> (N, 64, H / 8, W / 8): four convolutions, 61,568 parameters."""

    dim = 64

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            _conv(3, 16, 5, stride=2),
            _conv(16, 32, 3, stride=2),
            _conv(32, 64, 3, stride=2),
            _conv(64, 64, 3, stride=1),
        )

    def forward(self, frames: Tensor) -> Tensor:
        """The last map."""
        return self.layers(frames)


def _conv(inputs: int, outputs: int, kernel: int, stride: int) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


def _trunk(name: str, weights: str) -> nn.Module:
    if name == "tiny2d":
        trunk = Tiny2D()
        load_weights(trunk, weights, None, unused="")
        return trunk
    from torchvision.models import ResNet18_Weights, ResNet34_Weights, resnet18, resnet34

    if name == "resnet18":
        return ResNetMaps(resnet18, weights, ResNet18_Weights.DEFAULT)
    return ResNetMaps(resnet34, weights, ResNet34_Weights.DEFAULT)
