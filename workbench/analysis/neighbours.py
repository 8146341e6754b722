"""Exact nearest neighbours by cosine, with rules about who may be whose neighbour.

A rule (`Rule`) is a function of two broadcastable arrays of row numbers that says which pairs are
allowed. Neighbours in time are trivially alike, so most questions need one:

    self_knn(z, 10, apart(video, frame, window=30))
    self_knn(z, 10, both(other(recording), other(camera)))
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd

from workbench.analysis.similarity import unit

Rule = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(rows of the queries, rows of the bank) -> bool, True where the pair is allowed."""

BLOCK = 1024
"""Rows and columns of a block of scores (4 MiB: it stays in the cache while it is looked at)."""


def apart(video: np.ndarray, frame: np.ndarray, window: float) -> Rule:
    """Allow other videos, and the same video more than `window` frames away. Both (N,)."""
    video, frame = _codes(video), np.asarray(frame)
    return lambda i, j: (video[i] != video[j]) | (np.abs(frame[i] - frame[j]) > window)


def other(group: np.ndarray, bank_group: np.ndarray | None = None) -> Rule:
    """Allow only rows of another group (recording, camera, ...).

    group: (Q,), of the queries; bank_group: (N,), of the bank, the same by default.
    """
    both_groups = np.concatenate([group, group if bank_group is None else bank_group])
    codes = _codes(both_groups)
    queries, bank = codes[: len(group)], codes[len(group) :]
    return lambda i, j: queries[i] != bank[j]


def both(*rules: Rule) -> Rule:
    """Allow what all the rules allow."""
    return lambda i, j: np.logical_and.reduce(np.broadcast_arrays(*[r(i, j) for r in rules]))


def knn(
    queries: np.ndarray, bank: np.ndarray, k: int, allowed: Rule | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Cosine and row number of the k most similar rows of the bank, best first.

    queries: (Q, D), bank: (N, D). Returns scores (Q, k) float32 and ids (Q, k) int64; where fewer
    than k rows are allowed, the score is -inf and the id -1. Exact (to float32 rounding).
    """
    q, bank = unit(queries), np.asarray(bank)
    order = _shuffled(len(bank))
    best = _Best(len(q), k)
    for columns in _strips(len(bank), k, max(BLOCK, BLOCK**2 // max(1, len(q)))):
        j = order[columns]
        z = unit(bank[j])
        for rows in _chunks(0, len(q)):
            best.offer(rows, np.arange(rows.start, rows.stop), j, q[rows] @ z.T, allowed)
    return best.sorted()


def self_knn(z: np.ndarray, k: int, allowed: Rule | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Cosine and row number of the k rows most similar to each row, itself left out.

    z: (N, D). Returns scores (N, k) float32 and ids (N, k) int64, best first; where fewer than k
    rows are allowed, the score is -inf and the id -1. Exact (to float32 rounding).

    Cosine is symmetric, so each product is made once and offered to both its rows: half the
    arithmetic of a search of z in z, which is nearly all of the time.
    """
    order = _shuffled(len(z))
    z = unit(np.asarray(z)[order])
    best = _Best(len(z), k)
    for columns in _strips(len(z), k, BLOCK):
        j = order[columns]
        scores = z[columns] @ z[columns].T
        np.fill_diagonal(scores, -np.inf)
        best.offer(columns, j, j, scores, allowed)
        for rows in _chunks(columns.stop, len(z)):
            i = order[rows]
            scores = z[rows] @ z[columns].T
            best.offer(rows, i, j, scores, allowed)
            best.offer(columns, j, i, scores.T, allowed)
    scores, ids = best.sorted()
    back = np.argsort(order)
    return scores[back], ids[back]


class _Best:
    """The k best pairs of each row seen so far."""

    def __init__(self, n: int, k: int) -> None:
        self.scores = np.full((n, k), -np.inf, np.float32)
        self.ids = np.full((n, k), -1, np.int64)
        self.floor = np.full(n, -np.inf, np.float32)  # the k-th best score: what is to be beaten

    def offer(
        self, rows: slice, i: np.ndarray, j: np.ndarray, scores: np.ndarray, allowed: Rule | None
    ) -> None:
        """Take what is better out of a block of scores.

        rows: which rows of this object; i: (R,) and j: (C,) row numbers as the rule knows them;
        scores: (R, C). Few pairs beat the floor, so the rule is asked about those alone, unless
        it keeps rejecting many.
        """
        beats = scores > self.floor[rows, None]
        dense = allowed is not None and np.count_nonzero(beats) > beats.size // 32
        if dense:
            beats &= allowed(i[:, None], j[None, :])
        r, c = _nonzero(beats)
        if allowed is not None and not dense:
            keep = allowed(i[r], j[c])
            r, c = r[keep], c[keep]
        if len(r):
            self._merge(rows.start, r, j[c], scores[r, c])

    def _merge(self, start: int, r: np.ndarray, ids: np.ndarray, scores: np.ndarray) -> None:
        """Merge found pairs, sorted by row r (counted from start), into the best."""
        counts = np.bincount(r)
        touched = np.flatnonzero(counts)
        counts = counts[touched]
        ends = np.cumsum(counts)
        line = np.repeat(np.arange(len(touched)), counts)
        slot = np.arange(len(r)) - np.repeat(ends - counts, counts)
        k = self.scores.shape[1]
        rows = start + touched
        all_scores = np.full((len(rows), k + counts.max()), -np.inf, np.float32)
        all_ids = np.full(all_scores.shape, -1, np.int64)
        all_scores[:, :k], all_ids[:, :k] = self.scores[rows], self.ids[rows]
        all_scores[line, k + slot], all_ids[line, k + slot] = scores, ids
        top = np.argpartition(all_scores, -k, axis=1)[:, -k:]
        self.scores[rows] = np.take_along_axis(all_scores, top, 1)
        self.ids[rows] = np.take_along_axis(all_ids, top, 1)
        self.floor[rows] = self.scores[rows].min(1)

    def sorted(self) -> tuple[np.ndarray, np.ndarray]:
        """Scores and ids, best first, equal scores by id."""
        order = np.lexsort((self.ids, -self.scores), axis=1)
        return np.take_along_axis(self.scores, order, 1), np.take_along_axis(self.ids, order, 1)


def _nonzero(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """np.nonzero of an (R, C) mask, also fast where the mask is transposed in memory."""
    if mask.flags.c_contiguous:
        return np.divmod(np.flatnonzero(mask), mask.shape[1])
    c, r = np.divmod(np.flatnonzero(mask.T), mask.shape[0])
    order = np.argsort(r.astype(np.uint16), kind="stable")  # a radix sort; r < BLOCK
    return r[order], c[order]


def _shuffled(n: int) -> np.ndarray:
    """Rows in a fixed random order, in which the running k-th best tightens fast for any data."""
    return np.random.default_rng(0).permutation(n)


def _strips(n: int, k: int, widest: int) -> Iterator[slice]:
    """Slices that cover range(n), narrow at first, while there is no floor to beat yet."""
    start, stop = 0, max(32, 2 * k)
    while start < n:
        yield slice(start, min(stop, n))
        start, stop = stop, min(2 * stop, stop + widest)


def _chunks(start: int, n: int) -> Iterator[slice]:
    for at in range(start, n, BLOCK):
        yield slice(at, min(at + BLOCK, n))


def _codes(values: np.ndarray) -> np.ndarray:
    """The values as small integers, equal where they are equal: fast to compare."""
    return pd.factorize(np.asarray(values))[0].astype(np.int32)
