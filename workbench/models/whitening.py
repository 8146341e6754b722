"""Whitening: features to zero mean and unit covariance, by running moments."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Whitening(nn.Module):
    """(N, D) rows -> (N, D): centred, decorrelated and of unit variance.

    Batch norm makes the channels equally strong; where they all say the same, a cosine still hears
    little else. This makes the *directions* equally strong, as decorrelated batch norm does (Huang
    et al. 2018), but by running moments, through which no gradient flows: a batch has fewer clips
    than channels. y = (covariance + shrink * mean variance)^(-1/2) (x - mean), the symmetric root,
    which turns least when the moments move; directions far below `shrink` stay faint.

    The covariance is kept as its lower triangle, row by row, which halves it in a checkpoint.
    """

    def __init__(self, dim: int, momentum: float = 0.1, shrink: float = 0.01) -> None:
        super().__init__()
        self.momentum = momentum
        self.shrink = shrink
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("covariance", _packed(torch.eye(dim)))

    def forward(self, x: Tensor) -> Tensor:
        """Whitened rows, float32; in training mode the moments move towards those of the rows."""
        with torch.autocast(x.device.type, enabled=False):
            x = x.float()
            if self.training:
                self._watch(x.detach())
            return (x - self.mean) @ self._root()

    def _watch(self, x: Tensor) -> None:
        self.mean.lerp_(x.mean(0), self.momentum)
        self.covariance.lerp_(_packed(torch.cov(x.T, correction=0)), self.momentum)

    def _root(self) -> Tensor:
        """The inverse square root, (D, D), symmetric."""
        dim = len(self.mean)
        lower = self.covariance.new_zeros(dim, dim)
        lower[*torch.tril_indices(dim, dim)] = self.covariance
        finite = lower.nan_to_num(0, 0, 0)  # a run that diverges is told by its loss, not by eigh
        variances, axes = torch.linalg.eigh(finite)  # which reads the lower triangle
        floor = self.shrink * variances.mean()
        return axes * (variances.clamp_min(0) + floor).rsqrt() @ axes.T


def _packed(matrix: Tensor) -> Tensor:
    """The lower triangle of (D, D), row by row: (D (D + 1) / 2,)."""
    return matrix[*torch.tril_indices(*matrix.shape)]
