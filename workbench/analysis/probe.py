"""How well a linear layer, or the nearest labelled example, tells classes from fixed features."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from workbench.analysis.neighbours import knn
from workbench.analysis.similarity import unit

EPS = 1e-5
KEEP = 0.9
"""Share of the running mean and variance that a batch leaves as it is (PyTorch's batch norm)."""
MOMENTUM = 0.9
ROWS = 8192
"""Rows that are classified together."""


@dataclass(frozen=True)
class LinearProbe:
    """Unit length, batch norm, linear layer, as trained; see `linear_probe`."""

    mean: np.ndarray
    """(D,) running mean of the unit rows."""
    scale: np.ndarray
    """(D,) one over their running standard deviation."""
    weight: np.ndarray
    """(D, C)."""
    bias: np.ndarray
    """(C,)."""

    def probabilities(self, z: np.ndarray) -> np.ndarray:
        """(N, C) softmax of (N, D) features."""
        z = np.asarray(z)
        found = [
            softmax((unit(z[k : k + ROWS]) - self.mean) * self.scale @ self.weight + self.bias)
            for k in range(0, len(z), ROWS)
        ]
        return np.concatenate(found) if found else np.zeros((0, len(self.bias)), np.float32)


def linear_probe(
    z: np.ndarray,
    labels: np.ndarray,
    classes: int,
    epochs: int = 100,
    batch: int = 1024,
    lr: float = 1.0,
    weight_decay: float = 1e-3,
    drops: Sequence[float] = (0.6, 0.8),
    seed: int = 0,
    progress: Callable[[int, int], object] = lambda done, total: None,
) -> LinearProbe:
    """A linear layer trained on cached features, as CoCLR and ViCC do it on theirs.

    z: (N, D); labels: (N,) in [0, classes), all known. Features of unit length, batch norm without
    weights, linear layer from N(0, 0.01^2) with zero bias; cross entropy, SGD with momentum 0.9,
    100 epochs with drops to a tenth at 60 and 80, batches of 1024, lr 1, decay 1e-3 (CoCLR's code
    for features). The weights after the last epoch are taken: the reference takes the epoch that is
    best on the test split. With fewer rows than a batch, all of them are one. The same seed gives
    the same weights.
    """
    z, labels = _checked(z, labels, classes)
    rng = np.random.default_rng(seed)
    z = unit(z)
    n, d = z.shape
    batch = min(batch, n)
    weight = (0.01 * rng.standard_normal((d, classes))).astype(np.float32)
    bias = np.zeros(classes, np.float32)
    speed_w, speed_b = np.zeros_like(weight), np.zeros_like(bias)
    mean, variance = np.zeros(d, np.float32), np.ones(d, np.float32)
    for epoch in range(epochs):
        rate = np.float32(lr * 0.1 ** sum(epoch >= share * epochs for share in drops))
        order = rng.permutation(n)
        for first in range(0, n - batch + 1, batch):
            rows = order[first : first + batch]
            x, y = z[rows], labels[rows]
            centre, spread = x.mean(axis=0), x.var(axis=0)
            mean = KEEP * mean + (1 - KEEP) * centre
            variance = KEEP * variance + (1 - KEEP) * spread * batch / max(1, batch - 1)
            x = (x - centre) / np.sqrt(spread + EPS)  # (B, D)
            wrong = softmax(x @ weight + bias)  # (B, C), then the gradient of the loss
            wrong[np.arange(batch), y] -= 1
            wrong /= batch
            speed_w = MOMENTUM * speed_w + x.T @ wrong + weight_decay * weight
            speed_b = MOMENTUM * speed_b + wrong.sum(axis=0) + weight_decay * bias
            weight, bias = weight - rate * speed_w, bias - rate * speed_b
        progress(epoch + 1, epochs)
    return LinearProbe(mean, 1 / np.sqrt(variance + EPS), weight, bias)


@dataclass(frozen=True)
class FewShot:
    """Accuracies with a few labelled examples per class, one per draw of these."""

    shots: int
    nearest: np.ndarray
    """(E,) by the class of the nearest labelled example (cosine)."""
    linear: np.ndarray
    """(E,) by logistic regression on the labelled examples."""


def few_shot(
    bank: np.ndarray,
    bank_labels: np.ndarray,
    queries: np.ndarray,
    query_labels: np.ndarray,
    shots: int,
    draws: int = 20,
    seed: int = 0,
    progress: Callable[[int, int], object] = lambda done, total: None,
) -> FewShot:
    """How many queries are told right when `shots` examples of each class of the bank are labelled.

    bank: (N, D) with bank_labels (N,), queries: (Q, D) with query_labels (Q,); whole numbers, all
    known. Each draw takes other examples. Linear: logistic regression on unit features, C = 1 (Tian
    et al. 2020, section 4). `ValueError` where a class has fewer than `shots` examples.
    """
    if shots < 1 or draws < 1:
        raise ValueError(f"shots and draws must be at least 1; found {shots} and {draws}.")
    bank_labels, query_labels = np.asarray(bank_labels), np.asarray(query_labels)
    classes, sizes = np.unique(bank_labels, return_counts=True)
    if len(classes) < 2 or not len(query_labels):
        raise ValueError(
            f"few-shot needs two classes and something to tell apart; found {len(classes)} and "
            f"{len(query_labels)} queries."
        )
    if sizes.min() < shots:
        raise ValueError(
            f"{shots} shots need {shots} examples of each class; one class has {sizes.min()}. "
            "Lower the number of shots."
        )
    bank, queries = unit(bank), unit(queries)
    members = [np.flatnonzero(bank_labels == c) for c in classes]
    rng = np.random.default_rng(seed)
    nearest, linear = [], []
    for draw in range(draws):
        rows = np.concatenate([rng.choice(of, shots, replace=False) for of in members])
        said = bank_labels[rows[knn(queries, bank[rows], 1)[1][:, 0]]]
        nearest.append(np.mean(said == query_labels))
        fitted = _logistic(bank[rows], bank_labels[rows])
        linear.append(np.mean(fitted(queries) == query_labels))
        progress(draw + 1, draws)
    return FewShot(shots, np.array(nearest), np.array(linear))


def softmax(scores: np.ndarray) -> np.ndarray:
    """(N, C) probabilities; a new array."""
    scores = np.exp(scores - scores.max(axis=1, keepdims=True))
    scores /= scores.sum(axis=1, keepdims=True)
    return scores


def grouped_mean(values: np.ndarray, group: np.ndarray, groups: int) -> np.ndarray:
    """(G, C) means of (N, C) rows that share a group; group: (N,) in [0, G).

    As softmax is averaged over the windows of a video. A group without rows is NaN.
    """
    sums = np.zeros((groups, values.shape[1]))
    np.add.at(sums, group, values)
    with np.errstate(invalid="ignore"):
        return sums / np.bincount(group, minlength=groups)[:, None]


def _logistic(z: np.ndarray, labels: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=1.0, max_iter=1000).fit(z, labels).predict


def _checked(z: np.ndarray, labels: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray]:
    z, labels = np.asarray(z), np.asarray(labels)
    if len(z) != len(labels):
        raise ValueError(f"{len(z)} rows of features and {len(labels)} labels.")
    if len(z) < 2 or classes < 2 or len(np.unique(labels)) < 2:
        raise ValueError(
            f"a probe learns to tell classes apart; found {len(z)} rows of "
            f"{len(np.unique(labels))} classes. Give labelled examples of two or more."
        )
    if labels.min() < 0 or labels.max() >= classes:
        raise ValueError(f"labels must lie in 0 ... {classes - 1}; leave out what is unknown.")
    return z, labels
