"""Single frames as pictures that can be put into a page."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

from workbench.data.manifest import DataSet


def jpeg_url(rgb: np.ndarray) -> str:
    """A (H, W, 3) uint8 picture as a data URL, JPEG."""
    out = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(rgb)).save(out, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()


def frame_url(dataset: DataSet, video: int, frame: int) -> str:
    """The stored picture of a video at a frame of its *recording*, nearest one at the ends."""
    frames = dataset.frames(video)
    k = frame + dataset.videos[video].offset
    return jpeg_url(frames[min(max(k, 0), len(frames) - 1)])
