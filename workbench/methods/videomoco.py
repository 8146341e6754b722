"""VideoMoCo (Pan et al. 2021): MoCo whose old keys fade, against a generator that drops frames.

The paper's two phases are two runs: `drop=0`, then one with the generator that has the first run
as `init`. The encoder alone is taken over; head, key encoder and queue start anew [our choice].
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from workbench.clock import Clock
from workbench.data.batch import Batch
from workbench.methods.losses import info_nce_logits
from workbench.methods.moco import MoCo, MoCoConfig
from workbench.models.heads import projection_head
from workbench.models.parts import pool_space

ADVERSARY = 100.0
"""What the generator's aim is multiplied with (the paper's code)."""


class VideoMoCoConfig(MoCoConfig):
    """VideoMoCo: MoCo whose old keys count less, and which must do without its best frames."""

    name: Literal["videomoco"] = "videomoco"
    temperature: float = Field(0.07, gt=0, le=1)
    """Softness of the comparison."""
    hidden: int = Field(0, ge=0, le=8192)
    """Width of the head's hidden layer; 0 makes the head one linear layer."""
    decay: float = Field(0.99999, gt=0, le=1)
    """What a key keeps of its weight with each batch that came after it; 1 for MoCo."""
    fades: Literal["weight", "similarity"] = "weight"
    """What age takes from a key: its weight among the negatives (the paper), or its similarity to
    the queries (the paper's code), which then all tend to 0."""
    drop: float = Field(0.25, ge=0, le=0.9)
    """Share of the query's frames that the generator takes away; 0 for phase one, without it."""

    def check(self, batch: int, frames: int) -> None:
        """As MoCo's; and the generator needs a frame to take and one to leave."""
        super().check(batch, frames)
        if self.drop and frames < 2:
            raise ValueError(
                f"method.drop is {self.drop} and clips are of {frames} frame: nothing can be taken "
                "away. Set method.drop to 0, or data.clip.length to 2 or more"
            )

    def build(self, encoder: nn.Module) -> VideoMoCo:
        """The method around an encoder."""
        return VideoMoCo(
            encoder,
            projection_head(encoder.dim, self.hidden, self.dim),
            decay=self.decay,
            fades=self.fades,
            drop=self.drop,
            dim=self.dim,
            queue=self.queue,
            momentum=self.momentum,
            temperature=self.temperature,
            mask_same_group=self.mask_same_group,
            bn_splits=self.bn_splits,
        )


class VideoMoCo(MoCo):
    """D is MoCo, its queries computed from what G, the generator, has left of the clip.

    The buffer queue_age (K,) counts the batches since a key came, itself included.
    """

    def __init__(
        self,
        encoder: nn.Module,
        head: nn.Module,
        *,
        decay: float,
        fades: str,
        drop: float,
        queue: int,
        **moco: object,
    ) -> None:
        super().__init__(encoder, head, queue=queue, **moco)
        self.log_decay = math.log(decay)
        self.fades = fades
        self.drop = drop
        self.generator = Generator() if drop else None
        self.register_buffer("queue_age", torch.zeros(queue, dtype=torch.long))

    def forward(self, batch: Batch, clock: Clock) -> tuple[Tensor, dict[str, float]]:
        """The loss of D on dropped clips; its gradient also moves G against D.

        D minimises the contrastive loss L of q, the query of the dropped clip x'; G minimises
        L_G = -100 mean |q - q_real|, q_real the query of the whole clip. Either must leave the
        other's weights alone, so the graph is cut at x': L reaches D only; L_G is followed from q
        back to x' here, and from there on, straight through the choice of frames, to the scores.
        The term for G is zero, but its gradient is not. (In the paper's code L reaches G too.)
        """
        if not (self.training and self.generator):
            return super().forward(batch, clock)
        x_q, x_k = batch.views
        scores = self.generator(x_q)  # (B, T)
        dropped = drop_frames(x_q, scores.detach(), self.drop).requires_grad_()
        q = self.project(dropped)  # (B, d)
        with torch.no_grad():
            q_real = self.project(x_q)
        loss, logs = self.contrast(q, x_k, batch.group)
        distance = (q - q_real).abs().mean()
        (pull,) = torch.autograd.grad(-ADVERSARY * distance, dropped, retain_graph=True)
        adversary = (pull.sum(dim=(1, 3, 4)) * scores).sum()
        return loss + adversary - adversary.detach(), logs | {"drop_distance": distance.item()}

    def logits(self, q: Tensor, k: Tensor, keep: Tensor | None) -> Tensor:
        """As MoCo's, of keys that fade: t^a weighs exp(q k / T), or k itself (`fades`)."""
        log_weight = self.queue_age * self.log_decay  # (K,)
        if self.fades == "similarity":
            faded = self.queue * log_weight.exp()[:, None]
            return info_nce_logits(q, k, faded, self.temperature, keep)
        logits = super().logits(q, k, keep)
        return torch.cat([logits[:, :1], logits[:, 1:] + log_weight], dim=1)

    @torch.no_grad()
    def enqueue(self, keys: Tensor, group: Tensor) -> None:
        """As MoCo's; all keys age by one, the new ones are of age one."""
        self.queue_age.add_(1)
        self.queue_age[self.slots(len(keys))] = 1
        super().enqueue(keys, group)


class Generator(nn.Module):
    """(B, 3, T, H, W) -> (B, T): a score per frame, of sum 1; the frames of low score go.

    A small net per frame, then an LSTM in both directions [our layout: the paper says ConvLSTM, its
    code has 96-channel pictures of exactly 32 frames of 112 pixels]. In float32: it is small.
    """

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.frames = nn.Sequential(
            nn.Conv3d(3, width, (1, 5, 5), stride=(1, 4, 4), padding=(0, 2, 2), bias=False),
            nn.BatchNorm3d(width),
            nn.ReLU(inplace=True),
            nn.Conv3d(width, 2 * width, (1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1), bias=False),
            nn.BatchNorm3d(2 * width),
            nn.ReLU(inplace=True),
        )
        self.memory = nn.LSTM(2 * width, 64, batch_first=True, bidirectional=True)
        self.score = nn.Linear(2 * 64, 1)

    def forward(self, clips: Tensor) -> Tensor:
        """Scores over time."""
        with torch.autocast(clips.device.type, enabled=False):
            frames = pool_space(self.frames(clips.float()))  # (B, T, 2 width)
            return self.score(self.memory(frames)[0]).squeeze(2).softmax(dim=1)


def drop_frames(clips: Tensor, scores: Tensor, share: float) -> Tensor:
    """(B, 3, T, H, W) clips without the `share` of their frames that (B, T) scores rank lowest.

    What goes becomes a plain frame: its own mean over pixels and channels (the paper's code). At
    least one frame goes and one stays.
    """
    frames = scores.shape[1]
    count = min(max(1, round(share * frames)), frames - 1)
    lowest = scores.topk(count, dim=1, largest=False).indices
    gone = torch.zeros_like(scores, dtype=torch.bool).scatter(1, lowest, True)
    plain = clips.mean(dim=(1, 3, 4), keepdim=True)  # (B, 1, T, 1, 1)
    return torch.where(gone[:, None, :, None, None], plain, clips)
