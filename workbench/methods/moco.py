"""MoCo (He et al. 2020) and MoCo v2 (Chen et al. 2020): a momentum encoder and a queue of keys.

v1 is `hidden=0, temperature=0.07`; v2 is `hidden=2048, temperature=0.2`, the defaults.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from workbench.clock import Clock
from workbench.data.batch import Batch
from workbench.methods.base import NO_COINCIDENCE, MethodSettings, Projected, embed, no_negatives
from workbench.methods.gather import gather
from workbench.methods.losses import info_nce_logits, positive_first
from workbench.models.heads import projection_head

NOBODY = -1  # the group of the random vectors that fill the queue at the start


class MoCoConfig(MethodSettings):
    """MoCo: queries are pulled to the key of their other view, away from a queue of old keys."""

    name: Literal["moco"] = "moco"
    temperature: float = Field(0.2, gt=0, le=1)
    """Softness of the comparison: 0.07 in v1, 0.2 in v2."""
    momentum: float = Field(0.999, ge=0, le=1)
    """How much of itself the key encoder keeps at each step; lower it for short runs."""
    queue: int = Field(65536, ge=1, le=1_048_576)
    """Keys kept as negatives. Best below the number of clips in the data set."""
    dim: int = Field(128, ge=2, le=4096)
    """Dimensions in which queries and keys are compared."""
    hidden: int = Field(2048, ge=0, le=8192)
    """Width of the head's hidden layer (v2); 0 makes the head one linear layer (v1)."""
    mask_same_group: bool = True
    """Leave out old keys of the query's own group (as a rule, its recording) as negatives.
    Off as in the paper: then other moments of the recording are negatives too."""
    bn_splits: int = Field(2, ge=1, le=64)
    """Parts of a batch that the key encoder normalises separately, so that batch statistics do
    not give the positive away: the place of the paper's shuffled batch norm on one device."""

    def check(self, batch: int, frames: int) -> None:
        """The queue is replaced by whole batches (Algorithm 1 of the paper)."""
        if self.queue % batch:
            raise ValueError(
                f"method.queue is {self.queue} and train.batch {batch}: the queue has to be a "
                f"multiple of the batch. Set method.queue to {max(1, self.queue // batch) * batch}"
            )

    def build(self, encoder: nn.Module) -> MoCo:
        """The method around an encoder."""
        return MoCo(
            encoder,
            projection_head(encoder.dim, self.hidden, self.dim),
            dim=self.dim,
            queue=self.queue,
            momentum=self.momentum,
            temperature=self.temperature,
            mask_same_group=self.mask_same_group,
            bn_splits=self.bn_splits,
        )


class MoCo(Projected):
    """f_q is (encoder, head), f_k is (key_encoder, key_head); the queue holds keys of f_k.

    Keys of the query's own group are left out as an option, on by default [our reconstruction: of
    positives from other cameras the thesis does not say that they are; off, they are ordinary
    negatives].

    The state that makes a resumed run exact is in buffers: queue (K, d), queue_group (K,), the
    group each key came from, and queue_next, the slot that is written next.
    """

    def __init__(
        self,
        encoder: nn.Module,
        head: nn.Module,
        *,
        dim: int,
        queue: int,
        momentum: float,
        temperature: float,
        mask_same_group: bool,
        bn_splits: int,
    ) -> None:
        super().__init__(encoder, head)
        self.key_encoder = deepcopy(encoder).requires_grad_(False)
        self.key_head = deepcopy(head).requires_grad_(False)
        self.momentum = momentum
        self.temperature = temperature
        self.mask_same_group = mask_same_group
        self.bn_splits = bn_splits
        self.register_buffer("queue", F.normalize(torch.randn(queue, dim), dim=1))
        self.register_buffer("queue_group", torch.full((queue,), NOBODY))
        self.register_buffer("queue_next", torch.zeros((), dtype=torch.long))

    def forward(self, batch: Batch, clock: Clock) -> tuple[Tensor, dict[str, float]]:
        """The loss of view 0 as queries against view 1 as keys (Algorithm 1 of the paper)."""
        x_q, x_k = batch.views
        return self.contrast(self.project(x_q), x_k, batch.group)

    def contrast(self, q: Tensor, x_k: Tensor, group: Tensor) -> tuple[Tensor, dict[str, float]]:
        """The loss of (B, d) queries against the keys of (B, 3, T, H, W) clips and the queue.

        In training the key encoder moves before it is used, and the queue afterwards.
        """
        with torch.no_grad():
            if self.training:
                self.update_key_encoder()
            k = self.encode_keys(x_k)  # (B, d)

        keep = group[:, None] != self.queue_group if self.mask_same_group else None
        logits = self.logits(q, k, keep)  # (B, 1 + K)
        loss = positive_first(logits)
        logs = _logs(logits.detach(), self.temperature, self._of_one_group(keep))
        alone = logs.pop("keys_of_one_group")
        nobody = keep is not None and not keep.any()
        if nobody or (alone and alone + len(q) >= NO_COINCIDENCE):
            raise no_negatives("every key in the queue belongs to the group of its query")

        if self.training:
            self.enqueue(gather(k), gather(group))
        return loss, logs

    def logits(self, q: Tensor, k: Tensor, keep: Tensor | None) -> Tensor:
        """(B, 1 + K) of (B, d) queries and keys, the positive first; -inf where not `keep`."""
        # A copy: backward needs the queue as it was before this batch's keys went in.
        return info_nce_logits(q, k, self.queue.clone(), self.temperature, keep)

    def _of_one_group(self, keep: Tensor | None) -> Tensor:
        """Keys in the queue where these and the queries all are of one group, otherwise 0."""
        if keep is None:
            return self.queue.new_zeros(())
        filled = self.queue_group != NOBODY
        return (filled.sum() * ~(keep & filled).any()).to(self.queue.dtype)

    @torch.no_grad()
    def update_key_encoder(self) -> None:
        """theta_k <- m theta_k + (1 - m) theta_q: parameters only (eq. 2)."""
        theta_q = [*self.encoder.parameters(), *self.head.parameters()]
        theta_k = [*self.key_encoder.parameters(), *self.key_head.parameters()]
        torch._foreach_lerp_(theta_k, theta_q, 1 - self.momentum)

    @torch.no_grad()
    def encode_keys(self, clips: Tensor) -> Tensor:
        """(B, 3, T, H, W) -> (B, d) unit vectors of f_k, each part of the batch by itself."""
        parts = max(1, min(self.bn_splits, len(clips) // 2)) if self.training else 1
        keys = [embed(self.key_encoder, self.key_head, x) for x in clips.tensor_split(parts)]
        return torch.cat(keys)

    @torch.no_grad()
    def enqueue(self, keys: Tensor, group: Tensor) -> None:
        """Write (N, d) keys and their (N,) groups over the oldest entries; any N."""
        self.write(self.queue, keys)
        self.write(self.queue_group, group)
        self.queue_next.add_(len(keys)).remainder_(len(self.queue))

    def write(self, buffer: Tensor, values: Tensor) -> None:
        """Write (N, ...) values over the oldest entries of a buffer that goes with the queue."""
        size = len(buffer)
        buffer[self.slots(len(values))[-size:]] = values[-size:].to(buffer.dtype)

    def slots(self, n: int) -> Tensor:
        """(n,) the slots of the queue that are written next, the oldest entries first."""
        ahead = torch.arange(n, device=self.queue.device)
        return (self.queue_next + ahead) % len(self.queue)


def _logs(logits: Tensor, temperature: float, alone: Tensor) -> dict[str, float]:
    """Numbers for the curves, fetched from the device in one go."""
    positive, negative = logits[:, 0], logits[:, 1:]
    numbers = torch.stack(
        [
            (positive > negative.amax(dim=1)).float().mean(),
            positive.mean() * temperature,
            negative.isfinite().float().mean(),
            alone,
        ]
    )
    names = ("accuracy", "positive_similarity", "share_of_queue_used", "keys_of_one_group")
    return dict(zip(names, numbers.tolist(), strict=True))
