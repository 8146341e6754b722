"""Optical flow as a picture to look at: where to by colour, how fast by how much of it."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from itertools import chain
from pathlib import Path

import av
import numpy as np

from workbench.data.flow import pixels_of
from workbench.data.proxy import write_playable
from workbench.data.video import FLOW_REST

FULL = 1 / 16
"""Length of motion in full colour, in short sides of the picture: 8 pixels of 128."""
STILL = 0.25
"""Pixels below which nothing is shown: the estimate wavers, and is rounded to steps of 0.16."""
DIM = 0.55
"""How bright what rests is, in times of its own brightness."""
GROW = 2
"""How much larger the video is than the flow: colours of a video are kept at half its size."""


def flow_picture(field: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """The motion that begins at a frame, as a picture of (H, W, 3) uint8.

    field: (H, W, 2) uint8, as stored; frame: (H, W, 3) uint8. Hue is the direction: red right, then
    clockwise as hues go (green-yellow down, cyan left, violet up). Saturation is the square root of
    the length, none up to `STILL` and full from `FULL` on; what rests is the frame, gray and
    dimmed, and what moves fast is bright.
    """
    import cv2

    table = _table(min(field.shape[:2]))
    hue, colour = cv2.split(table[field[..., 0], field[..., 1]])
    gray = cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY)
    rests = cv2.multiply(gray, 255 - colour, scale=DIM / 255)
    return cv2.cvtColor(cv2.merge([hue, colour, cv2.add(rests, colour)]), cv2.COLOR_HSV2RGB)


@cache
def _table(side: int) -> np.ndarray:
    """(256, 256, 2) uint8: OpenCV's hue (0 ... 179) and saturation of every stored vector (u, v).

    side: short side of the picture, pixels.
    """
    steps = pixels_of(np.arange(256, dtype=np.uint8))
    u, v = steps[:, None], steps[None, :]
    full = max(FULL * side, 2 * STILL)
    colour = np.sqrt(np.clip((np.hypot(u, v) - STILL) / (full - STILL), 0, 1))
    hue = np.rint(np.arctan2(v, u) * (90 / np.pi)) % 180
    return np.stack([hue, np.rint(255 * colour)], axis=2).astype(np.uint8)


def write_flow_video(
    file: Path, frames: np.ndarray, fields: Iterable[np.ndarray], pts: np.ndarray
) -> np.ndarray:
    """Write the flow pictures of a video as one that browsers play; (T,) seconds it shows them at.

    frames: (T, H, W, 3) uint8; fields: T - 1 of (H, W, 2) uint8, as stored; pts: (T,) seconds. The
    last frame moves to no other one, and shows no motion.
    """
    height, width = frames.shape[1:3]
    rest = np.full((height, width, 2), FLOW_REST, np.uint8)
    pictures = (flow_picture(*pair) for pair in zip(chain(fields, [rest]), frames, strict=True))
    shown = (av.VideoFrame.from_ndarray(p, format="rgb24") for p in pictures)
    return write_playable(file, shown, pts, (GROW * width, GROW * height), preset="ultrafast")
