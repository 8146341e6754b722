"""SimSiam (Chen & He 2021): one view predicts the other, whose gradient stops."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from workbench.clock import Clock
from workbench.data.batch import Batch
from workbench.methods.base import MethodSettings, Projected, WeightGroup, pair_logs
from workbench.methods.losses import negative_cosine
from workbench.models.heads import normed_head


class SimSiamConfig(MethodSettings):
    """SimSiam: each view predicts the other. No negatives, no second network, only a stopped
    gradient. A loss of -1 within the first steps is a collapse: see `spread`."""

    name: Literal["simsiam"] = "simsiam"
    dim: int = Field(2048, ge=2, le=8192)
    """Width of the projector, and dimensions in which views are compared."""
    bottleneck: int = Field(512, ge=1, le=8192)
    """Width of the predictor's hidden layer: a quarter of `dim` in the paper."""

    def build(self, encoder: nn.Module) -> SimSiam:
        """The method around an encoder."""
        # The last norm has no weights: with them training is unstable (table 3 of the paper).
        last = nn.BatchNorm1d(self.dim, affine=False)
        head = normed_head(encoder.dim, self.dim, self.dim, self.dim, last=last)
        return SimSiam(encoder, head, normed_head(self.dim, self.bottleneck, self.dim))


class SimSiam(Projected):
    """f is (encoder, head), h the predictor."""

    def __init__(self, encoder: nn.Module, head: nn.Module, predictor: nn.Module) -> None:
        super().__init__(encoder, head)
        self.predictor = predictor

    def forward(self, batch: Batch, clock: Clock) -> tuple[Tensor, dict[str, float]]:
        """The symmetric loss, at least -1 (Algorithm 1 of the paper)."""
        z1, z2 = (self.head(self.encoder(x).mean(dim=1)) for x in batch.views)  # (B, d)
        p1, p2 = self.predictor(z1), self.predictor(z2)
        z1, z2 = z1.detach(), z2.detach()
        loss = negative_cosine(p1, z2) / 2 + negative_cosine(p2, z1) / 2
        return loss, pair_logs(z1, z2)

    def weight_groups(self) -> list[WeightGroup]:
        """The predictor's learning rate never falls (section 4.2 of the paper)."""
        parts = [(self.encoder, self.head), (self.predictor,)]
        slow, fast = ([p for m in ms for p in m.parameters() if p.requires_grad] for ms in parts)
        return [WeightGroup(slow), WeightGroup(fast, steady=True)]
