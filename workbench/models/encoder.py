"""What every encoder obeys, and the table of them."""

from __future__ import annotations

from typing import Annotated, Protocol

from pydantic import Field
from torch import Tensor

from workbench.config import Config
from workbench.models.c3d import C3D
from workbench.models.frame_net import FrameNet
from workbench.models.resnet import ResNet18, ResNet50
from workbench.models.resnet_gru import ResNet18GRU
from workbench.models.slow import SlowR50
from workbench.models.ten_layers import R3D10, R2Plus1D10
from workbench.models.tiny3d import Tiny3D
from workbench.models.video_nets import MC318, R3D18, S3D, R2Plus1D18
from workbench.models.x3d import X3DXS


class Encoder(Protocol):
    """Clips to features over time: (B, 3, T, H, W) -> (B, ceil(T / time_stride), dim).

    An encoder of which only a part is trained beforehand names it in `pretrained`: freezing the
    encoder freezes that module. One whose steps are single frames, to be kept one by one rather
    than as their mean, says so by `per_frame = True`, here and in its settings. One that can watch
    live has `stream` (see resnet_gru.py).
    """

    dim: int
    time_stride: int

    def __call__(self, clips: Tensor) -> Tensor:
        """(B, 3, T, H, W) normalised floats -> (B, T', dim)."""
        ...


ENCODERS: dict[str, type[Config]] = {
    "tiny3d": Tiny3D,
    "resnet18": ResNet18,
    "resnet50": ResNet50,
    "resnet18_gru": ResNet18GRU,
    "x3d_xs": X3DXS,
    "slow_r50": SlowR50,
    "c3d": C3D,
    "r3d_18": R3D18,
    "r2plus1d_18": R2Plus1D18,
    "mc3_18": MC318,
    "s3d": S3D,
    "r3d_10": R3D10,
    "r2plus1d_10": R2Plus1D10,
    "frame_net": FrameNet,
}

EncoderConfig = Annotated[
    Tiny3D
    | ResNet18
    | ResNet50
    | ResNet18GRU
    | X3DXS
    | SlowR50
    | C3D
    | R3D18
    | R2Plus1D18
    | MC318
    | S3D
    | R3D10
    | R2Plus1D10
    | FrameNet,
    Field(discriminator="name"),
]
"""Settings of one encoder, told apart by `name`; `.build()` makes the network."""
