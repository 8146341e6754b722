"""torchvision's video networks, pooled over space, their steps in time kept."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from workbench.config import Config
from workbench.models.parts import channels_last, load_weights, pool_space


class R3D18(Config):
    """R3D-18 (Tran et al. 2018): 33.2 M parameters."""

    name: Literal["r3d_18"] = "r3d_18"
    weights: str = "none"
    """none (random), default (torchvision's Kinetics-400 weights) or the path of a local file."""

    def build(self) -> R3D18Net:
        """The network with its weights; raises `WeightsError` where they cannot be had."""
        return R3D18Net(self.weights)


class R3D18Net(nn.Module):
    """(B, 3, T, H, W) -> (B, ceil(T / 8), 512)."""

    dim = 512
    time_stride = 8

    def __init__(self, weights: str = "none") -> None:
        super().__init__()
        from torchvision.models.video import R3D_18_Weights, r3d_18

        self.net = r3d_18(weights=None)
        self.net.fc = nn.Identity()
        load_weights(self.net, weights, R3D_18_Weights.DEFAULT, unused="fc.")
        channels_last(self)

    def forward(self, clips: Tensor) -> Tensor:
        """Features over time."""
        net = self.net
        features = net.layer4(net.layer3(net.layer2(net.layer1(net.stem(clips)))))
        return pool_space(features)  # (B, T', 512)


class S3D(Config):
    """S3D (Xie et al. 2018): 7.9 M parameters; the backbone of CoCLR, CPR and ViCC."""

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
        if min(clips.shape[-2:]) < 32:
            raise ValueError(
                f"s3d got pictures of {tuple(clips.shape[-2:])} pixels and halves them five "
                "times; set data.clip.size to at least 32."
            )
        return pool_space(self.net.features(_whole_steps(clips, self.time_stride)))


def _whole_steps(clips: Tensor, stride: int) -> Tensor:
    """The clips with the last frame repeated up to a multiple of `stride`.

    S3D's last pooling drops an incomplete step, so that clips under 5 frames would not pass.
    """
    missing = -clips.shape[2] % stride
    return F.pad(clips, (0, 0, 0, 0, 0, missing), mode="replicate") if missing else clips
