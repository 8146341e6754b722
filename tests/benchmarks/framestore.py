"""What the frame store gains over decoding each clip, and what filling it costs.

    python tests/benchmarks/framestore.py [FOLDER OF VIDEOS]

Without a folder, twelve videos of moving texture are made: 640 x 360, 300 frames, a keyframe every
60. Ratios are taken in one run, the two sides in turns.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import torch

from workbench.data.index import index
from workbench.data.manifest import DataSet
from workbench.data.readers import inspect, stored_size
from workbench.data.sources import VIDEO_SUFFIXES, Entry
from workbench.data.video import Clip, ClipShape

SIDE, LENGTH, STRIDE, CLIPS, ROUNDS = 128, 16, 2, 8, 7


def make_videos(folder: Path, count: int = 12) -> list[Path]:
    rng = np.random.default_rng(0)
    paths = [folder / f"video{k:02d}.mp4" for k in range(count)]
    for path in paths:
        world = np.kron(
            rng.integers(0, 255, (60, 120, 3), np.uint8), np.ones((12, 12, 1), np.uint8)
        )
        drift = rng.uniform(-3, 3, (300, 2)).cumsum(0)
        drift -= drift.min(0)
        with av.open(str(path), "w") as out:
            stream = out.add_stream("libx264", rate=30, options={"preset": "veryfast", "crf": "23"})
            stream.width, stream.height, stream.pix_fmt, stream.gop_size = 640, 360, "yuv420p", 60
            for y, x in drift.astype(int) % (300, 700):
                rgb = np.ascontiguousarray(world[y : y + 360, x : x + 640])
                out.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
            out.mux(stream.encode(None))
    return paths


def fill(room: torch.Tensor, clip: np.ndarray) -> torch.Tensor:
    """(T, H, W, 3) uint8 as floats in [0, 1] in its place in a batch, seen as (3, T, H, W)."""
    return room.copy_(torch.from_numpy(clip)).mul_(1 / 255).permute(3, 0, 1, 2)


def decord_clip(data: DataSet, clip: Clip, threads: int) -> np.ndarray:
    import decord

    height, width = data.frames(clip.video).shape[1:3]
    path = str(data.videos[clip.video].path)
    reader = decord.VideoReader(path, width=width, height=height, num_threads=threads)
    return reader.get_batch(clip.frames.tolist()).asnumpy()


def cpu_seconds() -> float:
    """Of this process and of those that it has ended."""
    times = os.times()
    return sum(times[:4])


def per_second(clips: list[Clip], load: Callable[[Clip], np.ndarray]) -> tuple[float, float]:
    """Clips per second as float tensors, each written into the same place: by the clock, by CPU."""
    rooms = {shape: torch.empty(shape) for shape in {load(c).shape for c in clips}}
    start, cpu = time.perf_counter(), time.process_time()
    for clip in clips:
        pixels = load(clip)
        fill(rooms[pixels.shape], pixels)
    return len(clips) / (time.perf_counter() - start), len(clips) / (time.process_time() - cpu)


def bare_loop(path: Path) -> int:
    """Frames of a video decoded, resized and turned into arrays by PyAV, kept nowhere."""
    container = inspect(path)
    width, height = stored_size(container.width, container.height, SIDE)
    with av.open(str(path)) as file:
        file.streams.video[0].thread_type = "AUTO"
        frames = file.decode(video=0)
        return sum(
            1
            for f in frames
            if f.to_ndarray(format="rgb24", width=width, height=height, interpolation="AREA").size
        )


def main() -> None:
    torch.set_num_threads(1)  # the copy is bound by memory, not by arithmetic
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(sys.argv[1]) if len(sys.argv) > 1 else None
        if folder:
            paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in VIDEO_SUFFIXES)
        else:
            paths = make_videos(Path(scratch))
        entries = [Entry(p.absolute(), p.stem) for p in paths]

        start, cpu = time.perf_counter(), cpu_seconds()
        list(index(entries, Path(scratch) / "data", side=SIDE))
        indexing, index_cpu = time.perf_counter() - start, cpu_seconds() - cpu
        data = DataSet(Path(scratch) / "data")
        frames = data.about["frames"]
        start, cpu = time.perf_counter(), cpu_seconds()
        looped = sum(bare_loop(Path(p)) for p in data.table["path"])
        bare, bare_cpu = time.perf_counter() - start, cpu_seconds() - cpu

        source = data.source(ClipShape(length=LENGTH, stride=STRIDE, size=112))
        rng = np.random.default_rng(1)
        rows = []
        for _ in range(ROUNDS):
            videos = rng.integers(0, len(source), CLIPS)
            clips = [source.clip(v, rng.integers(0, source.room(v) + 1)) for v in videos]
            for clip in clips:
                source.frames(clip.video)[clip.frames]  # into the page cache
            decoded = [per_second(clips, lambda c, n=n: decord_clip(data, c, n)) for n in (0, 1)]
            rows.append((per_second(clips * 20, source.pixels), *decoded))
        store, default, single = np.median(rows, axis=0)
        gain = np.median([r[0] / np.maximum(*r[1:]) for r in np.array(rows)], axis=0)

    print(f"{len(data.videos)} videos, {frames} frames, {os.cpu_count()} cores, short side {SIDE}")
    print(f"{'random clips of 16 frames, stride 2':42s} {'clips/s':>9s} {'per CPU s':>9s}")
    print(f"{'frame store, float tensors':42s} {store[0]:9.1f} {store[1]:9.1f}")
    print(f"{'decord, its default threads':42s} {default[0]:9.1f} {default[1]:9.1f}")
    print(f"{'decord, one thread':42s} {single[0]:9.1f} {single[1]:9.1f}")
    print(f"{'store over the better decord (bar 100x)':42s} {gain[0]:8.0f}x {gain[1]:8.0f}x")
    print(f"{'every frame once':42s} {'frames/s':>9s} {'per CPU s':>9s}")
    print(f"{'index: processes, store, sprite, proxies':42s} "
          f"{frames / indexing:9.0f} {frames / index_cpu:9.0f}")  # fmt: skip
    print(f"{'bare PyAV loop, threads AUTO':42s} {looped / bare:9.0f} {looped / bare_cpu:9.0f}")
    print(f"{'index over the bare loop (bar 0.9x)':42s} "
          f"{bare / indexing:8.2f}x {bare_cpu / index_cpu:8.2f}x")  # fmt: skip


if __name__ == "__main__":
    main()
