"""What is left of a recording beside its cycle: the rows less what is usual at their phase."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from workbench.analysis.periodicity import rhythm, stretches
from workbench.analysis.phase import phase, phase_like

FINE = 48
"""Phases at which the mean of the cycle is known, in between linearly."""
PARTS = 4
"""Parts of the cycle that are told apart in what is left."""
REPEATS = 0.4
"""Share of a recording that repeats, from which on it is looked at beside its cycle."""
DIRECTIONS = 64
"""Principal directions of what is left that are kept."""
FLOOR = 0.1
"""The least variance of a direction, as a share of the mean one."""
FAR = 3.0
"""Rows farther from the mean than so many usual squared distances are brought nearer."""


@dataclass(frozen=True)
class Residual:
    """What is left, in units of how repetitions differ from each other anyway."""

    x: np.ndarray
    """(T, D') float32."""
    part: np.ndarray
    """(T,) int below `parts`: the part of the cycle of each row; PARTS: it has no phase."""
    phase: np.ndarray | None = None
    """(T,) in [0, 1), NaN where there is none; None: nothing repeats, x are the rows themselves."""
    period: float = float("nan")
    """Rows per cycle."""

    @property
    def parts(self) -> int:
        """How many parts there are: one where nothing repeats."""
        return 1 if self.phase is None else PARTS + 1

    def __getitem__(self, rows: slice) -> Residual:
        """Of some of the rows."""
        phases = None if self.phase is None else self.phase[rows]
        return Residual(self.x[rows], self.part[rows], phases, self.period)


def residual(u: np.ndarray, longest: int) -> Residual:
    """The unit rows less the mean of their phase, whitened. [our reconstruction]

    u: (T, D) unit rows; longest: rows of the longest cycle looked for. Along each direction what
    is left is told in units of what separates a row from the same phase one repetition later, the
    quarter that differ most left out: what wanders all the time counts less than what comes once
    and stays. Rows that stick out (somebody walks by) are brought nearer to the rest.
    """
    phases, period = _cycle(u, longest)
    known = np.isfinite(phases)
    if not known.any():
        return Residual(u, np.zeros(len(u), np.int64))
    left = np.empty_like(u)
    left[known] = u[known] - _at(_usual(u[known], phases[known]), phases[known])
    left[~known] = u[~known] - (u[~known].mean(axis=0) if not known.all() else 0)
    left = left @ _principal(left)
    off = left[(pairs := _next(phases))[0]] - left[pairs[1]]
    length = np.einsum("td,td->t", off, off)
    off = off[length <= np.quantile(length, 0.75)] if len(off) else off
    return _told(left @ _whitening(off, float(u.var(axis=0).sum())), phases, period)


def residual_beside(u: np.ndarray, normal: np.ndarray, longest: int) -> tuple[Residual, Residual]:
    """What is left of unit rows beside the cycle of a normal recording, and what of that itself.

    u: (T, D), normal: (M, D) unit rows of the same process. Here the units are what separates
    normal rows of one phase, near or far in time: wandering light and passers-by that the normal
    recording has seen count less. Of a normal recording that does not repeat: the rows themselves.
    """
    phases, period = _cycle(normal, longest)
    known = np.isfinite(phases)
    if not known.any():
        return tuple(Residual(rows, np.zeros(len(rows), np.int64)) for rows in (u, normal))
    like, normal, phases = phase_like(u, normal, phases), normal[known], phases[known]
    usual = _usual(normal, phases)
    left = normal - _at(usual, phases)
    axes = _principal(left)
    axes = axes @ _whitening(_any(left @ axes, phases), float(normal.var(axis=0).sum()))
    mine = _told(left @ axes, phases, period)
    reach = float(np.median(np.einsum("td,td->t", left @ axes, left @ axes)))
    return _told((u - _at(usual, like)) @ axes, like, period, reach), mine


def _cycle(u: np.ndarray, longest: int) -> tuple[np.ndarray, float]:
    """(T,) phases, all NaN where less than REPEATS repeats, and the rows of a usual cycle."""
    nothing = np.full(len(u), np.nan)
    found = rhythm(u, longest=longest).period if longest >= 4 else nothing
    if not np.isfinite(found).any():
        return nothing, float("nan")
    phases = phase(u, found)
    if np.isfinite(phases).mean() < REPEATS:
        return nothing, float("nan")
    return phases, float(np.nanmedian(found))


def _told(
    left: np.ndarray, phases: np.ndarray, period: float, usual: float | None = None
) -> Residual:
    """With what sticks out brought nearer, and the part of the cycle of each row."""
    size = np.einsum("td,td->t", left, left)
    most = FAR * (np.median(size) if usual is None else usual) + 1e-30
    left = left * np.sqrt(most / np.maximum(size, most))[:, None]
    part = np.where(np.isfinite(phases), np.nan_to_num(phases) * PARTS, PARTS).astype(np.int64)
    return Residual(left.astype(np.float32), part, phases, period)


def _usual(u: np.ndarray, phases: np.ndarray) -> np.ndarray:
    """(FINE, D) the mean of the rows at each phase."""
    at = (phases * FINE).astype(np.int64) % FINE
    there = np.unique(at)
    mean = np.stack([u[at == k].mean(axis=0, dtype=np.float64) for k in there])
    apart = np.abs(np.arange(FINE)[:, None] - there)  # phases passed fast may hold no row
    return mean[np.minimum(apart, FINE - apart).argmin(axis=1)].astype(np.float32)


def _at(usual: np.ndarray, phases: np.ndarray) -> np.ndarray:
    """(T, D) the mean at the phases of rows."""
    place = phases * FINE - 0.5
    low = np.floor(place).astype(np.int64)
    share = (place - low)[:, None].astype(np.float32)
    return (1 - share) * usual[low % FINE] + share * usual[(low + 1) % FINE]


def _principal(x: np.ndarray) -> np.ndarray:
    """(D, at most DIRECTIONS): the directions in which most is left."""
    if x.shape[1] <= DIRECTIONS:
        return np.eye(x.shape[1], dtype=np.float32)
    some = x[:: -(-len(x) // 2000)]
    if len(some) < x.shape[1]:
        return np.linalg.svd(some, full_matrices=False)[2][:DIRECTIONS].T
    return np.linalg.eigh(some.T @ some)[1][:, -DIRECTIONS:]


def _next(phases: np.ndarray) -> np.ndarray:
    """(2, P) rows of the same phase, one repetition apart."""
    pairs = [np.zeros((2, 0), np.int64)]
    for start, turned in stretches(phases):
        turned = np.maximum.accumulate(turned)
        later = np.searchsorted(turned, turned + 1)
        now = np.flatnonzero(later < len(turned))
        pairs.append(np.stack([start + now, start + later[now]]))
    return np.concatenate(pairs, axis=1)


def _any(x: np.ndarray, phases: np.ndarray) -> np.ndarray:
    """(P, D) differences of rows of the same phase, however far apart in time."""
    at, rng = (phases * FINE).astype(np.int64) % FINE, np.random.default_rng(0)
    same = [np.flatnonzero(at == k) for k in np.unique(at)]
    return np.concatenate([x[s] - x[rng.permutation(s)] for s in same for _ in range(4)])


def _whitening(off: np.ndarray, size: float) -> np.ndarray:
    """(D, D) after which differences (P, D) have variance 2 in each direction, or less.

    size: the variance of the rows; a direction has a millionth of it at least.
    """
    if len(off) < 2:
        return np.eye(off.shape[1], dtype=np.float32)
    variance, axes = np.linalg.eigh(off.T.astype(np.float64) @ off / (2 * len(off)))
    floor = FLOOR * variance.clip(0).mean() + 1e-6 * size + 1e-30
    return (axes / np.sqrt(variance.clip(0) + floor)).astype(np.float32)
