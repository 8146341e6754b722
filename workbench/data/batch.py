"""What a method receives."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Views of B examples.

    views: each (B, 3, T, H, W), normalised floats on the training device; small crops come last.
    group: (B,) int64; equal groups are never each other's negatives (siblings, cameras, clusters).
    label: (B, T) int64, -1 where unknown; only `Classify` reads it.
    triplets: (B, N, 3) int64 anchor, positive, negative, indices into the frames of all whole views
    of an example, one view after the other; None where the sampler gives none.
    """

    views: tuple[Tensor, ...]
    group: Tensor
    label: Tensor
    triplets: Tensor | None = None

    def to(self, device: object) -> Batch:
        """The batch on a device."""
        return replace(
            self,
            views=tuple(v.to(device) for v in self.views),
            group=self.group.to(device),
            label=self.label.to(device),
            triplets=None if self.triplets is None else self.triplets.to(device),
        )
