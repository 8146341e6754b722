"""CycleCL and TCN: frames of triplets, the positive nearer to the anchor than the negative.

What is positive and negative is the sampler's: `same-phase` makes it CycleCL, `time-contrast` TCN
(Sermanet et al. 2018).
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from workbench.clock import Clock
from workbench.data.batch import Batch
from workbench.methods.base import Method, MethodSettings, spread
from workbench.methods.losses import triplet


class CycleCLConfig(MethodSettings):
    """CycleCL: a frame is pulled to one of the same phase, away from one of another phase."""

    needs_triplets: ClassVar[bool] = True

    name: Literal["cyclecl"] = "cyclecl"
    margin: float = Field(0.5, gt=0, le=4)
    """How much farther than the positive the negative is to be, in units of distance."""
    squared: bool = False
    """Compare squares of distances, as FaceNet and TCN do; CycleCL does not say [our
    reconstruction: the distances themselves]."""

    def build(self, encoder: nn.Module) -> CycleCL:
        """The method around an encoder."""
        return CycleCL(encoder, self.margin, self.squared)


class CycleCL(Method):
    """The triplet loss of the encoder's features at single frames, which are the embedding.

    They are brought to unit length, unless the encoder's head says that they are not to be
    (CycleCL supplement, table C). A step of an encoder that has fewer steps than frames stands for
    all of its frames.
    """

    def __init__(self, encoder: nn.Module, margin: float, squared: bool) -> None:
        super().__init__()
        self.encoder = encoder
        self.margin = margin
        self.squared = squared
        self.unit = getattr(encoder, "unit", True)

    def forward(self, batch: Batch, clock: Clock) -> tuple[Tensor, dict[str, float]]:
        """The mean loss of all triplets of all examples; all views are one batch."""
        if batch.triplets is None:
            raise ValueError("cyclecl learns from triplets, which this sampler does not give.")
        z = self.frames(batch.views)  # (B, V T', d)
        steps = self.steps(batch.triplets, batch.views[0].shape[2])  # (B, N, 3)
        at = steps.flatten(1)[..., None].expand(-1, -1, z.shape[2])
        a, p, n = z.gather(1, at).unflatten(1, (-1, 3)).flatten(0, 1).unbind(dim=1)  # (B N, d)
        loss = triplet(a, p, n, self.margin, self.squared, self.unit)
        return loss, self._logs(a.detach(), p.detach(), n.detach())

    def frames(self, views: tuple[Tensor, ...]) -> Tensor:
        """V of (B, 3, T, H, W) -> (B, V T', d) float32, one view after the other."""
        z = self.encoder(torch.cat(views)).float()  # (V B, T', d)
        return z.unflatten(0, (len(views), -1)).transpose(0, 1).flatten(1, 2)

    def steps(self, triplets: Tensor, length: int) -> Tensor:
        """Indices into frames, `length` of them in a view, -> indices into steps of features."""
        stride = self.encoder.time_stride
        per_view = -(-length // stride)
        return triplets // length * per_view + triplets % length // stride

    def project(self, clips: Tensor) -> Tensor:
        """(B, 3, T, H, W) -> (B, d) unit vectors: the mean of the frames' embeddings."""
        return self.project_features(self.encoder(clips).mean(dim=1))

    def project_features(self, features: Tensor) -> Tensor:
        """(B, d) embeddings -> the same of unit length."""
        return F.normalize(features.float(), dim=1)

    def for_mining(self, clips: Tensor, clock: Clock) -> Tensor:
        """(B, T', D): before training what the network on the frames knows, then the embedding."""
        if clock.step == 0 and hasattr(self.encoder, "pooled"):
            return self.encoder.pooled(clips)
        return self.represent(clips)

    def _logs(self, a: Tensor, p: Tensor, n: Tensor) -> dict[str, float]:
        """Numbers for the curves, fetched from the device in one go."""
        if self.unit:
            a, p, n = (F.normalize(x, dim=1) for x in (a, p, n))
        near, far = ((a - x).norm(dim=1) for x in (p, n))
        gap = near.square() - far.square() if self.squared else near - far
        numbers = torch.stack(
            [
                near.mean(),
                far.mean(),
                (near < far).float().mean(),
                (gap + self.margin > 0).float().mean(),
                spread(F.normalize(a, dim=1)),
            ]
        )
        names = (
            "positive_distance", "negative_distance", "accuracy", "share_active", "spread",
        )  # fmt: skip
        return dict(zip(names, numbers.tolist(), strict=True))
