"""Optical flow as a picture to look at: where to by colour, how fast by how much of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np

from workbench.data.proxy import write_playable

FULL = 1 / 16
"""Length of motion in full colour, in short sides of the picture: 8 pixels of 128."""
DIM = 0.55
"""How bright what rests is, in times of its own brightness."""
GROW = 2
"""How much larger the video is than the flow: colours of a video are kept at half its size."""


def flow_picture(field: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """The motion (H, W, 2), in pixels, that begins at a frame (H, W, 3) uint8, as (H, W, 3) uint8.

    Hue is the direction: red right, then clockwise as hues go (green-yellow down, cyan left, violet
    up). Saturation is the square root of the length, full from `FULL` on; what rests is the frame,
    gray and dimmed, and what moves fast is bright.
    """
    import cv2

    u, v = field[..., 0], field[..., 1]
    length = np.hypot(u, v) / (FULL * min(field.shape[:2]))
    colour = np.sqrt(np.minimum(length, 1))
    hue = np.arctan2(v, u) * (90 / np.pi) % 180  # OpenCV's hue: half of a degree
    gray = cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY)
    value = DIM * gray * (1 - colour) + 255 * colour
    hsv = np.stack([np.rint(hue) % 180, np.rint(255 * colour), np.rint(value)], axis=2)
    return cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2RGB)


def write_flow_video(
    file: Path,
    frames: np.ndarray,
    field: Callable[[int], np.ndarray],
    pts: np.ndarray,
) -> np.ndarray:
    """Write the flow pictures of a video as one that browsers play; (T,) seconds it shows them at.

    field: frame t -> (H, W, 2) pixels. pts: (T,) seconds. The last frame moves to no other one, and
    shows no motion.
    """

    def pictures() -> Iterator[av.VideoFrame]:
        rest = np.zeros((*frames.shape[1:3], 2), np.float32)
        for t, frame in enumerate(frames):
            moved = field(t) if t + 1 < len(frames) else rest
            yield av.VideoFrame.from_ndarray(flow_picture(moved, frame), format="rgb24")

    height, width = frames.shape[1:3]
    return write_playable(file, pictures(), pts, (GROW * width, GROW * height))
