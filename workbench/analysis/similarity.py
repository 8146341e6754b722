"""How alike moments are: cosine similarity within and between clips."""

from __future__ import annotations

import numpy as np


def unit(z: np.ndarray) -> np.ndarray:
    """Rows scaled to length 1, (N, D) float32, always a copy; rows of zeros stay zeros."""
    z = np.array(z, dtype=np.float32, ndmin=2)
    norm = np.sqrt(np.einsum("nd,nd->n", z, z))[:, None]
    z /= np.where(norm > 0, norm, 1)
    return z


def tsm(z: np.ndarray) -> np.ndarray:
    """Temporal self-similarity matrix: cosine of every moment with every other.

    z: (T, D), one row per moment. Returns (T, T) float32, symmetric, in [-1, 1].
    """
    return cross_tsm(z, z)


def cross_tsm(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cosine of every moment of one clip with every moment of another (another camera, say).

    a: (T, D), b: (T', D). Returns (T, T') float32 in [-1, 1].
    """
    return np.clip(unit(a) @ unit(b).T, -1, 1)


def pooled(z: np.ndarray, most: int) -> tuple[np.ndarray, int]:
    """Means of so many unit rows each that at most `most` are left, and how many rows that is.

    z: (T, D). Returns (ceil(T / n), D) float32 and n. The product of two such tables is the mean
    cosine of all moments of either span: a self-similarity matrix seen from afar, of which no cell
    is left out and nothing larger is ever made.
    """
    u = unit(z)
    n = max(1, -(-len(u) // most))
    if n == 1:
        return u, 1
    starts = np.arange(0, len(u), n)
    rows = np.diff(np.append(starts, len(u)))[:, None]
    return (np.add.reduceat(u, starts, axis=0) / rows).astype(np.float32), n


LIFT = 10.0
"""How many times the usual length of rows the number is that `lifted` adds: distances are then
right within a hundredth."""


def lifted(z: np.ndarray, length: float | None = None) -> np.ndarray:
    """(N, D + 1) float32 rows whose unit vectors are as far apart as the rows themselves are.

    z: (N, D). All analyses here compare unit vectors; features that are not meant to have unit
    length (CycleCL's table C) keep their lengths through it: one number more, the same for all,
    LIFT times as large as rows usually are long, so that all directions are nearly the same.
    length: that usual length, where other rows are to be compared; root mean square of these. All
    distances become smaller by one factor, LIFT times the length. [our reconstruction]
    """
    z = np.array(z, dtype=np.float32, ndmin=2)
    more = LIFT * (usual_length(z) if length is None else length)
    return np.concatenate([z, np.full((len(z), 1), more or 1, np.float32)], axis=1)


def usual_length(z: np.ndarray) -> float:
    """Root mean square of the lengths of rows (N, D)."""
    z = np.asarray(z, np.float32)
    return float(np.sqrt(np.einsum("nd,nd->n", z, z).mean(dtype=np.float64)))
