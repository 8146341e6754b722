"""IIC (Tao et al. 2020): two views of a clip against other clips, and against its own broken time.

With `topk` the positives are also recordings that look alike in both views, found by the cascade of
CPR (Wu & Wang 2021).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Literal, Self

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from workbench.clock import Clock
from workbench.data.batch import Batch
from workbench.methods.base import Method, MethodSettings, spread
from workbench.methods.coclr import cascade, cascade_sizes
from workbench.methods.losses import mil_nce

log = logging.getLogger(__name__)

QUARTERS = 4
"""Parts of a clip of which two are swapped."""


class IICConfig(MethodSettings):
    """IIC: a clip and its motion, against other recordings and against clips of broken time."""

    name: Literal["iic"] = "iic"
    temperature: float = Field(0.07, gt=0, le=1)
    """Softness of the comparison."""
    negatives: int = Field(1024, ge=1, le=65536)
    """Other recordings that a clip is compared with, drawn anew each time; as many intra-negatives
    and one more."""
    intra: Literal["repeat", "shuffle"] = "repeat"
    """What an intra-negative is: one frame of the clip repeated, or two quarters of it swapped."""
    residual: bool = True
    """Take the differences of the clip's frames for its second view; off: the sampler gives it,
    such as two-streams, whose other stream is flow."""
    memory: float = Field(0.5, ge=0, lt=1)
    """How much of what is remembered of a recording stays when it is seen again."""
    topk: int = Field(0, ge=0, le=1000)
    """Recordings that become positives beside a clip's own: 5 in CPR; 0: none (IIC)."""
    stages: int = Field(7, ge=3, le=100)
    """Stages of the cascade that finds them, in turns in the eyes of both views."""
    ratio: float = Field(0.5, gt=0, lt=1)
    """Share of all recordings that a stage of the cascade leaves."""
    mine_from: float = Field(0.25, ge=0, lt=1)
    """Share of the run before positives are looked for [our reconstruction]; with a run of iic as
    `init` 0 will do."""
    recordings: int = Field(0, ge=0)
    """Recordings to remember; 0: all of the training data."""

    @property
    def views(self) -> int:
        """Clips of an example: one, or two where the second view is no residual."""
        return 1 if self.residual else 2

    def check(self, batch: int, frames: int) -> None:
        """Clips hold what is broken in them."""
        least = QUARTERS if self.intra == "shuffle" else 2
        if frames < least:
            raise ValueError(
                f"clips have {frames} frames, and for intra-negatives of kind {self.intra} it "
                f"takes {least} at least. Raise data.clip.length"
            )

    def knowing(self, classes: Sequence[str], recordings: int = 0) -> Self:
        """The settings with the number of recordings, where it was not given."""
        many = self.recordings or recordings
        if recordings > many:
            raise ValueError(
                f"method.recordings is {many} and the training data has {recordings}. Leave it out."
            )
        if many < 2:
            raise ValueError(
                f"iic compares with other recordings, and the training data has {many}. Add some."
            )
        if self.topk:
            cascade_sizes(many, self.topk, self.ratio, self.stages, "more recordings")
        return self.model_copy(update={"recordings": many})

    def build(self, encoder: nn.Module) -> IIC:
        """The method around an encoder."""
        if not self.recordings:
            raise ValueError(
                "method.recordings is 0: say how many recordings are to be remembered."
            )
        return IIC(
            encoder,
            break_time=BROKEN[self.intra],
            **self.model_dump(exclude={"name", "intra"}),
        )


class IIC(Method):
    """One encoder for both views and for intra-negatives; its features, as they are, are compared.

    What it made of each recording when it saw it last is remembered in three banks (N, D) of unit
    vectors: `first`, `second` and `broken` (the intra-negatives). The state that makes a resumed
    run exact is in these, and in `seen` (N,). A recording is an example's group.
    """

    def __init__(
        self,
        encoder: nn.Module,
        *,
        recordings: int,
        temperature: float,
        negatives: int,
        memory: float,
        residual: bool,
        break_time: Callable[[Tensor], Tensor],
        topk: int,
        stages: int,
        ratio: float,
        mine_from: float,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.temperature = temperature
        self.negatives = negatives
        self.memory = memory
        self.residual = residual
        self.break_time = break_time
        self.topk = topk
        self.stages = stages
        self.ratio = ratio
        self.mine_from = mine_from
        reach = (encoder.dim / 3) ** -0.5
        for bank in ("first", "second", "broken"):
            random = torch.empty(recordings, encoder.dim).uniform_(-reach, reach)
            self.register_buffer(bank, random)
        self.register_buffer("seen", torch.zeros(recordings, dtype=torch.bool))
        self._found: list[tuple[Tensor, Tensor]] = []

    def forward(self, batch: Batch, clock: Clock) -> tuple[Tensor, dict[str, float]]:
        """The sum of what either view loses against what is remembered of the other."""
        x, own = batch.views[0], batch.group
        f1 = self.features(x)  # (B, D)
        f2 = self.features(differences(x) if self.residual else batch.views[1])
        with torch.no_grad():
            f_broken = self.features(self.break_time(x))

        draws = self.draw(own)  # (B, K)
        one, other = (f1.detach(), self.first), (f2.detach(), self.second)
        loss1, logs = self.contrast(
            f1, self.second, own, self.mine(*other, *one, own, clock), draws
        )
        loss2, _ = self.contrast(f2, self.first, own, self.mine(*one, *other, own, clock), draws)
        if self.training:
            fresh = first_of_each(own)
            for bank, f in ((self.first, f1), (self.second, f2), (self.broken, f_broken)):
                self.remember(bank, own[fresh], f.detach()[fresh])
            self.seen[own] = True
        return loss1 + loss2, logs

    def features(self, clips: Tensor) -> Tensor:
        """(B, 3, T, H, W) -> (B, D) float32, not of unit length, averaged over time."""
        return self.encoder(clips).mean(dim=1).float()

    def contrast(
        self, f: Tensor, bank: Tensor, own: Tensor, found: Tensor, draws: Tensor
    ) -> tuple[Tensor, dict[str, float]]:
        """MIL-NCE of (B, D) features of one view against the (N, D) bank of the other one.

        own: (B,), found: (B, M) further positives, -1 for none, draws: (B, K): rows of the banks.
        The intra-negatives are those of `own` and of `draws`. With own alone it is cross entropy
        (IIC, eq. 4).
        """
        with torch.autocast(f.device.type, enabled=False):
            near, broken = f @ bank.clone().T, f @ self.broken.clone().T  # (B, N)
        rows = torch.cat([own[:, None], found.clamp(min=0), draws], dim=1)  # (B, 1 + M + K)
        of_own = torch.cat([own[:, None], draws], dim=1)  # (B, 1 + K)
        logits = torch.cat([near.gather(1, rows), broken.gather(1, of_own)], dim=1)
        logits = logits / self.temperature

        positives = torch.zeros_like(logits, dtype=torch.bool)
        positives[:, 0] = True
        positives[:, 1 : 1 + found.shape[1]] = found >= 0
        void = torch.zeros_like(positives)
        void[:, 1 : 1 + found.shape[1]] = found < 0
        void[:, 1 + found.shape[1] : rows.shape[1]] = (draws[:, :, None] == found[:, None]).any(2)
        logits = logits.masked_fill(void, -torch.inf)
        unit = F.normalize(f.detach(), dim=1)
        numbers = [
            (logits[:, 0] >= logits.masked_fill(positives, -torch.inf).amax(dim=1)).float().mean(),
            (unit * bank[own]).sum(dim=1).mean(),
            (unit * self.broken[own]).sum(dim=1).mean(),
            spread(unit),
            (found >= 0).sum() / len(found),
        ]
        names = ("accuracy", "positive_similarity", "intra_similarity", "spread", "positives_found")
        logs = dict(zip(names, torch.stack(numbers).tolist(), strict=True))
        return mil_nce(logits, positives), logs

    def draw(self, own: Tensor) -> Tensor:
        """(B, K) other recordings than the (B,) own ones, drawn evenly, with replacement.

        The code's own draw may hit the positive; here it never does.
        """
        n = len(self.first)
        step = torch.randint(1, n, (len(own), self.negatives), device=own.device)
        return (own[:, None] + step) % n

    def mine(
        self,
        main: Tensor,
        main_bank: Tensor,
        aux: Tensor,
        aux_bank: Tensor,
        own: Tensor,
        clock: Clock,
    ) -> Tensor:
        """(B, topk) recordings that are alike in the eyes of both views, -1 where there are none.

        main, aux: (B, D) features in the view that is learned from and in the one that learns, as
        in CPR; recordings not seen yet are not found. [our reconstruction: CPR tells no details of
        its variant on IIC]
        """
        if not self.topk or clock.progress < self.mine_from:
            return own.new_zeros(len(own), 0)
        never = ~self.seen | (torch.arange(len(self.seen), device=own.device) == own[:, None])
        main, aux = F.normalize(main, dim=1), F.normalize(aux, dim=1)
        how = self.topk, self.ratio, self.stages, never
        found = cascade(main, main_bank, aux, aux_bank, *how)
        found = found.masked_fill(never.gather(1, found), -1)
        if self.training:
            kept = found >= 0
            self._found.append((own[:, None].expand_as(found)[kept], found[kept]))
        return found

    def mined(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Recordings of clips and of those that were found for them since the last call."""
        if not self._found:
            return None
        pairs = zip(*self._found, strict=True)
        self._found = []
        anchor, positive = (torch.cat(groups).cpu().numpy() for groups in pairs)
        return anchor, positive

    @torch.no_grad()
    def remember(self, bank: Tensor, own: Tensor, f: Tensor) -> None:
        """Move (B,) rows of a bank towards (B, D) features, and back to unit length."""
        m = self.memory
        bank[own] = F.normalize(m * bank[own] + (1 - m) * f, dim=1)

    def project(self, clips: Tensor) -> Tensor:
        """(B, 3, T, H, W) -> (B, D) features of unit length."""
        return self.project_features(self.encoder(clips).mean(dim=1))

    def project_features(self, features: Tensor) -> Tensor:
        """(B, D) features averaged over time -> the same of unit length."""
        return F.normalize(features.float(), dim=1)

    def start_from(self, other: Method) -> None:
        """What a run of iic remembers, where it is of as many recordings."""
        if not isinstance(other, IIC) or other.first.shape != self.first.shape:
            log.warning("init: what is remembered starts anew, for the run remembers other things")
            return
        for name in ("first", "second", "broken", "seen"):
            getattr(self, name).copy_(getattr(other, name))


def differences(clips: Tensor) -> Tensor:
    """(B, 3, T, H, W): each frame less the one before it, the first one less the last (the code's).

    In units of the normalised clip, zero where nothing moves.
    """
    return clips - clips.roll(1, dims=2)


def repeat_frame(clips: Tensor) -> Tensor:
    """One frame of each of (B, 3, T, H, W) clips, drawn evenly, for all of its time."""
    b, _, t = clips.shape[:3]
    frame = torch.randint(t, (b,), device=clips.device)
    return clips[torch.arange(b, device=clips.device), :, frame, None].expand_as(clips)


def swap_quarters(clips: Tensor) -> Tensor:
    """(B, 3, T, H, W) clips of which two quarters, drawn evenly, are in each other's place."""
    quarters = torch.arange(clips.shape[2]).tensor_split(QUARTERS)
    out = []
    for clip in clips:
        i, j = torch.randperm(QUARTERS)[:2].tolist()
        order = list(range(QUARTERS))
        order[i], order[j] = j, i
        out.append(clip[:, torch.cat([quarters[k] for k in order])])
    return torch.stack(out)


BROKEN = {"repeat": repeat_frame, "shuffle": swap_quarters}
"""What makes clips that look alike at any moment and do not move as they did."""


def first_of_each(group: Tensor) -> Tensor:
    """(B,) whether an example is the first one of its (B,) group."""
    return ~(group[:, None] == group).tril(-1).any(dim=1)
