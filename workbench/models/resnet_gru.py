"""ResNet-18 on every frame, and a GRU that remembers what it saw: made to watch live."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from workbench.config import Config
from workbench.models.resnet import FrameResNet, ResNet18


class ResNet18GRU(Config):
    """ResNet-18 per frame and a causal GRU (Cho et al. 2014) over time: 12.8 M parameters.

    1.2 G multiply-adds for 8 frames of 64 x 64, 14.5 G for 8 of 224 x 224.
    """

    name: Literal["resnet18_gru"] = "resnet18_gru"
    hidden: int = Field(512, ge=8, le=4096)
    """Width of the GRU's state, which is what the features are."""
    weights: str = "none"
    """Of the frames' network: none (random), default (torchvision's ImageNet weights) or the path
    of a local file."""

    def build(self) -> FrameGRU:
        """The network with its weights; raises `WeightsError` where they cannot be had."""
        return FrameGRU(ResNet18(weights=self.weights).build(), self.hidden)


class FrameGRU(nn.Module):
    """(B, 3, T, H, W) -> (B, T, hidden): a frame's feature knows that frame and those before it."""

    time_stride = 1

    def __init__(self, frames: FrameResNet, hidden: int) -> None:
        super().__init__()
        self.dim = hidden
        self.frames = frames
        self.gru = nn.GRU(frames.dim, hidden, batch_first=True)

    @property
    def pretrained(self) -> nn.Module:
        """What freezing the encoder freezes: the frames' network; the GRU learns the task."""
        return self.frames

    def forward(self, clips: Tensor) -> Tensor:
        """Features of each frame, given the frames of the clip before it."""
        return self.stream(clips)[0]

    def stream(self, frames: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Features of the next frames and the state to go on from.

        frames: (B, 3, T, H, W), T from 1 on; state: what the call for the frames before gave, None
        at the start. A clip in pieces gives the features of the whole clip. In float32 under
        autocast: a GRU adds up errors from frame to frame.
        """
        seen = self.frames(frames)  # (B, T, 512)
        with torch.autocast(seen.device.type, enabled=False):
            return self.gru(seen.float(), state)  # (B, T, hidden), (1, B, hidden)
