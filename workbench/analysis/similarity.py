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
