"""What every encoder obeys, and the table of them."""

from __future__ import annotations

from typing import Annotated, Protocol

from pydantic import Field
from torch import Tensor

from workbench.config import Config
from workbench.models.resnet import ResNet18
from workbench.models.tiny3d import Tiny3D
from workbench.models.video_nets import R3D18, S3D


class Encoder(Protocol):
    """Clips to features over time: (B, 3, T, H, W) -> (B, ceil(T / time_stride), dim)."""

    dim: int
    time_stride: int

    def __call__(self, clips: Tensor) -> Tensor:
        """(B, 3, T, H, W) normalised floats -> (B, T', dim)."""
        ...


ENCODERS: dict[str, type[Config]] = {
    "tiny3d": Tiny3D,
    "resnet18": ResNet18,
    "r3d_18": R3D18,
    "s3d": S3D,
}

EncoderConfig = Annotated[Tiny3D | ResNet18 | R3D18 | S3D, Field(discriminator="name")]
"""Settings of one encoder, told apart by `name`; `.build()` makes the network."""
