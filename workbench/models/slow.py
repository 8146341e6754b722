"""The slow pathway of SlowFast, a 3-D ResNet-50: the backbone of CVRL."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from workbench.config import Config
from workbench.models.foreign import RES_BLOCKS
from workbench.models.parts import channels_last, he_normal, load_weights, pool_space

STAGES = ((3, 64, 1), (4, 128, 1), (6, 256, 3), (3, 512, 3))
"""Blocks, channels inside them and frames that the first convolution of each sees."""


class SlowR50(Config):
    """R3D-50, the slow pathway of SlowFast (Feichtenhofer et al. 2019): 31.7 M parameters.

    What CoCLR calls r50 (R2D3D-50) is the same network.

    1.9 G multiply-adds for 8 frames of 64 x 64, 45.5 G for 16 of 224 x 224.
    """

    name: Literal["slow_r50"] = "slow_r50"
    stem_frames: Literal[5, 1] = 5
    """Frames that the first convolution sees: 5, every second one a feature (CVRL), or 1, at the
    full rate (SlowFast; what pytorchvideo's weights are for)."""
    weights: str = "none"
    """none (random) or the path of a local file, such as pytorchvideo's SLOW_8x8_R50.pyth."""

    def build(self) -> SlowNet:
        """The network with its weights; raises `WeightsError` where they cannot be had."""
        return SlowNet(self.stem_frames, self.weights)


class SlowNet(nn.Module):
    """(B, 3, T, H, W) -> (B, ceil(T / 2), 2048); (B, T, 2048) with a stem of one frame."""

    dim = 2048
    foreign_names: ClassVar[dict[str, str]] = {
        r"blocks\.0\.(conv|norm)\.": r"stem.\1.",
        **RES_BLOCKS,
    }

    def __init__(self, stem_frames: int = 5, weights: str = "none") -> None:
        super().__init__()
        self.time_stride = 2 if stem_frames > 1 else 1
        self.stem = _Stem(stem_frames, self.time_stride)
        inputs, stages = 64, []
        for k, (depth, inner, frames) in enumerate(STAGES):
            stride = 2 if k else 1
            blocks = [_Block(inputs, inner, frames, stride)]
            blocks += [_Block(4 * inner, inner, frames, 1) for _ in range(depth - 1)]
            stages.append(nn.Sequential(*blocks))
            inputs = 4 * inner
        self.stage1, self.stage2, self.stage3, self.stage4 = stages
        he_normal(self)
        load_weights(self, weights, None, unused="blocks.5.proj.")
        channels_last(self)

    def forward(self, clips: Tensor) -> Tensor:
        """Features over time."""
        features = self.stage4(self.stage3(self.stage2(self.stage1(self.stem(clips)))))
        return pool_space(features)  # (B, T', 2048)


class _Stem(nn.Module):
    """t x 7 x 7 convolution and a pooling over the picture: a quarter of its size."""

    def __init__(self, frames: int, time_stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv3d(
            3, 64, (frames, 7, 7), (time_stride, 2, 2), (frames // 2, 3, 3), bias=False
        )
        self.norm = nn.BatchNorm3d(64)
        self.pool = nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.pool(F.relu(self.norm(self.conv(x))))


class _Block(nn.Module):
    """Bottleneck: t x 1 x 1 narrower, 1 x 3 x 3, 1 x 1 x 1 wider (SlowFast, Table 1)."""

    def __init__(self, inputs: int, inner: int, frames: int, stride: int) -> None:
        super().__init__()
        outputs = 4 * inner
        self.conv_a = nn.Conv3d(
            inputs, inner, (frames, 1, 1), padding=(frames // 2, 0, 0), bias=False
        )
        self.norm_a = nn.BatchNorm3d(inner)
        self.conv_b = nn.Conv3d(
            inner, inner, (1, 3, 3), (1, stride, stride), padding=(0, 1, 1), bias=False
        )
        self.norm_b = nn.BatchNorm3d(inner)
        self.conv_c = nn.Conv3d(inner, outputs, 1, bias=False)
        self.norm_c = nn.BatchNorm3d(outputs)
        self.skip = nn.Sequential()
        if inputs != outputs:
            self.skip.conv = nn.Conv3d(inputs, outputs, 1, (1, stride, stride), bias=False)
            self.skip.norm = nn.BatchNorm3d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norm_a(self.conv_a(x)))
        y = F.relu(self.norm_b(self.conv_b(y)))
        return F.relu(self.norm_c(self.conv_c(y)) + self.skip(x))
