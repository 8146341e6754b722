"""How long a cycle lasts at every moment, how sure that is, and how many cycles there are.

Moments are compared as everywhere by the directions of their features. The difference of a lag is
the mean squared distance of moments that far apart: a diagonal of the self-similarity matrix, of
which only a band beside the main one is ever computed. A cycle is a lag with a dip in it (the
difference function of YIN, de Cheveigne & Kawahara 2002, section II), followed through time as
pitch is (Boersma 1993, section 4: candidates, octave costs, voiced or not). What follows the
dips and decides between a cycle and two similar halves of it is [our reconstruction].
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from workbench.analysis.similarity import unit

LONGEST = 1000
"""Rows of the longest cycle that is looked for unless one asks for more: 33 s at 30 rows/s."""
SIDES = (0.2, 0.8, 1.2, 1.8)
"""A dip at lag 1 is as deep as it is below the mean from 0.2 to 0.8 and that from 1.2 to 1.8."""
CANDIDATES = 8
"""Dips that are followed at each moment."""
ENOUGH = 0.5
"""Depth from which on a dip counts as repetition, over the square root of how many directions the
rows take: chance makes dips that deep. Calibrated on white noise and random walks."""
OCTAVE = 0.05
"""How much deeper the dip of the double lag must be to be followed first."""
JUMP = 1.0
"""Cost of a change of tempo by an octave, in depths over one cycle."""
WINDOW = 1.5
"""Cycles over which a lag is judged: few enough for a changing tempo."""
VOICE = 0.2
"""Cost of beginning or ending to repeat, in the same units."""
SAME = 0.02
"""Part of the usual squared distance below which two lags are called equally good."""
CELLS = 2**24
"""Differences that are kept at a time: they are sums over blocks of rows, so that this holds."""


@dataclass(frozen=True)
class Rhythm:
    """The cycle at every moment."""

    period: np.ndarray
    """(T,) rows per cycle, NaN where nothing repeats."""
    confidence: np.ndarray
    """(T,) in [0, 1]: 1 where the next cycle is the same, 0 where it is as strange as any row."""


@dataclass(frozen=True)
class Repetitions:
    """Where cycles begin."""

    starts: np.ndarray
    """(R + 1,) rows, ascending, between rows where the phase passes 0 between them."""
    count: float
    """How many cycles there are, the unfinished ones at the ends and at breaks in their part."""
    breaks: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    """Positions i for which starts[i] to starts[i + 1] is no repetition: the phase is lost."""

    @property
    def spans(self) -> np.ndarray:
        """(R, 2) start and stop (rows) of each whole repetition."""
        spans = np.stack([self.starts[:-1], self.starts[1:]], axis=1)
        return np.delete(spans, self.breaks, axis=0)


def rhythm(
    z: np.ndarray, shortest: int = 4, longest: int | None = None, window: int | None = None
) -> Rhythm:
    """The period and its confidence at every moment.

    z: (T, D) rows evenly spaced in time; shortest, longest: rows of the cycles looked for, the
    latter at most (and by default, up to LONGEST) half of the rows, since a cycle must come
    twice; window: rows over which a lag is judged, by default two of its cycles (so that the tempo
    may change). Memory: T * longest in blocks of rows, never T x T.
    """
    u, longest = _checked(z, shortest, longest)
    nothing = Rhythm(np.full(len(u), np.nan), np.zeros(len(u)))
    if longest < shortest:
        return nothing
    band = _Band(u, min(int(np.ceil(SIDES[-1] * longest)), len(u) - 1), shortest)
    lags, depths = _dips(band, shortest, longest, window)
    enough = _enough(u)
    path = _follow(lags, depths, band.step, shortest, enough)
    period, depth = _taken(lags, path), _taken(depths, path)
    period = _whole_cycles(band, period, shortest, longest)
    period = _lasting(period, band.step)
    best = depths.max(axis=1, initial=0).clip(0, 1)
    depth = np.where(np.isnan(period), best.clip(0, enough), np.nan_to_num(depth).clip(0, 1))
    return Rhythm(_to_rows(period, band), _to_rows(depth, band))


def main_period(
    z: np.ndarray, shortest: int = 4, longest: int | None = None
) -> tuple[float, float]:
    """The period of the whole, in rows (NaN: nothing repeats), and its confidence in [0, 1].

    It is the median over the moments that repeat; the confidence is the mean over all moments,
    where one that does not repeat counts as 0.
    """
    found = rhythm(z, shortest, longest)
    voiced = ~np.isnan(found.period)
    if not voiced.any():
        return float("nan"), float(found.confidence.mean())
    return float(np.median(found.period[voiced])), float((found.confidence * voiced).mean())


def repetitions(phase: np.ndarray, value: float = 0.0) -> Repetitions:
    """Where the phase passes a value (0: where it wraps), and the count with its fractions.

    phase: (T,) in [0, 1), NaN where there is none. A row stands for as much time as lies between
    two rows, so that T rows of a period of P rows are T / P repetitions.
    """
    starts, breaks, count = [], [], 0.0
    for begin, unwrapped in stretches(phase):
        if len(unwrapped) < 2:
            continue
        reached = np.maximum.accumulate(unwrapped - value)  # a step back is no new repetition
        count += (reached[-1] - reached[0]) * len(reached) / (len(reached) - 1)
        passed = np.arange(np.ceil(reached[0]), np.floor(reached[-1]) + 1)
        after = np.searchsorted(reached, passed)  # the first row at or beyond
        before = np.maximum(after - 1, 0)
        way = np.where(after > before, reached[after] - reached[before], 1)
        here = begin + before + np.where(after > before, (passed - reached[before]) / way, 0)
        if len(here) and starts:
            breaks.append(len(starts) - 1)
        starts.extend(here)
    return Repetitions(np.array(starts, float), float(count), np.array(breaks, np.int64))


def stretches(phase: np.ndarray) -> list[tuple[int, np.ndarray]]:
    """First row and unwrapped phase, in cycles, of each unbroken row of moments with a phase."""
    known = np.isfinite(np.asarray(phase, float)).astype(np.int8)
    edges = np.flatnonzero(np.diff(known, prepend=0, append=0)).reshape(-1, 2)
    return [(int(a), np.unwrap(np.asarray(phase[a:b], float), period=1)) for a, b in edges]


class _Band:
    """Sums of squared distances over blocks of rows, for every lag up to the greatest."""

    def __init__(self, u: np.ndarray, lags: int, shortest: int) -> None:
        rows = len(u)
        self.rows, self.lags = rows, lags
        self.step = max(1, shortest // 2, -(-rows * (lags + 1) // CELLS))
        self.blocks = -(-rows // self.step)
        self.sums = np.zeros((self.blocks, lags + 1), np.float32)
        norms = np.einsum("td,td->t", u, u)
        per = max(1, min(max(lags, 64), 1024) // self.step)  # blocks at a time
        for block in range(0, self.blocks, per):
            start, n = block * self.step, min(per, self.blocks - block) * self.step
            here, there = _padded(u, start, n), _padded(u, start, n + lags)
            product = here @ there.T  # (n, n + lags)
            down, right = product.strides
            along = np.lib.stride_tricks.as_strided(  # row t, column lag: rows t and t + lag
                product, (n, lags + 1), (down + right, right), writeable=False
            )
            other = np.lib.stride_tricks.sliding_window_view(
                _padded(norms[:, None], start, n + lags)[:, 0], lags + 1
            )[:n]
            apart = _padded(norms[:, None], start, n) + other - 2 * along
            if start + n + lags > rows:
                t = np.arange(start, start + n)[:, None]
                apart[t + np.arange(lags + 1) >= rows] = 0
            sums = apart.reshape(-1, self.step, lags + 1).sum(axis=1)
            self.sums[block : block + per] = sums.clip(0)

    def pairs(self, lag: int) -> np.ndarray:
        """(blocks,) how many pairs of rows each sum holds."""
        left = self.rows - lag - self.step * np.arange(self.blocks)
        return left.clip(0, self.step)

    def means(self, window: int | None) -> np.ndarray:
        """(blocks, lags + 1) mean squared distance of the pairs around the middle of each block."""
        means = np.zeros(self.sums.shape, np.float32)
        at = np.arange(self.blocks)
        for lag in range(1, self.lags + 1):
            total = np.concatenate([[0.0], np.cumsum(self.sums[:, lag], dtype=np.float64)])
            pairs = np.concatenate([[0], np.cumsum(self.pairs(lag))])
            last = -(-(self.rows - lag) // self.step)  # blocks that hold pairs
            width = min(last, max(1, -(-(window or max(int(WINDOW * lag), 16)) // self.step)))
            first = np.round(at - lag / 2 / self.step - (width - 1) / 2).astype(int)
            first = first.clip(0, last - width)
            means[:, lag] = (total[first + width] - total[first]) / (
                pairs[first + width] - pairs[first]
            )
        return means


def _dips(
    band: _Band, shortest: int, longest: int, window: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """(blocks, CANDIDATES) lags of the deepest dips, and their depths in [0, 1]; 0 depth: none."""
    means = band.means(window)
    lag = np.arange(shortest, longest + 1)
    edges = [np.round(share * lag).astype(int).clip(0, band.lags) for share in SIDES]
    usual = _usual(means)
    lags = np.full((band.blocks, CANDIDATES), float(shortest))
    depths = np.zeros((band.blocks, CANDIDATES))
    for start in range(0, band.blocks, 1024):
        d = means[start : start + 1024]
        total = np.cumsum(d, axis=1, dtype=np.float64)
        before = _mean_between(total, edges[0], edges[1])
        after = _mean_between(total, edges[2], edges[3])
        level = np.where(edges[3] > edges[2], np.minimum(before, after), before)
        depth = (level - d[:, lag]) / np.maximum(level, 0.05 * usual + 1e-12)
        right = d[:, np.minimum(lag + 1, band.lags)]
        dip = (d[:, lag] < d[:, lag - 1]) & (d[:, lag] <= right) & (lag < band.lags)
        depth[~dip] = 0
        depth[level < 1e-9] = 0
        worth = np.where(depth > 0, depth - OCTAVE * np.log2(lag / shortest), -1)
        n = min(CANDIDATES, len(lag))
        best = np.argpartition(-worth, n - 1, axis=1)[:, :n]
        rows = np.arange(len(d))[:, None]
        at = lag[best]
        a, b, c = d[rows, at - 1], d[rows, at], d[rows, np.minimum(at + 1, band.lags)]
        bend = a - 2 * b + c
        shift = np.where(bend > 0, 0.5 * (a - c) / np.where(bend > 0, bend, 1), 0)
        lags[start : start + 1024, :n] = at + shift.clip(-0.5, 0.5)
        depths[start : start + 1024, :n] = depth[rows, best].clip(0, 1)
    return lags, depths


def _mean_between(total: np.ndarray, first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """(B, L) mean over the lags first + 1 to last, of sums over the lags up to each."""
    return (total[:, last] - total[:, first]) / np.maximum(last - first, 1)


def _usual(means: np.ndarray) -> float:
    """A squared distance that is usual in the parts that move: 90 % of the blocks lie below."""
    return float(np.quantile(means[:, 1:].mean(axis=1), 0.9)) if means.shape[1] > 1 else 0.0


def _follow(
    lags: np.ndarray, depths: np.ndarray, step: int, shortest: int, enough: float
) -> np.ndarray:
    """(blocks,) which candidate is the cycle, -1 none: the best path through all of them."""
    blocks, n = lags.shape
    octave = np.log2(lags / shortest)
    gain = np.where(depths > 0, depths - OCTAVE * octave, -1e3)
    best = lags[np.arange(blocks), gain.argmax(axis=1)][depths.max(axis=1) > enough]
    scale = max(1.0, np.median(best) / step) if len(best) else 1.0  # blocks in a cycle
    nothing = enough - OCTAVE * octave.max(initial=0, where=depths > enough)
    gain = np.concatenate([gain, np.full((blocks, 1), nothing)], axis=1)  # last: none
    came = np.zeros((blocks, n + 1), np.int8)
    score = gain[0].copy()
    cost = np.full((n + 1, n + 1), VOICE * scale)
    cost[n, n] = 0
    for i in range(1, blocks):
        cost[:n, :n] = JUMP * scale * np.abs(octave[i - 1][:, None] - octave[i][None])
        total = score[:, None] - cost
        came[i] = total.argmax(axis=0)
        score = total.max(axis=0) + gain[i]
    path = np.zeros(blocks, int)
    path[-1] = score.argmax()
    for i in range(blocks - 1, 0, -1):
        path[i - 1] = came[i, path[i]]
    return np.where(path == n, -1, path)


def _enough(u: np.ndarray) -> float:
    """The depth that chance hardly reaches: the less, the more directions the rows take."""
    some = u[:: -(-len(u) // 4096)].astype(np.float64)
    some -= some.mean(axis=0)
    gram = some.T @ some if len(some) > some.shape[1] else some @ some.T
    dims = np.trace(gram) ** 2 / max((gram**2).sum(), 1e-12)
    return float(np.clip(ENOUGH / np.sqrt(max(dims, 1)), 0.12, 0.4))


def _taken(values: np.ndarray, path: np.ndarray) -> np.ndarray:
    """(blocks,) the value of the candidate on the path, NaN where there is none."""
    return np.where(path < 0, np.nan, values[np.arange(len(path)), path.clip(0)])


def _whole_cycles(band: _Band, period: np.ndarray, shortest: int, longest: int) -> np.ndarray:
    """The shortest period of those related to it after which rows are as alike as they ever are.

    Several cycles look like a cycle, and so do the similar halves of one. A part of the period is
    taken where rows are no less alike after it (and the recording is long enough to know), then a
    multiple where they are measurably more alike. [our reconstruction]
    """
    if np.isnan(period).all():
        return period
    typical = np.nanmedian(period)
    for k in (4, 3, 2):
        gain, error = _gain(band, period / k, k) if typical / k >= shortest else (np.inf, np.inf)
        if gain < max(4 * error, SAME) and 4 * error < 5 * SAME:
            period = period / k
            break
    typical, best = np.nanmedian(period), 1
    for k in (2, 3, 4):
        if k * typical > longest:
            break
        gain, error = _gain(band, period, k, best)
        if gain > max(4 * error, SAME):
            best = k
    return np.where(best * period <= longest, best * period, period)


def _gain(band: _Band, period: np.ndarray, k: int, than: int = 1) -> tuple[float, float]:
    """How much more alike rows are after k periods than after `than`, and the standard error.

    In usual squared distances. At every block the best lag within a quarter of a period around
    either counts (tempo jitters): as many lags for both, so that chance favours none. The error
    is that of the mean over cycles; it is infinite where there is but one of them.
    """
    voiced = np.flatnonzero(~np.isnan(period))
    typical = np.median(period[voiced])
    half = max(1, round(0.25 * typical))
    smooth = np.ones(max(1, round(typical / 8 / band.step)))
    grain = max(1.0, half / 4)
    rounded = np.round(period[voiced] / grain) * grain
    nearest = np.full((2, band.blocks), np.inf)
    for row, factor in enumerate((than, k)):
        centres = np.round(factor * rounded).astype(int)
        for lag in range(max(1, centres.min() - half), min(band.lags, centres.max() + half) + 1):
            at = voiced[np.abs(centres - lag) <= half]
            pairs = band.pairs(lag)
            mean = np.convolve(band.sums[:, lag], smooth, "same") / np.maximum(
                np.convolve(pairs, smooth, "same"), 1e-9
            )
            here = np.where(pairs[at] == band.step, mean[at], np.inf)
            nearest[row, at] = np.minimum(nearest[row, at], here)
    known = np.isfinite(nearest).all(axis=0)
    if not known.any():
        return 0.0, np.inf
    gain = nearest[0, known] - nearest[1, known]
    cycle = (np.flatnonzero(known) * band.step / (max(k, than) * typical)).astype(int)
    at = np.unique(cycle, return_inverse=True)[1]
    each = np.bincount(at, gain) / np.bincount(at)
    usual = max(_usual(band.sums[:, 1:] / band.step), 1e-12)
    error = each.std(ddof=1) / np.sqrt(len(each)) if len(each) > 1 else np.inf
    return float(each.mean() / usual), float(error / usual)


def _lasting(period: np.ndarray, step: int) -> np.ndarray:
    """Without what repeats for less than two cycles."""
    kept = period.copy()
    known = (~np.isnan(period)).astype(np.int8)
    for start, stop in np.flatnonzero(np.diff(known, prepend=0, append=0)).reshape(-1, 2):
        if (stop - start) * step < 2 * np.median(period[start:stop]) - step:
            kept[start:stop] = np.nan
    return kept


def _to_rows(values: np.ndarray, band: _Band) -> np.ndarray:
    """(T,) from one value per block, in between linearly; NaN in the rows of blocks that are."""
    rows = np.arange(band.rows)
    middles = np.arange(band.blocks) * band.step + (band.step - 1) / 2
    known = ~np.isnan(values)
    if not known.any():
        return np.full(band.rows, np.nan)
    spread = np.interp(rows, middles[known], values[known])
    return np.where(known[rows // band.step], spread, np.nan)


def _padded(x: np.ndarray, start: int, n: int) -> np.ndarray:
    """(n, D) rows from start on, zeros where there are none."""
    part = x[start : start + n]
    if len(part) == n:
        return part
    return np.concatenate([part, np.zeros((n - len(part), x.shape[1]), x.dtype)])


def _checked(z: np.ndarray, shortest: int, longest: int | None) -> tuple[np.ndarray, int]:
    """Unit rows, and the longest period that can be looked for."""
    z = checked_rows(z)
    if shortest < 2:
        raise ValueError(f"a cycle has at least 2 rows; shortest is {shortest}.")
    if longest is not None and longest < shortest:
        raise ValueError(f"longest ({longest} rows) is below shortest ({shortest} rows).")
    return unit(z), min(longest or LONGEST, len(z) // 2)


def checked_rows(z: np.ndarray) -> np.ndarray:
    """(T, D) finite features, at least one row of at least two."""
    z = np.asarray(z, np.float32)
    if z.ndim != 2 or not len(z) or z.shape[1] < 2:
        raise ValueError(
            f"rows of features are needed, (T, D) with T >= 1 and D >= 2 (one number has no "
            f"direction); these are {z.shape}."
        )
    if not np.isfinite(z).all():
        raise ValueError("the features hold NaN or infinite values: did the training diverge?")
    return z
