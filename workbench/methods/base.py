"""What a method is: views in, loss out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workbench.clock import Clock
from workbench.config import Config
from workbench.data.batch import Batch

NO_COINCIDENCE = 64
"""Examples that all lack a negative before that is taken for the data's fault, not for chance."""


def no_negatives(found: str) -> ValueError:
    """What to raise where a method has nothing to push away from; `found` says why."""
    return ValueError(
        f"there is nothing to push away from: {found}. Set method.mask_same_group to false, so "
        "that other moments of a recording are negatives, or add recordings."
    )


class MethodSettings(Config):
    """Settings of a method; subclasses have a `name`, fields, and build it around an encoder."""

    views: ClassVar[int] = 2
    """Clips of an example that the method takes."""
    taught_views: ClassVar[int] = 0
    """The same where it learns from a teacher; 0: it never does."""
    needs_teacher: ClassVar[bool] = False
    """Whether it cannot do without a teacher. One that may have one takes it in `build`."""
    needs_triplets: ClassVar[bool] = False
    """Whether it learns from triplets of frames, which not every sampler gives."""
    small_views: ClassVar[bool] = False
    """Whether it takes small crops beside them (multi-crop)."""

    def check(self, batch: int, frames: int) -> None:
        """`ValueError` where batches of so many examples, each of so many frames, cannot work."""

    def knowing(self, classes: Sequence[str], recordings: int = 0) -> Self:
        """The settings once labels and number of the training recordings are known.

        The same for most; `ValueError` where the method cannot learn from such data.
        """
        return self

    def build(self, encoder: nn.Module) -> Method:
        """The method around an encoder."""
        raise NotImplementedError


@dataclass(frozen=True)
class WeightGroup:
    """Weights that learn at `rate` times the learning rate; `steady`: which then never changes.

    `plain` ones are not decayed, nor are their gradients adapted to their size.
    """

    weights: list[nn.Parameter]
    rate: float = 1.0
    steady: bool = False
    plain: bool = False


class Method(nn.Module):
    """An encoder and a loss on the views of a batch."""

    encoder: nn.Module
    classes: tuple[str, ...] = ()
    """Names of the labels 0, 1, ... of a batch, where the method reads labels."""

    @property
    def prototypes(self) -> Tensor | None:
        """(P, d) unit vectors that stand for kinds of clips; None where the method has none.

        Scores of (B, D) features are `project_features(features) @ prototypes.T`.
        """
        return None

    def forward(self, batch: Batch, clock: Clock) -> tuple[Tensor, dict[str, float]]:
        """The loss, and numbers worth a curve; for a loss without gradient no weight moves."""
        raise NotImplementedError

    def project(self, clips: Tensor) -> Tensor:
        """(B, 3, T, H, W) -> (B, d) unit vectors, as the loss sees them."""
        raise NotImplementedError

    def represent(self, clips: Tensor) -> Tensor:
        """(B, 3, T, H, W) -> (B, T', D) features, as analyses see them."""
        return self.encoder(clips)

    def for_mining(self, clips: Tensor, clock: Clock) -> Tensor:
        """(B, 3, T, H, W) -> (B, T', D) features in which samplers look for positives."""
        return self.represent(clips)

    def project_features(self, features: Tensor) -> Tensor | None:
        """(B, D) of `represent`, averaged over time, -> (B, d) as `project` gives.

        None where they alone do not lead there.
        """
        return None

    def tell_features(self, features: Tensor) -> list[str] | None:
        """(N, D) of `represent`, averaged over time -> N of `classes`; None: it tells no labels."""
        return None

    def start_from(self, other: Method) -> None:
        """Take over from a run's method what `init` hands on beside the encoder; here nothing."""

    def mined(self) -> tuple[np.ndarray, np.ndarray] | None:
        """(P,) groups of anchors and (P,) groups of the positives that were found for them.

        Those since the last call; None where the method looks for none.
        """
        return None

    def after_step(self, clock: Clock) -> None:
        """What has to happen once the optimizer has moved the weights; nothing here."""

    def weight_groups(self) -> list[WeightGroup]:
        """What the optimizer moves: all that takes a gradient, at one rate."""
        return [WeightGroup([p for p in self.parameters() if p.requires_grad])]

    def frozen(self) -> Iterable[nn.Module]:
        """Parts that never train, such as a teacher: `train()` leaves them in eval mode."""
        return ()

    def train(self, mode: bool = True) -> Self:
        """Set training mode everywhere but in the frozen parts."""
        super().train(mode)
        for part in self.frozen():
            part.eval()
        return self


class Projected(Method):
    """A method whose loss sees the encoder's features, averaged over time, through a head."""

    def __init__(self, encoder: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head

    def project(self, clips: Tensor) -> Tensor:
        """(B, 3, T, H, W) -> (B, d) unit vectors."""
        return embed(self.encoder, self.head, clips)

    def project_features(self, features: Tensor) -> Tensor:
        """(B, D) features averaged over time -> (B, d) unit vectors."""
        return F.normalize(self.head(features).float(), dim=1)


def embed(encoder: nn.Module, head: nn.Module, clips: Tensor) -> Tensor:
    """(B, 3, T, H, W) -> (B, d) float32 unit vectors."""
    z = encoder(clips).mean(dim=1)  # (B, D)
    return F.normalize(head(z).float(), dim=1)


def spread(z: Tensor) -> Tensor:
    """Standard deviation of (B, d) unit vectors per channel, times the root of d.

    About 1 where the vectors point everywhere, 0 where they have collapsed onto one (SimSiam,
    Chen & He 2021, section 4.1).
    """
    return z.detach().std(dim=0, correction=0).mean() * z.shape[1] ** 0.5


def pair_logs(z1: Tensor, z2: Tensor) -> dict[str, float]:
    """How alike (B, d) projections of two views are, and the `spread` of them all."""
    n1, n2 = (F.normalize(z.detach().float(), dim=1) for z in (z1, z2))
    numbers = torch.stack([(n1 * n2).sum(dim=1).mean(), spread(torch.cat([n1, n2]))])
    return dict(zip(("positive_similarity", "spread"), numbers.tolist(), strict=True))
