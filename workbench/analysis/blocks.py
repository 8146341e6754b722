"""Where a recording changes for good: the homogeneous blocks along the diagonal of its similarity
matrix, and which of them are alike (before, during and after an anomaly)."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from workbench.analysis.periodicity import LONGEST, checked_rows, main_period
from workbench.analysis.similarity import unit

ROWS = 1500
"""Places at which a boundary is looked for first; recordings of more rows are averaged to fewer."""
CAUTION = 1.5
"""How many times the gain that chance allows a boundary must bring."""


class Scatter(NamedTuple):
    """What chance does to the mean of a block."""

    total: float
    """Variance of the sum of n rows, over n: all features together."""
    dims: float
    """Over how many directions it spreads (participation ratio)."""

    def penalty(self, places: int) -> float:
        """The gain that the best of so many places reaches by chance.

        The tail of chi-square (Laurent & Massart 2000, lemma 1) at a probability of 1 / places^2.
        """
        x = 2 * np.log(max(places, 2))
        return CAUTION * self.total * (1 + 2 * np.sqrt(x / self.dims) + 2 * x / self.dims)


def blocks(z: np.ndarray, most: int = 8, shortest: int | None = None) -> np.ndarray:
    """Boundaries of the blocks in which rows are alike on average.

    z: (T, D); most: blocks at most; shortest: rows of the shortest block, by default two cycles
    where the rows repeat, else a 50th of them. Returns (K + 1,) int rows, 0 and T among them.

    The boundaries of each number of blocks make the scatter within them (unit vectors about
    their mean; the mean similarity of a block is the same said otherwise) as small as can be, by
    dynamic programming. The number: each boundary must lower the scatter by more than chance
    does, where chance is that of means over a cycle. Long recordings are averaged to ROWS places
    first and the boundaries then moved to the best row nearby. [our reconstruction]
    """
    u = unit(checked_rows(z))
    if most < 1:
        raise ValueError(f"there is at least 1 block; most is {most}.")
    shortest, period = _shortest(u, shortest)
    most = min(most, len(u) // shortest)
    if most < 2:
        return np.array([0, len(u)])
    pool = -(-len(u) // ROWS)
    places = np.append(np.arange(0, len(u), pool), len(u))
    sums = _running(np.add.reduceat(u, places[:-1], axis=0, dtype=np.float64))
    found = _best(sums, places, most, shortest)
    penalty = _penalty(u, period, shortest, len(places))
    worth = [cost + penalty * k for k, (cost, _) in enumerate(found)]
    boundaries = places[found[int(np.argmin(worth))][1]]
    return _moved(u, boundaries, pool, shortest)


def block_names(z: np.ndarray, boundaries: np.ndarray, alike: float = 0.25) -> list[str]:
    """(K,) letters in order of appearance; blocks that are alike have the same.

    Alike are blocks whose means lie nearer to each other than chance can tell apart, or than the
    share `alike` of the mean squared distance between neighbours in time: A, B, A is a
    recording that comes back to what it was. [our reconstruction]
    """
    u = unit(checked_rows(z))
    boundaries = np.asarray(boundaries, int)
    if len(boundaries) < 2 or boundaries[0] != 0 or boundaries[-1] != len(u):
        raise ValueError(
            f"boundaries run from 0 to the {len(u)} rows, as blocks() gives them; these are "
            f"{boundaries.tolist()}."
        )
    rows = np.diff(boundaries)
    means = np.add.reduceat(u, boundaries[:-1], axis=0, dtype=np.float64) / rows[:, None]
    apart = ((means[:, None] - means[None]) ** 2).sum(axis=2)
    shortest, period = _shortest(u, None)
    chance = _penalty(u, period, shortest, len(rows), boundaries)
    near = apart <= chance * (1 / rows[:, None] + 1 / rows[None])
    if len(rows) > 1:
        near |= apart <= alike * np.diag(apart, 1).mean()
    np.fill_diagonal(near, True)
    groups: list[list[int]] = []
    for k in range(len(rows)):
        fits = [g for g in groups if near[k, g].all()]
        if fits:
            min(fits, key=lambda g: apart[k, g].mean()).append(k)
        else:
            groups.append([k])
    letter = {k: chr(ord("A") + i) for i, g in enumerate(groups) for k in g}
    return [letter[k] for k in range(len(rows))]


def scatter(u: np.ndarray, span: int, boundaries: np.ndarray | None = None) -> Scatter:
    """How much the mean over a span of rows varies from one span to the next, by chance.

    The median over neighbouring spans, so that a few true changes do not count; spans do not cross
    the boundaries, where these are known.
    """
    ends = [0, len(u)] if boundaries is None else boundaries
    steps = []
    for start, stop in pairwise(ends):
        n = min(span, max(1, (stop - start) // 4))
        whole = (stop - start) // n * n
        means = u[start : start + whole].reshape(-1, n, u.shape[1]).mean(axis=1, dtype=np.float64)
        steps.append(np.diff(means, axis=0) * np.sqrt(n / 2))
    step = np.concatenate(steps)
    if not len(step):
        return Scatter(0.0, 1.0)
    size = (step**2).sum(axis=1)
    usual = size <= np.quantile(size, 0.75)
    part = step[usual]
    gram = part @ part.T if len(part) < part.shape[1] else part.T @ part
    total = np.trace(gram)
    dims = total**2 / max((gram**2).sum(), 1e-300) if total > 0 else 1.0
    # the median of chi-square over its mean (Wilson & Hilferty 1931)
    median = (1 - 2 / (9 * dims)) ** 3 if dims > 0.5 else 0.5
    return Scatter(float(np.median(size) / max(median, 0.4) + 1e-12), float(max(dims, 1.0)))


def _shortest(u: np.ndarray, shortest: int | None) -> tuple[int, float]:
    """Rows of the shortest block, and of a cycle (NaN: nothing repeats five times)."""
    if shortest is not None and shortest < 1:
        raise ValueError(f"a block has at least 1 row; shortest is {shortest}.")
    often = min(LONGEST, len(u) // 5)
    period = main_period(u, longest=often)[0] if often >= 4 else float("nan")
    if shortest is None:
        shortest = max(1, len(u) // 50) if np.isnan(period) else round(2 * period)
    return shortest, period


def _penalty(
    u: np.ndarray, period: float, shortest: int, places: int, boundaries: np.ndarray | None = None
) -> float:
    """What a boundary must gain: more than chance, and than an unfinished cycle in a block gives.

    The latter is measured on spans of one and a half cycles and does not depend on the luck of many
    places; twice its median is about the most, and CAUTION is on top.
    """
    if np.isnan(period):
        return scatter(u, shortest, boundaries).penalty(places)
    whole = scatter(u, round(2 * period), boundaries).penalty(places)
    return max(whole, 2 * CAUTION * scatter(u, round(1.5 * period), boundaries).total)


def _running(x: np.ndarray) -> np.ndarray:
    """(N + 1, D) sums of the first 0, 1, ... N rows."""
    return np.concatenate([np.zeros((1, x.shape[1])), np.cumsum(x, axis=0, dtype=np.float64)])


def _best(
    sums: np.ndarray, places: np.ndarray, most: int, shortest: int
) -> list[tuple[float, np.ndarray]]:
    """Cost and boundaries (positions among the places) of the best 1, 2, ... most blocks."""
    n = len(places)
    squares = np.einsum("nd,nd->n", sums, sums)
    rows = (places[None] - places[:, None]).astype(float)
    long = rows >= shortest
    # minus what the means explain: |S_j - S_i|^2 / rows. The sum of squares is the same for all.
    cost = -(squares[:, None] + squares[None] - 2 * sums @ sums.T) / np.where(long, rows, 1)
    cost[~long] = np.inf
    best, came = cost[0], []
    found = [(float(best[-1]), np.array([0, n - 1]))]
    for k in range(1, most):
        total = best[:, None] + cost
        came.append(total.argmin(axis=0))
        best = total.min(axis=0)
        if not np.isfinite(best[-1]):
            break
        ends = [n - 1]
        for back in reversed(came[:k]):
            ends.append(int(back[ends[-1]]))
        found.append((float(best[-1]), np.array([0, *ends[::-1]])))
    return found


def _moved(u: np.ndarray, boundaries: np.ndarray, pool: int, shortest: int) -> np.ndarray:
    """Each boundary at the best row between its neighbours' middles, at most 2 places away."""
    boundaries = boundaries.copy()
    if pool == 1:
        return boundaries
    for _ in range(2):
        for k in range(1, len(boundaries) - 1):
            left, at, right = boundaries[k - 1 : k + 2]
            first = max(left + shortest, at - 2 * pool)
            last = min(right - shortest, at + 2 * pool)
            if first >= last:
                continue
            before = u[left:first].sum(axis=0, dtype=np.float64)
            total = u[left:right].sum(axis=0, dtype=np.float64)
            part = before + _running(u[first:last])
            n = np.arange(first, last + 1)
            gain = (part**2).sum(axis=1) / (n - left)
            gain += ((total - part) ** 2).sum(axis=1) / (right - n)
            boundaries[k] = n[gain.argmax()]
    return boundaries
