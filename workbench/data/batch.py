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
    """

    views: tuple[Tensor, ...]
    group: Tensor
    label: Tensor

    def to(self, device: object) -> Batch:
        """The batch on a device."""
        return replace(
            self,
            views=tuple(v.to(device) for v in self.views),
            group=self.group.to(device),
            label=self.label.to(device),
        )
