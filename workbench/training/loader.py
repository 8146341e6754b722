"""Batches out of a source: in this process, seeded by example, one batch ahead."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from workbench.data.video import BACKGROUND, Clip, Video, VideoSource
from workbench.sampling import Example, Sampler


@dataclass(frozen=True)
class Loaded:
    """Pixels of B examples of V views, as they lie in the store.

    pixels: V lists of B arrays (T, H, W, 3) uint8; H and W may differ from video to video.
    seeds: (B, V) int64, one per view for its augmentation. label: (B, T) int64, -1 unknown.
    """

    examples: list[Example]
    pixels: list[list[np.ndarray]]
    seeds: np.ndarray
    label: np.ndarray

    @property
    def group(self) -> np.ndarray:
        """(B,) int64."""
        return np.array([e.group for e in self.examples], dtype=np.int64)

    @property
    def triplets(self) -> np.ndarray | None:
        """(B, N, 3) int64, None where the sampler gives none."""
        found = [e.triplets for e in self.examples if e.triplets is not None]
        return np.stack(found).astype(np.int64) if found else None


class Loader:
    """Which examples an epoch has, and their pixels.

    Example `index` of an epoch depends on (seed, epoch, index) alone, so a run that is resumed in
    the middle of an epoch, or split over ranks, sees what it would have seen. An epoch takes each
    usable video `clips_per_video` times, in shuffled rounds, and lasts at least one batch; what is
    left over at its end is dropped. classes: names of the labels 0, 1, ...; by default those of
    the source.
    """

    def __init__(
        self,
        source: VideoSource,
        usable: list[int],
        batch: int,
        seed: int,
        clips_per_video: int = 1,
        classes: Sequence[str] = (),
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        if batch % ranks:
            raise ValueError(f"train.batch is {batch}, which {ranks} devices cannot share evenly.")
        self.source = source
        self.usable = usable
        self.batch = batch
        self.seed = seed
        self.rounds = max(clips_per_video, -(-batch // len(usable)))
        self.mine = slice(rank, None, ranks)
        self.classes = {name: k for k, name in enumerate(classes or class_names(source))}

    def __len__(self) -> int:
        """Batches in an epoch."""
        return len(self.usable) * self.rounds // self.batch

    def batches(self, sampler: Sampler, epoch: int, first: int = 0) -> Iterator[Loaded]:
        """The batches of an epoch from number `first` on; the next one is read meanwhile."""
        rng = np.random.default_rng([self.seed, epoch])
        order = np.concatenate([rng.permutation(self.usable) for _ in range(self.rounds)])
        with ThreadPoolExecutor(1, thread_name_prefix="loader") as thread:
            ahead = thread.submit(self._load, sampler, order, epoch, first)
            for number in range(first, len(self)):
                loaded = ahead.result()
                if number + 1 < len(self):
                    ahead = thread.submit(self._load, sampler, order, epoch, number + 1)
                yield loaded

    def _load(self, sampler: Sampler, order: np.ndarray, epoch: int, number: int) -> Loaded:
        examples, seeds = [], []
        for index in range(number * self.batch, (number + 1) * self.batch)[self.mine]:
            rng = np.random.default_rng([self.seed, epoch, index])
            examples.append(sampler.sample(self.source, int(order[index]), rng))
            seeds.append(_view_seeds(examples[-1], rng))
        views = zip(*(e.views for e in examples), strict=True)
        return Loaded(
            examples,
            [[self.source.pixels(clip) for clip in clips] for clips in views],
            np.array(seeds, dtype=np.int64),
            np.array([self._labels(e.views[0]) for e in examples], dtype=np.int64),
        )

    def _labels(self, clip: Clip) -> np.ndarray:
        names = frame_labels(self.source, clip)
        return np.array([self.classes.get(name, -1) for name in names], dtype=np.int64)


def class_names(source: VideoSource) -> list[str]:
    """The labels that videos and segments of a source carry, sorted.

    Background is one of them where it shows: see `frame_labels`.
    """
    labels = {v.label for v in source.videos if v.label is not None}
    labels |= {s.label for v in source.videos for s in v.segments}
    if source.segmented and any(_shows_background(v) for v in source.videos):
        labels.add(BACKGROUND)
    return sorted(labels)


def frame_labels(source: VideoSource, clip: Clip) -> list[str | None]:
    """The label of each frame of a clip: its segment's; without segments the video's.

    In data with segments what has neither is background; elsewhere it is unknown (None).
    """
    video = source.videos[clip.video]
    if not video.segments:
        unnamed = BACKGROUND if source.segmented else None
        return [unnamed if video.label is None else video.label] * clip.length
    return [
        next((s.label for s in video.segments if s.start <= k < s.stop), BACKGROUND)
        for k in clip.frames - video.offset
    ]


def _shows_background(video: Video) -> bool:
    """Whether a frame of a video has no label, its own or a segment's."""
    if not video.segments:
        return video.label is None
    reached = -video.offset
    for s in sorted(video.segments, key=lambda s: s.start):
        if s.start > reached:
            return True
        reached = max(reached, s.stop)
    return reached < video.n_frames - video.offset


def _view_seeds(example: Example, rng: np.random.Generator) -> list[int]:
    """A seed per view; the k-th views of a window in every stream get the same one.

    So RGB and flow of one window share the geometry of the crop.
    """
    seeds = rng.integers(0, 2**63 - 1, len(example.views)).tolist()
    times: Counter[Clip] = Counter()
    first: dict[tuple[Clip, int], int] = {}
    out = []
    for clip, seed in zip(example.views, seeds, strict=True):
        times[clip] += 1
        window = replace(clip, stream="rgb")
        out.append(first.setdefault((window, times[clip]), seed))
    return out
