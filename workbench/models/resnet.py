"""ResNet-18 on every frame by itself."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from workbench.config import Config
from workbench.models.parts import channels_last, load_weights


class ResNet18(Config):
    """ResNet-18 per frame (He et al. 2016): 11.2 M parameters, blind to motion."""

    name: Literal["resnet18"] = "resnet18"
    weights: str = "none"
    """none (random), default (torchvision's ImageNet weights) or the path of a local file."""

    def build(self) -> FrameResNet18:
        """The network with its weights; raises `WeightsError` where they cannot be had."""
        return FrameResNet18(self.weights)


class FrameResNet18(nn.Module):
    """(B, 3, T, H, W) -> (B, T, 512)."""

    dim = 512
    time_stride = 1

    def __init__(self, weights: str = "none") -> None:
        super().__init__()
        from torchvision.models import ResNet18_Weights, resnet18

        self.net = resnet18(weights=None)
        self.net.fc = nn.Identity()
        load_weights(self.net, weights, ResNet18_Weights.DEFAULT, unused="fc.")
        channels_last(self)

    def forward(self, clips: Tensor) -> Tensor:
        """Features of each frame."""
        b, _, t, _, _ = clips.shape
        frames = clips.transpose(1, 2).flatten(0, 1)  # (B T, 3, H, W)
        return self.net(frames).unflatten(0, (b, t))  # (B, T, 512)
