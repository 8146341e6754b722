"""Which moments of a video show the same phase of its cycle, and which show another one.

All of it is [our reconstruction]: CycleCL's abstract says only that pre-trained features select
pairs of frames of about the same phase, and pairs of different phases.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.ndimage import gaussian_filter1d, maximum_filter1d

from workbench.analysis.similarity import unit

NEITHER, POSITIVE, NEGATIVE, HARD = range(4)
"""What a row is to an anchor; hard ones are negatives to be drawn first."""
BLOCK = 256
"""Anchors whose similarities are looked at together."""
MISSED = 1.5
"""Cycles between two peaks from which on a repetition may have been missed between them."""


@dataclass(frozen=True, eq=False)
class Mined:
    """What was found in a video of N rows, `hop` frames apart.

    table: (N, 2 R + 1) uint8, what the rows from R before to R after are to every row as an anchor.
    period: rows in a cycle. length: rows in a chunk. partner: a video of the same process, -1 none;
    match: (N,) the row of the partner that is most like each row, -1 none.
    """

    table: np.ndarray
    hop: int
    period: float
    length: int
    partner: int
    match: np.ndarray

    @property
    def reach(self) -> int:
        """R."""
        return self.table.shape[1] // 2

    @cached_property
    def anchors(self) -> np.ndarray:
        """The rows that have a positive, and a negative that fits into a chunk with them."""
        near = slice(max(0, self.reach - self.length + 1), self.reach + self.length)
        negative = (self.table[:, near] >= NEGATIVE).any(axis=1)
        return np.flatnonzero((self.table == POSITIVE).any(axis=1) & negative)

    def to(self, rows: np.ndarray, others: np.ndarray) -> np.ndarray:
        """(n, m) what other rows (m,) are to rows (n,) as anchors."""
        place = others - rows[:, None] + self.reach
        known = (place >= 0) & (place < self.table.shape[1])
        return np.where(known, self.table[rows[:, None], np.where(known, place, 0)], NEITHER)

    def across(self, rows: np.ndarray, others: np.ndarray, partner: Mined) -> np.ndarray:
        """(n, m) the same for rows (m,) of the partner: what they are to the anchors' matches."""
        here = self.match[rows]
        found = partner.to(np.maximum(here, 0), others)
        found[others == here[:, None]] = POSITIVE
        found[here < 0] = NEITHER
        return found

    def packed(self) -> dict[str, np.ndarray]:
        """The same as few bytes, for a checkpoint."""
        about = [*self.table.shape, self.hop, self.period, self.length, self.partner]
        return {
            "table": np.frombuffer(zlib.compress(self.table.tobytes()), np.uint8).copy(),
            "match": self.match,
            "about": np.array(about, np.float64),
        }

    @classmethod
    def unpacked(cls, table: np.ndarray, match: np.ndarray, about: np.ndarray) -> Mined:
        """What `packed` gave."""
        rows, width, hop, period, length, partner = about.tolist()
        whole = np.frombuffer(zlib.decompress(table.tobytes()), np.uint8)
        whole = whole.reshape(int(rows), int(width))
        return cls(whole, int(hop), period, int(length), int(partner), match)


def relations(
    z: np.ndarray,
    period: float,
    reach: int,
    *,
    smooth: float = 1.0,
    apart: float = 0.5,
    quantile: float = 0.8,
    separation: float = 0.2,
    beyond: float | None = None,
) -> np.ndarray:
    """(N, 2 reach + 1) uint8: what the rows around every row are to it. [our reconstruction]

    z: (N, D) rows evenly spaced in time, period in rows. Cosines with the rows around, smoothed
    along them by a Gaussian of `smooth` rows. Positives are their peaks in the upper part from
    `quantile` on that lie `apart` periods or more from the anchor and from higher peaks, since what
    is nearer is of the same repetition. Negatives lie between two
    neighbouring peaks, the anchor being one, `separation` periods from both or more; not where the
    peaks are so far apart that one between them may have been missed. Hard are negatives less than
    `beyond` farther (in Euclidean distance of unit vectors) than the positives' mean.
    """
    u = unit(z)
    n, lag = len(u), np.arange(-reach, reach + 1)
    place, pad = np.arange(2 * reach + 1), int(4 * smooth + 0.5)
    table = np.zeros((n, 2 * reach + 1), np.uint8)
    for first in range(0, n, BLOCK):
        rows = np.arange(first, min(n, first + BLOCK))
        low, high = max(0, first - reach - pad), min(n, rows[-1] + 1 + reach + pad)
        cosine = np.clip(u[rows] @ u[low:high].T, -1, 1)
        s = gaussian_filter1d(cosine, smooth, axis=1, mode="nearest") if smooth else cosine
        other = rows[:, None] + lag
        inside = (other >= 0) & (other < n)
        s = np.where(inside, np.take_along_axis(s, np.where(inside, other - low, 0), 1), np.nan)
        peak = np.zeros_like(inside)
        peak[:, 1:-1] = (s[:, 1:-1] > s[:, :-2]) & (s[:, 1:-1] >= s[:, 2:])
        peak &= s >= maximum_filter1d(np.where(inside, s, -2), 2 * int(apart * period) + 1, axis=1)
        positive = peak & (s >= _level(s, inside, quantile)) & (np.abs(lag) >= apart * period)
        mark = positive | (lag == 0)
        before = np.maximum.accumulate(np.where(mark, place, -(10**9)), axis=1)
        after = np.minimum.accumulate(np.where(mark, place, 10**9)[:, ::-1], axis=1)[:, ::-1]
        near = np.minimum(place - before, after - place) < separation * period
        negative = ~near & (after - before <= MISSED * period)
        found = POSITIVE * positive + NEGATIVE * negative
        if beyond is not None:
            d = np.sqrt(np.maximum(2 - 2 * s, 0))
            mean = np.where(positive, d, 0).sum(1) / np.maximum(positive.sum(1), 1)
            found[negative & (d < mean[:, None] + beyond)] = HARD
        table[rows] = found
    return table


def whitened(z: np.ndarray, directions: int) -> np.ndarray:
    """(N, D) rows -> (N, d) along their leading directions, each of variance 1. d <= directions.

    Rows that differ along one direction or none are only centred.
    """
    z = np.asarray(z, np.float64) - np.mean(z, axis=0, dtype=np.float64)
    variance, axes = np.linalg.eigh(z.T @ z / len(z))  # ascending
    kept = np.flatnonzero(variance > 1e-9 * max(variance[-1], 1e-30))[-directions:]
    if len(kept) < 2:
        return z.astype(np.float32)
    return (z @ (axes[:, kept] / np.sqrt(variance[kept]))).astype(np.float32)


def _level(s: np.ndarray, inside: np.ndarray, quantile: float) -> np.ndarray:
    """(n, 1) what a share of `quantile` of each row's numbers lies below."""
    at = (quantile * (inside.sum(axis=1, keepdims=True) - 1)).astype(int)
    return np.take_along_axis(np.sort(s, axis=1), at, axis=1)  # NaN come last


def most_alike(z: np.ndarray, others: np.ndarray, smooth: float = 1.0) -> np.ndarray:
    """(N,) int32: the row of (M, D) `others` that is most like each row of (N, D) z."""
    u, v = unit(z), unit(others)
    found = []
    for first in range(0, len(u), BLOCK):
        cosine = u[first : first + BLOCK] @ v.T
        s = gaussian_filter1d(cosine, smooth, axis=1, mode="nearest") if smooth else cosine
        found.append(s.argmax(axis=1))
    return np.concatenate(found).astype(np.int32)


def share_changed(before: np.ndarray, after: np.ndarray, tolerance: int) -> tuple[int, int]:
    """How many positives of a new table the old one does not hold within `tolerance` rows, of all.

    Where one table reaches farther, what is beyond the other's reach is left out.
    """
    reach = min(before.shape[1], after.shape[1]) // 2
    old, new = (
        t[:, t.shape[1] // 2 - reach : t.shape[1] // 2 + reach + 1] == POSITIVE
        for t in (before, after)
    )
    known = maximum_filter1d(old.view(np.uint8), 2 * tolerance + 1, axis=1, mode="constant")
    return int((new & (known == 0)).sum()), int(new.sum())
