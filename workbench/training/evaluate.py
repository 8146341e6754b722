"""How good an encoder is, judged in a second or two while it trains."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

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
PER_VIDEO = 8
"""Windows that the kNN takes from a video at most."""
MOMENTS = 12
"""Windows per video in which another camera's moment is searched."""
NEIGHBOURS = 10
"""Votes of the kNN."""


class Examination:
    """The same few windows of a source, judged again and again."""

    def __init__(self, source: VideoSource) -> None:
        self.source = source
        self.labelled, self.queries, self.bank = _votes(source, WINDOWS)
        self.moments = _moments(source, WINDOWS)

    def judge(
        self, encoder: Callable[[Tensor], Tensor], device: torch.device | str = "cpu"
    ) -> dict[str, float]:
        """What can be scored of: knn, knn_chance, alignment, alignment_chance.

        knn is the share of held-out windows (split other than train) whose label the nearest
        windows of the training split vote for; without splits every recording is held out in turn.
        Windows that do not show what their video is labelled, such as background, take no part.
        alignment is the distance in time of the nearest window of another camera, as a share of
        the recording.
        """
        scores: dict[str, float] = {}
        if self.labelled:
            found = self._embed(self.labelled, encoder, device)
            score = knn_accuracy(
                found.z,
                found.index["label"],
                found.index["recording"],
                NEIGHBOURS,
                queries=self.queries,
                bank=self.bank,
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


def _votes(source: VideoSource, budget: int) -> tuple[list[Clip], np.ndarray, np.ndarray]:
    """Labelled windows, which of them are asked (N,) and which vote (N,); [] where none can."""
    videos = [i for i in range(len(source)) if source.room(i) >= 0]
    held = [i for i in videos if source.videos[i].split != "train"]
    seen = [i for i in videos if source.videos[i].split == "train"]
    sides = [held, seen] if held and seen else [videos]
    clips = [c for side in sides for c in _spread(source, side, budget // len(sides))]
    nobody = np.zeros(0, bool)
    if not clips:
        return [], nobody, nobody
    table = describe(source, clips)
    whole = np.array([source.videos[v].label for v in table["video"]], dtype=object)
    known = table["label"].notna().to_numpy()
    shown = known & (pd.isna(whole) | (table["label"].to_numpy() == whole))
    train = (table["split"] == "train").to_numpy()
    for kept in (shown, known):
        for queries, bank in ((kept & ~train, kept & train), (kept, kept)):
            if _can_vote(table[queries], table[bank]):
                used = queries | bank
                chosen = [clip for clip, use in zip(clips, used, strict=True) if use]
                return chosen, queries[used], bank[used]
    return [], nobody, nobody


def _can_vote(queries: pd.DataFrame, bank: pd.DataFrame) -> bool:
    """Whether the bank has a choice of labels and somebody asked who is of another recording."""
    takes = set(bank["recording"])
    return bank["label"].nunique() > 1 and any(takes - {q} for q in set(queries["recording"]))


def _spread(source: VideoSource, videos: list[int], budget: int) -> list[Clip]:
    """Windows spread over videos and, in each, over time."""
    if len(videos) > budget:
        videos = [videos[k] for k in np.linspace(0, len(videos) - 1, budget).astype(int)]
    each = max(1, min(PER_VIDEO, budget // max(1, len(videos))))
    # the middles of `each` equal parts of a video
    shares = (np.arange(each) + 0.5) / each
    return [source.clip(i, int(s * source.room(i))) for i in videos for s in shares]


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
