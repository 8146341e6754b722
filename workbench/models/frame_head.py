"""CycleCL's head: from maps of successive frames to one embedding of each frame."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class FrameHead(nn.Module):
    """(B, C, T, H, W) -> (B, T, dim): what a frame shows, and its neighbours beside it.

    A 3x3x3 convolution that keeps time, batch norm, LeakyReLU, pooling over space, a linear layer,
    unit length (CycleCL supplement, "Implementation Details"). Not over_time: a 3x3 convolution of
    every frame by itself (supplement, table B). Maximum: the largest value in the picture, instead
    of the mean. unit: bring embeddings to unit length (supplement, table C). The slope of the
    LeakyReLU is torch's 0.01 [our reconstruction: it is not given].
    """

    def __init__(
        self,
        features: int,
        dim: int = 128,
        over_time: bool = True,
        maximum: bool = True,
        unit: bool = True,
    ) -> None:
        super().__init__()
        kernel, pad = ((3, 3, 3), (1, 1, 1)) if over_time else ((1, 3, 3), (0, 1, 1))
        self.conv = nn.Conv3d(features, features, kernel, padding=pad)
        self.norm = nn.BatchNorm3d(features)
        self.linear = nn.Linear(features, dim)
        self.maximum = maximum
        self.unit = unit

    def forward(self, maps: Tensor) -> Tensor:
        """The embedding of each frame."""
        x = F.leaky_relu(self.norm(self.conv(maps)), inplace=True)  # (B, C, T, H, W)
        x = x.amax(dim=(3, 4)) if self.maximum else x.mean(dim=(3, 4))  # (B, C, T)
        z = self.linear(x.transpose(1, 2))  # (B, T, dim)
        return F.normalize(z.float(), dim=2) if self.unit else z
