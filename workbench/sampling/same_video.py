"""Clips of the same video belong together."""

from __future__ import annotations

from typing import Literal, Self

import numpy as np
from pydantic import Field, model_validator

from workbench.data.video import VideoSource
from workbench.sampling.base import Example, Sampler, long_enough


class SameVideo(Sampler):
    """Clips that start anywhere in the same video, independently of each other.

    With `decay`, two clips of which short distances in time are likelier than long ones (CVRL,
    Qian et al. 2021, section 3.2); with `within`, clips near each other.
    The group is the recording: another camera saw the same action, so it is not a negative.
    """

    name: Literal["same-video"] = "same-video"
    n: int = Field(2, ge=1, le=16)
    """Clips per example."""
    decay: float | None = Field(None, ge=0.1, le=100)
    """How the odds of a distance in time fall with the distance: with this power of its share of
    the longest one, to zero. 1 as in CVRL is linear; none: both clips are anywhere."""
    within: int | None = Field(None, ge=0)
    """Frames that the other clips start from the first at most; 0: the same window every time, as
    the methods for pictures and VideoMoCo have it; none: anywhere."""

    @model_validator(mode="after")
    def _pairs(self) -> Self:
        if self.decay is not None and self.n != 2:
            raise ValueError(
                f"decay is about two clips and n is {self.n}. Set n to 2, or decay to none"
            )
        if self.decay is not None and self.within is not None:
            raise ValueError("decay and within both say how far apart clips are. Set one to none")
        return self

    @property
    def views(self) -> int:
        """Clips in an example: `n`."""
        return self.n

    def usable(self, source: VideoSource) -> list[int]:
        """The videos that hold a clip."""
        return long_enough(source)

    def sample(self, source: VideoSource, i: int, rng: np.random.Generator) -> Example:
        """`n` clips of video i."""
        starts = self.starts(source.room(i) + 1, rng)
        return Example(tuple(source.clip(i, k) for k in starts), source.recording_index(i))

    def starts(self, places: int, rng: np.random.Generator) -> list[int]:
        """The frames, below `places`, at which the `n` clips of an example start."""
        if self.within is not None:
            first = rng.integers(places)
            low, high = max(0, first - self.within), min(places, first + self.within + 1)
            starts = [first, *rng.integers(low, high, self.n - 1)]
        elif self.decay is None:
            starts = rng.integers(0, places, self.n)
        else:
            apart = int(places * distance(rng.random(), self.decay))
            first = rng.integers(places - apart)
            starts = rng.permutation([first, first + apart])
        return [int(start) for start in starts]


def distance(u: np.ndarray | float, power: float) -> np.ndarray | float:
    """Distances in [0, 1) whose density is (1 - x^power) (1 + power) / power, from uniform u.

    Where CVRL's distribution F(x) = ((1 + power) x - x^(1 + power)) / power equals u in [0, 1), to
    the precision of a float.
    """
    if power == 1:
        return 1 - np.sqrt(1 - u)
    x = 0 * u
    for bit in range(1, 54):
        more = x + 2.0**-bit
        x = x + 2.0**-bit * (((1 + power) * more - more ** (1 + power)) / power <= u)
    return x
