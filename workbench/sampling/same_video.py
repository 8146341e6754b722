"""Clips of the same video belong together."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from workbench.data.video import VideoSource
from workbench.sampling.base import Example, Sampler, long_enough


class SameVideo(Sampler):
    """Clips that start anywhere in the same video, independently of each other.

    The group is the recording: another camera saw the same action, so it is not a negative.
    """

    name: Literal["same-video"] = "same-video"
    n: int = Field(2, ge=1, le=16)
    """Clips per example."""

    @property
    def views(self) -> int:
        """Clips in an example: `n`."""
        return self.n

    def usable(self, source: VideoSource) -> list[int]:
        """The videos that hold a clip."""
        return long_enough(source)

    def sample(self, source: VideoSource, i: int, rng: np.random.Generator) -> Example:
        """`n` clips of video i."""
        starts = rng.integers(0, source.room(i) + 1, self.n)
        views = tuple(source.clip(i, int(start)) for start in starts)
        return Example(views, source.recording_index(i))
