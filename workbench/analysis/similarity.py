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
