"""A watch over a process: how strange a video is, moment by moment, beside normal ones.

A `Vigil` compares the rows of a video with a `Reference` as they come and raises alarms. Of a
video no more is held than some numbers per row (5 MB per hour), the pictures of a few rows, and
one picture per alarm.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from workbench.analysis import anomaly
from workbench.analysis.periodicity import repetitions
from workbench.data.live import Watched, watch
from workbench.training.reference import (
    BATCH,
    Reference,
    VigilConfig,
    at_rate,
    counted,
    half_span,
    joined_rows,
    too_short,
    whole_period,
)
from workbench.training.sight import Rows, Sight, Tick

PICTURES = 200
"""Alarms that keep their picture: the highest ones."""
TEMPO = 1.4
"""Times by which a cycle may be longer or shorter than the reference's before that is told."""
BLOCK = 256
"""Rows whose phases are found together, at most."""


@dataclass(frozen=True)
class Alarm:
    """An unbroken stretch of strange moments: frames [start, stop) of a video."""

    video: str
    start: int
    stop: int
    start_seconds: float
    stop_seconds: float
    peak: float
    """The highest score."""
    peak_frame: int
    peak_seconds: float
    normal_video: str
    """Where the normal moment nearest to the peak is."""
    normal_frame: int
    normal_seconds: float
    picture: np.ndarray | None = field(default=None, repr=False, compare=False)
    """(H, W, 3) uint8 of the peak; None where `PICTURES` others are higher."""


@dataclass
class Judged:
    """What is known of a video so far: a number of each kind per row, and its alarms."""

    name: str
    total: int | None
    """Frames that its container announces."""
    fps: float | None
    row_seconds: float
    notes: list[str] = field(default_factory=list)
    done: int = 0
    """Frames seen."""
    frame: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    raw: list[float] = field(default_factory=list)
    """Scores of each row by itself."""
    nearest: list[int] = field(default_factory=list)
    """Row of the reference nearest to each."""
    smoothed: list[float] = field(default_factory=list)
    """Averaged scores; they come later than the raw ones."""
    alarms: list[Alarm] = field(default_factory=list)
    period: float = math.nan
    """Seconds per cycle; NaN: nothing repeats."""
    confidence: float = 0.0
    repetitions: float | None = None
    whole: bool = False
    """It was seen to its end."""

    @property
    def scores(self) -> np.ndarray:
        """(N,) averaged scores."""
        return np.array(self.smoothed)


class News(NamedTuple):
    """What a few more rows brought."""

    began: list[Tick]
    """Moments at which an alarm began (without their pictures)."""
    ended: list[Alarm]
    """Alarms that are over."""


class Vigil:
    """Judges videos, one after the other, beside a reference."""

    def __init__(
        self, reference: Reference, sight: Sight, config: VigilConfig, threshold: float = math.inf
    ) -> None:
        self.reference, self.sight, self.config = reference, sight, config
        self.threshold = threshold
        self.half = half_span(config, reference.row_seconds)
        self.join = joined_rows(reference.row_seconds)

    def start(self, video: Watched) -> Judged:
        """What is known of a video before it is looked at."""
        return Judged(video.name, video.n_frames, video.fps, self.reference.row_seconds)

    def judge(self, video: Watched, judged: Judged) -> Iterator[News]:
        """Judge a video as its frames come; `judged` grows, and is good whenever it is left.

        Raises `ValueError` where nothing can be seen in the video.
        """
        reference = self.reference
        taken, note = at_rate(video, reference.rate)
        judged.notes += [note] if note else []
        seen = counted(taken, lambda n: setattr(judged, "done", n))
        batch = 1 if video.n_frames is None else BATCH
        lookout = _Lookout(self, judged)
        compact: list[np.ndarray] = []
        try:
            for found in self.sight.rows(seen, reference.hop, batch):
                self._comparable(found)
                z = reference.express(found.z)
                compact.append(reference.compact(z))
                yield lookout.see(z, compact, found.ticks)
            yield lookout.finish(compact)
            judged.whole = True
        finally:
            if not judged.whole:
                lookout.finish(compact)
            self._count(judged, compact)
        if not judged.frame:
            raise ValueError(too_short("the video", video, self.sight, reference.rate))

    def _comparable(self, found: Rows) -> None:
        if found.z.shape[1] == self.reference.dim:
            return
        height, width = found.ticks[0].picture.shape[:2]
        raise ValueError(
            f"its pictures have another shape ({width} x {height}, shrunk) than those of the "
            f"reference ({self.reference.shape[1]} x {self.reference.shape[0]}), so their cells "
            "cannot be compared. Cut them alike, or see by a run: --run NAME."
        )

    def _count(self, judged: Judged, compact: list[np.ndarray]) -> None:
        """Period and repetitions of what was seen, and what they say about the reference."""
        reference = self.reference
        rows = np.concatenate(compact) if compact else np.zeros((0, 1))
        period, judged.confidence = whole_period(rows, reference.period)
        judged.period = period * reference.row_seconds
        if len(judged.frame) == 1:
            judged.notes.append(
                "one moment was seen in it: its score stands, nothing was averaged, and a single "
                "moment has no cycle."
            )
        if math.isnan(period):
            return
        from workbench.analysis.phase import phase

        judged.repetitions = repetitions(phase(rows, period)).count
        usual = reference.period * reference.row_seconds
        if judged.period > reference.length:
            judged.notes.append(
                f"a cycle lasts {judged.period:.1f} s here and the whole reference "
                f"{reference.length:.1f} s: moments of the cycle that it lacks look strange. Give "
                "a reference of a few cycles."
            )
        elif math.isnan(usual):
            judged.notes.append(
                "nothing repeats in the reference, and things are seen here by what is usual "
                f"there: that {judged.repetitions:.1f} repetitions were counted is a guess. Give a "
                "reference of a few cycles."
            )
        elif not 1 / TEMPO < judged.period / usual < TEMPO:
            judged.notes.append(
                f"a cycle lasts {judged.period:.2f} s here and {usual:.2f} s in the reference: "
                "another tempo, or a file whose frame rate is wrong. Where it is wrong, write the "
                "file again at the rate it was filmed at."
            )


def judge_whole(
    vigil: Vigil,
    places: Iterable[str | Path],
    progress: Callable[[int, int], object] = lambda done, total: None,
) -> dict[str, np.ndarray]:
    """The averaged scores (N,) of whole videos, or of those in folders, by name."""
    found = {}
    for video in (video for place in places for video in watch(str(place), vigil.sight.side)):
        judged = vigil.start(video)
        for _ in vigil.judge(video, judged):
            progress(judged.done, judged.total or judged.done)
        found[video.name] = judged.scores
    return found


class _Lookout:
    """Scores, averages and alarms of one video, row by row."""

    def __init__(self, vigil: Vigil, judged: Judged) -> None:
        self.vigil, self.judged = vigil, judged
        self.reference, self.config = vigil.reference, vigil.config
        self.aware = vigil.reference.phase is not None
        self.block = _block(vigil.reference.period) if self.aware else 1
        self.waiting: list[np.ndarray] = []  # rows without a score: phases need some at a time
        self.scored = 0
        self.pictures: deque[np.ndarray] = deque()  # of the rows without an average
        self.open: list | None = None  # first row, last row above, peak row, picture of the peak

    def see(self, z: np.ndarray, compact: list[np.ndarray], seen: list[Tick]) -> News:
        self.judged.frame += [tick.frame for tick in seen]
        self.judged.seconds += [tick.seconds for tick in seen]
        self.pictures.extend(tick.picture for tick in seen)
        self.waiting.append(z)
        if len(self.judged.frame) - self.scored < self.block:
            return News([], [])
        return self._score(compact, over=False)

    def finish(self, compact: list[np.ndarray]) -> News:
        news = self._score(compact, over=True)
        if self.open:
            news.ended.append(self._close())
        return news

    def _score(self, compact: list[np.ndarray], over: bool) -> News:
        judged, r, c = self.judged, self.reference, self.config
        if self.waiting:
            z = np.concatenate(self.waiting)
            if self.aware:
                phase = self._phase(compact, len(z))
                scores, nearest = anomaly.phase_aware_scores(
                    z, phase, r.z, r.phase, c.width, c.k, c.metric
                )
            else:
                scores, nearest = anomaly.anomaly_scores(z, r.z, c.k, c.metric)
            judged.raw += scores.tolist()
            judged.nearest += nearest.tolist()
            self.waiting, self.scored = [], len(judged.raw)
        half, known = self.vigil.half, len(judged.smoothed)
        ready = len(judged.raw) - (0 if over else half)
        if ready <= known:
            return News([], [])
        before = max(0, known - half)
        average = anomaly.smooth(np.array(judged.raw[before:]), 2 * half + 1)
        news = News([], [])
        for row in range(known, ready):
            judged.smoothed.append(float(average[row - before]))
            self._look(row, self.pictures.popleft(), news)
        return news

    def _look(self, row: int, picture: np.ndarray, news: News) -> None:
        judged = self.judged
        score = judged.smoothed[row]
        if score >= self.vigil.threshold:
            if self.open is None:
                self.open = [row, row, row, picture]
                news.began.append(Tick(None, judged.frame[row], judged.seconds[row]))
            self.open[1] = row
            if score > judged.smoothed[self.open[2]]:
                self.open[2:] = row, picture
        elif self.open and row - self.open[1] > self.vigil.join:
            news.ended.append(self._close())

    def _close(self) -> Alarm:
        judged, r = self.judged, self.reference
        (first, last, peak, picture), self.open = self.open, None
        after = last + 1 < len(judged.frame)
        step = judged.row_seconds
        span = max(1, round(step * (judged.fps or r.rate)))
        normal = judged.nearest[peak]
        alarm = Alarm(
            judged.name, judged.frame[first],
            judged.frame[last + 1] if after else min(judged.frame[last] + span, judged.done),
            judged.seconds[first],
            judged.seconds[last + 1] if after else judged.seconds[last] + step,
            judged.smoothed[peak], judged.frame[peak], judged.seconds[peak],
            r.names[r.video[normal]], int(r.frame[normal]), float(r.seconds[normal]),
            np.array(picture),
        )  # fmt: skip
        judged.alarms.append(alarm)
        self._forget()
        return alarm

    def _forget(self) -> None:
        """No more pictures than `PICTURES` are kept."""
        shown = [k for k, alarm in enumerate(self.judged.alarms) if alarm.picture is not None]
        if len(shown) > PICTURES:
            least = min(shown, key=lambda k: self.judged.alarms[k].peak)
            self.judged.alarms[least] = replace(self.judged.alarms[least], picture=None)

    def _phase(self, compact: list[np.ndarray], n: int) -> np.ndarray:
        """(n,) phases of the newest rows, found together with two cycles before them."""
        from workbench.analysis.phase import phase_like

        r, want = self.reference, n + math.ceil(2 * self.reference.period)
        parts, have = [], 0
        for rows in reversed(compact):
            parts.append(rows)
            have += len(rows)
            if have >= want:
                break
        rows = np.concatenate(parts[::-1])[-want:]
        found = phase_like(rows, r.compact(r.z), r.phase)
        return anomaly.expected_phase(found, r.period)[-n:]


def _block(period: float) -> int:
    return min(BLOCK, max(BATCH, math.ceil(2 * period)))
