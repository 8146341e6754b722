"""Numbers that say how good an embedding is, each with its chance level."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import permutations
from typing import NamedTuple

import numpy as np
import pandas as pd

from workbench.analysis.embeddings import Embeddings
from workbench.analysis.neighbours import knn, other


class Score(NamedTuple):
    """A score and what it would be without any knowledge."""

    value: float
    chance: float


class Alignment(NamedTuple):
    """Cross-view alignment over many recordings."""

    error: float
    chance: float
    recordings: int
    """How many recordings were judged."""
    skipped: int
    """How many were not, having one camera."""


def knn_accuracy(
    z: np.ndarray,
    labels: np.ndarray,
    recording: np.ndarray,
    k: int = 20,
    queries: np.ndarray | None = None,
    bank: np.ndarray | None = None,
) -> Score:
    """Share of rows whose label the nearest rows of *other* recordings vote for.

    z: (N, D); labels: (N,), None or NaN is unknown and neither judged nor voting; recording: (N,);
    queries, bank: (N,) bool, who is judged and who votes (a test and a train split; default
    everyone). A vote weighs exp(cosine / 0.07) (Wu et al. 2018, section 3.4).
    Chance is the accuracy of always naming the bank's commonest label.
    """
    everyone = np.ones(len(z), bool)
    known = ~pd.isna(np.asarray(labels, dtype=object))
    queries = np.flatnonzero(known & (everyone if queries is None else queries))
    bank = np.flatnonzero(known & (everyone if bank is None else bank))
    if not len(queries) or not len(bank):
        raise ValueError(
            f"kNN accuracy needs labels: {len(queries)} labelled rows to judge, "
            f"{len(bank)} that vote. Give the data set labels or segments."
        )
    codes, names = pd.factorize(np.asarray(labels, dtype=object)[bank])
    truth = pd.Index(names).get_indexer(np.asarray(labels, dtype=object)[queries])
    takes = pd.factorize(np.asarray(recording, dtype=object))[0]
    scores, ids = knn(z[queries], z[bank], k, other(takes[queries], takes[bank]))
    judged = ids[:, 0] >= 0
    if not judged.any():
        raise ValueError("kNN accuracy votes between recordings; the labels are all in one.")
    weights = np.exp((scores - scores[:, :1].clip(-1)) / 0.07)  # (Q, k), 0 where nothing was found
    votes = np.zeros((len(queries), len(names)))
    np.add.at(votes, (np.arange(len(queries))[:, None], codes[ids]), weights)
    commonest = np.bincount(codes).argmax()
    return Score(
        float((votes.argmax(1) == truth)[judged].mean()),
        float((truth == commonest)[judged].mean()),
    )


def alignment_error(
    z_a: np.ndarray,
    frames_a: np.ndarray,
    z_b: np.ndarray,
    frames_b: np.ndarray,
    length: float,
) -> Score:
    """How far in time the most similar window of another camera is, as a share of the length.

    z_a: (N, D) at frames_a: (N,) frames of the recording; z_b: (M, D) at frames_b: (M,); length:
    frames. For each window of A the nearest (cosine) of B: mean |t' - t| / length. 0 is perfect.
    Chance is the expectation of the same for uniformly drawn windows of B.
    """
    t_a, t_b = np.asarray(frames_a, float), np.asarray(frames_b, float)
    nearest = knn(z_a, z_b, 1)[1][:, 0]
    return Score(
        float(np.abs(t_b[nearest] - t_a).mean() / length),
        float(_mean_distance(t_a, t_b) / length),
    )


def cross_view_alignment(
    embeddings: Embeddings, lengths: Mapping[str, float] | None = None
) -> Alignment:
    """Alignment error over all ordered camera pairs of all recordings, each recording weighing 1.

    lengths: frames of each recording; by default the span of the centres of its windows.
    """
    index = embeddings.index
    found, skipped = [], 0
    for recording, rows in index.groupby("recording", sort=False):
        cameras = [
            (group.index.to_numpy(), group["frame"].to_numpy())
            for _, group in rows.groupby("camera", sort=False)
        ]
        if len(cameras) < 2:
            skipped += 1
            continue
        length = lengths[recording] if lengths else max(1, np.ptp(rows["frame"].to_numpy()))
        found.append(
            np.mean(
                [
                    alignment_error(embeddings.z[a], t_a, embeddings.z[b], t_b, length)
                    for (a, t_a), (b, t_b) in permutations(cameras, 2)
                ],
                axis=0,
            )
        )
    if not found:
        raise ValueError(
            f"alignment compares cameras, and each of the {skipped} recordings has one. Index the "
            "folder with a pattern that names the cameras, such as '{recording}_{camera}.mp4'."
        )
    error, chance = np.mean(found, axis=0)
    return Alignment(float(error), float(chance), len(found), skipped)


def _mean_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Mean of |a_i - b_j| over all pairs, without making them."""
    b = np.sort(b)
    total = np.concatenate([[0.0], np.cumsum(b)])
    below = np.searchsorted(b, a)  # (N,) how many of b lie before each of a
    sums = a * (2 * below - len(b)) + total[-1] - 2 * total[below]
    return float(sums.mean() / len(b))
