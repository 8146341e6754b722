"""What repeats in a recording as one camera sees it, found once and shared by the pages."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from workbench.analysis.embeddings import Embeddings
from workbench.analysis.periodicity import (
    Repetitions,
    Rhythm,
    main_period,
    repetitions,
    rhythm,
    stretches,
)
from workbench.analysis.phase import at_phase, phase, phase_curve

SHORTEST = 4
"""Rows of the shortest cycle that is looked for: fewer tell its phases apart badly."""
MULTIPLE = 10
"""How many quicker cycles one that was found may be, where that is asked at all."""
SOON = 600
"""Rows up to which a cycle is found while one waits (0.3 s; an hour's worth takes seconds)."""

_found: dict[int, dict[tuple[str, str], Cycle | None]] = {}  # by embeddings, while they live


@dataclass(frozen=True)
class Cycle:
    """The repetitions of a recording seen by one camera; T rows, in order of time."""

    rows: np.ndarray
    """(T,) row numbers of the embeddings."""
    frames: np.ndarray
    """(T,) frames of the recording, ascending."""
    rhythm: Rhythm
    """Of every row; its periods are in rows, `hop` frames apart."""
    phase: np.ndarray
    """(T,) in [0, 1), NaN where nothing repeats."""
    curve: np.ndarray
    """(T,) the first principal component of the features."""
    repetitions: Repetitions
    """Where the repetitions begin, in rows."""
    alias: float
    """Rows of a quicker cycle, of less than SHORTEST rows, that is likelier; NaN: none is."""

    @classmethod
    def of(cls, embeddings: Embeddings, recording: str, camera: str) -> Cycle | None:
        """The cycle, found at the first call; None where the embeddings have no such rows.

        Features that are no numbers are a ValueError. See `ready` for how long it takes.
        """
        known = _known(embeddings)
        if (recording, camera) not in known:
            rows = rows_of(embeddings, recording, camera)
            known[recording, camera] = cls._look(embeddings, rows) if len(rows) else None
        return known[recording, camera]

    @staticmethod
    def ready(embeddings: Embeddings, recording: str, camera: str) -> bool:
        """Whether `of` answers at once; where not, it is to be called in a thread."""
        found = (recording, camera) in _known(embeddings)
        return found or len(rows_of(embeddings, recording, camera)) <= SOON

    @classmethod
    def _look(cls, embeddings: Embeddings, rows: np.ndarray) -> Cycle:
        z, frames = embeddings.z[rows], embeddings.index["frame"].to_numpy()[rows]
        found = rhythm(z, SHORTEST)
        repeats = np.isfinite(found.period).any()
        phases = phase(z, found.period) if repeats else np.full(len(z), np.nan)
        curve, counted = phase_curve(z), repetitions(phases)
        return cls(rows, frames, found, phases, curve, counted, _alias(z, found))

    @cached_property
    def hop(self) -> float:
        """Frames from row to row."""
        return float(np.median(np.diff(self.frames))) if len(self.frames) > 1 else 1.0

    @cached_property
    def period(self) -> float:
        """Rows of a usual cycle, NaN where nothing repeats."""
        known = self.rhythm.period[np.isfinite(self.rhythm.period)]
        return float(np.median(known)) if len(known) else float("nan")

    @cached_property
    def confidence(self) -> float:
        """Mean confidence in [0, 1] of the rows that repeat; 0 where none does."""
        known = np.isfinite(self.rhythm.period)
        return float(self.rhythm.confidence[known].mean()) if known.any() else 0.0

    @property
    def repeats(self) -> bool:
        """Whether there is a phase anywhere."""
        return bool(np.isfinite(self.phase).any())

    @cached_property
    def turned(self) -> np.ndarray:
        """(T,) how many repetitions are behind each row, with the fraction; NaN in none.

        They are counted from where the process begins to repeat, not from phase 0: five repetitions
        in a row are five. What is left over at an end is one more from half a cycle on, and goes
        with the last one below that.
        """
        turned = np.full(len(self.rows), np.nan)
        for start, done, _ in self._counted:
            turned[start : start + len(done)] = done
        return turned

    @cached_property
    def spans(self) -> np.ndarray:
        """(R, 2) rows at which each repetition starts and stops, lying between rows as they may."""
        found = [np.zeros((0, 2))]
        for start, done, n in self._counted:
            edges = np.interp(done[0] + np.arange(n), done, np.arange(len(done)))
            found.append(start + np.stack([edges, np.append(edges[1:], len(done))], axis=1))
        return np.concatenate(found)

    @cached_property
    def whole(self) -> np.ndarray:
        """(R,) bool: which repetitions last from their beginning to the next (within a tenth)."""
        found = np.ones(len(self.spans), bool)
        for _, done, n in self._counted:
            each = (done[-1] - done[0]) / max(1, len(done) - 1)
            found[round(done[0]) + n - 1] = abs(done[-1] - done[0] + each - n) <= 0.1
        return found

    @cached_property
    def _counted(self) -> list[tuple[int, np.ndarray, int]]:
        """First row, repetitions done at each row, and repetitions, of each unbroken stretch."""
        found, before = [], 0
        for start, phases in stretches(self.phase):
            done = np.maximum.accumulate(phases - phases[0])  # a step back is no new repetition
            n = round(done[-1] + done[-1] / max(1, len(done) - 1))  # a row lasts until the next
            if n:
                found.append((start, before + done, n))
                before += n
        return found

    @cached_property
    def number(self) -> np.ndarray:
        """(T,) the repetition (of `spans`) of each row, -1 in none."""
        at = np.arange(len(self.rows))
        found = np.searchsorted(self.spans[:, 0], at, "right") - 1
        stops = np.append(self.spans[:, 1], -np.inf)  # the last for rows before all of them
        return np.where(at < stops[found], found, -1)

    def at(self, value: float) -> np.ndarray:
        """(R,) the row of each repetition whose phase is nearest to a value; -1: it has none."""
        rows = at_phase(self.phase, value)
        rows = rows[np.isfinite(self.turned[rows])]
        turned = self.turned[rows]
        begun = (value - self.phase[rows] + turned) % 1  # the value, where repetitions begin
        which = np.round(turned - begun).astype(int)
        found = np.full(len(self.spans), -1)
        kept = (which >= 0) & (which < len(found))
        kept &= self.number[rows] >= 0
        found[which[kept]] = rows[kept]
        return found

    def row(self, frame: float) -> int:
        """The row, from 0, that is nearest to a frame of the recording."""
        return int(np.abs(self.frames - frame).argmin())

    def frame(self, row: np.ndarray | float) -> np.ndarray:
        """Frames of the recording at rows, also between two rows."""
        return np.interp(row, np.arange(len(self.frames)), self.frames)


def _alias(z: np.ndarray, found: Rhythm) -> float:
    """The period of a cycle too quick for the rows, of which several were taken for one."""
    known = np.isfinite(found.period)
    if known.any() and np.median(found.period[known]) > MULTIPLE * SHORTEST:
        return float("nan")
    period, confidence = main_period(z, 2)
    return period if period < SHORTEST and confidence > found.confidence.mean() else float("nan")


def rows_of(embeddings: Embeddings, recording: str, camera: str) -> np.ndarray:
    """(T,) the row numbers of a recording seen by one camera, in order of time."""
    index = embeddings.index
    here = (index["recording"] == recording) & (index["camera"] == camera)
    found = np.flatnonzero(here.to_numpy())
    return found[np.argsort(index["frame"].to_numpy()[found], kind="stable")]


def _known(embeddings: Embeddings) -> dict[tuple[str, str], Cycle | None]:
    """What was found in some embeddings; forgotten with them."""
    key = id(embeddings)
    if key not in _found:
        _found[key] = {}
        weakref.finalize(embeddings, _found.pop, key, None)
    return _found[key]
