"""Frames a second of optical flow per algorithm, at the sizes that are stored.

    python tests/benchmarks/flow.py [VIDEO] [--frames 60]

Processor time of one thread, so that a busy machine hardly changes it, without the reading of the
video; the last row is the picture to look at and its video. Without a video a texture moves.
"""

import argparse
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import torch

from workbench.data.flow import ALGORITHMS, quantise
from workbench.data.flow_picture import write_flow_video
from workbench.data.readers import decode_pyav

SIDES = (64, 128, 256)


def texture(n):
    """(n, 360, 640, 3): smooth noise that moves by 3 pixels right and 1 down a frame."""
    noise = np.random.default_rng(0).uniform(0, 255, (60, 90, 3)).astype(np.float32)
    large = cv2.resize(noise, (1300, 900), interpolation=cv2.INTER_CUBIC).clip(0, 255)
    cuts = [(200 - k, 400 - 3 * k) for k in range(n)]
    return [large[y : y + 360, x : x + 640].astype(np.uint8) for y, x in cuts]


def read(path, n):
    """The first n frames, as they are shown."""
    frames = decode_pyav(path, 0)
    found = [f.to_ndarray(format="rgb24") for f, _ in zip(frames, range(n), strict=False)]
    frames.close()
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("video", nargs="?", type=Path)
    parser.add_argument("--frames", type=int, default=60)
    asked = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    shown = read(asked.video, asked.frames) if asked.video else texture(asked.frames)
    height, width = shown[0].shape[:2]
    print(f"{asked.video or 'a moving texture'}, {len(shown)} frames, OpenCV {cv2.__version__}")
    for side in SIDES:
        scale = side / min(height, width)
        size = round(width * scale), round(height * scale)
        frames = np.stack([cv2.resize(f, size, interpolation=cv2.INTER_AREA) for f in shown])
        for name in ("dis", "farneback", "tvl1"):
            try:
                between = ALGORITHMS[name]()
            except RuntimeError:
                print(f"{size[0]:4} x {size[1]:<4} {name:10} is not here")
                continue
            between(frames[0], frames[1])
            begin = time.process_time()
            fields = [quantise(between(a, b)) for a, b in pairwise(frames)]
            speed = len(fields) / (time.process_time() - begin)
            print(f"{size[0]:4} x {size[1]:<4} {name:10} {speed:6.0f} frames/s")
        with tempfile.TemporaryDirectory() as folder:
            begin = time.process_time()
            pts = np.arange(len(frames)) / 30
            write_flow_video(Path(folder) / "f.mp4", frames, fields, pts)
            speed = len(frames) / (time.process_time() - begin)
            print(f"{size[0]:4} x {size[1]:<4} {'picture':10} {speed:6.0f} frames/s")


if __name__ == "__main__":
    main()
