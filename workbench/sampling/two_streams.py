"""The same moments, seen in two streams."""

from __future__ import annotations

from typing import Literal

import numpy as np

from workbench.data.video import Stream, VideoSource
from workbench.sampling.base import Example, Sampler, long_enough
from workbench.sampling.same_video import SameVideo


class TwoStreams(Sampler):
    """Clips of a video, and the same windows of it in another stream.

    Clips of the main stream, which is that of the source, come first: rgb 1, rgb 2, flow 1, flow 2.
    The k-th clips of both streams are augmented alike where it is about geometry.
    """

    name: Literal["two-streams"] = "two-streams"
    of: SameVideo = SameVideo()
    """Which windows."""
    other: Stream | None = None
    """The other stream; none: flow, or rgb where the clips are of flow."""

    @property
    def views(self) -> int:
        """Clips in an example: those of either stream."""
        return 2 * self.of.views

    def streams(self, main: Stream) -> tuple[Stream, ...]:
        """The main one and the other one; `ValueError` where they are the same."""
        other = self.other or ("rgb" if main == "flow" else "flow")
        if other == main:
            raise ValueError(
                f"sampler.other and data.clip.stream both are {main}, which makes one stream of "
                "two. Set sampler.other to another one, or to none"
            )
        return main, other

    def usable(self, source: VideoSource) -> list[int]:
        """The videos that hold a clip in both streams."""
        return long_enough(source, self.streams(source.shape.stream))

    def sample(self, source: VideoSource, i: int, rng: np.random.Generator) -> Example:
        """The windows of video i in both streams."""
        streams = self.streams(source.shape.stream)
        starts = self.of.starts(source.room(i, streams) + 1, rng)
        views = tuple(source.clip(i, start, stream) for stream in streams for start in starts)
        return Example(views, source.recording_index(i))
