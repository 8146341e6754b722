"""How good an encoder is, judged in a second or two while it trains."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from workbench.analysis.embeddings import Embeddings
from workbench.analysis.scores import cross_view_alignment, knn_accuracy
from workbench.data.video import Clip, VideoSource
from workbench.sampling.other_camera import common_range, partners
from workbench.training.embed import describe, encode

if TYPE_CHECKING:
    import torch
    from torch import Tensor

WINDOWS = 384
"""Windows that one judgement looks at, per score."""
MOMENTS = 12
"""Windows per video in which another camera's moment is searched."""
NEIGHBOURS = 10
"""Votes of the kNN."""


class Examination:
    """The same few windows of a source, judged again and again."""

    def __init__(self, source: VideoSource) -> None:
        self.source = source
        self.spread = _spread(source, WINDOWS)
        self.moments = _moments(source, WINDOWS)

    def judge(
        self, encoder: Callable[[Tensor], Tensor], device: torch.device | str = "cpu"
    ) -> dict[str, float]:
        """What can be scored of: knn, knn_chance, alignment, alignment_chance.

        knn is the share of windows whose label windows of other recordings vote for; alignment is
        the distance in time of the nearest window of another camera, as a share of the recording.
        """
        scores: dict[str, float] = {}
        if self.spread:
            found = self._embed(self.spread, encoder, device)
            score = knn_accuracy(
                found.z, found.index["label"], found.index["recording"], NEIGHBOURS
            )
            scores |= {"knn": score.value, "knn_chance": score.chance}
        if self.moments:
            aligned = cross_view_alignment(self._embed(self.moments, encoder, device))
            scores |= {"alignment": aligned.error, "alignment_chance": aligned.chance}
        return scores

    def _embed(
        self, clips: list[Clip], encoder: Callable[[Tensor], Tensor], device: torch.device | str
    ) -> Embeddings:
        z = encode(encoder, self.source, clips, device=device)
        return Embeddings(z, describe(self.source, clips))


def _spread(source: VideoSource, budget: int) -> list[Clip]:
    """Windows spread over all labelled videos, [] where the labels cannot be voted for."""
    videos = [i for i in range(len(source)) if source.room(i) >= 0]
    if len(videos) > budget:
        videos = [videos[k] for k in np.linspace(0, len(videos) - 1, budget).astype(int)]
    each = max(1, min(4, budget // max(1, len(videos))))
    # the middles of `each` equal parts of a video
    shares = (np.arange(each) + 0.5) / each
    clips = [source.clip(i, int(s * source.room(i))) for i in videos for s in shares]
    if not clips:
        return []
    known = describe(source, clips).dropna(subset=["label"])
    enough = known["recording"].nunique() > 1 and known["label"].nunique() > 1
    return clips if enough else []


def _moments(source: VideoSource, budget: int) -> list[Clip]:
    """The same instants of two cameras of some recordings, [] where all have one camera."""
    pairs = {}
    for i in range(len(source)):
        for j in partners(source, i):
            first, last = common_range(source, i, j)
            if last - first >= MOMENTS:
                pairs.setdefault(source.recording_index(i), (i, j, first, last))
    chosen, most = list(pairs.values()), max(1, budget // (2 * MOMENTS))
    if len(chosen) > most:
        chosen = [chosen[k] for k in np.linspace(0, len(chosen) - 1, most).astype(int)]
    return [
        source.clip(v, int(instant) + source.videos[v].offset)
        for i, j, first, last in chosen
        for v in (i, j)
        for instant in np.linspace(first, last, MOMENTS)
    ]
