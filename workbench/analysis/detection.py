"""Online action detection: chunks of a video, and how right and how quick their classes are.

A chunk is frames [start, stop) of a recording. It is finished, and its class known, once frame
stop - 1 has come. Classes are numbers 0 ... C - 1; -1 is unknown and never judged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import NamedTuple, TypeVar

import numpy as np

Label = TypeVar("Label", bound=Hashable)


class Latency(NamedTuple):
    """How long after the start of an action it is recognised."""

    frames: np.ndarray
    """(A,) frames from the start of each action to the end of its first right chunk; NaN: never."""
    median: float
    """Over the recognised actions, frames; NaN where there is none."""
    mean: float
    """The same."""
    undetected: int
    """Actions without a right chunk: counted here and nowhere else."""


class Errors(NamedTuple):
    """Which kinds of errors are made."""

    total: int
    """Wrong chunks."""
    missed: int
    """Of these: an action taken for background."""
    invented: int
    """Background taken for an action."""
    swapped: int
    """An action taken for another one."""
    boundary: float
    """Share of the errors that confuse background and action (missed or invented); NaN: none."""
    straddling: float
    """Share of the errors in chunks that hold both background and action; NaN: no error."""


def majority(labels: Sequence[Label]) -> Label:
    """What most frames of a chunk are labelled; in a tie what comes first [our reconstruction]."""
    return Counter(labels).most_common(1)[0][0]


def newest_finished(stops: np.ndarray, n_frames: int) -> np.ndarray:
    """(n_frames,) number of the chunk whose class holds at each frame as someone watching has it.

    stops: (N,) ends of the chunks, ascending. At frame k frames 0 ... k have come: the newest chunk
    with stop <= k + 1 holds. -1 before the first chunk is finished.
    """
    return np.searchsorted(stops, np.arange(1, n_frames + 1), side="right") - 1


def accuracy(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Share of right ones. truth, predicted: (N,) classes."""
    return float(np.mean(truth == predicted))


def confusion(truth: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """(C, C) counts: row the true class, column the predicted one."""
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (truth, predicted), 1)
    return counts


def precision_recall(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(C,) precision and (C,) recall per class of a confusion matrix.

    NaN where it has none: a class that is never predicted, or never true.
    """
    right = np.diag(counts).astype(float)
    with np.errstate(invalid="ignore"):
        return right / counts.sum(axis=0), right / counts.sum(axis=1)


def balanced_accuracy(counts: np.ndarray) -> float:
    """Mean recall of the classes that occur, so that frequent background does not hide the rest."""
    return float(np.nanmean(precision_recall(counts)[1]))


def average_precision(relevant: np.ndarray, scores: np.ndarray) -> float:
    """Sum over thresholds of precision times gain in recall (scikit-learn's definition).

    relevant: (N,) bool; scores: (N,), higher for what is more likely; equal ones share a threshold.
    NaN where nothing is relevant.
    """
    order = np.argsort(-scores, kind="stable")
    scores, found = scores[order], np.cumsum(relevant[order])
    last = np.flatnonzero(np.append(np.diff(scores) != 0, True))  # the last one of each threshold
    if not len(found) or not found[-1]:
        return float("nan")
    gain = np.diff(found[last], prepend=0) / found[-1]
    return float(np.sum(gain * found[last] / (last + 1)))


def mean_average_precision(truth: np.ndarray, scores: np.ndarray) -> tuple[float, np.ndarray]:
    """Mean over the classes that occur, and the (C,) average precision of each (NaN: absent).

    truth: (N,) classes; scores: (N, C). For per-frame mAP the rows are frames.
    """
    each = np.array([average_precision(truth == c, scores[:, c]) for c in range(scores.shape[1])])
    present = each[~np.isnan(each)]
    return float(present.mean()) if len(present) else float("nan"), each


def latency(
    actions: np.ndarray,
    starts: np.ndarray,
    stops: np.ndarray,
    truth: np.ndarray,
    predicted: np.ndarray,
) -> Latency:
    """Frames from the start of each action to the end of the first right chunk, in one video.

    actions: (A, 3) start, stop, class. The chunks: (N,) each, ascending. Right is a chunk that
    shares frames with the action, is mostly of its class, and says so: a class that was claimed
    before the action is no recognition.
    """
    frames = np.full(len(actions), np.nan)
    for a, (start, stop, label) in enumerate(np.reshape(actions, (-1, 3))):
        right = (starts < stop) & (stops > start) & (truth == label) & (predicted == label)
        if right.any():
            frames[a] = stops[right].min() - start
    return summarise(frames)


def summarise(frames: np.ndarray) -> Latency:
    """The latencies of many videos together. frames: (A,), NaN where undetected."""
    frames = np.asarray(frames, float)
    found = frames[~np.isnan(frames)]
    median, mean = (float(np.median(found)), float(found.mean())) if len(found) else (np.nan,) * 2
    return Latency(frames, median, mean, int(np.isnan(frames).sum()))


def errors(
    truth: np.ndarray, predicted: np.ndarray, background: int, straddles: np.ndarray
) -> Errors:
    """The kinds of errors, and how many of them are about where an action begins and ends.

    truth, predicted: (N,) classes; background: the class of no action; straddles: (N,) bool, chunks
    that hold frames of background and of an action.
    """
    wrong = truth != predicted
    total = int(wrong.sum())
    missed = int((wrong & (predicted == background)).sum())
    invented = int((wrong & (truth == background)).sum())
    share = (lambda n: n / total) if total else (lambda n: float("nan"))
    return Errors(
        total,
        missed,
        invented,
        total - missed - invented,
        share(missed + invented),
        share(int((wrong & straddles).sum())),
    )


def actions_of(frames: np.ndarray, background: int = -1) -> np.ndarray:
    """(A, 3) start, stop and class of each unbroken row of frames that show an action.

    frames: (T,) class of each frame; background is the class of no action, -1 unknown.
    """
    edges = np.flatnonzero(np.diff(frames, prepend=-2, append=-2))
    rows = np.stack([edges[:-1], edges[1:], frames[edges[:-1]]], axis=1) if len(frames) else edges
    rows = rows.reshape(-1, 3)
    return rows[(rows[:, 2] >= 0) & (rows[:, 2] != background)]
