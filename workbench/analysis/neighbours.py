"""Exact nearest neighbours by cosine, with rules about who may be whose neighbour.

A rule (`Rule`) is a function of two broadcastable arrays of row numbers that says which pairs are
allowed. Neighbours in time are trivially alike, so most questions need one:

    self_knn(z, 10, apart(video, frame, window=30))
    self_knn(z, 10, both(other(recording), other(camera)))
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from workbench.analysis.similarity import unit

Rule = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(rows of the queries, rows of the bank) -> bool, True where the pair is allowed."""

BLOCK = 2048
"""Rows and columns of the largest block of scores held at a time (16 MiB)."""


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
    than k rows are allowed, the score is -inf and the id -1.
    """
    q, z = unit(queries), unit(bank)
    scores = q @ z.T
    if allowed is not None:
        scores[~allowed(np.arange(len(q))[:, None], np.arange(len(z))[None])] = -np.inf
    ids = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    best = np.full((len(q), k), -np.inf, np.float32)
    where = np.full((len(q), k), -1)
    best[:, : ids.shape[1]] = np.take_along_axis(scores, ids, 1)
    where[:, : ids.shape[1]] = np.where(np.isfinite(best[:, : ids.shape[1]]), ids, -1)
    return best, where


def self_knn(z: np.ndarray, k: int, allowed: Rule | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Cosine and row number of the k rows most similar to each row, itself left out.

    z: (N, D). Returns scores (N, k) float32 and ids (N, k) int64, best first; where fewer than k
    rows are allowed, the score is -inf and the id -1.
    """

    def not_itself(i, j):
        return i != j

    return knn(z, z, k, not_itself if allowed is None else both(not_itself, allowed))


def _codes(values: np.ndarray) -> np.ndarray:
    """The values as small integers, equal where they are equal: fast to compare."""
    return pd.factorize(np.asarray(values))[0].astype(np.int32)
