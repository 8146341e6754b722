"""BYOL (Grill et al. 2020): an online network predicts what its own slow copy sees."""

from __future__ import annotations

import math
from copy import deepcopy
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from workbench.clock import Clock
from workbench.data.batch import Batch
from workbench.methods.base import MethodSettings, Projected, pair_logs
from workbench.methods.losses import byol
from workbench.models.heads import normed_head


class BYOLConfig(MethodSettings):
    """BYOL: each view predicts the projection of the other by a slow copy of the network.

    No negatives; whether it collapses shows in `spread`. The paper's views do not look alike:
    give `augment_second`.
    """

    name: Literal["byol"] = "byol"
    momentum: float = Field(0.996, ge=0, le=1)
    """How much of itself the slow copy keeps at the first step; rises to 1 over the run."""
    dim: int = Field(256, ge=2, le=8192)
    """Dimensions in which prediction and projection are compared."""
    hidden: int = Field(4096, ge=1, le=16384)
    """Width of the hidden layers of projector and predictor."""

    def build(self, encoder: nn.Module) -> BYOL:
        """The method around an encoder."""
        head = normed_head(encoder.dim, self.hidden, self.dim)
        predictor = normed_head(self.dim, self.hidden, self.dim)
        return BYOL(encoder, head, predictor, self.momentum)


class BYOL(Projected):
    """f_theta, g_theta, q_theta are (encoder, head, predictor), f_xi, g_xi the targets."""

    def __init__(
        self, encoder: nn.Module, head: nn.Module, predictor: nn.Module, momentum: float
    ) -> None:
        super().__init__(encoder, head)
        self.predictor = predictor
        self.target_encoder = deepcopy(encoder).requires_grad_(False)
        self.target_head = deepcopy(head).requires_grad_(False)
        self.momentum = momentum

    def forward(self, batch: Batch, clock: Clock) -> tuple[Tensor, dict[str, float]]:
        """The loss of both views, each predicting the other (eq. 2 and below)."""
        z1, z2 = (self.head(self.encoder(x).mean(dim=1)) for x in batch.views)  # (B, d)
        with torch.no_grad():
            t1, t2 = (self.target_head(self.target_encoder(x).mean(dim=1)) for x in batch.views)
        loss = byol(self.predictor(z1), t2) + byol(self.predictor(z2), t1)
        return loss, {**pair_logs(z1, z2), "tau": self.tau(clock)}

    def tau(self, clock: Clock) -> float:
        """tau = 1 - (1 - tau_0) (cos(pi k / K) + 1) / 2 at step k of K (section 3.3)."""
        return 1 - (1 - self.momentum) * (math.cos(math.pi * clock.progress) + 1) / 2

    @torch.no_grad()
    def after_step(self, clock: Clock) -> None:
        """xi <- tau xi + (1 - tau) theta (eq. 1): parameters only.

        The target's batch norm keeps the statistics of its own forwards.
        """
        theta = [*self.encoder.parameters(), *self.head.parameters()]
        xi = [*self.target_encoder.parameters(), *self.target_head.parameters()]
        torch._foreach_lerp_(xi, theta, 1 - self.tau(clock))
