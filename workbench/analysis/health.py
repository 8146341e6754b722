"""Whether features still tell clips apart: alignment, uniformity, rank, spread, collapse.

A loss can fall while the features die: where every clip gets the same vector, positives agree
perfectly. These numbers see it. They need no labels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from workbench.analysis.similarity import unit

BLOCK = 1024
"""Rows compared at a time: 4 MB of float32 distances."""

SAME = 0.1
"""Relative deviation below which all clips have nearly the same vector. It is 1 where vectors fill
the sphere evenly and 0 where they are one, the two ends that SimSiam's runs show (Chen and He 2021,
section 4.1); the threshold between is ours."""
NOTHING = 1e-3
"""Relative deviation below which no comparison helps; networks that have learned nothing have 0.04
(S3D) to 0.13 (tiny3d, ResNet-18, R3D-18) on the judo demo."""
LINE = 1.5
"""Effective rank below which clips share a single direction; ours, too."""


@dataclass(frozen=True)
class Health:
    """Numbers of one set of unit vectors.

    alignment and uniformity: see there; alignment is NaN where no positives are known. rank: the
    effective rank. std: the relative deviation.
    """

    alignment: float
    uniformity: float
    rank: float
    std: float


def health(z: np.ndarray, positives: tuple[np.ndarray, np.ndarray] | None = None) -> Health:
    """All numbers of (N, D) features, which are scaled to length 1 first.

    positives: row numbers (P,) and (P,) of vectors that should be alike.
    """
    if not np.isfinite(z).all():
        return Health(*[float("nan")] * 4)
    z = unit(z)
    near = alignment(*(z[rows] for rows in positives)) if positives else float("nan")
    return Health(near, uniformity(z), effective_rank(z), relative_std(z))


def alignment(z1: np.ndarray, z2: np.ndarray, alpha: float = 2) -> float:
    """Mean of ||z1 - z2||^alpha over positives, 0 where they are the same; smaller is better.

    z1, z2: (P, D), row by row a positive pair, scaled to length 1 here. For alpha 2 it is 2 - 2
    cosine, so 2 for unrelated vectors. (Wang and Isola 2020, section 4.1.1.)
    """
    if np.shape(z1) != np.shape(z2):
        raise ValueError(
            f"alignment compares row by row: {np.shape(z1)} and {np.shape(z2)} are not alike."
        )
    apart = np.linalg.norm(unit(z1).astype(float) - unit(z2), axis=1)  # (P,)
    return float((apart**alpha).mean()) if len(apart) else float("nan")


def uniformity(z: np.ndarray, t: float = 2) -> float:
    """Log of the mean of exp(-t ||z_i - z_j||^2) over all pairs i < j; smaller is better.

    z: (N, D), scaled to length 1 here. 0 where all vectors are one; about -2t in many dimensions
    where they are spread evenly. Exact, in blocks: memory grows with N only.
    (Wang and Isola 2020, section 4.1.2.)
    """
    z = unit(z)
    n, total = len(z), -np.inf  # total: log of the sum so far
    if n < 2:
        return float("nan")
    for first in range(0, n, BLOCK):
        for second in range(first, n, BLOCK):
            cosine = z[first : first + BLOCK] @ z[second : second + BLOCK].T
            if first == second:
                cosine = cosine[np.triu_indices(len(cosine), 1)]
            if cosine.size:
                total = np.logaddexp(total, _log_sum_exp(2 * t * (cosine - 1)))
    return float(total - np.log(n * (n - 1) / 2))


def spectrum(z: np.ndarray) -> np.ndarray:
    """(min(N, D),) singular values, the largest first, as shares of their sum; not centred.

    Zeros where z is zero.
    """
    z = np.asarray(z, float)
    gram = z.T @ z if z.shape[0] > z.shape[1] else z @ z.T
    squares = np.linalg.eigvalsh(gram)[::-1]
    noise = squares[0] * len(gram) * np.finfo(float).eps  # of squares: what is below is zero
    values = np.sqrt(np.where(squares > noise, squares, 0))
    return values / values.sum() if values.sum() else values


def effective_rank(z: np.ndarray) -> float:
    """How many directions features use, from 1 to min(N, D): exp of the spectrum's entropy.

    z: (N, D), as it is: neither scaled nor centred; 0 where it is zero. (Roy and Vetterli 2007,
    section 2. RankMe, Garrido et al. 2023, section 3, is the same number.)
    """
    shares = spectrum(z)
    shares = shares[shares > 0]
    return float(np.exp(-(shares * np.log(shares)).sum())) if len(shares) else 0.0


def channel_std(z: np.ndarray) -> np.ndarray:
    """(D,) standard deviation of each channel over (N, D) vectors, which are scaled to length 1.

    About 1 / sqrt(D) each where the vectors are spread evenly, 0 where they are all the same; a
    channel that is 0 alone is dead.
    """
    return unit(z).astype(float).std(axis=0)


def relative_std(z: np.ndarray) -> float:
    """Mean of `channel_std` times sqrt(D): 1 where vectors are spread evenly, 0 where all are one.

    z: (N, D), scaled to length 1 here.
    """
    return float(channel_std(z).mean() * np.sqrt(np.shape(z)[1]))


def collapsed(now: Health, random: Health | None = None) -> str:
    """Why features have collapsed, in words; '' where they have not.

    random: the same of a network that has learned nothing. After ReLU and averaging the features
    of such a network point in much the same direction, too, and still tell clips apart; so where
    it is known, only what is also less than half of its deviation or rank is a collapse.
    """
    std, rank = SAME, LINE
    if random is not None:
        std = min(std, max(random.std / 2, NOTHING))
        rank = min(rank, random.rank / 2)
    if not np.isfinite([now.std, now.rank]).all():
        return "the features are no numbers"
    if now.std < std or now.rank == 0:
        return (
            f"every clip gets nearly the same feature (relative deviation {now.std:.3f}; "
            f"1 is healthy, below {std:.2g} is collapsed)"
        )
    if now.rank < rank:
        return (
            f"all features lie along one direction (effective rank {now.rank:.2f}; below "
            f"{rank:.2g} is collapsed)"
        )
    return ""


def _log_sum_exp(values: np.ndarray) -> float:
    top = float(values.max())
    return top + float(np.log(np.exp(values - top).sum(dtype=float)))
