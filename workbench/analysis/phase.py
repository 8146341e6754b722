"""Where in its cycle a process is: the angle on the limit cycle, and what belongs to an angle.

A cycle is a closed curve of mean features, the template. Rows are matched to it by a hidden Markov
model on the circle (states: BINS phases; a row goes on by about BINS / period of them, may wait,
may hurry), so that a moment that looks like another one of the cycle is told by what comes before
and after it. Template and match are made in turns from a first stretch of steady tempo.
[our reconstruction]
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from workbench.analysis.periodicity import Rhythm, checked_rows, rhythm, stretches
from workbench.analysis.similarity import unit

BINS = 96
"""Phases of the template. Slower cycles are averaged to at most this many rows."""
ROUNDS = 6
"""Turns of match and template."""
WAIT = 0.05
"""Chance that a row stays where the last one was: a pause."""
LEARNING_ROWS = 20_000
"""Rows a template is made from; the rest is only matched."""
CHUNK = 512
"""Rows that are matched in a row; chunks go through the model side by side."""
REGIMES = 4
"""Different cycles that are looked for in one recording (one exercise after another)."""


@dataclass(frozen=True)
class Template:
    """The cycle: mean features at each phase."""

    mean: np.ndarray
    """(BINS, D) at phases 0, 1 / BINS, ..."""
    noise: float
    """Mean squared distance of a row to its place on the template."""
    period: float
    """Rows per cycle."""

    @property
    def size(self) -> float:
        """Mean squared distance of two places of the template."""
        return float(2 * ((self.mean - self.mean.mean(axis=0)) ** 2).sum(axis=1).mean())


def phase(z: np.ndarray, period: float | np.ndarray | None = None) -> np.ndarray:
    """(T,) phase in [0, 1) of each row; NaN where it belongs to no repetition.

    z: (T, D); period: rows per cycle, one number or (T,) with NaN where nothing repeats, by
    default what rhythm() finds. The phase grows with time; the mean repetition runs through it
    evenly. A pause in the middle of a cycle keeps its phase; rows that are as far from the cycle
    as places of it are from each other have none. Phase 0 is where the first principal component
    of the mean cycle rises most steeply.
    """
    z = checked_rows(z)
    u = unit(z)
    found = rhythm(z) if period is None else _given(period, len(u))
    phases = np.full(len(u), np.nan)
    left = np.isfinite(found.period)
    for _ in range(REGIMES):
        template = _learned(u, found, left)
        if template is None:
            break
        here, far = _matched(u, template)
        fits = far < template.noise + 0.5 * template.size
        fits &= np.isnan(phases)
        here = np.where(_lasting(fits, template.period / 2), here, np.nan)
        if not np.isfinite(here[left]).any():
            break
        phases = np.where(np.isnan(phases), _even(here, template), phases)
        left &= np.isnan(phases)
    return phases


def phase_like(z: np.ndarray, reference_z: np.ndarray, reference_phase: np.ndarray) -> np.ndarray:
    """(T,) the phase that each row has on the cycle of a reference, so that both share phase 0.

    z: (T, D); reference_z: (R, D), reference_phase: (R,) as of phase(), NaN for rows that do not
    count. Every row gets one: how far it is from the reference is what anomaly scores are for.
    """
    u, reference = unit(checked_rows(z)), unit(checked_rows(reference_z))
    if u.shape[1] != reference.shape[1]:
        raise ValueError(
            f"features of one kind are compared; these have {u.shape} and {reference.shape}."
        )
    template = _template(reference, np.asarray(reference_phase, float))
    return _matched(u, template)[0]


def align_phase(phase: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """The phase of the same rows turned so that it agrees best with a reference. Both (T,)."""
    apart = np.asarray(reference, float) - phase
    apart = apart[np.isfinite(apart)]
    turn = np.angle(np.exp(2j * np.pi * apart).mean()) / (2 * np.pi) if len(apart) else np.nan
    return (phase + turn) % 1


def phase_error(phase: np.ndarray, truth: np.ndarray) -> float:
    """Mean distance on the circle, in cycles, after the best turn; NaN: no row has both.

    phase, truth: (T,); rows where either is NaN do not count. Chance is 0.25.
    """
    known = np.isfinite(phase) & np.isfinite(truth)
    if not known.any():
        return float("nan")
    return float(apart(align_phase(phase[known], truth[known]), truth[known]).mean())


def apart(a: np.ndarray, b: np.ndarray | float) -> np.ndarray:
    """Distance of phases on the circle, in cycles: 0 to 0.5."""
    return np.abs((np.asarray(a) - b + 0.5) % 1 - 0.5)


def phase_curve(z: np.ndarray) -> np.ndarray:
    """(T,) float32 first principal component of the unit rows: the 1-D curve of the paper.

    Its sign is such that the direction's largest entry is positive, which is the same for
    recordings of the same process. z: (T, D). Rows that are all equal: zeros.
    """
    u = unit(checked_rows(z)).astype(np.float64)
    u -= u.mean(axis=0)
    direction = np.linalg.eigh(u.T @ u)[1][:, -1]
    direction *= np.sign(direction[np.abs(direction).argmax()]) or 1
    return (u @ direction).astype(np.float32)


def by_phase(
    values: np.ndarray, phase: np.ndarray, bins: int = 50
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centres (B,), mean (B, ...) and standard deviation (B, ...) of values in bins of the phase.

    values: (T, ...); phase: (T,), NaN rows are left out. Bins without rows are NaN.
    """
    values, phase = np.asarray(values, float), np.asarray(phase, float)
    if phase.shape != values.shape[:1]:
        raise ValueError(
            f"{values.shape[:1]} values have {phase.shape} phases; one each is needed."
        )
    if bins < 1:
        raise ValueError(f"there is at least 1 bin; bins is {bins}.")
    known = np.isfinite(phase)
    values, at = values[known], (phase[known] % 1 * bins).astype(int) % bins
    shape = (bins, *values.shape[1:])
    n = np.bincount(at, minlength=bins).reshape(-1, *[1] * (values.ndim - 1))
    mean, square = np.zeros(shape), np.zeros(shape)
    np.add.at(mean, at, values)
    with np.errstate(invalid="ignore"):
        mean = mean / n
        np.add.at(square, at, (values - mean[at]) ** 2)
        return (np.arange(bins) + 0.5) / bins, mean, np.sqrt(square / n)


def at_phase(phase: np.ndarray, value: float) -> np.ndarray:
    """(R,) int rows: in every repetition that passes it, the row whose phase is nearest to value.

    phase: (T,), NaN where there is none.
    """
    phase = np.asarray(phase, float)
    rows = []
    for start, unwrapped in stretches(phase):
        turn = np.round(unwrapped - value)
        off = np.abs(unwrapped - value - turn)
        steps = np.abs(np.diff(unwrapped))
        near = max(0.02, float(np.quantile(steps, 0.9)) if len(steps) else 0.0)
        best = np.lexsort((off, turn))  # by repetition, the nearest first
        first = best[np.flatnonzero(np.diff(turn[best], prepend=np.nan) != 0)]
        rows.extend(start + first[off[first] <= near])
    return np.array(sorted(rows), np.int64)


def _given(period: float | np.ndarray, rows: int) -> Rhythm:
    period = np.broadcast_to(np.asarray(period, float), (rows,))
    if (period[np.isfinite(period)] < 2).any():
        raise ValueError(f"a cycle has at least 2 rows; the period goes down to {period.min()}.")
    return Rhythm(period, np.isfinite(period).astype(float))


def _learned(u: np.ndarray, found: Rhythm, left: np.ndarray) -> Template | None:
    """The template of the longest-lasting tempo among the rows left; None: less than 2 cycles."""
    if not left.any():
        return None
    typical = float(np.median(found.period[left]))
    similar = left & (
        np.abs(np.log2(found.period / typical, where=left, out=np.full(len(u), np.inf))) < 0.6
    )
    start, stop = _seed(found, similar, typical)
    if stop - start < 1.5 * typical:
        return None
    turned = np.cumsum(1 / found.period[start:stop])
    template = _template(u[start:stop], turned % 1, typical)
    learn = _few(similar, typical)
    for turn in range(ROUNDS):
        rows = slice(start, stop) if turn < 2 else learn
        template = _again(u[rows], template)
    return template


def _seed(found: Rhythm, similar: np.ndarray, typical: float) -> tuple[int, int]:
    """The most confident unbroken rows of about 4 cycles."""
    best, span = (0, 0), (-1.0, 0.0)
    edges = np.flatnonzero(np.diff(similar.astype(np.int8), prepend=0, append=0)).reshape(-1, 2)
    for start, stop in edges:
        n = min(stop - start, int(4 * typical))
        total = np.concatenate([[0.0], np.cumsum(found.confidence[start:stop])])
        sure = (total[n:] - total[:-n]) / n
        at = int(sure.argmax())
        worth = (min(n / typical, 3.0), float(sure[at]))
        if worth > span:
            best, span = (int(start + at), int(start + at + n)), worth
    return best


def _few(similar: np.ndarray, typical: float) -> slice:
    """Unbroken rows that hold as many as possible of those to learn from."""
    rows = np.flatnonzero(similar)
    if rows[-1] - rows[0] < LEARNING_ROWS:
        return slice(int(rows[0]), int(rows[-1]) + 1)
    total = np.concatenate([[0], np.cumsum(similar)])
    start = int((total[LEARNING_ROWS:] - total[:-LEARNING_ROWS]).argmax())
    return slice(start, start + LEARNING_ROWS)


def _template(u: np.ndarray, phase: np.ndarray, period: float | None = None) -> Template:
    """Mean features by phase, smoothed over neighbours as far as rows are few."""
    known = np.isfinite(phase)
    if known.sum() < 2:
        raise ValueError(
            "the reference has no phase: nothing in it repeats. Choose a longer one, of at least "
            "two cycles, or another camera."
        )
    if period is None:
        turned = [(x[-1] - x[0], len(x) - 1) for _, x in stretches(phase)]
        cycles = sum(t for t, _ in turned)
        period = sum(n for _, n in turned) / max(cycles, 1e-9)
    place = phase[known] * BINS
    width = max(0.75, 0.5 * BINS / period)
    off = (np.arange(BINS)[:, None] - place[None] + BINS / 2) % BINS - BINS / 2
    weight = np.exp(-0.5 * (off / width) ** 2) + 1e-9
    mean = weight @ u[known] / weight.sum(axis=1, keepdims=True)
    nearest = mean[np.round(place).astype(int) % BINS]
    noise = float(((u[known] - nearest) ** 2).sum(axis=1).mean())
    return Template(mean.astype(np.float32), noise, float(period))


def _again(u: np.ndarray, template: Template) -> Template:
    """The template remade from the rows that fit it, at the phases at which they do."""
    here, far = _matched(u, template)
    fits = far < template.noise + 0.5 * template.size
    if fits.sum() < template.period:
        return template
    here = np.where(fits, here, np.nan)
    return _template(u, _even(here, template), template.period)


def _matched(u: np.ndarray, template: Template) -> tuple[np.ndarray, np.ndarray]:
    """(T,) phase of every row, and (T,) squared distance to that place, over half a cycle."""
    pool = max(1, round(template.period / BINS))
    starts = np.arange(0, len(u), pool)
    stops = np.minimum(starts + pool, len(u))
    means = u if pool == 1 else np.add.reduceat(u, starts, axis=0) / (stops - starts)[:, None]
    squares = _squares(means, template.mean)
    believed = _believed(squares, template, pool)
    circle = np.exp(2j * np.pi * np.arange(BINS) / BINS)
    angle = np.angle(believed @ circle) / (2 * np.pi)
    if pool > 1:
        middles = (starts + stops - 1) / 2
        angle = np.interp(np.arange(len(u)), middles, np.unwrap(angle, period=1))
    angle = angle % 1
    angle[angle >= 1] = 0.0
    far = np.einsum("tb,tb->t", believed, squares)
    far = np.repeat(far, stops - starts)
    return angle, _mean_around(far, max(1, round(template.period / 4)))


def _squares(u: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """(T, BINS) squared distances."""
    own = np.einsum("td,td->t", u, u)[:, None] + np.einsum("bd,bd->b", mean, mean)[None]
    return (own - 2 * u @ mean.T).clip(0)


def _believed(squares: np.ndarray, template: Template, pool: int) -> np.ndarray:
    """(T, BINS) posterior of the phase of each row: forward and backward through the model."""
    rows = len(squares)
    step = ((np.roll(template.mean, -1, axis=0) - template.mean) ** 2).sum(axis=1).mean()
    centred = template.mean - template.mean.mean(axis=0)
    gram = centred @ centred.T
    dims = np.trace(gram) ** 2 / max((gram**2).sum(), 1e-12)
    variance = max(template.noise / pool / max(dims, 1.0), float(step) / 2, 1e-9)
    likely = np.exp(-(squares - squares.min(axis=1, keepdims=True)) / (2 * variance))
    likely = (likely + 1e-12).astype(np.float32)
    ahead = _steps(BINS * pool / template.period)  # (BINS, BINS) from, to

    margin = min(rows, max(BINS, 64))
    starts = np.arange(0, rows, CHUNK)
    times = np.arange(-margin, CHUNK + margin)
    index = starts[:, None] + times[None]  # (C, L)
    inside = (index >= 0) & (index < rows)
    seen = likely[index.clip(0, rows - 1)]  # (C, L, BINS)
    seen[~inside] = 1
    length = seen.shape[1]
    forward = np.empty_like(seen)
    belief = np.full((len(starts), BINS), 1 / BINS, np.float32)
    for t in range(length):
        belief = (belief @ ahead) * seen[:, t]
        belief /= belief.sum(axis=1, keepdims=True)
        forward[:, t] = belief
    belief = np.full((len(starts), BINS), 1 / BINS, np.float32)
    for t in range(length - 1, -1, -1):
        forward[:, t] *= belief
        belief = (belief * seen[:, t]) @ ahead.T
        belief /= belief.sum(axis=1, keepdims=True)
    kept = forward[:, margin : margin + CHUNK].reshape(-1, BINS)[:rows]
    return kept / np.maximum(kept.sum(axis=1, keepdims=True), 1e-30)


def _steps(pace: float) -> np.ndarray:
    """(BINS, BINS) chances of the next phase: about `pace` bins on, seldom a wait or a jump."""
    far = np.arange(BINS, dtype=float)
    chance = np.exp(-0.5 * ((far - pace) / (0.4 * pace + 0.4)) ** 2)
    chance[far > max(3 * pace, 2)] = 0
    chance /= chance.sum()
    chance = (1 - WAIT) * chance + 1e-5 / BINS
    chance[0] += WAIT
    chance /= chance.sum()
    turn = (np.arange(BINS)[None] - np.arange(BINS)[:, None]) % BINS
    return chance[turn].astype(np.float32)


def _even(phase: np.ndarray, template: Template) -> np.ndarray:
    """The phase measured so that all whole repetitions together pass it evenly, 0 as documented."""
    moving = np.zeros(len(phase), bool)  # a pause is no part of the mean repetition
    around = max(1, round(template.period / 8))
    for start, turned in stretches(phase):
        at = np.arange(len(turned))
        first, last = (at - around).clip(0), (at + around).clip(max=len(turned) - 1)
        pace = (turned[last] - turned[first]) / np.maximum(last - first, 1)
        moving[start : start + len(turned)] = pace > 0.3 / template.period
    n = np.bincount((phase[moving] * BINS).astype(int) % BINS, minlength=BINS).astype(float)
    kernel = np.exp(-0.5 * ((np.arange(BINS) + BINS // 2) % BINS - BINS // 2) ** 2 / 3.0**2)
    n = np.fft.irfft(np.fft.rfft(n) * np.fft.rfft(kernel / kernel.sum()), BINS).clip(0)
    n += 0.1 * n.mean() + 1e-9  # places that are passed fast are passed nevertheless
    passed = np.concatenate([[0.0], np.cumsum(n)]) / n.sum()
    curve = template.mean - template.mean.mean(axis=0)
    direction = np.linalg.svd(curve, full_matrices=False)[2][0]
    direction *= np.sign(direction[np.abs(direction).argmax()]) or 1
    height = curve @ direction
    slope = sum(np.roll(height, -k) - np.roll(height, k) for k in range(1, 6))
    zero = passed[int(np.argmax(slope))]
    even = (np.interp(phase * BINS, np.arange(BINS + 1), passed) - zero) % 1
    return np.where(even >= 1, 0.0, even)


def _lasting(flags: np.ndarray, rows: float) -> np.ndarray:
    """Flags that stay up for so many rows at least."""
    kept = flags.copy()
    edges = np.flatnonzero(np.diff(flags.astype(np.int8), prepend=0, append=0)).reshape(-1, 2)
    for start, stop in edges:
        if stop - start < rows:
            kept[start:stop] = False
    return kept


def _mean_around(x: np.ndarray, span: int) -> np.ndarray:
    """Centred moving average over span rows, at the ends over what is there."""
    total = np.concatenate([[0.0], np.cumsum(x, dtype=np.float64)])
    at = np.arange(len(x))
    lo, hi = (at - span // 2).clip(0), (at - span // 2 + span).clip(max=len(x))
    return (total[hi] - total[lo]) / (hi - lo)
