"""torchvision's video networks, pooled over space, their steps in time kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

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

if TYPE_CHECKING:
    from torchvision.models import WeightsEnum


class R3D18(Config):
    """R3D-18 (Tran et al. 2018), 3-D throughout: 33.2 M parameters.

    6.6 G multiply-adds for 8 frames of 64 x 64, 40.7 G for 16 of 112 x 112.
    """

    name: Literal["r3d_18"] = "r3d_18"
    stem_frames: Literal[3, 7] = 3
    """Frames that the first convolution sees: 3 (torchvision, whose weights are for that), or 7
    (SLIC)."""
    weights: str = "none"
    """none (random), default (torchvision's Kinetics-400 weights) or the path of a local file."""

    def build(self) -> VideoResNet:
        """The network with its weights; raises `WeightsError` where they cannot be had."""
        from torchvision.models.video import R3D_18_Weights, r3d_18

        def make(weights: None) -> nn.Module:
            net, frames = r3d_18(weights=weights), self.stem_frames
            if frames != 3:
                net.stem[0] = nn.Conv3d(
                    3, 64, (frames, 7, 7), (1, 2, 2), (frames // 2, 3, 3), bias=False
                )
                he_normal(net.stem)
            return net

        return VideoResNet(make, 8, self.weights, R3D_18_Weights.DEFAULT)


class R2Plus1D18(Config):
    """R(2+1)D-18 (Tran et al. 2018), space and time by turns: 31.3 M parameters.

    6.6 G multiply-adds for 8 frames of 64 x 64, 40.5 G for 16 of 112 x 112.
    """

    name: Literal["r2plus1d_18"] = "r2plus1d_18"
    weights: str = "none"
    """none (random), default (torchvision's Kinetics-400 weights) or the path of a local file."""

    def build(self) -> VideoResNet:
        """The network with its weights; raises `WeightsError` where they cannot be had."""
        from torchvision.models.video import R2Plus1D_18_Weights, r2plus1d_18

        return VideoResNet(r2plus1d_18, 8, self.weights, R2Plus1D_18_Weights.DEFAULT)


class MC318(Config):
    """MC3-18 (Tran et al. 2018), 3-D in its first stages only: 11.5 M parameters.

    7.1 G multiply-adds for 8 frames of 64 x 64, 43.3 G for 16 of 112 x 112.
    """

    name: Literal["mc3_18"] = "mc3_18"
    weights: str = "none"
    """none (random), default (torchvision's Kinetics-400 weights) or the path of a local file."""

    def build(self) -> VideoResNet:
        """The network with its weights; raises `WeightsError` where they cannot be had."""
        from torchvision.models.video import MC3_18_Weights, mc3_18

        return VideoResNet(mc3_18, 1, self.weights, MC3_18_Weights.DEFAULT)


class VideoResNet(nn.Module):
    """(B, 3, T, H, W) -> (B, ceil(T / time_stride), 512)."""

    dim = 512

    def __init__(
        self,
        make: Callable[..., nn.Module],
        time_stride: int,
        weights: str,
        default: WeightsEnum | None,
    ) -> None:
        super().__init__()
        self.time_stride = time_stride
        self.net = make(weights=None)
        self.net.fc = nn.Identity()
        load_weights(self.net, weights, default, unused="fc.")
        channels_last(self)

    def forward(self, clips: Tensor) -> Tensor:
        """Features over time."""
        net = self.net
        features = net.layer4(net.layer3(net.layer2(net.layer1(net.stem(clips)))))
        return pool_space(features)  # (B, T', 512)


class S3D(Config):
    """S3D (Xie et al. 2018): 7.9 M parameters; the backbone of CoCLR, CPR and ViCC.

    0.7 G multiply-adds for 8 frames of 64 x 64, 11.7 G for 32 of 128 x 128.
    """

    name: Literal["s3d"] = "s3d"
    weights: str = "none"
    """none (random), default (torchvision's Kinetics-400 weights) or the path of a local file."""

    def build(self) -> S3DNet:
        """The network with its weights; raises `WeightsError` where they cannot be had."""
        return S3DNet(self.weights)


class S3DNet(nn.Module):
    """(B, 3, T, H, W) -> (B, ceil(T / 8), 1024); H and W at least 32 pixels."""

    dim = 1024
    time_stride = 8

    def __init__(self, weights: str = "none") -> None:
        super().__init__()
        from torchvision.models.video import S3D_Weights, s3d

        self.net = s3d(weights=None)
        self.net.avgpool = self.net.classifier = nn.Identity()
        load_weights(self.net, weights, S3D_Weights.DEFAULT, unused="classifier.")
        channels_last(self)

    def forward(self, clips: Tensor) -> Tensor:
        """Features over time."""
        large_enough(clips, 32, "s3d")
        return pool_space(self.net.features(whole_steps(clips, self.time_stride)))
