"""A copy of a video that any browser plays and seeks frame by frame."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import numpy as np

from workbench.data.readers import Container, Report, decode_pyav, stored_size

CODECS = {"h264", "vp8", "vp9", "av1"}
SUFFIXES = {".mp4", ".m4v", ".mov", ".webm"}
SIDE = 480  # short side of a proxy, pixels
LARGEST = 1200  # short side above which several cameras no longer play side by side
SEEK = 75e6  # pixels to decode at most for a seek: about 0.15 s in a browser, by four cameras
TICK = Fraction(1, 90000)  # seconds


def browser_trouble(path: Path, container: Container) -> str | None:
    """Why a browser cannot play the file exactly, or None where it can."""
    if path.suffix.lower() not in SUFFIXES:
        return f"browsers do not play {path.suffix or 'files without a suffix'}"
    if container.codec not in CODECS:
        return f"browsers do not play {container.codec}"
    if container.pix_fmt not in {"yuv420p", "yuvj420p"}:
        return f"browsers do not play {container.pix_fmt} pictures everywhere"
    if container.hidden:
        return "an edit list hides some of its frames"
    if container.untimed:
        return "some of its packets have no time"
    if container.rotation:
        return "it is shown turned"
    if min(container.width, container.height) > LARGEST:
        return f"{container.width} x {container.height} is too large to play several at once"
    gap = longest_gop(container)
    if gap > 2 * container.fps + 1 or gap * container.width * container.height > SEEK:
        return f"{gap} frames of {container.width} x {container.height} per keyframe seek slowly"
    return None


def longest_gop(container: Container) -> int:
    """The largest number of frames from one keyframe to the next."""
    marks = [0, *container.keyframes, len(container.pts)]
    return int(np.diff(marks).max())


def write_proxy(
    folder: Path, path: Path, container: Container, pts: np.ndarray, start: int, report: Report
) -> int:
    """Write proxy.mp4 and proxy_pts.npy: one frame for each stored one, at the same pace.

    H.264 yuv420p, short side at most 480, a keyframe each second or oftener, no audio, index in
    front. pts: (T,) seconds of the stored frames, which begin at frame `start` of the file. Returns
    the number of frames written.
    """
    size = stored_size(container.width, container.height, SIDE)
    with closing(decode_pyav(path, 0)) as frames:
        chosen = islice(frames, start, start + len(pts))
        upright = (_upright(frame, container.rotation) for frame in chosen)
        shown = write_playable(folder / "proxy.mp4", upright, pts, size, report)
    np.save(folder / "proxy_pts.npy", shown)
    return len(shown)


def write_playable(
    file: Path,
    pictures: Iterable[av.VideoFrame],
    pts: np.ndarray,
    size: tuple[int, int],
    report: Report = lambda done, total: None,
    preset: str = "veryfast",
) -> np.ndarray:
    """Write pictures as H.264 yuv420p, a keyframe each second or oftener, index in front.

    pts: (T,) seconds; they are shown at this pace from 0 on. size: width and height to scale to,
    pixels; odd ones grow by one. preset: of x264. Returns the (T,) seconds at which the file shows
    what was written.
    """
    width, height = (n + n % 2 for n in size)
    fps = min(240.0, max(1.0, (len(pts) - 1) / (pts[-1] - pts[0]) if len(pts) > 1 else 30.0))
    ticks = np.round((pts - pts[0]) / float(TICK)).astype(np.int64)
    ticks = np.maximum.accumulate(ticks - np.arange(len(ticks))) + np.arange(len(ticks))  # rising
    with av.open(str(file), "w", format="mp4", options={"movflags": "faststart"}) as out:
        stream = out.add_stream(
            "libx264",
            rate=Fraction(fps).limit_denominator(1001),
            options={"preset": preset, "crf": "23"},
        )
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.gop_size = max(1, int(fps))
        stream.codec_context.time_base = TICK
        for k, frame in enumerate(pictures):
            picture = frame.reformat(
                width=width, height=height, format="yuv420p", interpolation="AREA"
            )
            picture.pts, picture.time_base = int(ticks[k]), TICK
            picture.pict_type = av.video.frame.PictureType.NONE  # let the encoder choose
            out.mux(stream.encode(picture))
            report(k + 1, len(ticks))
        out.mux(stream.encode(None))
    with av.open(str(file)) as made:
        shown = [float(p.pts * p.time_base) for p in made.demux(video=0) if p.pts is not None]
    return np.sort(np.array(shown))


def _upright(frame: av.VideoFrame, rotation: int) -> av.VideoFrame:
    if not rotation:
        return frame
    rgb = np.rot90(frame.to_ndarray(format="rgb24"), rotation // 90)
    return av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
