"""What a video is, what a clip of it is, and where clips get their pixels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from workbench.config import Config

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Stream = Literal["rgb", "flow", "diff"]
FLOW_REST = 128
"""What stands for no motion in stored flow, and fills its third channel."""
BACKGROUND = "background"
"""The label of frames that no segment names, in data with segments; also one to be given."""


@dataclass(frozen=True)
class Segment:
    """Frames [start, stop) of a recording that carry a label."""

    start: int
    stop: int
    label: str


@dataclass(frozen=True)
class Video:
    """One file: a recording seen by a camera.

    Frame k of the recording is frame k + `offset` of this video. `n_frames` is what decodes, not
    what the header says. `segments` are in frames of the recording.
    """

    path: Path
    recording: str
    camera: str
    label: str | None
    n_frames: int
    fps: float
    offset: int = 0
    segments: tuple[Segment, ...] = ()
    split: str | None = None
    tags: tuple[str, ...] = ()


class ClipShape(Config):
    """What the encoder eats."""

    length: int = Field(16, ge=1, le=256)
    """Frames in a clip."""
    stride: int = Field(2, ge=1, le=64)
    """Frames from one frame of the clip to the next; 1 takes every frame."""
    size: int = Field(112, ge=16, le=512)
    """Side of the square picture, pixels."""
    stream: Stream = "rgb"
    """rgb pictures, optical flow, or the absolute difference of successive frames."""
    flow_as_picture: bool = False
    """Treat flow as CoCLR, CPR and ViCC did: as the colours (128, v, u) of a picture, jittered and
    blurred with it, and not turned round where the picture is mirrored."""

    def seen_as(self, stream: Stream) -> Stream:
        """As what pixels of a stream are augmented and normalised: itself, or rgb."""
        return "rgb" if stream == "flow" and self.flow_as_picture else stream

    @property
    def span(self) -> int:
        """Frames of video that a clip covers, first to last."""
        return (self.length - 1) * self.stride + 1


@dataclass(frozen=True)
class Clip:
    """A reference to pixels, never the pixels. `start` is a frame of the video."""

    video: int
    start: int
    length: int
    stride: int
    stream: Stream = "rgb"

    @property
    def frames(self) -> np.ndarray:
        """The (T,) frame numbers of the video that the clip shows."""
        return self.start + self.stride * np.arange(self.length)


class VideoSource:
    """Videos, a clip shape, and how to read pixels.

    videos: what may be sampled; an index into this list is "video i".
    frames: video i -> (n_frames, H, W, 3) uint8, memory-mapped, indexable by frame number.
    flows: video i -> (n_frames - 1, H, W, 2) uint8, the motion from each frame to the next as
    `data/flow.py` stores it; None where there is none, and then no_flow says why.
    segmented: whether any of the videos has segments.
    """

    def __init__(
        self,
        videos: Sequence[Video],
        shape: ClipShape,
        frames: Callable[[int], np.ndarray],
        flows: Callable[[int], np.ndarray] | None = None,
        no_flow: str = "",
    ) -> None:
        self.videos = list(videos)
        self.shape = shape
        self.frames = frames
        self.flows = flows
        self.no_flow = no_flow or "these videos come without optical flow. Use stream rgb or diff."
        names = {name: k for k, name in enumerate(dict.fromkeys(v.recording for v in self.videos))}
        self._recording = [names[v.recording] for v in self.videos]
        self.segmented = any(v.segments for v in self.videos)
        self._cameras: dict[int, list[int]] = {}
        for i, r in enumerate(self._recording):
            self._cameras.setdefault(r, []).append(i)

    def __len__(self) -> int:
        """How many videos there are."""
        return len(self.videos)

    @property
    def recordings(self) -> int:
        """How many recordings its videos are of."""
        return len(self._cameras)

    def recording_index(self, video: int) -> int:
        """The number of the recording of a video; cameras of one recording share it."""
        return self._recording[video]

    def other_cameras(self, video: int) -> list[int]:
        """The videos of the same recording from other filming positions."""
        return [i for i in self._cameras[self._recording[video]] if i != video]

    @property
    def streams(self) -> tuple[Stream, ...]:
        """What it can give clips of."""
        return ("rgb", "diff") if self.flows is None else ("rgb", "diff", "flow")

    def require(self, *streams: Stream) -> None:
        """`ValueError` where it cannot give clips of all these streams, or they do not match."""
        if "flow" not in streams:
            return
        if self.flows is None:
            raise ValueError(self.no_flow)
        for i, video in enumerate(self.videos):
            frames, fields = self.frames(i), self.flows(i)
            if fields.shape != (len(frames) - 1, *frames.shape[1:3], 2):
                raise ValueError(
                    f"{video.path.name} has {len(frames)} frames of {_size(frames)} and "
                    f"{len(fields)} fields of optical flow of {_size(fields)}; expected one field "
                    "less than frames, of their size. Remove its flow.json and run `workbench "
                    "flow` on its data set again."
                )

    def room(self, video: int, streams: Sequence[Stream] | None = None) -> int:
        """The last frame at which a clip may start; negative where the video is too short.

        streams: all of which the clip is to be taken from; by default the shape's.
        """
        return self.videos[video].n_frames - self._span(streams or (self.shape.stream,))

    def clip(self, video: int, start: int, stream: Stream | None = None) -> Clip:
        """The clip of the source's shape that starts at a frame of a video."""
        s = self.shape
        stream = stream or s.stream
        if not 0 <= start <= self.room(video, (stream,)):
            v = self.videos[video]
            raise ValueError(
                f"{v.path.name} has {v.n_frames} frames; a clip of {s.length} frames at stride "
                f"{s.stride} from frame {start} needs {start + self._span((stream,))}. "
                "Lower clip.length or clip.stride."
            )
        return Clip(video, int(start), s.length, s.stride, stream)

    def windows(self, video: int, hop: int) -> list[Clip]:
        """All complete clips of a video, `hop` frames apart, in order."""
        return [self.clip(video, k) for k in range(0, self.room(video) + 1, hop)]

    def pixels(self, clip: Clip) -> np.ndarray:
        """The (T, H, W, 3) uint8 pixels of a clip, at the size they are stored in.

        Of flow the channels are (u, v, 128), or with `shape.flow_as_picture` (128, v, u).
        """
        stop = clip.start + clip.stride * clip.length
        if clip.stream == "flow":
            if self.flows is None:
                raise ValueError(self.no_flow)
            moved = self.flows(clip.video)[clip.start : stop : clip.stride][: clip.length]
            rest = np.full_like(moved[..., :1], FLOW_REST)
            if self.shape.flow_as_picture:
                return np.concatenate([rest, moved[..., ::-1]], axis=-1)
            return np.concatenate([moved, rest], axis=-1)
        frames = self.frames(clip.video)
        rgb = frames[clip.start : stop : clip.stride][: clip.length]
        if clip.stream == "rgb":
            return np.ascontiguousarray(rgb)
        after = frames[clip.start + 1 : stop + 1 : clip.stride][: clip.length]
        return np.where(after > rgb, after - rgb, rgb - after)

    def select(self, keep: Callable[[Video], bool]) -> VideoSource:
        """The same source with the videos for which `keep` is true."""
        kept = [i for i, v in enumerate(self.videos) if keep(v)]
        frames, flows = self.frames, self.flows
        return VideoSource(
            [self.videos[i] for i in kept],
            self.shape,
            lambda i: frames(kept[i]),
            None if flows is None else lambda i: flows(kept[i]),
            self.no_flow,
        )

    def holding(
        self, videos: Sequence[Video] | None = None, shape: ClipShape | None = None
    ) -> VideoSource:
        """The same source with other facts about its videos, or clips of another shape."""
        return VideoSource(
            self.videos if videos is None else videos,
            shape or self.shape,
            self.frames,
            self.flows,
            self.no_flow,
        )

    def _span(self, streams: Sequence[Stream]) -> int:
        return self.shape.span + any(s != "rgb" for s in streams)  # motion: one frame ahead


def _size(pixels: np.ndarray) -> str:
    return f"{pixels.shape[2]} x {pixels.shape[1]} pixels"
