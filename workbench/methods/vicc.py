"""ViCC (Toering et al. 2022): prototypes that two clips of a video share, and then two streams.

Single-stream: SwAV on two clips. Cross-stream: a frozen run on the other stream embeds the same two
clips there; all four views get codes of the main stream's prototypes and tell each other's. The
stages (RGB-1, Flow-1, and so on in turn) are runs, each with the last one of its stream as `init`,
which hands on encoder, head and prototypes, and the last one of the other as `teacher`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from workbench.methods.base import Method
from workbench.methods.swav import SwAV, SwAVConfig
from workbench.methods.teacher import Teacher, hand_over
from workbench.models.heads import projection_head

MAIN, VIEWS = 2, 4
"""Views of the stream that learns, and of both."""


class ViCCConfig(SwAVConfig):
    """ViCC: two clips of a video, in one stream or with a teacher in two, share prototypes."""

    small_views: ClassVar[bool] = False
    views: ClassVar[int] = MAIN
    taught_views: ClassVar[int] = VIEWS

    name: Literal["vicc"] = "vicc"
    prototypes: int = Field(300, ge=2, le=100_000)
    """Prototypes; some times as many as there are kinds of clips."""
    hidden: int = Field(1024, ge=0, le=8192)
    """Width of the head's hidden layer, as many as the encoder has features; 0: a linear head."""
    frozen: float = Field(0.2, ge=0, le=1)
    """Share of the run at its start in which prototypes stay as they are: 100 epochs of 500. None
    with a teacher: they have learned in the run before."""
    queue: int = Field(1920, ge=0, le=1_048_576)
    """Earlier embeddings of each view that codes are spread over too; 0 for none."""
    queue_from: float = Field(0.3, ge=0, le=1)
    """Share of the run after which the queue starts to fill; it is used once it is full. Epoch 150
    of 500 on RGB, 200 on flow, 25 of 100 with a teacher."""
    one_view_learns: bool = False
    """Let the encoder learn through the first clip of each pair alone, the prototypes through both,
    as the paper's code does; off as in the paper's pseudo-code."""

    def build(self, encoder: nn.Module, teacher: Method | None = None) -> ViCC:
        """The method around an encoder; teacher: of the other stream."""
        return ViCC(
            encoder,
            projection_head(encoder.dim, self.hidden, self.dim),
            teacher=teacher,
            one_view_learns=self.one_view_learns,
            dim=self.dim,
            prototypes=self.prototypes,
            temperature=self.temperature,
            epsilon=self.epsilon,
            iterations=self.iterations,
            frozen=self.frozen,
            queue=self.queue,
            queue_from=self.queue_from,
        )


class ViCC(SwAV):
    """f and g are the main stream's encoder and head, C are the prototypes.

    L = mean over views i and v != i of CE(q_i, softmax(z_v C / temperature)), codes q_i by Sinkhorn
    without gradient (eq. 3 to 5): SwAV's loss, of which ViCC chooses the views. The queue has room
    for four views whether there is a teacher or not, so that a finished run loads without.
    """

    def __init__(
        self,
        encoder: nn.Module,
        head: nn.Module,
        *,
        teacher: Method | None,
        one_view_learns: bool,
        **swav: float,
    ) -> None:
        super().__init__(encoder, head, full=VIEWS, **swav)
        self.teacher = Teacher(teacher) if teacher else None
        self.one_view_learns = one_view_learns
        self.assigned = tuple(range(VIEWS if teacher else MAIN))

    def embed_views(self, views: Sequence[Tensor]) -> list[Tensor]:
        """(B, d) unit vectors per view, each view by itself: f's of the first two, the teacher's.

        The teacher's are constants; through their scores the prototypes learn.
        """
        first, second, *others = views
        z_first = self.project(first)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.one_view_learns):
            z_second = self.project(second)
        return [z_first, z_second, *(self.teacher.project(x) for x in others)]

    def start_from(self, other: Method) -> None:
        """Head and prototypes of the run before; so the run of another size starts with its own."""
        hand_over(self.head, other, "head")
        hand_over(self._modules["prototypes"], other, "prototypes")
