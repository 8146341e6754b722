"""Files as cameras, phones and accidents make them, each with a barcode in every frame."""

from __future__ import annotations

import struct
from pathlib import Path

import av
import numpy as np

from tests.barcode import write_barcode_video


def turn(path: Path, degrees: int) -> Path:
    """Tell players of an mp4 to turn its picture clockwise (the matrix in its track header)."""
    a, b, c, d = {90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}[degrees]
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40  # version and flags, times, id, reserved, layer, volume
    data[at : at + 36] = struct.pack(">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


def hide_start(path: Path, seconds: float) -> Path:
    """Move the start of an mp4's edit list: its first frames are decoded, never shown."""
    data = bytearray(path.read_bytes())
    timescale = struct.unpack_from(">I", data, data.index(b"mdhd") + 4 + 12)[0]
    at = data.index(b"elst") + 4 + 8 + 4  # version and flags, count, segment duration
    (media_time,) = struct.unpack_from(">i", data, at)
    struct.pack_into(">i", data, at, media_time + round(seconds * timescale))
    path.write_bytes(data)
    return path


def overclaim(path: Path, frames: int) -> Path:
    """Make the stream header of an AVI claim more frames than there are."""
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, data.index(b"strh") + 8 + 32, frames)  # dwLength
    path.write_bytes(data)
    return path


def cut(path: Path, share: float) -> Path:
    """Keep the first part of a file."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def write_sound(path: Path) -> Path:
    """A file with sound and no picture."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("aac", rate=48000, layout="mono")
        for k in range(20):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
            frame.sample_rate, frame.pts = 48000, k * 1024
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def odd_videos(folder: Path, n: int = 60) -> dict[str, Path]:
    """Videos of frames 0 .. n-1 that differ in container, codec, times and orientation."""

    def write(name: str, **how: object) -> Path:
        return write_barcode_video(folder / name, n, **how)

    uneven = [k / 30 + (k % 5) / 200 for k in range(n)]
    return {
        "plain": write("plain.mp4"),
        "vp9": write("vp9.mp4", codec="libvpx-vp9"),
        "av1": write("av1.mp4", codec="libsvtav1"),
        "webm": write("webm.webm", codec="libvpx-vp9"),
        "vp8": write("vp8.webm", codec="libvpx"),
        "ts": write("ts.ts"),
        "mpeg2": write("mpeg2.mpg", codec="mpeg2video", gop=12),
        "mpeg4": write("mpeg4.avi", codec="mpeg4"),
        "late": write("late.mp4", pts=[0.5 + k / 30 for k in range(n)]),
        "uneven": write("uneven.mp4", pts=uneven),
        "uneven_mkv": write("uneven.mkv", pts=uneven),
        "portrait": write("portrait.mp4", size=(180, 320)),
        "ten_bit": write("ten_bit.mp4", pix_fmt="yuv420p10le"),
        "one_gop": write("one_gop.mp4", gop=300),
    }
