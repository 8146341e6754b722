"""What the prototypes of a method stand for: who is assigned to them, and what follows what.

scores: (N, P) cosines of N moments with P prototypes; a moment is assigned to the highest one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

UNKNOWN = "(unknown)"
"""Stands for the class of rows without one in a class table."""


@dataclass(frozen=True)
class Usage:
    """How the moments are spread over the prototypes."""

    counts: np.ndarray
    """(P,) moments assigned to each."""
    used: int
    """Prototypes with at least one."""
    effective: float
    """exp of the entropy of the shares: P where all are used alike, 1 where one takes all."""


def assign(scores: np.ndarray) -> np.ndarray:
    """(N,) the prototype with the highest score of each row; the first of equal ones."""
    return _checked(scores).argmax(axis=1)


def usage(scores: np.ndarray) -> Usage:
    """How often each prototype is the nearest one. scores: (N, P)."""
    scores = _checked(scores)
    counts = np.bincount(assign(scores), minlength=scores.shape[1])
    shares = counts[counts > 0] / counts.sum()
    entropy = -(shares * np.log(shares)).sum()
    return Usage(counts, int((counts > 0).sum()), float(np.exp(entropy)))


def exemplars(scores: np.ndarray, n: int, group: Sequence | None = None) -> np.ndarray:
    """(P, n) the rows assigned to each prototype that score highest there, best first, -1: none.

    scores: (N, P). group: (N,), such as the recording of each row: at most one row of a group is
    taken per prototype, so that the windows of a single video do not fill it.
    """
    if n < 1:
        raise ValueError(f"at least 1 exemplar has to be asked for; found {n}.")
    scores = _checked(scores)
    best = assign(scores)
    codes = np.arange(len(scores)) if group is None else pd.factorize(np.asarray(group))[0]
    found = np.full((scores.shape[1], n), -1, np.int64)
    for p in np.unique(best):
        rows = np.flatnonzero(best == p)
        rows = rows[np.argsort(-scores[rows, p], kind="stable")]
        first = np.sort(np.unique(codes[rows], return_index=True)[1])[:n]
        found[p, : len(first)] = rows[first]
    return found


def class_table(
    assigned: np.ndarray, labels: Sequence[str | None], prototypes: int | None = None
) -> pd.DataFrame:
    """Counts of moments: one row per prototype, one column per class, in alphabetical order.

    assigned: (N,) prototype of each; labels: (N,), None or NaN under "(unknown)", the last column.
    prototypes: how many there are; default: up to the highest that is assigned.
    """
    assigned, labels = np.asarray(assigned), np.asarray(labels, dtype=object)
    known = ~pd.isna(labels)
    classes = sorted({str(label) for label in labels[known]})
    columns = [*classes, *([UNKNOWN] if not known.all() else [])]
    names = np.where(known, labels, UNKNOWN).astype(str)
    total = prototypes or int(assigned.max(initial=-1)) + 1
    table = np.zeros((total, len(columns)), np.int64)
    np.add.at(table, (assigned, pd.Index(columns).get_indexer(names)), 1)
    return pd.DataFrame(table, columns=columns, index=pd.RangeIndex(total, name="prototype"))


def by_class(table: pd.DataFrame) -> np.ndarray:
    """(P,) the prototypes of a class table in the order of their commonest class, most used first.

    Those of one class stand together; unused ones come last.
    """
    counts = table.to_numpy()
    used = counts.sum(axis=1)
    commonest = np.where(used > 0, counts.argmax(axis=1), counts.shape[1])
    return np.lexsort((-used, commonest))


def transitions(sequences: Iterable[np.ndarray], prototypes: int) -> np.ndarray:
    """(P, P) counts of how often prototype b comes right after prototype a.

    sequences: the (T,) prototypes of each recording in the order of time. The diagonal tells how
    long a prototype lasts.
    """
    counts = np.zeros((prototypes, prototypes), np.int64)
    for sequence in sequences:
        sequence = np.asarray(sequence, np.int64)
        np.add.at(counts, (sequence[:-1], sequence[1:]), 1)
    return counts


def graph(counts: np.ndarray, least: int = 1) -> pd.DataFrame:
    """The transitions as edges: source, target, count, share (of what follows the source).

    counts: (P, P) of `transitions`. Staying is no edge, and does not count in the share; the
    commonest come first; those seen fewer than `least` times are left out.
    """
    moved = np.asarray(counts) * ~np.eye(len(counts), dtype=bool)
    source, target = np.nonzero(moved >= max(1, least))
    count = moved[source, target]
    edges = pd.DataFrame({
        "source": source, "target": target, "count": count,
        "share": count / np.maximum(1, moved.sum(axis=1))[source],
    })  # fmt: skip
    return edges.sort_values("count", ascending=False, kind="stable", ignore_index=True)


def _checked(scores: np.ndarray) -> np.ndarray:
    scores = np.asarray(scores)
    if scores.ndim != 2 or 0 in scores.shape:
        raise ValueError(
            f"scores of moments and prototypes are (N, P) with at least one of each; found "
            f"{scores.shape}."
        )
    return scores
