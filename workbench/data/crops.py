"""The ten crops in which a trained classifier looks at a clip: middle and corners, and mirrored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from workbench.data.augment import AugmentConfig, apply
from workbench.data.draw import Appearance, Geometry, draw_appearance
from workbench.data.video import Stream

CROPS = 10
SHARE = 224 / 240
"""Side of a crop over the short side of the video: 224 pixels of UCF101's 240 lines (CoCLR, CPR and
ViCC; of other videos the same share) [our reconstruction]."""
JITTER = AugmentConfig(
    jitter=0.3, brightness=0.2, contrast=0.2, saturation=0.2, hue=0.1, gray=0, blur=0
)
"""What CoCLR's code does to clips while it tests, which makes its results random."""


def ten_crops(
    clips: Sequence[np.ndarray],
    size: int,
    stream: Stream = "rgb",
    device: torch.device | str = "cpu",
    share: float = SHARE,
    jitter_seeds: np.ndarray | None = None,
) -> Iterator[Tensor]:
    """Ten times (B, 3, T, size, size): middle, four corners, each as it is and mirrored.

    clips: B of (T, H, W, 3) uint8. share: side of a crop as a share of the clip's short side.
    jitter_seeds: (B,), changes the colours of each clip as `JITTER` says; by default nothing does.
    """
    sizes = np.array([c.shape[1:3] for c in clips])
    nothing = np.zeros(len(clips))
    look = _look(jitter_seeds, stream)
    for box in _boxes(sizes, share):
        for flip in (nothing > 0, nothing == 0):
            where = Geometry(box, nothing, flip, np.zeros((len(clips), 4)))
            yield apply(clips, where, look, size, torch.device(device), stream)


def _boxes(sizes: np.ndarray, share: float) -> Iterator[np.ndarray]:
    """(B, 4) top, left, height, width: of the middle, then of the corners."""
    height, width = sizes.T
    side = np.maximum(1, np.rint(share * sizes.min(axis=1)).astype(np.int64))
    down, right = height - side, width - side
    for top, left in [(down // 2, right // 2), (0, 0), (0, right), (down, 0), (down, right)]:
        yield np.stack([np.broadcast_to(top, side.shape), np.broadcast_to(left, side.shape),
                        side, side], axis=1)  # fmt: skip


def _look(seeds: np.ndarray | None, stream: Stream) -> Appearance | None:
    return None if seeds is None or stream == "flow" else draw_appearance(JITTER, seeds)
