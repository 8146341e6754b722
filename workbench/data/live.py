"""Frames of what is being watched: files, files that still grow, folders that fill, cameras.

Frames come in order, each with the second at which it is shown, shrunk as indexing stores them.
Nothing is read before it is asked for.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from workbench.data.readers import BadVideo, inspect, read_pyav, stored_size
from workbench.data.sources import VIDEO_SUFFIXES

Frames = Iterator[tuple[np.ndarray, float]]
LOOK = 0.1
"""Seconds between two looks at a file that may have grown."""
SETTLED = 1.0
"""Seconds for which a new file of a folder must not have grown to count as whole."""
QUICK = {"analyzeduration": "500000"}
"""FFmpeg: half a second (in microseconds) of a stream must tell what it holds."""


@dataclass(frozen=True)
class Watched:
    """A video under way.

    fps and n_frames: its rate, and how many frames its container announces, where that is known
    before it ends, else None.
    """

    name: str
    fps: float | None
    frames: Frames
    n_frames: int | None = None


def watch(
    place: str, side: int, follow: bool = False, patience: float | None = None
) -> Iterator[Watched]:
    """The videos of a place, one after the other, as `Watched`; raises `BadVideo`.

    place: a file, a folder, the number of a camera, or the URL of a stream. side: short side,
    pixels. follow: a file may still grow, and a folder still fill; patience: seconds without
    anything new after which that ends (None: never).
    """
    path = Path(place)
    if path.is_dir():
        yield from _folder(path, side, follow, patience)
    elif not path.exists() and (place.isdecimal() or "://" in place):
        name = f"camera {place}" if place.isdecimal() else place
        yield Watched(name, None, _stream(place, side, patience))
    elif follow:
        yield Watched(path.name, None, _growing(path, side, patience))
    else:
        try:
            yield _file(path, side)
        except BadVideo as error:
            raise BadVideo(f"{place}: {error.found}", error.advice) from None


def _file(path: Path, side: int) -> Watched:
    container = inspect(path)
    size = stored_size(container.width, container.height, side)
    frames = read_pyav(path, container, size, threads=0)
    return Watched(path.name, container.fps, frames, len(container.pts) + container.untimed)


def _folder(path: Path, side: int, follow: bool, patience: float | None) -> Iterator[Watched]:
    """Its videos by name; following, also those that come later, once they are whole."""
    seen: set[Path] = set()
    sizes: dict[Path, int] = {}
    quiet = time.monotonic()
    while True:
        new = [p for p in _videos(path) if p not in seen]
        for file in new:
            try:
                size = file.stat().st_size
            except FileNotFoundError:
                continue  # taken away since the folder was looked at
            if follow and (not size or sizes.get(file) != size):
                sizes[file] = size
                quiet = time.monotonic()
                break  # still being written; what comes after it waits for its turn
            seen.add(file)
            yield _file_or_trouble(file, side)
            quiet = time.monotonic()
        if not follow:
            break
        if patience is not None and time.monotonic() - quiet > patience:
            break
        time.sleep(SETTLED)
    if not seen:
        raise BadVideo(
            f"no video in the folder {path}",
            f"Videos end in one of {', '.join(sorted(VIDEO_SUFFIXES))}.",
        )


def _file_or_trouble(path: Path, side: int) -> Watched:
    """One bad file of a folder fails when it is its turn, and leaves the others."""
    try:
        return _file(path, side)
    except BadVideo as error:
        return Watched(path.name, None, _raising(error))


def _raising(error: BadVideo) -> Frames:
    raise error
    yield


def _videos(folder: Path) -> list[Path]:
    found = (p for p in folder.iterdir() if p.suffix.lower() in VIDEO_SUFFIXES)
    return sorted(p for p in found if p.is_file() and not p.name.startswith("."))


def _growing(path: Path, side: int, patience: float | None) -> Frames:
    """Frames of a file as they are written; of a whole MP4 all that there are."""
    _wait_for(path, patience)
    if not _readable_as_written(path):
        container = inspect(path)  # says so where its end is not written yet
        size = stored_size(container.width, container.height, side)
        yield from read_pyav(path, container, size, threads=1)
        return
    with path.open("rb", buffering=0) as file, _opened(path.name, _Growing(file, patience)) as got:
        yield from _decode(got, side)


def _stream(place: str, side: int, patience: float | None) -> Frames:
    """Frames of a camera or URL as they come; `BadVideo` where they break off.

    Silence for longer than `patience` is the end that was asked for.
    """
    device = {"linux": ("v4l2", f"/dev/video{place}"), "darwin": ("avfoundation", place)}
    if "://" in place:
        got = _opened(place, place, timeout=(15.0, patience or 30.0))
    elif sys.platform in device:
        kind, name = device[sys.platform]
        got = _opened(f"camera {place}", name, format=kind)
    else:
        raise BadVideo(
            "cameras by number work on Linux and macOS",
            "Let FFmpeg stream the camera, and give the URL of the stream.",
        )

    def broken(error: av.error.FFmpegError) -> None:
        if patience is not None and isinstance(error, av.error.ExitError):
            return
        silent = "nothing came for 30 seconds"
        found = silent if isinstance(error, av.error.ExitError) else error.strerror or error
        raise BadVideo(
            f"the stream broke off ({found})",
            "Check the camera or the network, and start again.",
        )

    with got as file:
        yield from _decode(file, side, broken)


def _opened(name: str, place: object, **options: object) -> av.container.InputContainer:
    try:
        return av.open(place, options=QUICK, **options)
    except (OSError, av.error.FFmpegError) as error:
        raise BadVideo(
            f"{name} cannot be opened ({error.strerror or error})",
            "Check the address, and that FFmpeg knows the format (ffprobe tells).",
        ) from None


def _decode(
    file: av.container.InputContainer,
    side: int,
    broken: Callable[[av.error.FFmpegError], None] = lambda error: None,
) -> Frames:
    """Every frame as soon as it can be decoded; a damaged packet is passed over.

    broken: called where no more can be read before the end.
    """
    if not file.streams.video:
        raise BadVideo("no video in it (audio only?)", "Choose another one.")
    stream = file.streams.video[0]
    stream.codec_context.thread_count = 1  # more threads hold frames back
    ratio = float(stream.sample_aspect_ratio or 1) or 1.0
    with closing(file.demux(stream)) as packets:
        while True:
            try:
                packet = next(packets)
            except (StopIteration, av.error.EOFError):
                return
            except av.error.FFmpegError as error:
                broken(error)
                return
            try:
                frames = packet.decode()
            except av.error.FFmpegError:
                continue
            for frame in frames:
                yield (
                    _shrunk(frame, ratio, side),
                    float("nan") if frame.time is None else frame.time,
                )


def _shrunk(frame: av.VideoFrame, ratio: float, side: int) -> np.ndarray:
    width, height = stored_size(max(1, round(frame.width * ratio)), frame.height, side)
    rgb = frame.to_ndarray(format="rgb24", width=width, height=height, interpolation="AREA")
    return np.rot90(rgb, round(frame.rotation / 90)) if frame.rotation else rgb


class _Growing:
    """A file for FFmpeg whose end is not the end: reading there waits for more.

    It cannot be sought, so FFmpeg reads it as it reads a pipe.
    """

    def __init__(self, file, patience: float | None) -> None:
        self.file, self.patience, self.over = file, patience, False

    def read(self, size: int) -> bytes:
        quiet = time.monotonic()
        while not (found := self.file.read(size)) and not self.over:
            self.over = self.patience is not None and time.monotonic() - quiet > self.patience
            time.sleep(LOOK)
        return found


def _wait_for(path: Path, patience: float | None) -> None:
    """Wait until a file is there and has a beginning."""
    quiet = time.monotonic()
    while not (path.is_file() and path.stat().st_size >= 12):
        if patience is not None and time.monotonic() - quiet > patience:
            raise BadVideo(f"{path} did not come, or stayed empty", "Check the path.")
        time.sleep(LOOK)


def _readable_as_written(path: Path) -> bool:
    """False for an MP4 whose index comes after the pictures: it must be whole to be read."""
    with path.open("rb") as file:
        while len(head := file.read(8)) == 8:
            size, kind = int.from_bytes(head[:4], "big"), head[4:]
            if kind in (b"moov", b"moof"):
                return True
            if kind == b"mdat":
                return False
            if kind not in (b"ftyp", b"free", b"skip", b"wide", b"styp", b"sidx") or size < 8:
                return True  # another container
            file.seek(size - 8, 1)
    return True
