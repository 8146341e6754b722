"""Videos whose every frame carries its own number, so that a wrong frame can be told."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

BARS = 10  # bits, most significant at the left: frame numbers 0 .. 1023
QUALITY = {
    "libx264": {"preset": "veryfast", "crf": "20"},
    "libvpx-vp9": {"deadline": "realtime"},
    "libsvtav1": {"preset": "10", "crf": "15"},
}
_written: dict[str, bytes] = {}


def draw_barcode(number: int, size: tuple[int, int] = (320, 180)) -> np.ndarray:
    """(H, W, 3) uint8: ten white (1) or black (0) bars, grey below; `size` is (width, height).

    The bars fill the upper two thirds, so that a turned or flipped picture does not read right.
    """
    width, height = size
    bits = [(number >> (BARS - 1 - k)) & 1 for k in range(BARS)]
    row = np.array(bits, np.uint8)[np.arange(width) * BARS // width] * 255
    rgb = np.full((height, width, 3), 128, np.uint8)
    rgb[: height * 2 // 3] = row[None, :, None]
    return rgb


def read_barcode(rgb: np.ndarray) -> int:
    """The number drawn into an (H, W, 3) picture of any size; ValueError where it is unclear."""
    height, width = rgb.shape[:2]
    band = rgb[height // 5 : height // 3].mean((0, 2))  # (W,)
    levels = [band[int((k + 0.3) * width / BARS) : int((k + 0.7) * width / BARS) + 1].mean()
              for k in range(BARS)]  # fmt: skip
    if any(64 < v < 192 for v in levels):
        raise ValueError(f"no barcode: the bars have brightness {np.round(levels)}")
    return sum(1 << (BARS - 1 - k) for k, v in enumerate(levels) if v > 128)


def write_barcode_video(
    path: str | Path,
    n_frames: int,
    fps: float | Fraction = 30,
    size: tuple[int, int] = (320, 180),
    codec: str = "libx264",
    pts: Sequence[float] | None = None,
    gop: int = 30,
    pix_fmt: str = "yuv420p",
    first: int = 0,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
) -> Path:
    """Write frames `first` .. `first + n_frames - 1`; `pts` are seconds (None: k / fps).

    The container follows the suffix; `size` is (width, height). Returns the path. A video is
    encoded once: many tests begin with the same ones.
    """
    times = None if pts is None else [float(t) for t in pts]
    asked = (n_frames, fps, size, codec, times, gop, pix_fmt, first, options, container_options)
    key = repr((Path(path).suffix, *asked))
    if key in _written:
        Path(path).write_bytes(_written[key])
        return Path(path)
    rate = Fraction(fps).limit_denominator(1001)
    tick = 1 / rate if pts is None else Fraction(1, 30000)
    chosen = {**QUALITY.get(codec, {}), **(options or {})}
    with av.open(str(path), "w", options=container_options or {}) as out:
        stream = out.add_stream(codec, rate=rate, options=chosen)
        stream.width, stream.height = size
        stream.pix_fmt = pix_fmt
        stream.gop_size = gop
        stream.bit_rate = 0 if "crf" in chosen else 2_000_000
        stream.codec_context.time_base = tick
        for k in range(n_frames):
            frame = av.VideoFrame.from_ndarray(draw_barcode(first + k, size), format="rgb24")
            frame.pts = k if pts is None else round(pts[k] / tick)
            frame.time_base = tick
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    _written[key] = Path(path).read_bytes()
    return Path(path)
