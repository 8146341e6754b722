"""C3D: eight 3 x 3 x 3 convolutions in a row, with batch norm."""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal

from torch import Tensor, nn

from workbench.config import Config
from workbench.models.parts import (
    channels_last,
    he_normal,
    large_enough,
    load_weights,
    pool_space,
    whole_steps,
)

LAYERS = {
    "1": (64, (1, 2, 2)),
    "2": (128, (2, 2, 2)),
    "3a": (256, None),
    "3b": (256, (2, 2, 2)),
    "4a": (512, None),
    "4b": (512, (2, 2, 2)),
    "5a": (512, None),
    "5b": (512, None),
}
"""Channels of each convolution and the pooling after it (Tran et al. 2015, Figure 3)."""


class C3D(Config):
    """C3D (Tran et al. 2015) with batch norm, as IIC (Tao et al. 2020) has it: 27.7 M parameters.

    6.3 G multiply-adds for 8 frames of 64 x 64, 38.5 G for 16 of 112 x 112.
    """

    name: Literal["c3d"] = "c3d"
    weights: str = "none"
    """none (random) or the path of a local file."""

    def build(self) -> C3DNet:
        """The network with its weights; raises `WeightsError` where they cannot be had."""
        return C3DNet(self.weights)


class C3DNet(nn.Module):
    """(B, 3, T, H, W) -> (B, ceil(T / 8), 512); H and W at least 16 pixels."""

    dim = 512
    time_stride = 8

    def __init__(self, weights: str = "none") -> None:
        super().__init__()
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        inputs = 3
        for name, (outputs, pool) in LAYERS.items():
            layers[f"conv{name}"] = nn.Conv3d(inputs, outputs, 3, padding=1)
            layers[f"bn{name}"] = nn.BatchNorm3d(outputs)
            layers[f"relu{name}"] = nn.ReLU(inplace=True)
            if pool:
                layers[f"pool{name[0]}"] = nn.MaxPool3d(pool)
            inputs = outputs
        self.layers = nn.Sequential(layers)
        he_normal(self)
        load_weights(self.layers, weights, None, unused="linear.")
        channels_last(self)

    def forward(self, clips: Tensor) -> Tensor:
        """Features over time."""
        large_enough(clips, 16, "c3d")
        return pool_space(self.layers(whole_steps(clips, self.time_stride)))
