"""A small 3-D network for two cores and for teaching: it learns in a minute."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from workbench.config import Config
from workbench.models.parts import channels_last, pool_space
from workbench.models.whitening import Whitening


class Tiny3D(Config):
    """Five 3-D convolutions, 0.74 M parameters, 0.11 G multiply-adds for 8 frames of 64 x 64."""

    name: Literal["tiny3d"] = "tiny3d"
    width: int = Field(16, ge=4, le=128)
    """Channels after the first convolution; the features are 8 times as wide."""

    def build(self) -> Tiny3DNet:
        """The network, randomly initialised."""
        return Tiny3DNet(self.width)


class Tiny3DNet(nn.Module):
    """(B, 3, T, H, W) -> (B, ceil(T / 2), 8 width): space is halved four times, time once.

    Time is halved late, after two convolutions have seen motion at the full rate. The whitening at
    the end spreads the features: averages of what passed a ReLU lie along a handful of directions,
    the phase of a movement in most of them, and what else was learned hardly moves a cosine.
    """

    time_stride = 2

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dim = 8 * width
        self.layers = nn.Sequential(
            _conv(3, width, kernel=(3, 5, 5), stride=(1, 2, 2)),
            _conv(width, 2 * width, stride=(1, 2, 2)),
            _conv(2 * width, 4 * width, stride=(2, 2, 2)),
            _conv(4 * width, 8 * width, stride=(1, 2, 2)),
            _conv(8 * width, 8 * width),
        )
        self.spread = nn.Sequential(nn.BatchNorm1d(self.dim), Whitening(self.dim))
        channels_last(self)

    def forward(self, clips: Tensor) -> Tensor:
        """Features over time."""
        features = pool_space(self.layers(clips))  # (B, T', D)
        return self.spread(features.flatten(0, 1)).unflatten(0, features.shape[:2])


def _conv(
    inputs: int,
    outputs: int,
    kernel: tuple[int, int, int] = (3, 3, 3),
    stride: tuple[int, int, int] = (1, 1, 1),
) -> nn.Sequential:
    pad = tuple(k // 2 for k in kernel)
    conv = nn.Conv3d(inputs, outputs, kernel, stride, pad, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return nn.Sequential(conv, nn.BatchNorm3d(outputs), nn.ReLU(inplace=True))
