"""The flow of every video of a data set, kept beside its frames, with a video to look at."""

from __future__ import annotations

import errno
import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from workbench.data.flow import ALGORITHMS, BOUND, Algorithm, quantise
from workbench.data.flow_picture import write_flow_video
from workbench.data.framestore import ROOM, DiskFull, leftovers
from workbench.data.index import Progress
from workbench.data.manifest import FLOW, FLOW_ABOUT, FLOW_PTS, FLOW_VIDEO, DataSet


def index_flow(
    dataset: DataSet, algorithm: Algorithm = "dis", workers: int | None = None
) -> Iterator[Progress]:
    """Compute and store the flow of every video of a data set, reporting as it goes.

    Videos that have it by this algorithm are left as they are, so it can be stopped, killed and
    repeated at will; flow by another algorithm is replaced. workers: videos at a time (None: one
    per core). Raises `DiskFull`, and what `flow` raises.
    """
    ALGORITHMS[algorithm]()  # what is not there is told before anything is done
    missing = [i for i in range(len(dataset.videos)) if dataset.flow_of(i) != algorithm]
    total, clock = len(dataset.videos), time.monotonic()
    yield Progress(total - len(missing), total, current="starting" if missing else "")
    if not missing:
        return
    _check_room(dataset, missing)
    stop, counts = threading.Event(), dict.fromkeys(missing, 0)
    of_all = sum(dataset.videos[i].n_frames for i in missing)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    team = min(len(missing), workers or cores or 1)
    if algorithm.startswith("raft"):  # torch has threads of its own
        team = 1
    with _opencv_threads(max(1, (cores or 1) // team)), ThreadPoolExecutor(team, "flow") as pool:
        waiting = {
            pool.submit(_store, dataset, i, algorithm, counts, stop): dataset.videos[i].path.name
            for i in missing
        }
        try:
            while waiting:
                over, _ = wait(waiting, timeout=0.2, return_when=FIRST_COMPLETED)
                name = next(iter(waiting.values()))
                for future in over:
                    name = waiting.pop(future)
                    future.result()
                frames = sum(counts.values())
                left = (of_all - frames) * (time.monotonic() - clock) / frames if frames else None
                done = total - len(waiting)
                yield Progress(done, total, frames, left, name if waiting else "")
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)


class _Stopped(Exception):
    """Nobody waits for the result any more."""


def _store(
    dataset: DataSet, video: int, algorithm: Algorithm, counts: dict[int, int], stop: object
) -> None:
    """Write flow.npy and its video, then flow.json: what has the last one has all, whole."""
    folder, frames = dataset.video_folder(video), dataset.frames(video)
    between = ALGORITHMS[algorithm]()
    shape = (len(frames) - 1, *frames.shape[1:3], 2)

    def write(path: Path) -> None:
        with path.open("wb") as out:
            about = {"descr": "|u1", "fortran_order": False, "shape": shape}
            npy.write_array_header_1_0(out, about)
            for t in range(shape[0]):
                if stop.is_set():
                    raise _Stopped
                out.write(quantise(between(frames[t], frames[t + 1])).data)
                counts[video] = t + 1
        counts[video] = len(frames)

    def film(path: Path) -> None:
        stored = np.load(folder / FLOW, mmap_mode="r")

        def fields() -> Iterator[np.ndarray]:
            for field in stored:
                if stop.is_set():
                    raise _Stopped
                yield field

        shown = write_flow_video(path, frames, fields(), dataset.pts(video))
        np.save(folder / FLOW_PTS, shown)

    (folder / FLOW_ABOUT).unlink(missing_ok=True)
    for left in leftovers(folder):
        left.unlink(missing_ok=True)
    try:
        _place(folder / FLOW, write)
        _place(folder / FLOW_VIDEO, film)
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        raise DiskFull(f"the disk of {folder.parent} is full. {ROOM}") from None
    about = json.dumps({"algorithm": algorithm, "bound": BOUND})
    _place(folder / FLOW_ABOUT, lambda path: path.write_text(about))


def _place(path: Path, write: Callable[[Path], object]) -> None:
    """Make or replace a file in one step; a half-written one tells who is writing it."""
    temp = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write(temp)
        os.replace(temp, path)
    finally:
        temp.unlink(missing_ok=True)


def _check_room(dataset: DataSet, videos: list[int]) -> None:
    need = sum(dataset.frames(i).size * 2 // 3 for i in videos)
    free = shutil.disk_usage(dataset.folder).free
    if need > 0.95 * free:
        raise DiskFull(
            f"the flow of data set {dataset.name!r} takes {need / 1e9:.1f} GB; {free / 1e9:.1f} GB "
            f"are free in {dataset.folder}. Make room there, or index at a smaller --side."
        )


@contextmanager
def _opencv_threads(count: int) -> Iterator[None]:
    """OpenCV with so many threads in a call; videos side by side do better with one each."""
    import cv2

    before = cv2.getNumThreads()
    cv2.setNumThreads(count)
    try:
        yield
    finally:
        cv2.setNumThreads(before)
