"""SimCLR (Chen et al. 2020): two views of an example against all others in the batch.

CVRL (Qian et al. 2021) is SimCLR on clips that `SameVideo(decay=1)` draws, with a head of
`layers=3, norm_last=False`.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from workbench.clock import Clock
from workbench.data.batch import Batch
from workbench.methods.base import NO_COINCIDENCE, MethodSettings, Projected, no_negatives, spread
from workbench.methods.gather import gather, gather_with_gradient
from workbench.methods.losses import nt_xent_logits, positive_first
from workbench.models.heads import normed_head


class SimCLRConfig(MethodSettings):
    """SimCLR: the two views of an example are pulled together, away from the rest of the batch."""

    name: Literal["simclr"] = "simclr"
    temperature: float = Field(0.1, gt=0, le=1)
    """Softness of the comparison."""
    dim: int = Field(128, ge=2, le=4096)
    """Dimensions in which views are compared."""
    hidden: int = Field(2048, ge=1, le=8192)
    """Width of the head's hidden layers; the paper's is that of the features (ResNet-50: 2048)."""
    layers: int = Field(1, ge=1, le=8)
    """Hidden layers of the head: 1 in SimCLR, 3 in CVRL."""
    norm_last: bool = True
    """Batch norm behind the head's last layer, as in SimCLR's code; CVRL has a bias there."""
    mask_same_group: bool = True
    """Leave out examples of the own group (as a rule, the recording, whatever the camera) as
    negatives. Off as in the paper: then other moments of the recording are negatives too."""

    def build(self, encoder: nn.Module) -> SimCLR:
        """The method around an encoder."""
        last = nn.BatchNorm1d(self.dim) if self.norm_last else None
        head = normed_head(encoder.dim, *[self.hidden] * self.layers, self.dim, last=last)
        return SimCLR(encoder, head, self.temperature, self.mask_same_group)


class SimCLR(Projected):
    """f is the encoder, g the head. Without a queue or a second network, a batch is all there is.

    Examples of the own group are left out as an option, on by default [our reconstruction: of
    positives from other cameras the thesis does not say that they are; off, they are ordinary
    negatives].

    The buffer `alone` counts the latest examples that had no negative.
    """

    def __init__(
        self, encoder: nn.Module, head: nn.Module, temperature: float, mask_same_group: bool
    ) -> None:
        super().__init__(encoder, head)
        self.temperature = temperature
        self.mask_same_group = mask_same_group
        self.register_buffer("alone", torch.zeros((), dtype=torch.long))

    def forward(self, batch: Batch, clock: Clock) -> tuple[Tensor, dict[str, float]]:
        """The loss of all views of all examples as anchors (Algorithm 1 of the paper).

        Both views go through the networks, and their batch norm, as one batch (the paper's code).
        """
        z = self.project(torch.cat(batch.views))  # (2B, d)
        z1, z2 = (gather_with_gradient(part) for part in z.chunk(2))
        group = gather(batch.group) if self.mask_same_group else None
        logits = nt_xent_logits(z1, z2, self.temperature, group)  # (2B, 1 + 2B)
        loss = positive_first(logits)
        logs = _logs(logits.detach(), self.temperature, z)
        if self.training:
            none = logs["share_of_batch_used"] == 0
            self.alone.copy_(self.alone * none + none * len(batch.group))
            if none and self.alone >= NO_COINCIDENCE:
                raise no_negatives("all examples of a batch belong to one group")
        return loss, logs


def _logs(logits: Tensor, temperature: float, z: Tensor) -> dict[str, float]:
    """Numbers for the curves, fetched from the device in one go."""
    positive, negative = logits[:, 0], logits[:, 1:]
    numbers = torch.stack(
        [
            (positive > negative.amax(dim=1)).float().mean(),
            positive.mean() * temperature,
            (negative != -torch.inf).float().mean(),
            spread(z),
        ]
    )
    names = ("accuracy", "positive_similarity", "share_of_batch_used", "spread")
    return dict(zip(names, numbers.tolist(), strict=True))
