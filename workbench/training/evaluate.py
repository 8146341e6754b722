"""How good an encoder is, judged quickly enough to be done while it trains.

What is logged, each with the same of the random-init encoder under NAME_random:
knn, alignment              kNN accuracy; how far off in time the same moment of another camera is
                            found. Both with their chance level under NAME_chance.
nearest                     kNN accuracy by the single nearest window, which is R@1 of windows
feature_alignment, feature_uniformity, feature_rank, feature_std
                            health of the encoder's features (see `workbench.analysis.health`):
                            distance of positives, uniformity, effective rank, relative deviation
projected_...               the same of the unit vectors that the loss sees
held_out_accuracy           of a method that tells labels: share of windows right, of videos that it
                            is not trained on; chance is always saying the commonest label
collapsed                   1 where either of the two has collapsed, else 0
Positives are the same moment of two cameras; with one camera, windows of a video that follow each
other among those that are looked at.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from workbench.analysis.embeddings import Embeddings
from workbench.analysis.health import Health, collapsed, health
from workbench.analysis.scores import cross_view_alignment, knn_accuracy
from workbench.data.video import BACKGROUND, Clip, VideoSource
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
FRAMES = 5
"""Frames of a window in the middle of which a single frame is judged."""
FEW = 128
"""Windows looked at where neither score can be had."""

PARTS = {"projected": "the vectors that the loss sees", "feature": "the encoder's features"}
ADVICE = (
    "Training goes on. Where this lasts, try a lower train.lr, a larger train.batch, stronger "
    "augmentation, or a method with negatives such as moco or simclr."
)


class Examination:
    """The same few windows of a source, judged again and again."""

    def __init__(
        self,
        source: VideoSource,
        trained: Sequence[str] | None = None,
        per_frame: bool = False,
    ) -> None:
        """trained: the splits of `source` that are trained on; None: all its videos.

        per_frame: judge single frames, in the middle of a few, where an encoder embeds those.
        """
        if per_frame:
            few = min(FRAMES, source.shape.length)
            shape = source.shape.model_copy(update={"length": few})
            source = source.holding(shape=shape)
        self.source = source
        self.per_frame = per_frame
        self.held_out = _held_out(source, trained)
        self.labelled, self.queries, self.bank = _votes(source, WINDOWS)
        self.moments = _moments(source, WINDOWS)
        scored = self.labelled or self.moments
        self.others = [] if scored else _spread(source, _long_enough(source), FEW)

    def judge(
        self,
        encoder: Callable[[Tensor], Tensor],
        device: torch.device | str = "cpu",
        project: Callable[[Tensor], Tensor | None] = lambda features: None,
        tell: Callable[[Tensor], list[str] | None] = lambda features: None,
    ) -> dict[str, float]:
        """What can be scored of: knn, alignment, held_out_accuracy, the chance of each, and health.

        knn is the share of held-out windows (split other than train) whose label the nearest
        windows of the training split vote for; without splits every recording is held out in turn.
        Windows that do not show what their video is labelled, such as background, take no part,
        but where there is nothing else to tell apart.
        alignment is the distance in time of the nearest window of another camera, as a share of
        the recording. project: (N, D) features -> (N, d) unit vectors; tell: (N, D) features -> N
        labels; both None where a method has none.
        """
        scores: dict[str, float] = {}
        seen = []
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
            scores["nearest"] = self._nearest(found)
            seen.append(found.z)
        if self.moments:
            found = self._embed(self.moments, encoder, device)
            aligned = cross_view_alignment(found)
            scores |= {"alignment": aligned.error, "alignment_chance": aligned.chance}
            seen.append(found.z)
        if self.others:
            seen.append(self._embed(self.others, encoder, device).z)
        scores |= self._told(encoder, device, tell)
        return scores | (self._health(np.concatenate(seen), device, project) if seen else {})

    def _nearest(self, found: Embeddings) -> float:
        """kNN accuracy with the single nearest window: R@1 of windows."""
        labels, recording = found.index["label"], found.index["recording"]
        return knn_accuracy(found.z, labels, recording, 1, self.queries, self.bank).value

    def _told(
        self,
        encoder: Callable[[Tensor], Tensor],
        device: torch.device | str,
        tell: Callable[[Tensor], list[str] | None],
    ) -> dict[str, float]:
        import torch

        if not self.held_out or tell(torch.zeros(0, 1)) is None:
            return {}
        found = self._embed(self.held_out, encoder, device)
        said = tell(torch.from_numpy(found.z).to(device))
        truth = found.index["label"]
        right = (truth == np.array(said, dtype=object)) & truth.notna()
        return {
            "held_out_accuracy": float(right.sum() / truth.notna().sum()),
            "held_out_accuracy_chance": float(truth.value_counts(normalize=True).iloc[0]),
        }

    def _health(
        self,
        z: np.ndarray,
        device: torch.device | str,
        project: Callable[[Tensor], Tensor | None],
    ) -> dict[str, float]:
        import torch

        with torch.inference_mode():
            projected = project(torch.from_numpy(z).to(device))
        parts = {"feature": z}
        if projected is not None:
            parts["projected"] = projected.float().cpu().numpy()
        return {
            f"{part}_{name}": value
            for part, vectors in parts.items()
            for name, value in asdict(health(vectors, self.positives)).items()
            if math.isfinite(value)
        }

    @cached_property
    def positives(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Rows (P,) and (P,) of windows, in order labelled, moments, others, to be alike."""
        if self.moments:
            first = np.arange(len(self.moments)).reshape(-1, 2, MOMENTS) + len(self.labelled)
            return first[:, 0].ravel(), first[:, 1].ravel()
        video = np.array([clip.video for clip in self.labelled or self.others])
        rows = np.flatnonzero(video[1:] == video[:-1])
        return (rows, rows + 1) if len(rows) else None

    def _embed(
        self, clips: list[Clip], encoder: Callable[[Tensor], Tensor], device: torch.device | str
    ) -> Embeddings:
        z = encode(encoder, self.source, clips, device=device, middle=self.per_frame)
        return Embeddings(z, describe(self.source, clips))


def collapse(scores: Mapping[str, float]) -> str:
    """Which part of a network has collapsed and why, by what was logged of it; '' for none."""
    for part, name in PARTS.items():
        now, random = logged_health(scores, part), logged_health(scores, part, "_random")
        if now and (why := collapsed(now, random)):
            return f"{name}: {why}"
    return ""


def logged_health(scores: Mapping[str, float], part: str, suffix: str = "") -> Health | None:
    """The health of a part, a key of `PARTS`, as it was logged; None where it was not."""
    found = {f.name: scores.get(f"{part}_{f.name}{suffix}", math.nan) for f in fields(Health)}
    return Health(**found) if math.isfinite(found["rank"]) else None


def _votes(source: VideoSource, budget: int) -> tuple[list[Clip], np.ndarray, np.ndarray]:
    """Labelled windows, which of them are asked (N,) and which vote (N,); [] where none can."""
    videos = _long_enough(source)
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
    action = known & (table["label"] != BACKGROUND).to_numpy()
    shown = action & (pd.isna(whole) | (table["label"].to_numpy() == whole))
    train = (table["split"] == "train").to_numpy()
    for kept in (shown, action, known):
        for queries, bank in ((kept & ~train, kept & train), (kept, kept)):
            asked = queries & _answerable(table, bank)
            if table["label"][bank].nunique() > 1 and asked.any():
                used = asked | bank
                chosen = [clip for clip, use in zip(clips, used, strict=True) if use]
                return chosen, asked[used], bank[used]
    return [], nobody, nobody


def _held_out(source: VideoSource, trained: Sequence[str] | None) -> list[Clip]:
    """Windows of the videos of other splits than those trained on, [] where none is labelled."""
    if not trained:
        return []
    videos = [i for i in _long_enough(source) if source.videos[i].split not in trained]
    clips = _spread(source, videos, WINDOWS)
    return clips if clips and describe(source, clips)["label"].notna().any() else []


def _answerable(table: pd.DataFrame, bank: np.ndarray) -> np.ndarray:
    """(N,) whether another recording of the bank (N,) has a row's label."""
    where = table[bank].groupby("label")["recording"].agg(set)
    return np.array([
        bool(where.get(label, set()) - {recording})
        for label, recording in zip(table["label"], table["recording"], strict=True)
    ], dtype=bool)  # fmt: skip


def _long_enough(source: VideoSource) -> list[int]:
    return [i for i in range(len(source)) if source.room(i) >= 0]


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
