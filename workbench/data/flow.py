"""Optical flow: how far every pixel moves from a frame to the next, kept beside the frames.

A vector (u right, v down) is in pixels of the stored picture, is cut at 20 pixels either way and
rounded to 256 steps, as CoCLR, CPR and ViCC keep it: q = round((f + 20) * 255 / 40). They compute
TV-L1 at the video's own size; here it is the stored size, and any of the algorithms, which is named
in flow.json. A video of the flow, to be looked at, lies beside it.
"""

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
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.lib import format as npy

from workbench.data.flow_picture import write_flow_video
from workbench.data.framestore import ROOM, DiskFull, leftovers
from workbench.data.index import Progress
from workbench.data.manifest import (
    FLOW,
    FLOW_ABOUT,
    FLOW_PTS,
    FLOW_VIDEO,
    DataSet,
)

if TYPE_CHECKING:
    import torch

Algorithm = Literal["dis", "farneback", "tvl1", "raft", "raft-small"]
Fields = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Two frames (H, W, 3) uint8 RGB -> (H, W, 2) float32 pixels from the first to the second."""

BOUND = 20.0
"""Pixels at which a component is cut (CoCLR, CPR and ViCC; mmaction2 has the same)."""


def quantise(field: np.ndarray) -> np.ndarray:
    """Pixels as uint8: round((f + 20) * 255 / 40) after cutting to -20 ... 20; no motion is 128."""
    return np.rint((np.clip(field, -BOUND, BOUND) + BOUND) * (255 / (2 * BOUND))).astype(np.uint8)


def pixels_of(stored: np.ndarray) -> np.ndarray:
    """Stored flow in pixels, float32, to within 0.08; what stands for no motion is exactly zero."""
    field = stored.astype(np.float32) * np.float32(2 * BOUND / 255) - np.float32(BOUND)
    return np.where(stored == 128, np.float32(0), field)


def flow(frames: np.ndarray, algorithm: Algorithm = "dis") -> np.ndarray:
    """Flow between frames (T, H, W, 3) uint8: (T - 1, H, W, 2) uint8, u and v, `quantise`d.

    Row t is the motion from frame t to t + 1. Raises `RuntimeError` where the algorithm is not to
    be had on this machine, saying how to get it.
    """
    between = ALGORITHMS[algorithm]()
    fields = [quantise(between(a, b)) for a, b in pairwise(frames)]
    return np.stack(fields) if fields else np.empty((0, *frames.shape[1:3], 2), np.uint8)


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

        def field(t: int) -> np.ndarray:
            if stop.is_set():
                raise _Stopped
            return pixels_of(stored[t])

        np.save(folder / FLOW_PTS, write_flow_video(path, frames, field, dataset.pts(video)))

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


def _gray(rgb: np.ndarray) -> np.ndarray:
    import cv2

    return cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2GRAY)


def _dis() -> Fields:
    """Dense inverse search (Kroeger et al. 2016); the faster presets miss motions over 10 px."""
    import cv2

    engine = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return lambda a, b: engine.calc(_gray(a), _gray(b), None)


def _farneback() -> Fields:
    """Polynomial expansion (Farneback 2003), with the numbers of mmaction2."""
    import cv2

    numbers = {"pyr_scale": 0.5, "levels": 3, "winsize": 15, "iterations": 3}
    numbers |= {"poly_n": 5, "poly_sigma": 1.2, "flags": 0}
    return lambda a, b: cv2.calcOpticalFlowFarneback(_gray(a), _gray(b), None, **numbers)


def _tvl1() -> Fields:
    """Dual TV-L1 (Zach et al. 2007) with its default numbers: that of CoCLR, CPR, ViCC and IIC."""
    import cv2

    if not hasattr(cv2, "optflow"):
        raise RuntimeError(
            f"OpenCV {cv2.__version__} here has no TV-L1, which only its contrib package has. Get "
            "it with: pip uninstall opencv-python-headless, then pip install "
            "opencv-contrib-python-headless; or choose --algorithm dis or farneback."
        )
    engine = cv2.optflow.DualTVL1OpticalFlow_create()
    return lambda a, b: engine.calc(_gray(a), _gray(b), None)


def _raft(size: Literal["large", "small"]) -> Fields:
    """RAFT (Teed & Deng 2020) by torchvision, with its default weights."""
    import torch
    from torchvision.models import optical_flow

    weights = getattr(optical_flow, f"Raft_{size.title()}_Weights").DEFAULT
    try:
        state = weights.get_state_dict(progress=False, weights_only=True)
    except OSError as error:
        name = weights.url.rpartition("/")[2]
        raise RuntimeError(
            f"the weights of RAFT are not here and cannot be fetched ({error}). Put {weights.url} "
            f"at {Path(torch.hub.get_dir()) / 'checkpoints' / name}, or choose --algorithm dis."
        ) from None
    net = getattr(optical_flow, f"raft_{size}")(weights=None)
    net.load_state_dict(state)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    net.to(device).eval().requires_grad_(False)

    def between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        first, second = (_for_raft(rgb).to(device) for rgb in (a, b))
        height, width = a.shape[:2]
        with torch.inference_mode():
            found = net(first, second)[-1][0, :, :height, :width]
        return found.permute(1, 2, 0).cpu().numpy()

    return between


def _for_raft(rgb: np.ndarray) -> torch.Tensor:
    """(1, 3, H, W) in -1 ... 1, grown at its right and lower edge to what RAFT's pyramid takes."""
    import torch
    from torch.nn.functional import pad

    x = torch.from_numpy(np.ascontiguousarray(rgb)).permute(2, 0, 1)[None] / 127.5 - 1
    more = [max(128, -(-n // 8) * 8) - n for n in rgb.shape[:2]]
    return pad(x, (0, more[1], 0, more[0]), mode="replicate")


ALGORITHMS: dict[Algorithm, Callable[[], Fields]] = {
    "dis": _dis,
    "farneback": _farneback,
    "tvl1": _tvl1,
    "raft": lambda: _raft("large"),
    "raft-small": lambda: _raft("small"),
}
"""Name -> what makes it; each thread makes its own."""
