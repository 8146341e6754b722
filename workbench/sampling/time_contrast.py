"""Moments near each other in time belong together, others of the same video do not."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from workbench.data.video import VideoSource
from workbench.sampling.base import Example, Sampler, long_enough
from workbench.sampling.other_camera import OtherCamera


class TimeContrast(Sampler):
    """Time-contrastive triplets of frames (TCN, Sermanet et al. 2018, section III).

    Of one camera: a positive is a few frames from its anchor, in a second look at the same chunk.
    With `other_camera`: a positive is the same moment seen by another camera. A negative is another
    moment of the anchor's own chunk. Negatives are drawn at random, where TCN's code picks
    semi-hard ones out of the batch [our reconstruction]. The group is the recording.
    """

    gives_triplets: ClassVar[bool] = True

    name: Literal["time-contrast"] = "time-contrast"
    triplets: int = Field(64, ge=1, le=4096)
    """Triplets of frames per example."""
    other_camera: bool = False
    """Take the same moment of another camera as the positive (multi-view TCN)."""
    near: int = Field(6, ge=0, le=10_000)
    """Frames that a positive is from its anchor at most, where both are of one camera: 0.2 s."""
    far: int = Field(12, ge=1, le=100_000)
    """Frames that a negative is more than that from its anchor: twice as many."""

    @model_validator(mode="after")
    def _order(self) -> Self:
        if self.near > self.far:
            raise ValueError(
                f"near is {self.near} and far {self.far}: a positive may not be farther than a "
                "negative. Raise far"
            )
        return self

    @property
    def views(self) -> int:
        """Clips in an example: the anchor's chunk, and one that holds positives."""
        return 2

    def usable(self, source: VideoSource) -> list[int]:
        """The videos that hold a chunk; with `other_camera` one in common with another camera."""
        span = (source.shape.length - 1) * source.shape.stride
        if span <= self.far:
            raise ValueError(
                f"frames of a chunk are at most {span} frames apart and a negative needs more than "
                f"sampler.far ({self.far}). Raise clip.length or clip.stride, or lower far."
            )
        if not self.other_camera:
            return long_enough(source)
        if not any(source.other_cameras(i) for i in range(len(source))):
            raise ValueError(
                "every recording has one camera, and sampler.other_camera takes the positive from "
                "a second one. Set sampler.other_camera to false, as in recipe tcn."
            )
        return OtherCamera().usable(source)

    def sample(self, source: VideoSource, i: int, rng: np.random.Generator) -> Example:
        """A chunk of video i twice, or from two cameras, and triplets of their frames."""
        length, stride = source.shape.length, source.shape.stride
        if self.other_camera:
            views = OtherCamera().sample(source, i, rng).views
        else:
            views = (source.clip(i, int(rng.integers(source.room(i) + 1))),) * 2
        apart = stride * np.abs(np.arange(length)[:, None] - np.arange(length))  # frames
        negative = apart > self.far
        anchor = rng.choice(np.flatnonzero(negative.any(axis=1)), self.triplets)
        positive = apart <= (0 if self.other_camera else self.near)
        chosen = [
            (allowed[anchor] * (rng.random((self.triplets, length)) + 1)).argmax(axis=1)
            for allowed in (positive, negative)
        ]
        triplets = np.stack([anchor, length + chosen[0], chosen[1]], axis=1)
        return Example(views, source.recording_index(i), triplets.astype(np.int64))
