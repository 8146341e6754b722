"""SLIC (Khorasgani et al. 2022): triplets whose positives and negatives clusters tell.

The clusters are the sampler's (`SameCluster`): examples of a group are of one cluster.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from workbench.clock import Clock
from workbench.data.batch import Batch
from workbench.methods.base import MethodSettings, Projected, spread


class SlicConfig(MethodSettings):
    """SLIC: clips of a cluster nearer than others, a clip nearest to its own other look."""

    views: ClassVar[int] = 3

    name: Literal["slic"] = "slic"
    margin: float = Field(0.2, gt=0, le=2)
    """How much farther than a positive a negative is to be, in cosine distance (m1)."""
    temporal_margin: float = Field(0.04, gt=0, le=2)
    """How much farther than the anchor's other look its positive is to be (m2)."""
    temporal: float = Field(1.0, ge=0, le=100)
    """Weight of the temporal loss; 0: the instance loss alone."""
    dim: int = Field(128, ge=2, le=4096)
    """Dimensions in which clips are compared and clustered."""
    hidden: int = Field(2048, ge=1, le=8192)
    """Width of the head's hidden layer."""

    def build(self, encoder: nn.Module) -> Slic:
        """The method around an encoder."""
        head = nn.Sequential(
            nn.Linear(encoder.dim, self.hidden),
            nn.BatchNorm1d(self.hidden),
            nn.ReLU(inplace=True),
            nn.Linear(self.hidden, self.dim),
        )
        return Slic(encoder, head, self.margin, self.temporal_margin, self.temporal)


class Slic(Projected):
    """Views are the anchor, the same window under another augmentation, and the positive.

    One network for all streams; distances are 1 - cosine.
    """

    def __init__(
        self,
        encoder: nn.Module,
        head: nn.Module,
        margin: float,
        temporal_margin: float,
        temporal: float,
    ) -> None:
        super().__init__(encoder, head)
        self.margin = margin
        self.temporal_margin = temporal_margin
        self.temporal = temporal

    def forward(self, batch: Batch, clock: Clock) -> tuple[Tensor, dict[str, float]]:
        """Instance loss of anchors and positives, and the temporal loss of all three views.

        Without any two examples of different clusters in the batch it is the temporal loss alone.
        """
        x, again, positive = self.project(torch.cat(batch.views)).chunk(3)  # (B, d) unit vectors
        instance, logs = instance_loss(torch.cat([x, positive]), batch.group.repeat(2), self.margin)
        near, far = distance(x, again), distance(x, positive)
        temporal = F.relu(near - far + self.temporal_margin).mean()
        numbers = torch.stack(
            [instance, temporal, 1 - near.mean(), 1 - far.mean(), spread(x)]
        ).detach()
        names = ("instance", "temporal", "similarity_again", "positive_similarity", "spread")
        logs |= dict(zip(names, numbers.tolist(), strict=True))
        return instance + self.temporal * temporal, logs

    def for_mining(self, clips: Tensor, clock: Clock) -> Tensor:
        """(B, 3, T, H, W) -> (B, 1, d): videos are clustered by their projections."""
        return self.project(clips)[:, None]


def distance(a: Tensor, b: Tensor) -> Tensor:
    """(..., d) unit vectors -> (...) 1 - cosine."""
    return 1 - (a * b).sum(dim=-1)


def instance_loss(z: Tensor, group: Tensor, margin: float) -> tuple[Tensor, dict[str, float]]:
    """The triplet loss of all pairs of a group, with one negative each that is semi-hard.

    z: (N, d) unit vectors, group: (N,). Of every unordered pair of equal group the first is the
    anchor; see `semi_hard` for its negative. Mean over the pairs, 0 where there is no negative.
    """
    with torch.autocast(z.device.type, enabled=False):
        far = 1 - z.float() @ z.float().T  # (N, N)
    same = group[:, None] == group
    a, p = same.triu(1).nonzero(as_tuple=True)
    able = (~same).any(dim=1)[a]
    a, p = a[able], p[able]
    n, found = semi_hard(far.detach(), same, a, p, margin)
    gap = far[a, p] - far[a, n] + margin
    loss = F.relu(gap).sum() / max(1, len(a))
    numbers = torch.stack([found.sum(), (gap > 0).sum()]).tolist()
    names = ("share_semi_hard", "share_active")
    return loss, {k: v / max(1, len(a)) for k, v in zip(names, numbers, strict=True)}


def semi_hard(
    far: Tensor, same: Tensor, a: Tensor, p: Tensor, margin: float
) -> tuple[Tensor, Tensor]:
    """(M,) a negative for each anchor and positive, and (M,) whether it is a semi-hard one.

    far: (N, N) distances, same: (N, N) who is no negative of whom, a, p: (M,) rows of them; every
    anchor has a negative. Drawn evenly from those nearer than the positive plus the margin; where
    there is none, the nearest negative. (SLIC's code looks for that one among the negatives alone
    and takes its place there for a row, which may be the anchor itself or a positive.)
    """
    negative = ~same[a]  # (M, N)
    hard = negative & (far[a] < far[a, p, None] + margin)
    drawn = torch.rand_like(far[a]).masked_fill(~hard, -1).argmax(dim=1)
    nearest = far[a].masked_fill(~negative, torch.inf).argmin(dim=1)
    found = hard.any(dim=1)
    return torch.where(found, drawn, nearest), found
