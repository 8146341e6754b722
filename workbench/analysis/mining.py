"""Which positives were mined, and how often mined positives and negatives are wrong.

Anchors and positives are instances (recordings); the class of an instance is known to who judges,
never to the method.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class MiningRecall:
    """Class mining recall."""

    table: pd.DataFrame
    """One row per class: label, instances, found, recall, chance; the best first."""
    median: float
    """Of the recall over the classes."""
    complete: int
    """Classes of which every instance was found."""
    precision: float
    """Share of the mined pairs that are of one class; NaN: none was mined."""
    precision_chance: float
    """The same of pairs of two different instances drawn at random."""


class FalseRates(NamedTuple):
    """How often what is held to be alike, or to differ, is not."""

    positive: float
    """False positive rate: share of the positives that are of another class; NaN: no positives."""
    negative: float
    """False negative rate: share of the negatives that are of the same class; NaN: none."""
    positive_chance: float
    """The false positive rate of pairs drawn at random; 1 - it is that of negatives."""


def class_mining_recall(
    anchor: np.ndarray, positive: np.ndarray, labels: Sequence[str | None]
) -> MiningRecall:
    """How many instances of each class were ever mined for an anchor of that class, in one epoch.

    anchor, positive: (M,) pairs, as rows of labels: (N,) class of each instance, None unknown (it
    takes no part). For class c: the number of different instances of c that were chosen for
    anchors of c, over the number of instances of c (CPR supplement, class mining recall). An anchor
    that is chosen for itself does not count [our reconstruction: the supplement does not say].
    chance: the recall expected where the same number of pairs is drawn among all other instances.
    """
    labels = np.asarray(labels, dtype=object)
    anchor, positive = np.asarray(anchor, np.int64), np.asarray(positive, np.int64)
    known = ~pd.isna(labels)
    if not known.any():
        raise ValueError(
            f"class mining recall needs classes, and none of the {len(labels)} instances has one. "
            "Give the recordings labels."
        )
    used = (anchor != positive) & known[anchor] & known[positive]
    anchor, positive = anchor[used], positive[used]
    codes, classes = pd.factorize(labels[known], sort=True)
    of = np.full(len(labels), -1)
    of[known] = codes
    instances = np.bincount(codes)
    mined = np.unique(positive[of[anchor] == of[positive]])
    found = np.bincount(of[mined], minlength=len(classes))
    picks = np.bincount(of[anchor], minlength=len(classes))
    hit = (instances - 1) / (instances * max(1, known.sum() - 1))  # a pick, a given instance
    table = pd.DataFrame({
        "label": [str(c) for c in classes], "instances": instances, "found": found,
        "recall": found / instances, "chance": 1 - (1 - hit) ** picks,
    })  # fmt: skip
    order = np.lexsort((table["label"], -table["recall"]))
    right = of[anchor] == of[positive]
    return MiningRecall(
        table.iloc[order].reset_index(drop=True),
        float(table["recall"].median()),
        int((found == instances).sum()),
        float(right.mean()) if len(right) else float("nan"),
        _same(instances),
    )


def false_rates(clusters: np.ndarray, labels: Sequence[str | None]) -> FalseRates:
    """False positive and false negative rate of all pairs, where clusters say what is alike.

    clusters: (N,); labels: (N,), None unknown (it takes no part). Positive: share of the pairs of
    one cluster whose classes differ; negative: share of the pairs of two clusters whose classes are
    equal [our reconstruction: SLIC's poster monitors both rates without a definition].
    """
    rows, classes = _known(labels)
    clusters = pd.factorize(np.asarray(clusters)[rows])[0]
    together, same = (np.bincount(x) for x in (clusters, classes))
    table = np.zeros((len(together), len(same)), np.int64)
    np.add.at(table, (clusters, classes), 1)
    pairs, near = _pairs(len(clusters)), _pairs(together).sum()
    alike, both = _pairs(same).sum(), _pairs(table).sum()
    return FalseRates(
        _share(near - both, near), _share(alike - both, pairs - near), 1 - _share(alike, pairs)
    )


def triplet_false_rates(
    anchor: np.ndarray,
    positive: np.ndarray,
    negative: np.ndarray | None,
    labels: Sequence[str | None],
) -> FalseRates:
    """False positive and false negative rate of sampled triplets [our reconstruction].

    anchor, positive, negative: (M,) rows of labels: (N,); negative may be None where only positives
    were mined. Share of the positives whose class differs from the anchor's, and of the negatives
    whose class is the anchor's; what has no known class, and an anchor's own row as its positive,
    takes no part.
    """
    labels = np.asarray(labels, dtype=object)
    known = ~pd.isna(labels)
    codes = np.full(len(labels), -1)
    codes[known] = pd.factorize(labels[known])[0]
    anchor = np.asarray(anchor, np.int64)

    def equal(other: np.ndarray) -> np.ndarray:
        other = np.asarray(other, np.int64)
        used = known[anchor] & known[other] & (anchor != other)
        return (codes[anchor] == codes[other])[used]

    right = equal(positive)
    wrong = equal(negative) if negative is not None else np.zeros(0, bool)
    return FalseRates(
        float((~right).mean()) if len(right) else float("nan"),
        float(wrong.mean()) if len(wrong) else float("nan"),
        1 - _same(np.bincount(codes[known])),
    )


def draw_triplets(
    clusters: np.ndarray, n: int, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(n,) anchors, (n,) positives of the same cluster and (n,) negatives of another one.

    clusters: (N,). Anchors are drawn among the rows whose cluster has another row (SLIC takes the
    anchor's own video where it has none, which tells nothing), positives and negatives evenly;
    fewer than n, that is none, where nothing can be drawn.
    """
    clusters = pd.factorize(np.asarray(clusters))[0]
    order = np.argsort(clusters, kind="stable")
    sizes = np.bincount(clusters)
    first = np.cumsum(sizes) - sizes
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    able = np.flatnonzero((sizes[clusters] > 1) & (sizes[clusters] < len(clusters)))
    nothing = np.zeros(0, np.int64)
    if not len(able):
        return nothing, nothing, nothing
    rng = np.random.default_rng(seed)
    anchor = rng.choice(able, n)
    mine = clusters[anchor]
    step = rng.integers(1, sizes[mine])  # a row of the cluster, this many after the anchor
    positive = order[first[mine] + (place[anchor] - first[mine] + step) % sizes[mine]]
    beyond = rng.integers(0, len(order) - sizes[mine])  # a row outside, counted from its end
    negative = order[(first[mine] + sizes[mine] + beyond) % len(order)]
    return anchor, positive, negative


def _known(labels: Sequence[str | None]) -> tuple[np.ndarray, np.ndarray]:
    """(M,) rows of known class, and the (M,) numbers of these."""
    labels = np.asarray(labels, dtype=object)
    rows = np.flatnonzero(~pd.isna(labels))
    if len(rows) < 2:
        raise ValueError(
            f"false positive and false negative rates are of pairs, and {len(rows)} of "
            f"{len(labels)} rows have a class. Give the recordings labels."
        )
    return rows, pd.factorize(labels[rows])[0]


def _pairs(n: np.ndarray | float) -> np.ndarray:
    return np.asarray(n, float) * (np.asarray(n) - 1) / 2


def _same(sizes: np.ndarray) -> float:
    """Odds that two different instances of classes of these sizes are of one class."""
    return _share(_pairs(sizes).sum(), float(_pairs(sizes.sum())))


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole else float("nan")
