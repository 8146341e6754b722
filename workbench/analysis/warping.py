"""Two recordings of one process: which moments match, and what changed where in the cycle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from workbench.analysis.periodicity import checked_rows, stretches
from workbench.analysis.similarity import unit

CELLS = 20_000**2
"""Pairs of moments that a path is looked for among: 100 MB of decisions."""


class Path(NamedTuple):
    """Moments that match, in order; each moment of either recording is there at least once."""

    rows_a: np.ndarray
    """(L,) rows of the first."""
    rows_b: np.ndarray
    """(L,) rows of the second."""
    cost: float
    """Sum of the distances of the pairs; the same with the recordings exchanged."""


@dataclass(frozen=True)
class Drift:
    """What changed from a to b. Phases are those of a."""

    centres: np.ndarray
    """(B,) phases of the bins."""
    distance: np.ndarray
    """(B,) between the means, in units of the spread; 0 for what chance explains, NaN: no rows."""
    period: tuple[float, float]
    """Rows per cycle of a and of b; NaN where a recording has no whole cycle's worth of phase."""
    duration: np.ndarray
    """(B, 2) rows per cycle spent in each bin, by a and by b."""

    @property
    def period_change(self) -> float:
        """Share by which a cycle of b lasts longer: 0.1 is 10 % slower."""
        return self.period[1] / self.period[0] - 1

    @property
    def worst(self) -> float:
        """The phase at which most has changed; NaN where nothing can be compared."""
        known = np.isfinite(self.distance)
        return float(self.centres[np.nanargmax(self.distance)]) if known.any() else float("nan")


def dtw(a: np.ndarray, b: np.ndarray, window: int | None = None) -> Path:
    """The order-keeping match of all moments of a with all of b that costs least.

    a: (T, D), b: (T', D). Costs are distances of unit vectors; a step goes on by one row in a, in
    b or in both, and all weigh the same (Sakoe & Chiba 1978, without their slope weights).
    window: rows (of the longer one) that a match may lie off the straight line from both starts to
    both ends; the exact path among these. Memory: a quarter of a byte per pair of moments.
    """
    a, b = unit(checked_rows(a)), unit(checked_rows(b))
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"features of one kind are compared; these have {a.shape} and {b.shape}.")
    return _path(a, b, *_corridor(len(a), len(b), window))


def refined(a: np.ndarray, b: np.ndarray, coarse: Path, every: tuple[int, int]) -> Path:
    """The best path of all rows near one that was found among means of several of them.

    a: (T, D), b: (T', D); coarse: the path among means of every[0] rows of a and every[1] of b. The
    refined one lies within one mean of it on either side, where it is exact; the best of all paths
    may lie farther off, where a match is a matter of moments that the means do not show (FastDTW,
    Salvador & Chan 2007). Memory: as of dtw() with a window, so hours are no matter.
    """
    a, b = unit(checked_rows(a)), unit(checked_rows(b))
    n = coarse.rows_a[-1] + 1
    low, high = np.full(n, len(b)), np.zeros(n, int)
    np.minimum.at(low, coarse.rows_a, coarse.rows_b)
    np.maximum.at(high, coarse.rows_a, coarse.rows_b)
    near = np.arange(len(a)) // every[0]
    if near[-1] != n - 1 or (len(b) - 1) // every[1] != coarse.rows_b[-1]:
        raise ValueError(
            f"the path is of {n} x {coarse.rows_b[-1] + 1} means, which is not what every {every} "
            f"of {len(a)} x {len(b)} rows give."
        )
    first = (low[(near - 1).clip(0)] - 1).clip(0) * every[1]
    last = np.minimum((high[(near + 1).clip(max=n - 1)] + 2) * every[1], len(b))
    return _path(a, b, first, last)


def drift(
    a: np.ndarray, phase_a: np.ndarray, b: np.ndarray, phase_b: np.ndarray, bins: int = 20
) -> Drift:
    """What changed between two recordings of the same process, and where in the cycle.

    a: (T, D), phase_a: (T,) in [0, 1); b, phase_b the same of the other recording, whose phase must
    be that of the first (phase_like). The distance of a bin is that of the means of the unit
    vectors over their spread (square root of the variance of all features together); what the
    spread makes of means over so many repetitions is taken off before. [our reconstruction]
    """
    sides = [_binned(z, phase, bins) for z, phase in ((a, phase_a), (b, phase_b))]
    (mean_a, var_a, visits_a, rows_a, period_a), (mean_b, var_b, visits_b, rows_b, period_b) = sides
    if mean_a.shape != mean_b.shape:
        raise ValueError("features of one kind are compared; these differ in their number.")
    with np.errstate(invalid="ignore", divide="ignore"):
        apart = ((mean_a - mean_b) ** 2).sum(axis=1) - var_a / visits_a - var_b / visits_b
        spread = (var_a + var_b) / 2
        distance = np.sqrt(apart.clip(0) / np.maximum(spread, 1e-8))
    return Drift(
        (np.arange(bins) + 0.5) / bins,
        distance,
        (period_a, period_b),
        np.stack([rows_a, rows_b], axis=1),
    )


def _binned(z: np.ndarray, phase: np.ndarray, bins: int) -> tuple[np.ndarray, ...]:
    """Mean (B, D), variance (B,), visits (B,), rows per cycle (B,), period of a recording."""
    u, phase = unit(checked_rows(z)), np.asarray(phase, float)
    if phase.shape != (len(u),):
        raise ValueError(f"{len(u)} rows have {phase.shape} phases; one each is needed.")
    if bins < 1:
        raise ValueError(f"there is at least 1 bin; bins is {bins}.")
    rows = np.flatnonzero(np.isfinite(phase))
    at = (phase[rows] % 1 * bins).astype(int) % bins
    n = np.bincount(at, minlength=bins)
    mean = np.zeros((bins, u.shape[1]))
    np.add.at(mean, at, u[rows])
    mean = np.where(n[:, None] > 0, mean / np.maximum(n, 1)[:, None], np.nan)
    off = ((u[rows] - mean[at]) ** 2).sum(axis=1) if len(rows) else np.zeros(0)
    variance = np.bincount(at, off, minlength=bins) / np.maximum(n - 1, 1)
    new = np.ones(len(rows), bool)
    new[1:] = (at[1:] != at[:-1]) | (np.diff(rows) > 1)
    visits = np.bincount(at[new], minlength=bins).astype(float)
    turned = [(u[-1] - u[0], len(u) - 1) for _, u in stretches(phase) if len(u) > 1]
    cycles = sum(turn for turn, _ in turned)
    period = sum(n for _, n in turned) / cycles if cycles >= 0.5 else float("nan")
    per_cycle = n / (len(rows) / period) if period > 0 else np.full(bins, np.nan)
    return mean, variance, visits, per_cycle, float(period)


def _path(a: np.ndarray, b: np.ndarray, first: np.ndarray, last: np.ndarray) -> Path:
    """The best path of unit rows through columns [first, last) of each row."""
    wide = int((last - first).max())
    if len(a) * wide > CELLS:
        raise ValueError(
            f"{len(a)} x {wide} pairs of moments are too many (at most {CELLS:,}). Take every n-th "
            "row, or give a window."
        )
    from_left = np.zeros((len(a), -(-wide // 8)), np.uint8)
    from_both = np.zeros_like(from_left)
    above = np.zeros(0)
    for i in range(len(a)):
        lo, hi = first[i], last[i]
        if i % 64 == 0:
            start, rows = lo, a[i : i + 64]
            stop = last[min(i + 63, len(a) - 1)]
            block = _distances(rows, b[start:stop])
        d = block[i % 64, lo - start : hi - start]
        up = np.full(hi - lo, np.inf)
        both = np.full(hi - lo, np.inf)
        if i == 0:
            both[0] = 0
        else:
            old = first[i - 1]
            up[: old + len(above) - lo] = above[lo - old :]
            both[1:] = up[:-1][: hi - lo - 1]
            if lo > old:
                both[0] = above[lo - old - 1]
            tail = old + len(above) - lo  # the last column that a diagonal step still reaches
            if 0 < tail < hi - lo:
                both[tail] = above[-1]
        came = np.minimum(up, both)
        run = np.cumsum(d)  # from the left: run[j] + min over k <= j of came[k] - run[k - 1]
        total = run + np.minimum.accumulate(came - (run - d))
        from_left[i] = _bits(np.append(False, total[:-1] < came[1:]), wide)
        from_both[i] = _bits(both <= up, wide)
        above = total
    return _walked(a, b, first, from_left, from_both)


def _corridor(n: int, m: int, window: int | None) -> tuple[np.ndarray, np.ndarray]:
    """(n,) first and (n,) last + 1 column of each row that a path may pass."""
    if window is None:
        return np.zeros(n, int), np.full(n, m)
    if window < 0:
        raise ValueError(f"a window is 0 rows or more; it is {window}.")
    longer = max(n, m) - 1
    here, there = np.arange(n) / max(n - 1, 1), np.arange(m) / max(m - 1, 1)
    reach = max(window, -(-longer // max(min(n, m) - 1, 1))) / max(longer, 1) + 1e-9
    first = np.searchsorted(there, here - reach, side="left")
    last = np.searchsorted(there, here + reach, side="right")
    if n == 1 or m == 1:
        return np.zeros(n, int), np.full(n, m)
    return first, last


def _distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(n, m) float64 distances between unit vectors."""
    squares = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1)[None] - 2 * (a @ b.T)
    return np.sqrt(squares.clip(0).astype(np.float64))


def _bits(flags: np.ndarray, wide: int) -> np.ndarray:
    return np.packbits(np.pad(flags, (0, wide - len(flags))))


def _walked(
    a: np.ndarray, b: np.ndarray, first: np.ndarray, from_left: np.ndarray, from_both: np.ndarray
) -> Path:
    """Back from the end, by what was decided at each pair."""
    i, j = len(a) - 1, len(b) - 1
    pairs = [(i, j)]
    while i or j:
        byte, bit = divmod(j - first[i], 8)
        if from_left[i, byte] >> (7 - bit) & 1:
            j -= 1
        elif from_both[i, byte] >> (7 - bit) & 1:
            i, j = i - 1, j - 1
        else:
            i -= 1
        pairs.append((i, j))
    rows_a, rows_b = np.array(pairs[::-1]).T
    apart = np.linalg.norm(a[rows_a].astype(float) - b[rows_b], axis=1)
    return Path(rows_a, rows_b, float(apart.sum()))
