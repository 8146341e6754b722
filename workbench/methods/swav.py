"""SwAV (Caron et al. 2020): the code of one view is told from the other views.

Codes say which prototypes a view is near, spread so that all prototypes are used alike. Small crops
(multi-crop: `augment.small`) are told the codes of the full views and get none themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from workbench.clock import Clock
from workbench.data.batch import Batch
from workbench.methods.base import MethodSettings, Projected, pair_logs
from workbench.methods.gather import gather
from workbench.methods.losses import swapped_prediction
from workbench.models.heads import normed_head


class SwAVConfig(MethodSettings):
    """SwAV: views of an example are assigned to the same prototypes, which all are used alike."""

    small_views: ClassVar[bool] = True

    name: Literal["swav"] = "swav"
    prototypes: int = Field(3000, ge=2, le=100_000)
    """Prototypes; about ten times as many as there are kinds of clips."""
    temperature: float = Field(0.1, gt=0, le=1)
    """Softness of the predictions."""
    epsilon: float = Field(0.05, gt=0, le=1)
    """Softness of the codes; lower it (0.03) for small batches."""
    iterations: int = Field(3, ge=1, le=100)
    """Rounds of Sinkhorn's algorithm that spread the codes evenly."""
    dim: int = Field(128, ge=2, le=4096)
    """Dimensions in which views and prototypes are compared."""
    hidden: int = Field(2048, ge=1, le=8192)
    """Width of the head's hidden layer."""
    frozen: float = Field(0.005, ge=0, le=1)
    """Share of the run at its start in which prototypes stay as they are: 1 epoch of 200."""
    queue: int = Field(3840, ge=0, le=1_048_576)
    """Earlier embeddings that codes are spread over too, for batches smaller than the number of
    prototypes; 0 for none."""
    queue_from: float = Field(0.075, ge=0, le=1)
    """Share of the run after which the queue starts to fill; it is used once it is full. Epoch 15
    of 200 in the paper: earlier embeddings change too fast."""

    def check(self, batch: int, frames: int) -> None:
        """Codes cannot use all prototypes alike where there are fewer embeddings to spread."""
        if self.queue % batch:
            raise ValueError(
                f"method.queue is {self.queue} and train.batch {batch}: the queue has to be a "
                f"multiple of the batch. Set method.queue to {self.queue // batch * batch}"
            )
        if batch + self.queue < self.prototypes:
            raise ValueError(
                f"{batch + self.queue} embeddings (train.batch {batch}, method.queue {self.queue}) "
                f"cannot use {self.prototypes} prototypes alike. Set method.prototypes to "
                f"{batch + self.queue} or fewer, or method.queue to "
                f"{-(-self.prototypes // batch) * batch}"
            )

    def build(self, encoder: nn.Module) -> SwAV:
        """The method around an encoder."""
        return SwAV(
            encoder,
            normed_head(encoder.dim, self.hidden, self.dim),
            dim=self.dim,
            prototypes=self.prototypes,
            temperature=self.temperature,
            epsilon=self.epsilon,
            iterations=self.iterations,
            frozen=self.frozen,
            queue=self.queue,
            queue_from=self.queue_from,
        )


class SwAV(Projected):
    """f is the encoder, g the head; rows of `prototypes` (P, d) are unit vectors.

    Buffers: queue (2, K, d), a ring of embeddings of each full view (of which a subclass may have
    more); queue_next, the slot that is written next; queue_filled, how many were written.
    """

    assigned: tuple[int, ...] = (0, 1)
    """The full views, which get codes."""

    def __init__(
        self,
        encoder: nn.Module,
        head: nn.Module,
        *,
        dim: int,
        prototypes: int,
        temperature: float,
        epsilon: float,
        iterations: int,
        frozen: float,
        queue: int,
        queue_from: float,
        full: int = 2,
    ) -> None:
        super().__init__(encoder, head)
        self.prototypes = nn.Linear(dim, prototypes, bias=False)
        self.temperature = temperature
        self.epsilon = epsilon
        self.iterations = iterations
        self.frozen_until = frozen
        self.queue_from = queue_from
        self.register_buffer("queue", torch.zeros(full, queue, dim))
        self.register_buffer("queue_next", torch.zeros((), dtype=torch.long))
        self.register_buffer("queue_filled", torch.zeros((), dtype=torch.long))
        self.normalise_prototypes()

    @property
    def prototypes(self) -> Tensor:
        """(P, d) unit vectors."""
        # a layer of this name, as checkpoints have it, which nn.Module keeps in `_modules`
        return self._modules["prototypes"].weight

    def forward(self, batch: Batch, clock: Clock) -> tuple[Tensor, dict[str, float]]:
        """The loss of the codes of the assigned views against the predictions of all others."""
        frozen = clock.progress < self.frozen_until
        if self.training and not frozen:
            self.normalise_prototypes()
        c = self.prototypes.detach() if frozen else self.prototypes  # (P, d)
        z = self.embed_views(batch.views)  # V of (B, d)
        with torch.autocast(c.device.type, enabled=False):
            scores = [z_v @ c.T for z_v in z]  # V of (B, P)
            earlier = None
            if self._queue_is_full():
                earlier = [self.queue[i] @ c.detach().T for i in self.assigned]
        loss = swapped_prediction(
            scores, self.assigned, self.temperature, self.epsilon, self.iterations, earlier
        )
        full = torch.stack([z[i].detach() for i in self.assigned])  # (2, B, d)
        if self.training and clock.progress >= self.queue_from:
            self.enqueue(gather(full.transpose(0, 1)).transpose(0, 1))
        nearest = torch.cat([scores[i].detach().argmax(dim=1) for i in self.assigned])
        logs = {
            "prototypes_used": len(nearest.unique()) / len(c),
            "queue_used": float(bool(earlier)),
        }
        return loss, pair_logs(*full[:2]) | logs

    def embed_views(self, views: Sequence[Tensor]) -> list[Tensor]:
        """(B, d) unit vectors per view. Views of one size go through the encoder as one batch,
        and all through the head (the paper's code), which is what batch norm averages over.
        """
        sizes = [torch.cat([*same]) for _, same in groupby(views, key=lambda v: v.shape[2:])]
        features = torch.cat([self.encoder(x).mean(dim=1) for x in sizes])  # (V B, D)
        return [*self.project_features(features).chunk(len(views))]

    @torch.no_grad()
    def normalise_prototypes(self) -> None:
        """Bring every prototype to unit length."""
        self.prototypes.copy_(F.normalize(self.prototypes, dim=1))

    def _queue_is_full(self) -> bool:
        size = self.queue.shape[1]
        return bool(size and self.queue_filled >= size)

    @torch.no_grad()
    def enqueue(self, z: Tensor) -> None:
        """Write (2, N, d) embeddings of the assigned views over the oldest entries; any N."""
        size, count = self.queue.shape[1], z.shape[1]
        if not size:
            return
        slots = (self.queue_next + torch.arange(count, device=z.device)) % size
        self.queue[: len(z), slots[-size:]] = z[:, -size:].to(self.queue.dtype)
        self.queue_next.add_(count).remainder_(size)
        self.queue_filled.add_(count)
