"""What a sampler is: it says which clips belong together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Protocol, Self

import numpy as np

from workbench.analysis.embeddings import Embeddings
from workbench.clock import Clock
from workbench.config import Config
from workbench.data.video import Clip, Stream, VideoSource


@dataclass(frozen=True)
class Example:
    """Clips that belong together; examples of equal `group` are never each other's negatives.

    triplets: (N, 3) int64 anchor, positive, negative, indices into the frames of all views, one
    view after the other; None where the sampler speaks of whole clips alone. Every example of a
    sampler has the same N.
    """

    views: tuple[Clip, ...]
    group: int
    triplets: np.ndarray | None = field(default=None, compare=False)


class Embed(Protocol):
    """Embeds the training videos by the method as it stands, which costs a pass over the data."""

    def __call__(self, *, steps: bool = False, middle: bool = False) -> Embeddings:
        """A row per window.

        With `steps` a row for every step of the features' time instead, with `middle` one row per
        video, of the clip in its middle.
        """
        ...


class Sampler(Config):
    """Settings of a way to sample; subclasses say how."""

    gives_triplets: ClassVar[bool] = False
    """Whether examples come with triplets of frames."""

    @property
    def views(self) -> int:
        """Clips in an example."""
        raise NotImplementedError

    def streams(self, main: Stream) -> tuple[Stream, ...]:
        """The streams that clips of an example are of, where those of the source are of `main`."""
        return (main,)

    def usable(self, source: VideoSource) -> list[int]:
        """The videos that can be sampled from; `ValueError` where training cannot start."""
        raise NotImplementedError

    def sample(self, source: VideoSource, i: int, rng: np.random.Generator) -> Example:
        """An example that starts from video i, one of the usable ones."""
        raise NotImplementedError

    def refresh(self, source: VideoSource, clock: Clock, embed: Embed) -> Self:
        """The sampler of the next epoch. `embed` costs a pass over the data and runs if called."""
        return self

    def logs(self) -> dict[str, float]:
        """Numbers worth a curve, as they are since the last `refresh`."""
        return {}

    def clustering(self) -> tuple[np.ndarray, np.ndarray] | None:
        """(N,) recordings and the (N,) clusters they are in since the last `refresh`.

        Recordings as `VideoSource.recording_index` counts them; None where there are no clusters.
        """
        return None

    def state(self) -> dict[str, np.ndarray]:
        """What `refresh` has found, for a checkpoint; the settings are not part of it."""
        return {}

    def restored(self, state: dict[str, np.ndarray]) -> Self:
        """The sampler with what `state` gave."""
        return self


def long_enough(source: VideoSource, streams: Sequence[Stream] = ()) -> list[int]:
    """The videos that hold a clip in all the streams, by default the one of the source's shape.

    `ValueError` where none does, or a stream is not there.
    """
    streams = streams or (source.shape.stream,)
    source.require(*streams)
    found = [i for i in range(len(source)) if source.room(i, streams) >= 0]
    if not found:
        shape, longest = source.shape, max((v.n_frames for v in source.videos), default=0)
        raise ValueError(
            f"none of the {len(source)} videos is long enough: a clip of {shape.length} frames at "
            f"stride {shape.stride} covers {shape.span} frames and the longest video has "
            f"{longest}. Lower clip.length or clip.stride."
        )
    return found
