"""ResNets on every frame by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from torch import Tensor, nn

from workbench.config import Config
from workbench.models.parts import channels_last, load_weights

if TYPE_CHECKING:
    from torchvision.models import WeightsEnum


class ResNet18(Config):
    """ResNet-18 per frame (He et al. 2016): 11.2 M parameters, blind to motion.

    1.2 G multiply-adds for 8 frames of 64 x 64, 14.5 G for 8 of 224 x 224.
    """

    name: Literal["resnet18"] = "resnet18"
    weights: str = "none"
    """none (random), default (torchvision's ImageNet weights) or the path of a local file."""

    def build(self) -> FrameResNet:
        """The network with its weights; raises `WeightsError` where they cannot be had."""
        from torchvision.models import ResNet18_Weights, resnet18

        return FrameResNet(resnet18, 512, self.weights, ResNet18_Weights.DEFAULT)


class ResNet50(Config):
    """ResNet-50 per frame (He et al. 2016): 23.5 M parameters, blind to motion.

    2.7 G multiply-adds for 8 frames of 64 x 64, 32.7 G for 8 of 224 x 224.
    """

    name: Literal["resnet50"] = "resnet50"
    weights: str = "none"
    """none (random), default (torchvision's ImageNet weights) or the path of a local file."""

    def build(self) -> FrameResNet:
        """The network with its weights; raises `WeightsError` where they cannot be had."""
        from torchvision.models import ResNet50_Weights, resnet50

        return FrameResNet(resnet50, 2048, self.weights, ResNet50_Weights.DEFAULT)


class FrameResNet(nn.Module):
    """(B, 3, T, H, W) -> (B, T, dim): a network of torchvision's without its classifier."""

    time_stride = 1

    def __init__(
        self, make: Callable[..., nn.Module], dim: int, weights: str, default: WeightsEnum
    ) -> None:
        super().__init__()
        self.dim = dim
        self.net = make(weights=None)
        self.net.fc = nn.Identity()
        load_weights(self.net, weights, default, unused="fc.")
        channels_last(self)

    def forward(self, clips: Tensor) -> Tensor:
        """Features of each frame."""
        b, _, t, _, _ = clips.shape
        frames = clips.transpose(1, 2).flatten(0, 1)  # (B T, 3, H, W)
        return self.net(frames).unflatten(0, (b, t))  # (B, T, dim)
