"""Pictures to an H.264 file that every browser plays."""

from __future__ import annotations

import os
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np


def write_video(path: Path, pictures: Iterable[np.ndarray], fps: int = 30) -> None:
    """An mp4 (H.264, yuv420p, index first, a key frame every half second), written all or not.

    pictures: (H, W, 3) uint8, all of one even size. One encoder thread: the same pictures give the
    same bytes. The file appears under its name only when it is complete.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    settings = {"crf": "20", "preset": "veryfast", "g": str(fps // 2), "bf": "0", "threads": "1"}
    try:
        with av.open(part, "w", format="mp4", options={"movflags": "faststart"}) as out:
            stream = None
            for k, picture in enumerate(pictures):
                if stream is None:
                    stream = out.add_stream("libx264", rate=fps, options=settings)
                    stream.height, stream.width = picture.shape[:2]
                    stream.pix_fmt = "yuv420p"
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                frame.pts, frame.time_base = k, Fraction(1, fps)
                out.mux(stream.encode(frame))
            if stream is None:
                raise ValueError(f"no pictures for {path.name}; a video needs at least one.")
            out.mux(stream.encode())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
