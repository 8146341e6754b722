"""Planted cycles: closed curves in feature space, run through at a tempo that is known."""

import numpy as np


def curve(dims, rng, harmonics=3, halves=1.0):
    """A closed curve of mean squared radius 1: phases (T,) in cycles -> (T, dims).

    halves: how strongly the two halves of the cycle differ; 0 makes them the same.
    """
    k = np.arange(1, harmonics + 1)
    a, b = rng.normal(size=(2, harmonics, dims)) / k[:, None]
    a[k % 2 == 1] *= halves
    b[k % 2 == 1] *= halves
    scale = np.sqrt(((a**2) + (b**2)).sum() / 2)

    def at(phase):
        angle = 2 * np.pi * np.outer(phase, k)
        return (np.cos(angle) @ a + np.sin(angle) @ b) / scale

    return at


def tempo(rows, period, rng, swing=0.0, jitter=0.0):
    """(rows,) unwrapped phase: the period swings smoothly by a share and jitters per cycle."""
    slow = 1 + swing * np.sin(2 * np.pi * (np.arange(rows) / rows * 1.5 + rng.uniform()))
    passed = np.concatenate([[0], np.cumsum(1 / (period * slow))[:-1]])
    lengths = np.exp(jitter * rng.normal(size=int(passed[-1]) + 40))
    edges = np.concatenate([[0], np.cumsum(lengths)])
    return np.interp(passed, edges, np.arange(len(edges)))


def noisy(z, rng, noise):
    """z with white noise of so much mean squared length, and a static background."""
    dims = z.shape[1]
    background = rng.normal(size=dims) / np.sqrt(dims)
    return z + background + noise * rng.normal(size=z.shape) / np.sqrt(dims)
