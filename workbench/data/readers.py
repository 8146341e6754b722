"""Frames out of video files, in order, each with the second at which it is shown.

Only sequential decoding was right for every container that was tried, so that is all there is. A
reader is a generator function; close it (`contextlib.closing`) when you stop before its end.
decord is fast but fails, hangs or miscounts on some files; PyAV reads them all. Both may take the
process with them on a damaged file: call them in a process of their own (`workers.py`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import av
import numpy as np
from av.stream import Disposition

Report = Callable[[int, int], None]  # frames done, frames expected


class BadVideo(ValueError):
    """A file that gives no frames: what was found, and what to do about it."""

    def __init__(self, found: str, advice: str) -> None:
        super().__init__(f"{found}. {advice}")
        self.found, self.advice = found, advice


@dataclass(frozen=True)
class Container:
    """What a file says about its video, without decoding it.

    pts: (T,) seconds at which each frame is shown, rising; frames that an edit list hides are left
    out, and packets without a time too. `keyframes` are indices into it. `width` and `height` are
    pixels as shown: square, and turned by `rotation` degrees counterclockwise.
    """

    format: str
    codec: str
    pix_fmt: str
    width: int
    height: int
    rotation: int
    pts: np.ndarray
    keyframes: tuple[int, ...]
    hidden: int
    untimed: int
    header_frames: int | None
    header_seconds: float | None
    rate: float

    @property
    def fps(self) -> float:
        """Frames per second on average, from the PTS; the header's rate below two frames."""
        return mean_rate(self.pts, self.rate)


class Reader(Protocol):
    """Decodes a file from its first frame to its last."""

    def __call__(
        self, path: Path, container: Container, size: tuple[int, int], threads: int
    ) -> Iterator[tuple[np.ndarray, float]]:
        """(H, W, 3) uint8 frames of the given (width, height), each with its second."""
        ...


def mean_rate(pts: np.ndarray, otherwise: float) -> float:
    """Frames per second on average of (T,) seconds."""
    span = float(pts[-1] - pts[0]) if len(pts) > 1 else 0.0
    return (len(pts) - 1) / span if span > 0 else otherwise


def stored_size(width: int, height: int, side: int) -> tuple[int, int]:
    """(width, height) with the short side at `side` pixels; never larger than given."""
    scale = min(1.0, side / min(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def inspect(path: Path, report: Report = lambda done, total: None) -> Container:
    """The facts of a file, from its packets and its first frame; raises `BadVideo`."""
    if not path.exists():
        raise BadVideo("the file is missing", "Check the path, or take it off the list.")
    if path.is_dir():
        raise BadVideo("this is a folder, not a video", "Name the files in it instead.")
    try:
        if path.stat().st_size == 0:
            raise BadVideo("the file is empty (0 bytes)", "Copy it again from its source.")
        with av.open(str(path)) as file:
            return _facts(file, report)
    except PermissionError:
        raise BadVideo("no permission to read it", f"Try: chmod +r '{path}'.") from None
    except av.error.InvalidDataError:
        raise BadVideo(
            "no video container that FFmpeg knows: not a video, or cut off before its index",
            "Copy it again, or remux it with: ffmpeg -i IN -c copy OUT.mp4.",
        ) from None
    except (OSError, av.error.FFmpegError) as error:
        raise BadVideo(
            f"it cannot be opened ({error.strerror or error})", "Copy it again."
        ) from None


def _facts(file: av.container.InputContainer, report: Report) -> Container:
    streams = [s for s in file.streams.video if not s.disposition & Disposition.attached_pic]
    if not streams:
        raise BadVideo("no video in it (audio only?)", "Take it off the list.")
    if file.format.name in {"image2", "gif"} or file.format.name.endswith("_pipe"):
        raise BadVideo("a picture, not a video", "Convert it with: ffmpeg -i IN OUT.mp4.")
    stream, first = streams[0], None
    shown, key, hidden, untimed = [], [], 0, 0
    for packet in file.demux(stream):
        if first is None:
            first = _first_frame(packet)
        if packet.size == 0:
            continue  # the flush at the end
        if packet.is_discard:
            hidden += 1
        elif packet.pts is None:
            untimed += 1
        else:
            shown.append(float(packet.pts * packet.time_base))
            key.append(packet.is_keyframe)
            report(0, len(shown))
    if first is None:
        raise BadVideo(
            f"no frame of its {stream.codec_context.name} video decodes",
            "Play it in a video player; if that fails too, copy it again.",
        )
    order = np.argsort(shown, kind="stable")
    ratio = float(stream.sample_aspect_ratio or 1) or 1.0
    width, height = max(1, round(first.width * ratio)), first.height
    turn = round(first.rotation / 90) * 90 % 360
    return Container(
        format=file.format.name,
        codec=stream.codec_context.codec.canonical_name,
        pix_fmt=first.format.name,
        width=height if turn % 180 else width,
        height=width if turn % 180 else height,
        rotation=turn,
        pts=np.array(shown, np.float64)[order],
        keyframes=tuple(int(i) for i in np.flatnonzero(np.array(key, bool)[order])),
        hidden=hidden,
        untimed=untimed,
        header_frames=stream.frames or None,
        header_seconds=file.duration / av.time_base if file.duration else None,
        rate=float(stream.average_rate or stream.guessed_rate or 30),
    )


def _first_frame(packet: av.Packet) -> av.VideoFrame | None:
    try:
        return next(iter(packet.decode()), None)
    except av.error.FFmpegError:
        return None


def read_decord(
    path: Path, container: Container, size: tuple[int, int], threads: int
) -> Iterator[tuple[np.ndarray, float]]:
    """Frames by decord, resized while decoding, rotation applied.

    One thread whatever `threads` says: with more, decord 0.6 fails on real VP9 files. Raises where
    it counts other frames than the container.
    """
    try:
        import decord
    except ImportError:
        raise RuntimeError("decord is not installed; no wheel for this platform") from None
    if container.format == "mpegts":
        raise RuntimeError("decord hangs on MPEG-TS")
    decord.logging.set_level(decord.logging.QUIET)
    try:
        reader = decord.VideoReader(str(path), width=size[0], height=size[1], num_threads=1)
        if len(reader) != len(container.pts) or container.untimed:
            raise RuntimeError(
                f"decord counts {len(reader)} frames, the container shows "
                f"{len(container.pts) + container.untimed}"
            )
        for seconds in container.pts:
            yield reader.next().asnumpy(), float(seconds)
    except (decord._ffi.base.DECORDError, StopIteration) as error:
        said = re.sub(r"^\[.*?\] \S+: ", "", str(error).splitlines()[0])  # its time and source line
        raise RuntimeError(f"decord failed: {said[:120]}") from None


def read_pyav(
    path: Path, container: Container, size: tuple[int, int], threads: int
) -> Iterator[tuple[np.ndarray, float]]:
    """Frames by PyAV, rotation applied; NaN seconds where the file gives a frame no time."""
    swap = container.rotation % 180 != 0
    width, height = size[::-1] if swap else size
    for frame in decode_pyav(path, threads):
        rgb = frame.to_ndarray(format="rgb24", width=width, height=height, interpolation="AREA")
        turned = np.rot90(rgb, container.rotation // 90) if container.rotation else rgb
        yield turned, float("nan") if frame.time is None else frame.time


def decode_pyav(path: Path, threads: int) -> Iterator[av.VideoFrame]:
    """All frames that are shown, in order, as PyAV gives them; damaged packets are passed over.

    libavcodec itself drops the frames that an edit list hides.
    """
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = threads
        packets = file.demux(stream)
        while True:
            try:
                packet = next(packets)
            except (StopIteration, av.error.FFmpegError):
                return
            try:
                frames = packet.decode()
            except av.error.EOFError:
                return
            except av.error.FFmpegError:
                continue
            yield from frames


def frames_at(
    path: Path, container: Container, numbers: list[int], size: tuple[int, int]
) -> dict[int, np.ndarray]:
    """(H, W, 3) uint8 frames by PyAV, found by seeking to their times; raises where one is missing.

    Right for most containers only, so it checks other readers and serves nobody.
    """
    swap = container.rotation % 180 != 0
    width, height = size[::-1] if swap else size
    found = {}
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        for k in numbers:
            seconds = container.pts[k]
            file.seek(round(seconds / stream.time_base), stream=stream)
            frame = next((f for f in file.decode(stream) if f.time >= seconds - 1e-4), None)
            if frame is None or abs(frame.time - seconds) > 1e-4:
                raise RuntimeError(f"no frame found at the time of frame {k} to compare with")
            rgb = frame.to_ndarray(format="rgb24", width=width, height=height, interpolation="AREA")
            found[k] = np.rot90(rgb, container.rotation // 90)
    return found
