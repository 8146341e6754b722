"""Groups of like embeddings, found without being told how many, and how well they match classes.

`finch` is FINCH (Sarfraz et al. 2019), as SLIC takes it for its pseudo labels: rows are linked with
their nearest neighbour, what hangs together is a cluster, and the clusters are rows of the next
round. Exact: no approximate neighbours, whatever the number of rows.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import pandas as pd

from workbench.analysis.similarity import unit

Metric = Literal["cosine", "euclidean"]

BLOCK = 1024
"""Rows and columns of a block of products (8 MiB in float64)."""


def finch(z: np.ndarray, metric: Metric = "cosine") -> list[np.ndarray]:
    """(N,) int64 cluster of each row, one such array per partition, from fine to coarse.

    z: (N, D). A row's neighbour is the nearest other one, on a tie the one of lowest number; rows
    that are neighbours, or have the same one, are in one cluster. The next partition does the same
    with the means of the clusters' rows, but makes no link longer than the longest of the first
    one. It ends where nothing merges any more, where one cluster would be left (neither is a
    partition of its own), or after a round that merged just two. Clusters are numbered by their
    first row. N^2 D / 2 multiplications for the first partition, in memory for the rows and a few
    blocks. (FINCH, Sarfraz et al. 2019, eq. 1, algorithm 1; the early end is its code's.)
    """
    rows = _checked(z, metric)
    if len(rows) == 1:
        return [np.zeros(1, np.int64)]
    points = _Points(rows, metric)
    neighbour, nearness = points.neighbours()
    partitions = [_hanging_together(neighbour)]
    longest = _longest_link(points, neighbour, nearness) if len(rows) > 2 else -np.inf
    before = partitions[0].max() + 1
    while before > 1:
        neighbour, nearness = _Points(_means(rows, partitions[-1]), metric).neighbours()
        merged = _hanging_together(neighbour, nearness >= longest)
        after = merged.max() + 1
        if after in (1, before):
            break
        partitions.append(merged[partitions[-1]])
        if before - after == 1:
            break
        before = after
    return partitions


def finch_into(z: np.ndarray, k: int, metric: Metric = "cosine") -> np.ndarray:
    """(N,) int64 cluster of each row, exactly k of them, numbered by their first row.

    z: (N, D). Starts from the coarsest partition of `finch` that has at least k clusters and merges
    the two whose means are nearest, again and again. `ValueError` where even the finest one has
    fewer. (FINCH, algorithm 2.)
    """
    partitions = finch(z, metric)
    if not 1 <= k <= partitions[0].max() + 1:
        raise ValueError(
            f"{k} clusters are asked for; FINCH can give 1 to {partitions[0].max() + 1} of these "
            f"{len(z)} rows, as many as its finest partition has."
        )
    labels = next(p for p in reversed(partitions) if p.max() + 1 >= k)
    means, sizes = _means(_checked(z, metric), labels), np.bincount(labels).astype(float)
    owner = np.arange(len(means))
    points = _Points(means, metric)
    neighbour, nearness = points.neighbours() if len(means) > 1 else (owner, np.zeros(1))
    for _ in range(len(means) - k):
        a = int(nearness.argmax())
        a, b = sorted((a, int(neighbour[a])))
        owner[owner == b] = a
        means[a] = (sizes[a] * means[a] + sizes[b] * means[b]) / (sizes[a] + sizes[b])
        sizes[a] += sizes[b]
        sizes[b], nearness[b] = 0, -np.inf
        points.move(a, means[a])
        left = np.flatnonzero(sizes)
        for i in left[np.isin(neighbour[left], (a, b)) | (left == a)]:
            neighbour[i], nearness[i] = points.nearest_of(i, left)
        closer = left[left != a]
        to_a = points.nearness(closer, np.array([a]))[:, 0]
        wins = (to_a > nearness[closer]) | ((to_a == nearness[closer]) & (a < neighbour[closer]))
        neighbour[closer[wins]], nearness[closer[wins]] = a, to_a[wins]
    return pd.factorize(owner[labels])[0].astype(np.int64)


def kmeans(z: np.ndarray, k: int, seed: int = 0) -> np.ndarray:
    """(N,) int64 of k clusters by k-means on the rows brought to unit length, the best of four.

    z: (N, D). For comparison: it has to be told k.
    """
    from sklearn.cluster import KMeans

    if not 1 <= k <= len(z):
        raise ValueError(f"{k} clusters are asked for and there are {len(z)} rows.")
    return KMeans(k, n_init=4, random_state=seed).fit(unit(z)).labels_.astype(np.int64)


@dataclass(frozen=True)
class ClusterScores:
    """How well clusters match classes; all but the entropies are in [0, 1] and best at 1."""

    accuracy: float
    """Share of rows of the class that their cluster is matched with, one class to one cluster."""
    nmi: float
    """Mutual information of clusters and classes over the mean of their entropies."""
    ari: float
    """Rand index, adjusted for chance: about 0 where there is no relation."""
    entropy: float
    """Mean over the clusters of the entropy of their classes, nats; 0 where each is pure."""
    entropy_bits: float
    """The same in bits."""
    purity: float
    """Mean over the clusters of the share of their commonest class."""


def cluster_scores(clusters: np.ndarray, labels: np.ndarray) -> ClusterScores:
    """How well (N,) clusters match the (N,) classes of the same rows; neither knows the other.

    Accuracy takes the best one-to-one matching (Hungarian); with more clusters than classes some
    stay without a class, and their rows count as wrong. Entropy and purity weigh every cluster
    alike, whatever its size (ViCC, Table 1; the base of its entropies is not given).
    """
    from scipy.optimize import linear_sum_assignment
    from scipy.stats import entropy
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    if len(clusters) != len(labels) or not len(labels):
        raise ValueError(
            f"{len(clusters)} clusters of rows and {len(labels)} labels: one of each is needed for "
            "every row, and at least one row."
        )
    found, true = (
        pd.factorize(np.asarray(x), use_na_sentinel=False)[0] for x in (clusters, labels)
    )
    table = np.zeros((found.max() + 1, true.max() + 1), np.int64)
    np.add.at(table, (found, true), 1)
    matched = table[linear_sum_assignment(table, maximize=True)].sum()
    nats = float(entropy(table, axis=1).mean())
    with warnings.catch_warnings():  # many clusters of few rows are no regression
        warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)
        nmi, ari = normalized_mutual_info_score(true, found), adjusted_rand_score(true, found)
    return ClusterScores(
        accuracy=float(matched / len(true)),
        nmi=float(nmi),
        ari=float(ari),
        entropy=nats,
        entropy_bits=nats / float(np.log(2)),
        purity=float((table.max(axis=1) / table.sum(axis=1)).mean()),
    )


class _Points:
    """Rows of which any two have a nearness: the cosine, or minus half the squared distance.

    Both are one product of (N, D') `left` and `right`, in float64, where integers are exact and
    equal rows hardly ever differ by rounding.
    """

    def __init__(self, rows: np.ndarray, metric: Metric) -> None:
        self.metric = metric
        self.left, self.right = self._sides(rows.astype(np.float64))

    def _sides(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        square = np.einsum("nd,nd->n", x, x)[:, None]
        if self.metric == "cosine":
            x = x / np.sqrt(np.where(square > 0, square, 1))
            return x, x
        one, half = np.ones_like(square), -square / 2
        return np.hstack([x, half, one]), np.hstack([x, one, half])

    def move(self, i: int, row: np.ndarray) -> None:
        """Put row i elsewhere."""
        left, right = self._sides(row[None].astype(np.float64))
        self.left[i], self.right[i] = left[0], right[0]

    def nearness(self, i: slice | np.ndarray, j: slice | np.ndarray) -> np.ndarray:
        """(I, J) of rows i and rows j."""
        return self.left[i] @ self.right[j].T

    def nearest_of(self, i: int, among: np.ndarray) -> tuple[int, float]:
        """The nearest to row i of the (M,) rows `among`, itself left out, and its nearness."""
        others = among[among != i]
        if not len(others):
            return i, -np.inf
        near = self.nearness(others, np.array([i]))[:, 0]
        return int(others[near.argmax()]), float(near.max())

    def neighbours(self) -> tuple[np.ndarray, np.ndarray]:
        """(N,) the nearest other row of each, the first of equally near ones, and its nearness.

        Nearness is symmetric, so each block is made once and shown to its rows and its columns.
        Either meets the others in ascending order: what comes later has to be nearer.
        """
        n = len(self.left)
        nearest, nearness = np.zeros(n, np.int64), np.full(n, -np.inf)

        def show(mine: slice, others: slice, block: np.ndarray) -> None:
            best = block.max(axis=1)
            wins = np.flatnonzero(best > nearness[mine])
            nearest[mine][wins] = others.start + block[wins].argmax(axis=1)
            nearness[mine][wins] = best[wins]

        for rows in _blocks(n):
            block = self.nearness(rows, rows)
            np.fill_diagonal(block, -np.inf)
            show(rows, rows, block)
            for columns in _blocks(n, rows.stop):
                block = self.nearness(rows, columns)
                show(rows, columns, block)
                show(columns, rows, block.T)
        return nearest, nearness


def _hanging_together(neighbour: np.ndarray, kept: np.ndarray | None = None) -> np.ndarray:
    """(N,) number of the connected component of each row; kept: (N,), whether its link counts.

    Links of rows that share a neighbour need not be made: either is linked with that neighbour, by
    a link that is no longer.
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    n = len(neighbour)
    rows = np.arange(n) if kept is None else np.flatnonzero(kept)
    graph = csr_array((np.ones(len(rows)), (rows, neighbour[rows])), shape=(n, n))
    return connected_components(graph, directed=False)[1].astype(np.int64)


def _longest_link(points: _Points, neighbour: np.ndarray, nearness: np.ndarray) -> float:
    """The least nearness of two rows that are neighbours or share one."""
    order = np.argsort(neighbour, kind="stable")
    least = float(nearness.min())
    for sharing in np.split(order, np.flatnonzero(np.diff(neighbour[order])) + 1):
        for rows in _blocks(len(sharing)):
            for columns in _blocks(len(sharing), rows.start):
                if len(sharing) > 1:
                    block = points.nearness(sharing[rows], sharing[columns])
                    least = min(least, float(block.min()))
    return least


def _means(rows: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(K, D) float64 means of the rows of each label, summed in float32 as FINCH's code does."""
    from scipy.sparse import csr_array

    n, sizes = len(labels), np.bincount(labels)
    of = csr_array((np.ones(n, np.float32), (labels, np.arange(n))), shape=(len(sizes), n))
    return (of @ rows) / sizes[:, None]


def _checked(z: np.ndarray, metric: str) -> np.ndarray:
    """The rows as (N, D) float32."""
    if metric not in get_args(Metric):
        raise ValueError(f"metric is {metric!r}; expected {' or '.join(get_args(Metric))}.")
    rows = np.asarray(z, np.float32)
    if rows.ndim != 2 or not len(rows):
        raise ValueError(f"clusters are of (N, D) rows, at least one; got shape {rows.shape}.")
    if not np.isfinite(rows).all():
        bad = int((~np.isfinite(rows).all(axis=1)).sum())
        raise ValueError(f"{bad} of {len(rows)} rows hold values that are no numbers.")
    return rows


def _blocks(n: int, start: int = 0) -> Iterator[slice]:
    for at in range(start, n, BLOCK):
        yield slice(at, min(at + BLOCK, n))
