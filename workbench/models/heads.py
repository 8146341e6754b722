"""Projection heads: from features to the space of the loss."""

from __future__ import annotations

from torch import nn


def projection_head(features: int, hidden: int, out: int) -> nn.Module:
    """(B, features) -> (B, out): a linear layer, or with `hidden` > 0 one hidden layer and ReLU.

    No batch norm. Linear is MoCo v1's head, hidden MoCo v2's (Chen et al. 2020, section 3).
    """
    if not hidden:
        return nn.Linear(features, out)
    return nn.Sequential(nn.Linear(features, hidden), nn.ReLU(inplace=True), nn.Linear(hidden, out))
