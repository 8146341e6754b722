"""X3D-XS: a narrow, deep network of channel-wise 3-D convolutions."""

from __future__ import annotations

from collections import OrderedDict
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workbench.config import Config
from workbench.models.foreign import RES_BLOCKS
from workbench.models.parts import channels_last, he_normal, load_weights, pool_space

DEPTHS = (3, 5, 11, 7)
WIDTHS = (24, 48, 96, 192)
INNER = 2.25
"""Channels inside a block, as a multiple of its output (Feichtenhofer 2020, Table 3)."""
SQUEEZED = (8, 8, 16, 32)
"""Channels of the squeeze: a sixteenth of those inside, to a multiple of 8, at most 10 % below."""


class X3DXS(Config):
    """X3D-XS (Feichtenhofer 2020): 2.0 M parameters; 3.0 M with `head`. Always float32.

    0.2 G multiply-adds for 8 frames of 64 x 64, 0.6 G for 4 of 160 x 160.
    """

    name: Literal["x3d_xs"] = "x3d_xs"
    head: bool = False
    """Keep the wide layers before the classifier: 2048 features per frame rather than 192."""
    weights: str = "none"
    """none (random) or the path of a local file, such as pytorchvideo's X3D_XS.pyth."""

    def build(self) -> X3DNet:
        """The network with its weights; raises `WeightsError` where they cannot be had."""
        return X3DNet(self.head, self.weights)


class X3DNet(nn.Module):
    """(B, 3, T, H, W) -> (B, T, 192), or (B, T, 2048) with the head: time is never halved.

    Stem and stages are the network as published; so is the head up to the classifier, but that it
    averages over the picture alone where the paper's does over time as well. Autocast is switched
    off: channel-wise convolutions are slower in bf16 than in fp32 on the CPUs that were measured.
    """

    time_stride = 1
    foreign_names: ClassVar[dict[str, str]] = {
        r"blocks\.0\.conv\.conv_t\.": "stem.space.",  # there the two are the wrong way round
        r"blocks\.0\.conv\.conv_xy\.": "stem.time.",
        r"blocks\.0\.norm\.": "stem.norm.",
        **RES_BLOCKS,
        r"norm_b\.0\.": "norm_b.",
        r"norm_b\.1\.block\.0\.": "attend.squeeze.",
        r"norm_b\.1\.block\.2\.": "attend.excite.",
        r"blocks\.5\.pool\.pre_conv\.": "head.conv.",
        r"blocks\.5\.pool\.pre_norm\.": "head.norm.",
        r"blocks\.5\.pool\.post_conv\.": "head.widen.",
    }

    def __init__(self, head: bool = False, weights: str = "none") -> None:
        super().__init__()
        first, last = WIDTHS[0], WIDTHS[-1]
        self.stem = _named(
            space=nn.Conv3d(3, first, (1, 3, 3), (1, 2, 2), (0, 1, 1), bias=False),
            time=nn.Conv3d(first, first, (5, 1, 1), 1, (2, 0, 0), groups=first, bias=False),
            norm=nn.BatchNorm3d(first),
            act=nn.ReLU(inplace=True),
        )
        entering = (first, *WIDTHS[:-1])
        self.stage1, self.stage2, self.stage3, self.stage4 = (
            _stage(*sizes) for sizes in zip(entering, WIDTHS, DEPTHS, SQUEEZED, strict=True)
        )
        self.dim = 2048 if head else last
        self.head = None
        if head:
            wide = int(INNER * last)
            self.head = _named(
                conv=nn.Conv3d(last, wide, 1, bias=False),
                norm=nn.BatchNorm3d(wide),
                act=nn.ReLU(inplace=True),
                pool=nn.AdaptiveAvgPool3d((None, 1, 1)),
                widen=nn.Conv3d(wide, self.dim, 1, bias=False),
                wide_act=nn.ReLU(inplace=True),
            )
        he_normal(self)
        load_weights(self, weights, None, unused="blocks.5.proj.")
        channels_last(self)

    def forward(self, clips: Tensor) -> Tensor:
        """Features over time."""
        with torch.autocast(clips.device.type, enabled=False):
            features = self.maps(clips.float())
            return pool_space(features if self.head is None else self.head(features))

    def maps(self, clips: Tensor) -> Tensor:
        """(B, 3, T, H, W) -> (B, 192, T, ceil(H / 32), ceil(W / 32))."""
        return self.stage4(self.stage3(self.stage2(self.stage1(self.stem(clips)))))


class _Block(nn.Module):
    """1x1x1 wider, 3x3x3 within each channel, 1x1x1 narrower (paper, Table 1; names a, b, c)."""

    def __init__(self, inputs: int, outputs: int, stride: int, squeezed: int) -> None:
        super().__init__()
        inner = int(INNER * outputs)
        self.conv_a = nn.Conv3d(inputs, inner, 1, bias=False)
        self.norm_a = nn.BatchNorm3d(inner)
        self.conv_b = nn.Conv3d(inner, inner, 3, (1, stride, stride), 1, groups=inner, bias=False)
        self.norm_b = nn.BatchNorm3d(inner)
        self.attend = _Attend(inner, squeezed) if squeezed else nn.Identity()
        self.conv_c = nn.Conv3d(inner, outputs, 1, bias=False)
        self.norm_c = nn.BatchNorm3d(outputs)
        self.skip = nn.Sequential()
        if stride > 1:
            self.skip.conv = nn.Conv3d(inputs, outputs, 1, (1, stride, stride), bias=False)
        if inputs != outputs:
            self.skip.norm = nn.BatchNorm3d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norm_a(self.conv_a(x)))
        y = F.silu(self.attend(self.norm_b(self.conv_b(y))))
        return F.relu(self.norm_c(self.conv_c(y)) + self.skip(x))


class _Attend(nn.Module):
    """Squeeze-and-excitation (Hu et al. 2018): a weight per channel, from the whole clip."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv3d(channels, squeezed, 1)
        self.excite = nn.Conv3d(squeezed, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean(dim=(2, 3, 4), keepdim=True)  # (B, C, 1, 1, 1)
        return x * self.excite(F.relu(self.squeeze(mean))).sigmoid()


def _stage(inputs: int, outputs: int, depth: int, squeezed: int) -> nn.Sequential:
    """Blocks, the first of which halves the picture; every second has squeeze-and-excitation."""
    return nn.Sequential(
        *(
            _Block(outputs if k else inputs, outputs, 1 if k else 2, 0 if k % 2 else squeezed)
            for k in range(depth)
        )
    )


def _named(**layers: nn.Module) -> nn.Sequential:
    return nn.Sequential(OrderedDict(layers))
