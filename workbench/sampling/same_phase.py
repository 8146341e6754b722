"""Moments of one phase of a repeating process belong together, whichever repetition they are of."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import ClassVar, Literal, Self

import numpy as np
from pydantic import Field, PrivateAttr

from workbench.analysis.embeddings import Embeddings
from workbench.analysis.periodicity import rhythm
from workbench.clock import Clock
from workbench.data.video import VideoSource
from workbench.sampling.base import Embed, Example, Sampler, long_enough
from workbench.sampling.mining import (
    HARD,
    NEGATIVE,
    POSITIVE,
    Mined,
    most_alike,
    relations,
    share_changed,
    whitened,
)

log = logging.getLogger(__name__)

SHORTEST = 4
"""Rows of features in the shortest cycle that is looked for."""
REPEATING = 0.2
"""Share of a video that has to repeat for it to take part: chance makes short stretches of it."""
KNOWN = (0.7, 1.4)
"""Shares of `period` within which the cycle is looked for."""


class SamePhase(Sampler):
    """Two chunks of a video of a repeating process, and triplets of their frames (CycleCL).

    An anchor's positive shows the same phase of another repetition, its negative another phase.
    They are found in the features as they were at the last `refresh`: before training in those of
    the network that the run starts with, then again every so often until they hardly change. The
    second chunk holds positives of the first. Moments without a repetition are no anchors, and a
    video that has none takes no part. How positives and negatives are found, and every number
    here, is [our reconstruction] (see mining.py); the group is the recording.
    """

    gives_triplets: ClassVar[bool] = True

    name: Literal["same-phase"] = "same-phase"
    triplets: int = Field(64, ge=1, le=4096)
    """Triplets of frames per example."""
    every: int = Field(5, ge=1, le=10_000)
    """Epochs after which repetitions are looked for again in the features as they then are."""
    converged: float = Field(0.05, ge=0, le=1)
    """Share of positives that are new below which that ends."""
    period: float | None = Field(None, gt=0)
    """Frames of a repetition where it is known roughly; none: found in every video by itself."""
    fallback: int | None = Field(None, ge=2)
    """Frames of a repetition in a video in which none is found; none: it takes no part."""
    cycles: int = Field(2, ge=1, le=16)
    """Repetitions to either side of an anchor in which its positives lie."""
    smooth: float = Field(1.0, ge=0, le=16)
    """Sigma of the smoothing of an anchor's similarities over time, in rows of features."""
    apart: float = Field(0.5, ge=0, lt=1)
    """Share of the period that a positive is from its anchor at least."""
    whiten: int = Field(8, ge=0, le=256)
    """Leading directions of a video's features in which the first round looks, brought to equal
    strength, so that light and background do not drown the movement; 0: the features as they are.
    """
    quantile: float = Field(0.8, ge=0, lt=1)
    """Share of the moments around that are less similar than a positive."""
    separation: float = Field(0.2, ge=0, lt=0.5)
    """Share of the period that a negative is from the anchor and every positive at least."""
    negatives: Literal["semi-hard", "hard", "uniform"] = "semi-hard"
    """Negatives drawn first, from the second round on: those up to `margin` farther than positives,
    those nearer than positives, or all alike."""
    margin: float = Field(0.5, ge=0, le=2)
    """How much farther than positives a semi-hard negative may be, in distance of unit vectors."""
    across: float = Field(0.0, ge=0, le=1)
    """Share of examples whose second chunk is of another video of the same label; only where all
    of them show the same process."""

    _mined: dict[int, Mined] = PrivateAttr(default_factory=dict)
    _rounds: int = PrivateAttr(0)
    _changed: float = PrivateAttr(1.0)

    @property
    def views(self) -> int:
        """Clips in an example: the anchor's chunk, and one that holds positives."""
        return 2

    def usable(self, source: VideoSource) -> list[int]:
        """The videos that hold a chunk and, if the period is given, two repetitions."""
        found = long_enough(source)
        if self.period is None:
            return found
        longest = max(source.videos[i].n_frames for i in found)
        if longest < 2 * self.period:
            raise ValueError(
                f"sampler.period is {self.period:g} frames and the longest video has {longest}: "
                "no video holds two repetitions. Lower sampler.period or add longer videos."
            )
        return [i for i in found if source.videos[i].n_frames >= 2 * self.period]

    def refresh(self, source: VideoSource, clock: Clock, embed: Embed) -> Self:
        """The sampler with what repeats in the features as they are, where that is due."""
        if self._mined and (clock.epoch % self.every or self._changed < self.converged):
            return self
        found = embed(steps=True)
        mined = self._mine(source, found)
        if lost := self._mined.keys() - mined.keys():
            log.warning(
                "epoch %d: in %d of %d videos no repetition is found any more; their positives of "
                "the last round are kept",
                clock.epoch, len(lost), len(self._mined),
            )  # fmt: skip
        mined = {i: mined.get(i) or self._mined[i] for i in sorted(mined.keys() | lost)}
        if not any(len(m.anchors) for m in mined.values()):
            raise ValueError(_nothing(source, mined, found))
        if self.across:
            mined = _with_partners(mined, source, found, self._rounds, self.smooth)
        changed = _changed(self._mined, mined) if self._mined else 1.0
        log.info(
            "epoch %d: %d of %d videos repeat; %.0f %% of the positives are new",
            clock.epoch, len(mined), len(source), 100 * changed,
        )  # fmt: skip
        return self._with(mined, self._rounds + 1, changed)

    def sample(self, source: VideoSource, i: int, rng: np.random.Generator) -> Example:
        """Chunks of video i, or of another one where nothing repeats in it."""
        usable = [v for v, m in self._mined.items() if len(m.anchors)]
        if not usable:
            raise ValueError("same-phase samples what `refresh` has found: call it first.")
        if i not in usable:
            i = int(rng.choice(usable))
        here = self._mined[i]
        j = here.partner if here.partner >= 0 and rng.random() < self.across else i
        there = self._mined[j]

        def kinds(anchors: np.ndarray, others: np.ndarray) -> np.ndarray:
            """What rows of video j are to rows of video i."""
            return here.to(anchors, others) if j == i else here.across(anchors, others, there)

        t = rng.choice(here.anchors, 1)
        around = np.arange(max(0, t[0] - here.length + 1), min(len(here.table), t[0] + here.length))
        negative = rng.choice(_first_choice(around, here.to(t, around)[0]))
        everywhere = np.arange(len(there.table))
        positive = rng.choice(everywhere[kinds(t, everywhere)[0] == POSITIVE])
        first, second = _place(rng, here, t[0], negative), _place(rng, there, positive, positive)

        a, b = first + np.arange(here.length), second + np.arange(there.length)
        steps = _draw(np.concatenate([here.to(a, a), kinds(a, b)], axis=1), self.triplets, rng)
        starts = first * here.hop, second * there.hop
        shift = min(here.hop - 1, source.room(i) - starts[0], source.room(j) - starts[1])
        shift = int(rng.integers(shift + 1))  # rows are frames 0, hop, ...; others are as good
        views = tuple(source.clip(v, s + shift) for v, s in zip((i, j), starts, strict=True))
        per = here.hop // source.shape.stride  # frames of the clip in a row
        view, row = np.divmod(steps, here.length)
        frames = view * source.shape.length + row * per
        return Example(views, source.recording_index(i), frames.astype(np.int64))

    def logs(self) -> dict[str, float]:
        """How far the search is: rounds, share of new positives, share of anchors, the period."""
        if not self._mined:
            return {}
        mined = self._mined.values()
        rows = sum(len(m.table) for m in mined)
        return {
            "mining_rounds": float(self._rounds),
            "positives_changed": self._changed,
            "share_anchors": sum(len(m.anchors) for m in mined) / rows,
            "period": float(np.median([m.period * m.hop for m in mined])),
        }

    def state(self) -> dict[str, np.ndarray]:
        """What was found, packed."""
        if not self._mined:
            return {}
        found = {"progress": np.array([self._rounds, self._changed])}
        for i, mined in self._mined.items():
            found |= {f"{i}.{name}": value for name, value in mined.packed().items()}
        return found

    def restored(self, state: dict[str, np.ndarray]) -> Self:
        """The sampler with what was found."""
        if not state:
            return self
        parts: dict[int, dict[str, np.ndarray]] = {}
        for key, value in state.items():
            video, _, name = key.partition(".")
            if name:
                parts.setdefault(int(video), {})[name] = value
        mined = {i: Mined.unpacked(**parts[i]) for i in sorted(parts)}
        rounds, changed = state["progress"].tolist()
        return self._with(mined, int(rounds), changed)

    def _with(self, mined: dict[int, Mined], rounds: int, changed: float) -> Self:
        other = self.model_copy()
        other._mined, other._rounds, other._changed = mined, rounds, changed
        return other

    def _mine(self, source: VideoSource, found: Embeddings) -> dict[int, Mined]:
        beyond = {"semi-hard": self.margin, "hard": 0.0, "uniform": None}[self.negatives]
        stride, mined = source.shape.stride, {}
        for i, (z, hop) in _rows(found, stride).items():
            length = source.shape.length * stride // hop
            if len(z) < length:
                continue
            if self.whiten and not self._rounds:
                z = whitened(z, self.whiten)
            period, repeats = self._period(z, hop)
            if repeats.mean() < REPEATING:
                continue
            table = relations(
                z,
                period,
                int(np.ceil((self.cycles + 0.5) * period)),
                smooth=self.smooth,
                apart=self.apart,
                quantile=self.quantile,
                separation=self.separation,
                beyond=beyond if self._rounds else None,
            )
            table[~repeats] = 0
            nobody = np.full(len(z), -1, np.int32)
            mined[i] = Mined(table, hop, period, length, -1, nobody)
        return mined

    def _period(self, z: np.ndarray, hop: int) -> tuple[float, np.ndarray]:
        """Rows of a cycle, and (N,) which rows repeat; none where two cycles do not fit."""
        shortest, longest = SHORTEST, None
        if self.period is not None:
            low, high = (share * self.period / hop for share in KNOWN)
            shortest = max(2, int(low))
            longest = max(shortest, int(np.ceil(high)))
        each = rhythm(z, shortest, longest).period
        if np.isfinite(each).mean() >= REPEATING:
            return float(np.nanmedian(each)), np.isfinite(each)
        given = self.period or self.fallback
        return (given or np.nan) / hop, np.full(len(z), bool(given) and len(z) >= 2 * given / hop)


def _rows(found: Embeddings, stride: int) -> dict[int, tuple[np.ndarray, int]]:
    """Features of each video in order of time, and how many frames they are apart."""
    videos, starts = (found.index[c].to_numpy() for c in ("video", "start"))
    out = {}
    for i in np.unique(videos):
        rows = np.flatnonzero(videos == i)
        apart = np.diff(starts[rows])
        out[int(i)] = np.asarray(found.z[rows]), int(apart[0]) if len(apart) else stride
    return out


def _changed(before: Mapping[int, Mined], after: Mapping[int, Mined]) -> float:
    """The share of positives that are new, by more than a twentieth of a cycle."""
    fresh = total = 0
    for i, mined in after.items():
        old = before[i].table if i in before else np.zeros_like(mined.table)
        new, every = share_changed(old, mined.table, max(1, round(0.05 * mined.period)))
        fresh, total = fresh + new, total + every
    return fresh / max(total, 1)


def _with_partners(
    mined: dict[int, Mined], source: VideoSource, found: Embeddings, rounds: int, smooth: float
) -> dict[int, Mined]:
    """With another video of the same label for each, drawn anew every round, and its like rows."""
    rows, out = _rows(found, source.shape.stride), {}
    for i, here in mined.items():
        label = source.videos[i].label
        others = [
            j for j, m in mined.items()
            if j != i and source.videos[j].label == label and len(m.anchors)
        ]  # fmt: skip
        if not others:
            out[i] = here
            continue
        j = int(np.random.default_rng([rounds, i]).choice(others))
        anchors = mined[j].anchors
        match = anchors[most_alike(rows[i][0], rows[j][0][anchors], smooth)].astype(np.int32)
        out[i] = Mined(here.table, here.hop, here.period, here.length, j, match)
    return out


def _place(rng: np.random.Generator, mined: Mined, a: int, b: int) -> int:
    """Where a chunk may start so as to hold two rows."""
    low = max(0, max(a, b) - mined.length + 1)
    return int(rng.integers(low, min(a, b, len(mined.table) - mined.length) + 1))


def _first_choice(rows: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    """Those of (n,) rows that are hard negatives, all negatives where none is."""
    hard = rows[kinds == HARD]
    return hard if len(hard) else rows[kinds >= NEGATIVE]


def _draw(kinds: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """(n, 3) anchors, positives, negatives out of what (L, 2 L) steps are to L anchors."""
    positive, hard, negative = kinds == POSITIVE, kinds == HARD, kinds >= NEGATIVE
    negative = np.where(hard.any(axis=1, keepdims=True), hard, negative)
    able = np.flatnonzero(positive.any(axis=1) & negative.any(axis=1))
    anchor = rng.choice(able, n)
    chosen = [
        (allowed[anchor] * (rng.random((n, kinds.shape[1])) + 1)).argmax(axis=1)
        for allowed in (positive, negative)
    ]
    return np.stack([anchor, *chosen], axis=1)


def _nothing(source: VideoSource, mined: Mapping[int, Mined], found: Embeddings) -> str:
    """What to say where there is no anchor."""
    if mined:
        shape, cycle = source.shape, np.median([m.period * m.hop for m in mined.values()])
        return (
            f"a repetition lasts about {cycle:.0f} frames and a chunk covers {shape.span}: none "
            "holds two different phases beside each other with a like one in reach. Raise "
            "clip.length or clip.stride, or lower them where a repetition has few rows."
        )
    rows = _rows(found, source.shape.stride)
    longest = max(rows, key=lambda i: len(rows[i][0]))
    video = source.videos[longest]
    return (
        f"no video holds two repetitions: nothing is found to repeat in {len(rows)} videos, of "
        f"which the longest, {video.recording} {video.camera}, has {video.n_frames} frames. Give "
        "sampler.period (frames of a repetition), or videos with more repetitions; where nothing "
        "repeats, use sampler same-video or time-contrast."
    )
