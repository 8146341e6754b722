"""Where a recording changes for good: the homogeneous blocks along the diagonal of its similarity
matrix, and which of them are alike (before, during and after an anomaly).

Of a process that repeats, blocks are those of what is left beside its cycle: of the matrix itself
the cycle is by far the most, and what an anomaly adds goes unseen. A block then is a stretch whose
repetitions are alike, and may differ from another block in a part of the cycle alone.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_matrix

from workbench.analysis.periodicity import LONGEST, checked_rows, stretches
from workbench.analysis.residual import Residual, residual, residual_beside
from workbench.analysis.similarity import unit

ROWS = 1500
"""Places at which a boundary is looked for first; recordings of more rows are averaged to fewer."""
CYCLES = 300
"""Places of a recording that repeats: its repetitions, of a longer one several together."""
CAUTION = 1.5
"""How many times the gain that chance allows a boundary must bring."""
CYCLIC = 1.1
"""The same where rows repeat, and chance is told by SHUFFLES other orders of the repetitions."""
SHUFFLES = 40
MOST = 5
"""Blocks up to which it is seen what other orders, and normal recordings, bring."""


class Scatter(NamedTuple):
    """What chance does to the mean of a block."""

    total: float
    """Variance of the sum of n rows, over n: all features together."""
    dims: float
    """Over how many directions it spreads (participation ratio)."""

    def tail(self, places: int) -> float:
        """The gain that the best of so many places reaches by chance.

        The tail of chi-square (Laurent & Massart 2000, lemma 1) at a probability of 1 / places^2.
        """
        x = 2 * np.log(max(places, 2))
        return self.total * (1 + 2 * np.sqrt(x / self.dims) + 2 * x / self.dims)


class Sums(NamedTuple):
    """Sums over stretches of rows, each part of the cycle by itself."""

    total: np.ndarray
    """(K, parts, D)."""
    rows: np.ndarray
    """(K, parts) how many rows each is of."""

    @classmethod
    def of(cls, left: Residual, edges: np.ndarray) -> Sums:
        """Those between edges, ascending rows."""
        start, stop = edges[[0, -1]]
        which = np.searchsorted(edges, np.arange(start, stop), "right") - 1
        at = which * left.parts + left.part[start:stop]
        n = (len(edges) - 1) * left.parts
        pick = csr_matrix((np.ones(len(at)), (at, np.arange(len(at)))), shape=(n, len(at)))
        total = pick @ left.x[start:stop].astype(np.float64)
        rows = np.bincount(at, minlength=n).astype(float)
        return cls(total.reshape(-1, left.parts, left.x.shape[1]), rows.reshape(-1, left.parts))

    @property
    def running(self) -> Sums:
        """Of the first 0, 1, ... K stretches."""
        return Sums(*(np.concatenate([np.zeros_like(x[:1]), np.cumsum(x, axis=0)]) for x in self))

    def shuffled(self, order: np.ndarray) -> Sums:
        """The same stretches in another order."""
        return Sums(self.total[order], self.rows[order])

    @property
    def means(self) -> np.ndarray:
        """(K, parts, D); 0 where there is no row."""
        return self.total / np.maximum(self.rows, 1)[..., None]


def blocks(
    z: np.ndarray,
    most: int = 8,
    shortest: int | None = None,
    normal: np.ndarray | None = None,
) -> np.ndarray:
    """Boundaries of the blocks in which rows are alike on average.

    z: (T, D); most: blocks at most; shortest: rows of the shortest block, by default two cycles
    where the rows repeat, else a 50th of them; normal: (M, D) rows of normal recordings of the
    same process. Returns (K + 1,) int rows, 0 and T among them.

    The boundaries of each number of blocks make the scatter within them as small as can be, by
    dynamic programming: of unit vectors about their mean (the mean similarity of a block is the
    same said otherwise), or where they repeat of what is left of them beside their cycle about
    its mean in each part of that (see `residual`). The number: each boundary must lower the
    scatter by more than chance does. Where nothing repeats chance is that of means over the
    shortest block; else what boundaries would bring if the repetitions came in another order, and
    what they bring in normal recordings. Long recordings are summed up to fewer places first and
    the boundaries then moved to the best row nearby. [our reconstruction]

    Light that wanders slowly and people who stay are blocks as much as a fault is, unless normal
    recordings show that they are usual.
    """
    u = unit(checked_rows(z))
    if most < 1:
        raise ValueError(f"there is at least 1 block; most is {most}.")
    if shortest is not None and shortest < 1:
        raise ValueError(f"a block has at least 1 row; shortest is {shortest}.")
    left, usual = _left(u, normal)
    shortest = shortest or _span(left)
    most = min(most, len(u) // shortest)
    if most < 2:
        return np.array([0, len(u)])
    places = _places(left)
    found = _best(Sums.of(left, places), places, most, shortest)
    penalty = _penalty(left, usual, len(places))
    worth = [cost + penalty * k for k, (cost, _) in enumerate(found)]
    boundaries = places[found[int(np.argmin(worth))][1]]
    return _moved(left, boundaries, int(np.diff(places).max()), shortest)


def block_names(
    z: np.ndarray,
    boundaries: np.ndarray,
    alike: float = 0.25,
    normal: np.ndarray | None = None,
) -> list[str]:
    """(K,) letters in order of appearance; blocks that are alike have the same.

    Alike are blocks whose means lie nearer to each other than chance can tell apart, or than the
    share `alike` of the mean squared distance between neighbours in time: A, B, A is a
    recording that comes back to what it was. normal: as of blocks(). [our reconstruction]
    """
    u = unit(checked_rows(z))
    boundaries = np.asarray(boundaries, int)
    if len(boundaries) < 2 or boundaries[0] != 0 or boundaries[-1] != len(u):
        raise ValueError(
            f"boundaries run from 0 to the {len(u)} rows, as blocks() gives them; these are "
            f"{boundaries.tolist()}."
        )
    k = np.arange(len(boundaries) - 1)
    if len(k) == 1:
        return ["A"]
    left, usual = _left(u, normal)
    gain, weight = _apart(Sums.of(left, boundaries), k[:, None], k[None])
    apart = gain / np.maximum(weight, 1e-30)
    near = gain <= _penalty(left, usual, len(k), boundaries)
    near |= apart <= alike * np.diag(apart, 1).mean()
    np.fill_diagonal(near, True)
    groups: list[list[int]] = []
    for i in k:
        fits = [g for g in groups if near[i, g].all()]
        if fits:
            min(fits, key=lambda g: apart[i, g].mean()).append(i)
        else:
            groups.append([i])
    letter = {i: chr(ord("A") + n) for n, g in enumerate(groups) for i in g}
    return [letter[i] for i in k]


def scatter(left: Residual, span: int, boundaries: np.ndarray | None = None) -> Scatter:
    """How much the mean over a span of rows varies from one span to the next, by chance.

    The median over neighbouring spans, so that a few true changes do not count; spans do not cross
    the boundaries, where these are known.
    """
    ends = [0, len(left.x)] if boundaries is None else boundaries
    steps = []
    for start, stop in pairwise(ends):
        n = min(span, max(1, (stop - start) // 4))
        sums = Sums.of(left, np.arange(start, stop + 1, n))
        means, rows = sums.means, sums.rows
        weight = rows[1:] * rows[:-1] / np.maximum(rows[1:] + rows[:-1], 1)
        step = (means[1:] - means[:-1]) * np.sqrt(weight)[..., None]
        steps.append(step.reshape(len(step), -1))
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


def _left(u: np.ndarray, normal: np.ndarray | None) -> tuple[Residual, float]:
    """What is left beside a cycle that comes five times at least, and the gain usual in normal."""
    longest = min(LONGEST, len(u) // 5)
    if normal is None:
        return residual(u, longest), 0.0
    normal = unit(checked_rows(normal))
    if normal.shape[1] != u.shape[1]:
        raise ValueError(
            f"features of one kind are compared; these have {u.shape} and {normal.shape}."
        )
    left, its = residual_beside(u, normal, min(LONGEST, len(normal) // 5))
    if left.phase is None:
        return residual(u, longest), 0.0
    starts = range(0, max(1, len(its.x) - len(u) // 2), len(u))  # as long as the recording is
    parts = [its[start : start + len(u)] for start in starts]
    return left, max(_gain(Sums.of(part, _places(part))) for part in parts)


def _span(left: Residual) -> int:
    """Rows of the shortest block: two cycles, or where nothing repeats a 50th of all."""
    if left.phase is None:
        return max(1, len(left.x) // 50)
    return round(2 * left.period)


def _places(left: Residual) -> np.ndarray:
    """(K + 1,) rows between which boundaries are looked for first: each one, or each cycle."""
    rows = len(left.x)
    if left.phase is None:
        return np.append(np.arange(0, rows, -(-rows // ROWS)), rows)
    known = np.isfinite(left.phase)
    turned = np.concatenate([t for _, t in stretches(left.phase)])
    step = np.diff(turned, prepend=turned[0]).clip(0, 0.5)
    passed = np.interp(np.arange(rows), np.flatnonzero(known), np.cumsum(step))
    cycles = max(1, round(passed[-1]))
    per = -(-cycles // CYCLES)
    starts = np.searchsorted(passed, passed[-1] * np.arange(0, cycles, per) / cycles)
    return np.append(np.unique(starts), rows)


def _penalty(
    left: Residual, usual: float, places: int, boundaries: np.ndarray | None = None
) -> float:
    """What a boundary must gain: more than chance."""
    if left.phase is None:
        return CAUTION * scatter(left, _span(left), boundaries).tail(places)
    sums, rng = Sums.of(left, _places(left)), np.random.default_rng(0)
    chance = [_gain(sums.shuffled(rng.permutation(len(sums.rows)))) for _ in range(SHUFFLES)]
    return CYCLIC * max(float(np.quantile(chance, 0.95)), usual)


def _gain(sums: Sums) -> float:
    """The most that boundaries between cycles bring, each."""
    cost = [c for c, _ in _best(sums, np.arange(len(sums.rows) + 1), MOST, 2)]
    return max([(cost[0] - c) / k for k, c in enumerate(cost) if k], default=0.0)


def _apart(sums: Sums, i: np.ndarray, j: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What it gains to tell stretches i and j apart, and in how many rows' worth; by broadcast."""
    n, m = sums.rows[i], sums.rows[j]
    weight = n * m / np.maximum(n + m, 1)
    apart = ((sums.means[i] - sums.means[j]) ** 2).sum(axis=-1)
    return (weight * apart).sum(axis=-1), weight.sum(axis=-1)


def _best(
    sums: Sums, places: np.ndarray, most: int, shortest: int
) -> list[tuple[float, np.ndarray]]:
    """Cost and boundaries (positions among the places) of the best 1, 2, ... most blocks.

    sums: between the places.
    """
    n, running = len(places), sums.running
    cost = np.zeros((n, n))
    for k in range(running.rows.shape[1]):
        total, rows = running.total[:, k], running.rows[:, k]
        squares = np.einsum("nd,nd->n", total, total)
        # minus what the means explain: |S_j - S_i|^2 / rows. The sum of squares is always the same.
        explained = squares[:, None] + squares[None] - 2 * total @ total.T
        cost -= explained / np.maximum(rows[None] - rows[:, None], 1)
    cost[places[None] - places[:, None] < shortest] = np.inf
    best, came = cost[0], []
    found = [(float(best[-1]), np.array([0, n - 1]))]
    for k in range(1, most):
        through = best[:, None] + cost
        came.append(through.argmin(axis=0))
        best = through.min(axis=0)
        if not np.isfinite(best[-1]):
            break
        ends = [n - 1]
        for back in reversed(came[:k]):
            ends.append(int(back[ends[-1]]))
        found.append((float(best[-1]), np.array([0, *ends[::-1]])))
    return found


def _moved(left: Residual, boundaries: np.ndarray, place: int, shortest: int) -> np.ndarray:
    """Each boundary at the best row between its neighbours, at most 2 places (of rows) away."""
    boundaries = boundaries.copy()
    if place == 1:
        return boundaries
    for _ in range(2):
        for k in range(1, len(boundaries) - 1):
            before, at, after = boundaries[k - 1 : k + 2]
            first = max(before + shortest, at - 2 * place)
            last = min(after - shortest, at + 2 * place)
            if first >= last:
                continue
            rows = np.arange(first, last + 1)
            total, n = Sums.of(left, np.array([before, *rows, after])).running
            gain = np.zeros(len(rows))
            for side, m in ((total[1:-1], n[1:-1]), (total[-1] - total[1:-1], n[-1] - n[1:-1])):
                gain += ((side**2).sum(axis=2) / np.maximum(m, 1)).sum(axis=1)
            boundaries[k] = rows[gain.argmax()]
    return boundaries
