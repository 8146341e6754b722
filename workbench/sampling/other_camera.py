"""The same moment seen by two cameras belongs together."""

from __future__ import annotations

import logging
from typing import Literal

import numpy as np

from workbench.data.video import VideoSource
from workbench.sampling.base import Example, Sampler, long_enough

log = logging.getLogger(__name__)


class OtherCamera(Sampler):
    """The same instant of a recording, filmed from two positions.

    Cameras are aligned by frame of the recording; instants that one of them did not film whole are
    never drawn. Instants are drawn uniformly, and over an epoch every ordered pair of distinct
    cameras is equally likely [all of this is our reconstruction: the thesis says only that a
    positive is the same instant from two different cameras]. The group is the recording.
    """

    name: Literal["other-camera"] = "other-camera"

    @property
    def views(self) -> int:
        """Clips in an example: one of each of two cameras."""
        return 2

    def usable(self, source: VideoSource) -> list[int]:
        """The videos that share an instant with another camera of their recording."""
        alone = [v for i, v in enumerate(source.videos) if not source.other_cameras(i)]
        if alone and len(alone) == len(source):
            raise ValueError(
                f"recording {alone[0].recording!r} has one camera ({alone[0].camera!r}), and so "
                "have all others; OtherCamera needs two. Use SameVideo."
            )
        if alone:
            log.warning(
                "%d recordings have one camera and take no part, such as %r; other-camera needs "
                "two",
                len(alone),
                alone[0].recording,
            )
        found = [i for i in long_enough(source) if partners(source, i)]
        if not found:
            raise ValueError(
                f"no two cameras of a recording share {source.shape.span} frames, which is what a "
                "clip covers. Check the cameras' offsets, or lower clip.length or clip.stride."
            )
        return found

    def sample(self, source: VideoSource, i: int, rng: np.random.Generator) -> Example:
        """Video i and another camera at a common instant."""
        others = partners(source, i)
        j = others[rng.integers(len(others))]
        first, last = common_range(source, i, j)
        instant = int(rng.integers(first, last + 1))
        views = tuple(source.clip(v, instant + source.videos[v].offset) for v in (i, j))
        return Example(views, source.recording_index(i))


def partners(source: VideoSource, i: int) -> list[int]:
    """The other cameras that share at least one instant with video i."""
    ranges = ((j, common_range(source, i, j)) for j in source.other_cameras(i))
    return [j for j, (first, last) in ranges if first <= last]


def common_range(source: VideoSource, i: int, j: int) -> tuple[int, int]:
    """First and last frame of the recording at which clips of both videos may start."""
    offsets = [source.videos[v].offset for v in (i, j)]
    return max(-o for o in offsets), min(
        source.room(v) - o for v, o in zip((i, j), offsets, strict=True)
    )
