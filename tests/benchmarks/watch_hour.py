"""How fast, and in how much memory, an hour of video is watched.

    python tests/benchmarks/watch_hour.py [--minutes 60] [--phase-aware] [--run FOLDER]

The hour is cheap to make: 30 s of a small machine are drawn and encoded once, 320 x 180 at 30
frames per second, and their packets repeated. It is watched beside one minute of the same, without
the anomaly that each half minute ends with. `--run` sees by the run in a folder.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

import av
import numpy as np

from workbench.data.live import watch
from workbench.training.record import Record
from workbench.training.reference import VigilConfig, choose_threshold, read_reference
from workbench.training.run import Run
from workbench.training.sight import PlainSight, RunSight
from workbench.training.vigil import Vigil
from workbench.views.watch_report import write_watch_report
from workbench.watching import print_alarms

FPS, SECONDS, CYCLE = 30, 30, 2.5


def draw(k: int, strange: bool, rng: np.random.Generator) -> np.ndarray:
    """(180, 320, 3) uint8: bottles pass on a belt, a head comes down; strange: no head."""
    phase = k / FPS / CYCLE % 1
    rgb = np.full((180, 320, 3), 90, np.uint8)
    rgb[140:] = 60
    for bottle in range(-1, 4):
        x = round((bottle + min(1.0, 2 * phase)) * 80)
        rgb[90:140, max(0, x) : max(0, x + 24)] = (90, 150, 200)
    if not strange:
        down = round(40 * max(0.0, np.sin(2 * np.pi * (phase - 0.5))))
        rgb[: 40 + down, 150:180] = (180, 180, 60)
    noise = rng.integers(-4, 5, rgb.shape, np.int16)
    return np.clip(rgb + noise, 0, 255).astype(np.uint8)


def write(path: Path, seconds: float, strange: bool) -> Path:
    """One drawn stretch; the last cycle of it is strange where asked."""
    rng = np.random.default_rng(0)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=FPS, options={"preset": "veryfast", "crf": "23"})
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = 320, 180, "yuv420p", FPS
        n = round(seconds * FPS)
        for k in range(n):
            odd = strange and k >= n - round(CYCLE * FPS)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(draw(k, odd, rng), format="rgb24")))
        out.mux(stream.encode())
    return path


def repeat(source: Path, path: Path, times: int) -> Path:
    """The packets of a video, again and again."""
    with av.open(str(source)) as file, av.open(str(path), "w") as out:
        stream = file.streams.video[0]
        target = out.add_stream_from_template(stream)
        packets = [(bytes(p), p.pts, p.dts, p.is_keyframe) for p in file.demux(stream) if p.size]
        length = round(SECONDS / stream.time_base)
        for turn in range(times):
            for data, pts, dts, key in packets:
                packet = av.Packet(data)
                packet.stream, packet.time_base = target, stream.time_base
                packet.pts, packet.dts = pts + turn * length, dts + turn * length
                packet.is_keyframe = key
                out.mux(packet)
    return path


def peak() -> float:
    """MiB, the most that this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Make, watch, tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--phase-aware", action="store_true")
    parser.add_argument("--run", type=Path)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as where:
        folder = Path(where)
        began = time.monotonic()
        normal = write(folder / "normal.mp4", 60, strange=False)
        piece = write(folder / "piece.mp4", SECONDS, strange=True)
        turns = round(chosen.minutes * 60 / SECONDS)
        hour = repeat(piece, folder / "hour.mp4", turns)
        print(f"made in {time.monotonic() - began:.1f} s, {hour.stat().st_size / 2**20:.0f} MiB")

        sight = RunSight(Run(chosen.run), 128) if chosen.run else PlainSight()
        config = VigilConfig(phase_aware=chosen.phase_aware)
        began = time.monotonic()
        reference = read_reference([normal], sight, config)
        limit = choose_threshold(reference, config)
        print(f"reference of {len(reference.z)} rows in {time.monotonic() - began:.1f} s")
        print(f"threshold {limit.value:.3f}, {limit.how}")
        before, began, busy = peak(), time.monotonic(), time.process_time()
        with Record(folder / "out", reference) as record:
            vigil = Vigil(reference, sight, config, limit.value)
            (judged,) = print_alarms(
                vigil, watch(str(hour), sight.side), record, say=lambda line: None
            )
        took, busy = time.monotonic() - began, time.process_time() - busy
        report = write_watch_report(
            folder / "out" / "report.html", [judged], reference, sight, config, limit
        )
        seconds = judged.seconds[-1]
        print(
            f"{judged.done} frames, {seconds / 60:.1f} min of video in {took:.1f} s: "
            f"{seconds / took:.0f} times real time "
            f"({busy:.1f} s of processor time)\n"
            f"memory: at most {before:.0f} MiB before, {peak():.0f} MiB at the end\n"
            f"{len(judged.alarms)} alarms of {turns}, {judged.repetitions} repetitions of "
            f"{seconds / CYCLE:.0f}\n"
            f"report of {report.stat().st_size / 2**20:.1f} MiB, "
            f"{time.monotonic() - began - took:.1f} s"
        )


if __name__ == "__main__":
    main()
