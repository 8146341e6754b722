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
CANDIDATES = 8
"""Dips that are followed at each moment."""
ENOUGH = 0.3
"""Depth of a dip from which on it counts as repetition; calibrated on noise and random walks."""
OCTAVE = 0.02
"""How much deeper the dip of the double lag must be to be followed first."""
JUMP = 1.0
"""Cost of a change of tempo by an octave, in depths over one cycle."""
VOICE = 0.2
"""Cost of beginning or ending to repeat, in the same units."""
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
    band = _Band(u, min(int(np.ceil(1.5 * longest)), len(u) - 1), shortest)
    lags, depths = _dips(band, shortest, longest, window)
    path = _follow(lags, depths, band.step, shortest)
    period, depth = _taken(lags, path), _taken(depths, path)
    period = _whole_cycles(band, period, longest)
    period = _lasting(period, band.step)
    best = depths.max(axis=1, initial=0).clip(0, 1)
    depth = np.where(np.isnan(period), best.clip(0, ENOUGH), np.nan_to_num(depth).clip(0, 1))
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
            width = min(last, max(1, -(-(window or max(2 * lag, 16)) // self.step)))
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
    last = np.minimum(np.maximum(lag + 1, np.ceil(1.5 * lag).astype(int)), band.lags)
    usual = _usual(means)
    lags = np.full((band.blocks, CANDIDATES), float(shortest))
    depths = np.zeros((band.blocks, CANDIDATES))
    for start in range(0, band.blocks, 1024):
        d = means[start : start + 1024]
        total = np.cumsum(d, axis=1, dtype=np.float64)
        before = total[:, lag] / lag
        after = (total[:, last] - total[:, lag]) / np.maximum(last - lag, 1)
        level = np.where(last > lag, np.minimum(before, after), before)
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


def _usual(means: np.ndarray) -> float:
    """A squared distance that is usual in the parts that move: 90 % of the blocks lie below."""
    return float(np.quantile(means[:, 1:].mean(axis=1), 0.9)) if means.shape[1] > 1 else 0.0


def _follow(lags: np.ndarray, depths: np.ndarray, step: int, shortest: int) -> np.ndarray:
    """(blocks,) which candidate is the cycle, -1 none: the best path through all of them."""
    blocks, n = lags.shape
    strong = depths > ENOUGH
    typical = np.median(lags[strong]) if strong.any() else shortest
    scale = max(1.0, typical / step)  # blocks in a cycle
    octave = np.log2(lags)
    gain = np.where(depths > 0, depths - OCTAVE * np.log2(lags / shortest), -1e3)
    gain = np.concatenate([gain, np.full((blocks, 1), ENOUGH)], axis=1)  # last: none
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


def _taken(values: np.ndarray, path: np.ndarray) -> np.ndarray:
    """(blocks,) the value of the candidate on the path, NaN where there is none."""
    return np.where(path < 0, np.nan, values[np.arange(len(path)), path.clip(0)])


def _whole_cycles(band: _Band, period: np.ndarray, longest: int) -> np.ndarray:
    """The period, or that multiple of it after which rows are measurably more alike.

    Two similar halves of a cycle look like a cycle. For every block and multiple k the best lag
    within 15 % of a period around k periods is taken, the same number of lags for each k so that
    chance favours none. The smallest k is taken for which no other is better in the mean over
    cycles by more than 4 standard errors and 2 % of the usual distance. [our reconstruction]
    """
    voiced = np.flatnonzero(~np.isnan(period))
    typical = np.median(period[voiced]) if len(voiced) else np.nan
    most = int(min(4, longest // typical, (band.rows // 2) // typical)) if len(voiced) else 1
    if most < 2:
        return period
    half = max(1, round(0.15 * typical))
    smooth = max(1, round(typical / 8 / band.step))
    kernel = np.ones(smooth) / smooth
    nearest = np.full((most, band.blocks), np.nan)
    sums = {}

    def mean(lag: int) -> np.ndarray:
        if lag not in sums:
            pairs = np.convolve(band.pairs(lag), kernel, "same")
            total = np.convolve(band.sums[:, lag], kernel, "same")
            full = band.pairs(lag) == band.step
            sums[lag] = np.where(full, total / np.maximum(pairs, 1e-9), np.nan)
        return sums[lag]

    quantised = np.round(period[voiced] / max(1, half / 4)) * max(1, half / 4)
    for value in np.unique(quantised):
        at = voiced[quantised == value]
        for k in range(1, most + 1):
            centre = round(k * value)
            lags = range(max(1, centre - half), min(band.lags, centre + half) + 1)
            if len(lags) == 2 * half + 1:
                nearest[k - 1, at] = np.min([mean(lag)[at] for lag in lags], axis=0)
    cycle = (np.arange(band.blocks) * band.step / typical).astype(int)
    usual = _usual(band.sums[:, 1:] / band.step)
    k = 1
    for longer in range(2, most + 1):
        gain = nearest[k - 1] - nearest[longer - 1]
        known = ~np.isnan(gain)
        if known.sum() < 2:
            continue
        number, at = np.unique(cycle[known], return_inverse=True)
        each = np.bincount(at, gain[known]) / np.bincount(at)
        if len(number) < 2:
            continue
        error = max(each.std(ddof=1), 1e-9) / np.sqrt(len(number))
        if each.mean() > max(4 * error, 0.02 * usual):
            k = longer
    return np.where(k * period <= longest, k * period, period)


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
