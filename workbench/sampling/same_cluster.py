"""Videos that the embedding holds to be alike belong together, whatever their recordings."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
from pydantic import Field, PrivateAttr

from workbench.analysis.clusters import cluster_scores, finch
from workbench.analysis.mining import false_rates
from workbench.clock import Clock
from workbench.data.video import Stream, VideoSource
from workbench.sampling.base import Embed, Example, Sampler, long_enough

log = logging.getLogger(__name__)

NONE = -1
"""The cluster of a video too short for a clip."""


@dataclass(frozen=True)
class Clustering:
    """Clusters of the videos of a source, and how they compare with the labels."""

    cluster: np.ndarray
    """(videos,) int64."""
    recording: np.ndarray
    """(videos,) int64."""
    nmi: float
    """Against the labels, as are the next two; NaN without labels."""
    positive: float
    """Share of the pairs of one cluster that are of two classes."""
    negative: float
    """Share of the pairs of two clusters that are of one class."""

    @property
    def count(self) -> int:
        """How many clusters there are."""
        return int(self.cluster.max()) + 1

    def companion(self, i: int, rng: np.random.Generator) -> int:
        """Another video of the cluster of video i; itself where there is none."""
        others = np.flatnonzero(self.cluster == self.cluster[i])
        others = others[others != i]
        return int(rng.choice(others)) if len(others) else i

    def packed(self) -> dict[str, np.ndarray]:
        """The same as arrays."""
        numbers = np.array([self.nmi, self.positive, self.negative])
        return {"cluster": self.cluster, "recording": self.recording, "numbers": numbers}

    @classmethod
    def unpacked(
        cls, cluster: np.ndarray, recording: np.ndarray, numbers: np.ndarray
    ) -> Clustering:
        """What `packed` gave."""
        return cls(cluster, recording, *numbers.tolist())


class SameCluster(Sampler):
    """The first clip of a video, the same again, and a clip of a video of its cluster (SLIC).

    Every so many epochs the projections of all videos are clustered by FINCH, of which the finest
    partition counts. The second view is the anchor's window under another augmentation; the
    positive is the anchor's own video some of the time, seen in flow some of the time. The group is
    the cluster: videos of one are never each other's negatives. (SLIC, Khorasgani et al. 2022; the
    numbers are its code's.)
    """

    name: Literal["same-cluster"] = "same-cluster"
    every: int = Field(5, ge=1, le=10_000)
    """Epochs after which the videos are clustered again, as the embedding then has them."""
    warmup: int = Field(0, ge=0, le=100_000)
    """Epochs before the first clustering, in which every video is a cluster of its own."""
    same_video: float = Field(0.2, ge=0, le=1)
    """How often the positive is of the anchor's own video (p_alpha): 0.2 on UCF101 and HMDB51, 0.5
    on Kinetics."""
    adaptive: bool = False
    """Make that 1 - NMI of clusters and labels instead: the worse the clusters, the more often.
    Needs labels."""
    flow: float = Field(0.25, ge=0, le=1)
    """How often the positive is seen in optical flow instead of the main stream (1 - p_beta); above
    0 it needs flow."""

    _found: Clustering | None = PrivateAttr(None)

    @property
    def views(self) -> int:
        """Clips in an example: the anchor, the anchor again, the positive."""
        return 3

    def streams(self, main: Stream) -> tuple[Stream, ...]:
        """The main one, and flow where positives are seen in it."""
        return (main, "flow") if self.flow and main != "flow" else (main,)

    def usable(self, source: VideoSource) -> list[int]:
        """The videos that hold a clip; `ValueError` where flow or labels are asked for in vain."""
        if self.adaptive and len(_labelled(source)) < 2:
            raise ValueError(
                "sampler.adaptive compares clusters with labels, and fewer than two of the "
                f"{len(source)} training videos have one. Label them, or set sampler.adaptive to "
                "false."
            )
        streams = self.streams(source.shape.stream)
        if len(streams) > 1 and "flow" not in source.streams:
            raise ValueError(f"{source.no_flow} Or set sampler.flow to 0.")
        return long_enough(source, streams)

    def refresh(self, source: VideoSource, clock: Clock, embed: Embed) -> Self:
        """The sampler with the clusters of the embedding as it is, where that is due."""
        due = self._found is None or clock.epoch % self.every == 0
        if clock.epoch < self.warmup or not due:
            return self
        rows = embed(middle=True)
        cluster = np.full(len(source), NONE)
        cluster[rows.index["video"].to_numpy()] = finch(np.asarray(rows.z))[0]
        recording = np.array([source.recording_index(i) for i in range(len(source))])
        found = Clustering(cluster, recording, *_against_labels(source, cluster))
        log.info("epoch %d: %d clusters of %d videos", clock.epoch, found.count, len(source))
        return self._with(found)

    def sample(self, source: VideoSource, i: int, rng: np.random.Generator) -> Example:
        """The first window of video i twice, and a positive that does not overlap it if it can."""
        anchor, main = source.clip(i, 0), source.shape.stream
        own = rng.random() < self.own_share
        stream = "flow" if rng.random() < self.flow else main
        j = i if own or self._found is None else self._found.companion(i, rng)
        room = source.room(j, self.streams(main))
        start = int(rng.integers(min(source.shape.span, room), room + 1))
        group = source.recording_index(i) if self._found is None else int(self._found.cluster[i])
        return Example((anchor, anchor, source.clip(j, start, stream)), group)

    @property
    def own_share(self) -> float:
        """How often the positive is of the anchor's own video, as it is now."""
        if self.adaptive and self._found is not None:
            return 1 - self._found.nmi
        return self.same_video

    def logs(self) -> dict[str, float]:
        """How many clusters there are; with labels also NMI and how many pairs of them are wrong.

        Pairs of videos: of one cluster but not of one class, and the other way round.
        """
        found = self._found
        if found is None:
            return {}
        told = {
            "nmi": found.nmi,
            "false_positives": found.positive,
            "false_negatives": found.negative,
        }
        known = {k: v for k, v in told.items() if np.isfinite(v)}
        return {"clusters": float(found.count), "own_share": self.own_share} | known

    def clustering(self) -> tuple[np.ndarray, np.ndarray] | None:
        """(N,) recordings and the (N,) clusters of their videos."""
        if self._found is None:
            return None
        kept = self._found.cluster != NONE
        return self._found.recording[kept], self._found.cluster[kept]

    def state(self) -> dict[str, np.ndarray]:
        """The clusters and how they compare with the labels."""
        return {} if self._found is None else self._found.packed()

    def restored(self, state: dict[str, np.ndarray]) -> Self:
        """The sampler with the clusters."""
        return self._with(Clustering.unpacked(**state)) if state else self

    def _with(self, found: Clustering) -> Self:
        other = self.model_copy()
        other._found = found
        return other


def _against_labels(source: VideoSource, cluster: np.ndarray) -> tuple[float, float, float]:
    """NMI of clusters and labels, false positive and false negative rate; NaN where not known."""
    rows = np.array([i for i in _labelled(source) if cluster[i] != NONE], dtype=int)
    if len(rows) < 2:
        return np.nan, np.nan, np.nan
    labels = [source.videos[i].label for i in rows]
    rates = false_rates(cluster[rows], labels)
    nmi = cluster_scores(cluster[rows], np.array(labels)).nmi
    return nmi, rates.positive, rates.negative


def _labelled(source: VideoSource) -> list[int]:
    return [i for i, video in enumerate(source.videos) if video.label is not None]
