"""CoCLR (Han et al. 2020) and CPR (Wu & Wang 2021): positives that the other stream finds.

InfoNCE on either stream comes first (MoCo). Then runs take turns, each with the last one of its own
stream as `init`, from which head and key encoder start too, and the last one of the other stream as
`teacher`. CPR replaces the nearest keys in the teacher's eyes by a cascade through both streams'
eyes; the rest is CoCLR's. UberNCE is the same where labels say who is a positive.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal, Self

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from workbench.clock import Clock
from workbench.data.batch import Batch
from workbench.methods.base import Method, MethodSettings
from workbench.methods.gather import gather
from workbench.methods.losses import info_nce_logits, mil_nce
from workbench.methods.moco import NOBODY, MoCo
from workbench.methods.teacher import Teacher, hand_over
from workbench.models.heads import projection_head


class CoCLRConfig(MethodSettings):
    """CoCLR: a query's positives are its key, and the old keys that a teacher finds alike.

    The teacher sees the same clips in the other stream.
    """

    views: ClassVar[int] = 4
    taught_views: ClassVar[int] = 4
    needs_teacher: ClassVar[bool] = True

    name: Literal["coclr"] = "coclr"
    temperature: float = Field(0.07, gt=0, le=1)
    """Softness of the comparison."""
    momentum: float = Field(0.999, ge=0, le=1)
    """How much of itself the key encoder keeps at each step; lower it for short runs."""
    queue: int = Field(2048, ge=1, le=1_048_576)
    """Old keys to find positives among; the others are negatives. Below the number of clips of the
    data set. No weight moves before it is full."""
    dim: int = Field(128, ge=2, le=4096)
    """Dimensions in which queries and keys are compared; the teacher's have to be as many."""
    hidden: int = Field(1024, ge=0, le=8192)
    """Width of the head's hidden layer, as many as the encoder has features; 0: a linear head."""
    topk: int = Field(5, ge=1, le=1000)
    """Old keys that become positives of a query."""
    stages: int = Field(1, ge=1, le=100)
    """1: they are the nearest in the teacher's eyes (CoCLR). 7: what is left of the queue after a
    cascade of so many stages, in turns in the eyes of both streams (CPR). An even number does what
    one less does."""
    ratio: float = Field(0.5, gt=0, lt=1)
    """Share of the queue that a stage of the cascade leaves."""
    drop_own: float = Field(0.9, ge=0, le=1)
    """How often a query's own key does not count as a positive where it has others. At 0, as in the
    paper, it takes three times the epochs (issue 43 of the code)."""
    bn_splits: int = Field(2, ge=1, le=64)
    """Parts of a batch that the key encoder normalises separately, as in moco."""

    def check(self, batch: int, frames: int) -> None:
        """The queue is replaced by whole batches, and holds enough for the last stage."""
        _whole_batches(self.queue, batch)
        if self.topk > self.queue:
            raise ValueError(
                f"method.topk is {self.topk} and method.queue {self.queue}: there are not as many "
                "keys. Lower method.topk"
            )
        if self.stages > 1:
            cascade_sizes(self.queue, self.topk, self.ratio, self.stages)

    def build(self, encoder: nn.Module, teacher: Method | None = None) -> CoCLR:
        """The method around an encoder; without a teacher it can be looked at, not trained."""
        return CoCLR(
            encoder,
            projection_head(encoder.dim, self.hidden, self.dim),
            teacher=teacher,
            topk=self.topk,
            stages=self.stages,
            ratio=self.ratio,
            drop_own=self.drop_own,
            dim=self.dim,
            queue=self.queue,
            momentum=self.momentum,
            temperature=self.temperature,
            mask_same_group=False,
            bn_splits=self.bn_splits,
        )


class CoCLR(MoCo):
    """f_q and f_k as in MoCo; g, the teacher, is frozen and sees the other stream.

    Further buffer: queue_second (K, d), what g makes of the clips that the keys are of. Keys of a
    query's group (siblings) are positives, and are not found once more. A group is a recording, so
    that they are other clips of it. (The authors' code takes class and group of UCF101's names for
    one, which gives away that other videos show the same action; that is left out here.)
    """

    def __init__(
        self,
        encoder: nn.Module,
        head: nn.Module,
        *,
        teacher: Method | None,
        topk: int,
        stages: int,
        ratio: float,
        drop_own: float,
        dim: int,
        queue: int,
        **moco: object,
    ) -> None:
        super().__init__(encoder, head, dim=dim, queue=queue, **moco)
        self.teacher = Teacher(teacher) if teacher else None
        self.topk = topk
        self.stages = stages
        self.ratio = ratio
        self.drop_own = drop_own
        self.register_buffer("queue_second", torch.zeros(queue, dim))
        self._found: list[tuple[Tensor, Tensor]] = []

    def forward(self, batch: Batch, clock: Clock) -> tuple[Tensor, dict[str, float]]:
        """MIL-NCE of view 0 as queries against view 1 as keys; view 3 shows the teacher the latter.

        Until the queue is full, keys are kept and the loss has no gradient, so that no weight moves
        (but the key encoder, which follows).
        """
        x_q, x_k, _, x_second = batch.views
        q = self.project(x_q)  # (B, d)
        with torch.no_grad():
            if self.training:
                self.update_key_encoder()
            k = self.encode_keys(x_k)  # (B, d)
            k_second = self.teacher.project(x_second)  # (B, d)

        filled = self.queue_group != NOBODY
        full = bool(filled.all())
        q = q if full else q.detach()
        logits = info_nce_logits(q, k, self.queue.clone(), self.temperature, filled[None])
        siblings = batch.group[:, None] == self.queue_group  # (B, K)
        positives, found = siblings, batch.group.new_zeros(len(q), 0)
        if full:
            found = self.mine(q.detach(), k_second, siblings)  # (B, topk)
            positives = siblings.scatter(1, found, True)
        mask = torch.cat([self._own(positives), positives], dim=1)  # (B, 1 + K)
        loss = mil_nce(logits, mask)
        logs = _logs(logits.detach(), positives, self.temperature) | {"queue_full": float(full)}
        if full and positives.all():
            raise ValueError(
                "there is nothing to push away from: every key in the queue is a positive. Add "
                "recordings, or lower method.topk."
            )

        if self.training:
            if full:
                of_found = self.queue_group[found].flatten()
                self._found.append((batch.group.repeat_interleave(found.shape[1]), of_found))
            self.write(self.queue_second, gather(k_second))
            self.enqueue(gather(k), gather(batch.group))
        return loss, logs

    def mine(self, q: Tensor, k_second: Tensor, siblings: Tensor) -> Tensor:
        """(B, topk) the keys that become positives.

        q: (B, d) queries; k_second: (B, d) the teacher's view; siblings: (B, K), positives anyway.
        """
        if self.stages > 1:
            eyes = (k_second, self.queue_second, q, self.queue)
            return cascade(*eyes, self.topk, self.ratio, self.stages, siblings)
        near = (k_second @ self.queue_second.T).masked_fill(siblings, -torch.inf)
        return near.topk(self.topk, dim=1).indices

    def mined(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Groups of queries and of the keys that were found for them since the last call."""
        if not self._found:
            return None
        pairs = zip(*self._found, strict=True)
        self._found = []
        anchor, positive = (torch.cat(groups).cpu().numpy() for groups in pairs)
        return anchor, positive

    def start_from(self, other: Method) -> None:
        """Head of the run before; key encoder and key head are copies of encoder and head."""
        hand_over(self.head, other, "head")
        self.key_encoder.load_state_dict(self.encoder.state_dict())
        self.key_head.load_state_dict(self.head.state_dict())

    def _own(self, positives: Tensor) -> Tensor:
        """(B, 1) whether a query's own key counts, drawn once for the batch."""
        alone = ~positives.any(dim=1, keepdim=True)
        dropped = self.training and float(torch.rand(())) < self.drop_own
        return alone if dropped else torch.ones_like(alone)


def cascade(
    main_query: Tensor,
    main_bank: Tensor,
    aux_query: Tensor,
    aux_bank: Tensor,
    topk: int = 5,
    ratio: float = 0.5,
    stages: int = 7,
    exclude: Tensor | None = None,
) -> Tensor:
    """(B, topk) the entries of a bank that are near queries in two views, nearest first (CPR).

    main_query: (B, D), main_bank: (K, D); aux_query: (B, D'), aux_bank: (K, D'), the same entries
    in the other view; near is by the product of vectors, so bring unit vectors. exclude: (B, K),
    True for entries that are not to be found (while others are left).

    Stage 0 keeps the int(K ratio) nearest in the main view, stage s of 1 ... stages - 2 the
    int(K ratio^(s + 1)) nearest of these in the auxiliary view if s is odd, in the main view if
    even; the last stage the topk nearest in the main view (CPR, section 3.2, and its code). So an
    even number of stages finds what one less does. Nothing is random. `ValueError` for less than
    three stages, or where one would keep less than topk.
    """
    sizes = cascade_sizes(len(main_bank), topk, ratio, stages)
    views = [main_query @ main_bank.T, aux_query @ aux_bank.T]  # (B, K) each
    if exclude is not None:
        views = [near.masked_fill(exclude, -torch.inf) for near in views]
    main, aux = views
    left = main.topk(sizes[0], dim=1).indices  # (B, kept)
    for stage, size in enumerate(sizes[1:], 1):
        last = stage == stages - 1
        near = main if last or stage % 2 == 0 else aux
        left = left.gather(1, near.gather(1, left).topk(size, dim=1).indices)
    return left


def cascade_sizes(
    bank: int, topk: int, ratio: float, stages: int, more: str = "a larger queue"
) -> list[int]:
    """How many entries of a bank each stage of a `cascade` keeps; `ValueError` where that fails.

    more: what makes the bank larger, for the message.
    """
    if stages < 3:
        raise ValueError(
            f"a cascade of {stages} stage{'s' * (stages != 1)} has none in the auxiliary view: it "
            "takes 3 or more, such as 7"
        )
    if not 0 < ratio < 1:
        raise ValueError(f"ratio is {ratio}: each stage keeps a share between 0 and 1")
    kept = [int(bank * ratio ** (stage + 1)) for stage in range(stages - 1)]
    if kept[-1] < topk:
        few = next(stage for stage, size in enumerate(kept) if size < topk)
        raise ValueError(
            f"stage {few} of {stages} keeps {kept[few]} of {bank} entries (ratio {ratio}) and "
            f"{topk} are to be found. Take fewer stages, a larger ratio, a smaller topk or {more}"
        )
    return [*kept, topk]


class UberNCEConfig(MethodSettings):
    """UberNCE: all old keys of the query's label are its positives. It reads labels.

    What CoCLR would be if the other stream found the right positives: a bound, not a method for
    unlabelled video.
    """

    name: Literal["uber-nce"] = "uber-nce"
    temperature: float = Field(0.07, gt=0, le=1)
    """Softness of the comparison."""
    momentum: float = Field(0.999, ge=0, le=1)
    """How much of itself the key encoder keeps at each step; lower it for short runs."""
    queue: int = Field(2048, ge=1, le=1_048_576)
    """Old keys to compare with. Best below the number of clips in the data set."""
    dim: int = Field(128, ge=2, le=4096)
    """Dimensions in which queries and keys are compared."""
    hidden: int = Field(1024, ge=0, le=8192)
    """Width of the head's hidden layer, as many as the encoder has features; 0: a linear head."""
    bn_splits: int = Field(2, ge=1, le=64)
    """Parts of a batch that the key encoder normalises separately, as in moco."""
    classes: tuple[str, ...] = ()
    """Labels to learn from; none given: all that the training videos carry."""

    def check(self, batch: int, frames: int) -> None:
        """The queue is replaced by whole batches."""
        _whole_batches(self.queue, batch)

    def knowing(self, classes: Sequence[str], recordings: int = 0) -> Self:
        """The settings with the labels of the data, where none were given."""
        chosen = self.classes or tuple(classes)
        if missing := [c for c in self.classes if c not in classes]:
            raise ValueError(
                f"method.classes names {', '.join(missing)}, which the training videos do not "
                f"show. Their labels: {', '.join(classes) or 'none'}."
            )
        if len(chosen) < 2:
            raise ValueError(
                "method uber-nce learns from labels and needs two classes to tell apart; the "
                f"training videos have {', '.join(chosen) or 'no labels'}. Label the videos, or "
                "choose a method that needs no labels, such as moco."
            )
        return self.model_copy(update={"classes": chosen})

    def build(self, encoder: nn.Module) -> UberNCE:
        """The method around an encoder."""
        return UberNCE(
            encoder,
            projection_head(encoder.dim, self.hidden, self.dim),
            classes=self.classes,
            dim=self.dim,
            queue=self.queue,
            momentum=self.momentum,
            temperature=self.temperature,
            mask_same_group=False,
            bn_splits=self.bn_splits,
        )


class UberNCE(MoCo):
    """f_q and f_k as in MoCo; further buffer: queue_label (K,), -1 where it is unknown."""

    def __init__(
        self,
        encoder: nn.Module,
        head: nn.Module,
        *,
        classes: tuple[str, ...],
        queue: int,
        **moco: object,
    ) -> None:
        super().__init__(encoder, head, queue=queue, **moco)
        self.classes = classes
        self.register_buffer("queue_label", torch.full((queue,), -1))

    def forward(self, batch: Batch, clock: Clock) -> tuple[Tensor, dict[str, float]]:
        """The mean of -log softmax over a query's own key and those of its label, mean over B.

        A mean of logarithms, where CoCLR has the logarithm of a sum: all of them are to be near.
        """
        x_q, x_k = batch.views
        q = self.project(x_q)  # (B, d)
        with torch.no_grad():
            if self.training:
                self.update_key_encoder()
            k = self.encode_keys(x_k)  # (B, d)
        label = batch.label.mode(dim=1).values  # (B,)
        positives = (label[:, None] == self.queue_label) & (label[:, None] >= 0)  # (B, K)
        logits = info_nce_logits(q, k, self.queue.clone(), self.temperature)  # (B, 1 + K)
        mask = torch.cat([torch.ones_like(positives[:, :1]), positives], dim=1)
        log_share = logits.log_softmax(dim=1)
        loss = -((log_share * mask).sum(dim=1) / mask.sum(dim=1)).mean()
        if self.training:
            self.write(self.queue_label, gather(label))
            self.enqueue(gather(k), gather(batch.group))
        return loss, _logs(logits.detach(), positives, self.temperature)


def _whole_batches(queue: int, batch: int) -> None:
    if queue % batch:
        raise ValueError(
            f"method.queue is {queue} and train.batch {batch}: the queue has to be a multiple of "
            f"the batch. Set method.queue to {max(1, queue // batch) * batch}"
        )


def _logs(logits: Tensor, positives: Tensor, temperature: float) -> dict[str, float]:
    """Numbers for the curves of (B, 1 + K) logits, own key first; positives: (B, K) of the rest."""
    own, rest = logits[:, 0], logits[:, 1:]
    others = rest.masked_fill(positives, -torch.inf).amax(dim=1)
    best = torch.maximum(own, rest.masked_fill(~positives, -torch.inf).amax(dim=1))
    numbers = [(best > others).float().mean(), own.mean() * temperature]
    numbers.append(positives.sum(dim=1).float().mean())
    names = ("accuracy", "positive_similarity", "positives_in_queue")
    return dict(zip(names, torch.stack(numbers).tolist(), strict=True))
