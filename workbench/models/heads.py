"""Projection heads: from features to the space of the loss."""

from __future__ import annotations

from itertools import pairwise

from torch import nn


def projection_head(features: int, hidden: int, out: int) -> nn.Module:
    """(B, features) -> (B, out): a linear layer, or with `hidden` > 0 one hidden layer and ReLU.

    No batch norm. Linear is MoCo v1's head, hidden MoCo v2's (Chen et al. 2020, section 3).
    """
    if not hidden:
        return nn.Linear(features, out)
    return nn.Sequential(nn.Linear(features, hidden), nn.ReLU(inplace=True), nn.Linear(hidden, out))


def normed_head(*widths: int, last: nn.Module | None = None) -> nn.Module:
    """(B, widths[0]) -> (B, widths[-1]): linear layers with batch norm and ReLU between them.

    A layer that a norm follows has no bias. `last` is the norm behind the last layer, if any. So
    SimCLR's head (Chen et al. 2020a, appendix B.9 and its code) is `F, F, 128` with a norm at the
    end; projector and predictor of BYOL (Grill et al. 2020, section 3.3) are `F, 4096, 256`;
    SimSiam's (Chen & He 2021, section 3) `F, 2048, 2048, 2048` with a norm without weights at the
    end, and `2048, 512, 2048`.
    """
    layers: list[nn.Module] = []
    for features, out in pairwise(widths[:-1]):
        layers += [nn.Linear(features, out, bias=False), nn.BatchNorm1d(out), nn.ReLU(inplace=True)]
    layers.append(nn.Linear(*widths[-2:], bias=last is None))
    return nn.Sequential(*layers, *([last] if last else []))
