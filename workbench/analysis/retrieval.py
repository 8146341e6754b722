"""Retrieval: is there a video of the same class among the nearest ones of a bank?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from workbench.analysis.neighbours import Rule, knn
from workbench.analysis.similarity import unit

KS = (1, 5, 10, 20, 50)
"""Neighbours that are looked at (CoCLR, CPR, ViCC, IIC)."""


@dataclass(frozen=True)
class Recall:
    """Who was found for each query, and how often one of the right class was among them."""

    ks: tuple[int, ...]
    value: np.ndarray
    """(K,) share of the judged queries with a row of their class among the k nearest."""
    chance: np.ndarray
    """(K,) the same expected of k rows drawn from the bank."""
    classes: tuple[str, ...]
    """Those of the judged queries, sorted."""
    per_class: np.ndarray
    """(C, K) the same for the queries of each class."""
    counts: np.ndarray
    """(C,) judged queries of each class."""
    ids: np.ndarray
    """(Q, max k) rows of the bank, nearest first; -1 where there is none."""
    scores: np.ndarray
    """(Q, max k) their cosines; -inf where there is none."""
    right: np.ndarray
    """(Q, max k) bool, of the same class."""
    judged: np.ndarray
    """(Q,) bool: those whose class is known."""

    def at(self, k: int) -> float:
        """R@k."""
        return float(self.value[self.ks.index(k)])


def centred(z: np.ndarray) -> np.ndarray:
    """(N, D) rows of unit length, after the mean of all of them is taken away.

    CoCLR, CPR and ViCC do that to each split by itself, before queries meet the bank, with the mean
    of a video's windows, which is as long as they agree.
    """
    z = np.asarray(z, np.float64)
    return unit(z - z.mean(axis=0))


def fused(*streams: np.ndarray) -> np.ndarray:
    """(N, D1 + D2 + ...) rows whose cosines are the means of those of each stream's.

    streams: (N, D_i) each, of the same N videos. To rank by them is to rank by the sum of the
    cosine-similarity matrices, RGB + flow (ViCC, section 4.3).
    """
    lengths = {len(z) for z in streams}
    if len(lengths) != 1:
        raise ValueError(
            f"streams of {' and '.join(map(str, sorted(lengths)))} rows cannot be fused: give the "
            "same videos in the same order."
        )
    return np.concatenate([unit(z) for z in streams], axis=1)


def recall(
    queries: np.ndarray,
    query_labels: Sequence[str | None],
    bank: np.ndarray,
    bank_labels: Sequence[str | None],
    ks: Sequence[int] = KS,
    allowed: Rule | None = None,
) -> Recall:
    """R@k: the share of queries with at least one row of their class among the k nearest.

    queries: (Q, D), bank: (N, D), compared by cosine (`centred` and `fused` come before); labels
    None or NaN are unknown: such queries are not judged, such rows of the bank cannot be right.
    allowed: which rows of the bank a query may meet. `ValueError` where a k is larger than the
    bank.
    """
    ks = tuple(sorted(set(ks)))
    if not ks or ks[0] < 1:
        raise ValueError(f"k must be at least 1; found {', '.join(map(str, ks)) or 'none'}.")
    if ks[-1] > len(bank):
        raise ValueError(
            f"R@{ks[-1]} looks at the {ks[-1]} nearest rows and the bank has {len(bank)}. Lower k."
        )
    asked, there = (np.asarray(labels, dtype=object) for labels in (query_labels, bank_labels))
    judged, known = ~pd.isna(asked), ~pd.isna(there)
    if not judged.any() or not known.any():
        raise ValueError(
            f"retrieval needs classes: {judged.sum()} of {len(asked)} queries and {known.sum()} of "
            f"{len(there)} rows of the bank have one. Give the videos labels."
        )
    scores, ids = knn(queries, bank, ks[-1], allowed)
    same = np.where(known, there, None)[ids] == np.where(judged, asked, None)[:, None]
    right = same & judged[:, None] & known[ids] & (ids >= 0)
    hits = np.stack([right[:, :k].any(axis=1) for k in ks], axis=1)[judged]  # (J, K)
    codes, classes = pd.factorize(asked[judged], sort=True)
    counts = np.bincount(codes)
    per_class = np.zeros((len(classes), len(ks)))
    np.add.at(per_class, codes, hits)
    of_class = pd.Series(there[known]).value_counts()
    sizes = of_class.reindex(asked[judged], fill_value=0).to_numpy()
    return Recall(
        ks,
        hits.mean(axis=0),
        np.array([_chance(sizes, len(bank), k).mean() for k in ks]),
        tuple(map(str, classes)),
        per_class / counts[:, None],
        counts,
        ids,
        scores,
        right,
        judged,
    )


def _chance(right: np.ndarray, total: int, k: int) -> np.ndarray:
    """(Q,) odds that k of `total` rows hold one of the (Q,) `right` ones: hypergeometric."""
    drawn = np.arange(k)
    with np.errstate(divide="ignore"):
        miss = np.log(np.maximum(total - right[:, None] - drawn, 0)) - np.log(total - drawn)
    return 1 - np.exp(miss.sum(axis=1))
