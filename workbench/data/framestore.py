"""One video decoded once, in order, into a memory-mapped array, with its thumbnails and proxy.

The folder of a video is written under a temporary name and renamed when it is whole, so one that
bears its own name is complete.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from workbench.data import readers
from workbench.data.proxy import browser_trouble, write_proxy
from workbench.data.readers import BadVideo, Container, Reader, Report, inspect, stored_size
from workbench.data.sprite import write_sprite

ROOM = (
    "Lower --side (half of it takes a quarter of the room), or choose a --workspace on a larger "
    "disk; what is indexed so far is kept."
)


class DiskFull(OSError):
    """There is no room for the frames; the message says what to do."""


@dataclass(frozen=True)
class Job:
    """What to store of which file: frames [start, end) at a short side, into folder/key."""

    path: str
    folder: str
    key: str
    side: int
    start: int = 0
    end: int | None = None
    readers: tuple[str, ...] = ("decord", "pyav")
    threads: int = 0
    note: str = ""


@dataclass(frozen=True)
class Stored:
    """What came of it. `note` says why another decoder or a proxy was needed.

    doubts: (found, advice) pairs of a video that is usable all the same.
    """

    n_frames: int
    header_frames: int | None
    fps: float
    width: int
    height: int
    codec: str
    reader: str
    proxy: bool
    proxy_pts: bool
    note: str
    doubts: tuple[tuple[str, str], ...]

    @classmethod
    def load(cls, folder: Path) -> Stored:
        """What is known of a complete folder."""
        about = json.loads((folder / "about.json").read_text())
        return cls(**{**about, "doubts": tuple((f, a) for f, a in about["doubts"])})


def leftovers(folder: Path) -> list[Path]:
    """Half-written video folders (or, in one, files) whose writer is gone."""
    import psutil

    return [p for p in folder.glob(".*.tmp") if not psutil.pid_exists(int(p.name.split(".")[-2]))]


def store(job: Job, report: Report = lambda done, total: None) -> Stored:
    """Decode a file into its folder; raises `BadVideo` or `DiskFull`."""
    target = Path(job.folder) / job.key
    temp = target.with_name(f".{job.key}.{os.getpid()}.tmp")
    shutil.rmtree(temp, ignore_errors=True)
    temp.mkdir(parents=True)
    try:
        stored = _fill(temp, job, report)
        (temp / "about.json").write_text(json.dumps(asdict(stored)))
        shutil.rmtree(target, ignore_errors=True)  # one without about.json: never made by us
        temp.rename(target)
        return stored
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        raise DiskFull(f"the disk of {job.folder} is full. {ROOM}") from None
    finally:
        shutil.rmtree(temp, ignore_errors=True)


def _fill(temp: Path, job: Job, report: Report) -> Stored:
    path = Path(job.path)
    container = inspect(path, report)
    size = stored_size(container.width, container.height, job.side)
    _check_room(temp, job, container, size)
    reader, pts, note = _decode(temp / "frames.npy", job, container, size, report)
    doubts = _doubts(job, container, pts)
    pts, mended = mend_times(pts, container, job.start)
    np.save(temp / "pts.npy", pts)
    frames = np.load(temp / "frames.npy", mmap_mode="r")
    write_sprite(frames, temp)

    trouble = browser_trouble(path, container)
    if mended:
        trouble = trouble or "its frames have no usable times"
    if not job.start and job.end is None and len(pts) != len(container.pts):
        trouble = trouble or "not all its packets give a frame"
    if trouble:
        note = "; ".join(filter(None, [note, f"proxy: {trouble}"]))
        shown = write_proxy(temp, path, container, pts, job.start, report)
        if shown < len(pts):
            doubts.append(
                (f"the browser's copy ends at frame {shown} of {len(pts)}", "Re-encode it.")
            )
    return Stored(
        n_frames=len(pts),
        header_frames=container.header_frames,
        fps=readers.mean_rate(pts, container.rate),
        width=container.width,
        height=container.height,
        codec=container.codec,
        reader=reader,
        proxy=bool(trouble),
        proxy_pts=bool(trouble),
        note=note,
        doubts=tuple(doubts),
    )


def _check_room(temp: Path, job: Job, container: Container, size: tuple[int, int]) -> None:
    expected = max(len(container.pts), container.untimed)
    last = expected if job.end is None else min(job.end, expected)
    need = (last - job.start) * size[0] * size[1] * 3
    free = shutil.disk_usage(temp).free
    if need > 0.95 * free:
        raise DiskFull(
            f"{job.path} needs {need / 1e9:.1f} GB for its frames at a short side of {job.side} "
            f"pixels; {free / 1e9:.1f} GB are free in {job.folder}. {ROOM}"
        )


def _decode(
    file: Path, job: Job, container: Container, size: tuple[int, int], report: Report
) -> tuple[str, np.ndarray, str]:
    """Store with the first reader that serves: its name, the (T,) seconds, why not another."""
    path, refused = Path(job.path), [job.note] if job.note else []
    last = job.end or len(container.pts) + container.untimed

    def progress(done: int) -> None:
        report(done, last)

    table: dict[str, Reader] = {"decord": readers.read_decord, "pyav": readers.read_pyav}
    for name in job.readers:
        try:
            with closing(table[name](path, container, size, job.threads)) as frames:
                pts = write_frames(frames, file, size, job.start, job.end, progress)
            if name != "pyav":
                _compare(file, path, container, job, size)
        except RuntimeError as error:
            refused.append(str(error))
            continue
        if len(pts):
            return name, pts, "; ".join(refused)
    if job.start:
        raise BadVideo(
            f"no frame at or after start_frame {job.start} ({len(container.pts)} in the file)",
            "Lower start_frame in the manifest.",
        )
    raise BadVideo("no frame of it decodes", "Play it in a video player; copy it again.")


def write_frames(
    frames: Iterable[tuple[np.ndarray, float]],
    file: Path,
    size: tuple[int, int],
    start: int,
    end: int | None,
    report: Callable[[int], None] = lambda done: None,
) -> np.ndarray:
    """Write frames [start, end) as a (T, H, W, 3) uint8 .npy file, one at a time.

    Returns the (T,) seconds of what came. The header has room for any T, so it is set at the end.
    """
    width, height = size
    pts: list[float] = []
    with file.open("wb") as out:
        _write_header(out, (0, height, width, 3))
        for k, (rgb, seconds) in enumerate(frames):
            if end is not None and k >= end:
                break
            report(k + 1)
            if k < start:
                continue
            if rgb.shape != (height, width, 3):
                raise RuntimeError(f"frame {k} came as {rgb.shape}, expected {(height, width, 3)}")
            out.write(np.ascontiguousarray(rgb).data)
            pts.append(seconds)
        out.seek(0)
        _write_header(out, (len(pts), height, width, 3))
    return np.array(pts, np.float64)


def _write_header(out: object, shape: tuple[int, ...]) -> None:
    npy.write_array_header_1_0(out, {"descr": "|u1", "fortran_order": False, "shape": shape})


def _compare(file: Path, path: Path, container: Container, job: Job, size: tuple[int, int]) -> None:
    """Raise where stored frames are not those that PyAV finds at the same times.

    Compared at the first, middle and last keyframe, and 8 frames after the last: seeking there is
    cheap. A frame must be more like its own than like its neighbours.
    """
    stored = np.load(file, mmap_mode="r")
    last = job.start + len(stored) - 1
    keys = [k for k in container.keyframes if job.start <= k <= last]
    if not keys:
        return
    picks = {keys[0], keys[len(keys) // 2], keys[-1], min(last, keys[-1] + 8)}
    found = readers.frames_at(path, container, sorted(picks), size)
    for k, rgb in found.items():
        near = range(max(job.start, k - 2), min(last, k + 2) + 1)
        error = {
            j: float(np.abs(stored[j - job.start].astype(np.int16) - rgb).mean()) for j in near
        }
        best = min(error, key=error.__getitem__)
        if error[k] > error[best] + 0.5:
            raise RuntimeError(f"decord's frame {best} is frame {k} of the container")
        if error[k] > 20:
            raise RuntimeError(f"decord's frame {k} looks unlike that of the container")


def _doubts(job: Job, container: Container, pts: np.ndarray) -> list[tuple[str, str]]:
    wanted = None if job.end is None else job.end - job.start
    if wanted is not None:
        if len(pts) >= wanted:
            return []
        return [(f"it ends before end_frame: {len(pts)} of {wanted} frames", "Lower end_frame.")]
    n, claimed = len(pts) + job.start, container.header_frames or 0
    if container.hidden and n < claimed:
        return [
            (
                f"the header claims {claimed} frames, {n} are shown: an edit list hides the others",
                "Nothing to do; frames are counted as shown.",
            )
        ]
    if n < max(claimed, len(container.pts)):
        return [
            (
                f"{n} of the {max(claimed, len(container.pts))} frames that its header or index "
                "claims decode: damaged, or cut off",
                "The frames that decode are used. Copy it again if you need the rest.",
            )
        ]
    seconds, shown = container.header_seconds or 0.0, float(pts[-1] - pts[0])
    if container.format.startswith("matroska") and seconds > 1.1 * shown + 2:
        return [
            (
                f"the header claims {seconds:.1f} s, its pictures last {shown:.1f} s: cut off",
                "The frames that decode are used. Copy it again if you need the rest.",
            )
        ]
    return []


def mend_times(pts: np.ndarray, container: Container, start: int) -> tuple[np.ndarray, bool]:
    """(T,) seconds that rise, and whether they had to be made up.

    Decoders give some AVI and MPEG-PS frames no time, or times that fall. The container's own table
    serves where it has one time per frame; else frames are counted at its rate.
    """
    if not np.isnan(pts).any() and (np.diff(pts) > 0).all():
        return pts, False
    table = container.pts[start : start + len(pts)]
    if not container.untimed and len(table) == len(pts) and (np.diff(table) > 0).all():
        return table, False
    known = pts[~np.isnan(pts)]
    return (known.min() if len(known) else 0.0) + np.arange(len(pts)) / container.rate, True
