"""Classes of whole videos: what is said of each, how right that is, and two streams together."""

from __future__ import annotations

import numpy as np
import pandas as pd

from workbench.analysis.detection import accuracy, balanced_accuracy, confusion, precision_recall
from workbench.data.manifest import DataSet
from workbench.training.protocols.base import Outcome, labels_of, names_of

TOP = 5
"""Classes of which the right one may be any, where there are more than so many."""


def predictions(
    dataset: DataSet, videos: list[int], probabilities: np.ndarray, classes: tuple[str, ...]
) -> pd.DataFrame:
    """A row per video: recording, camera, and the probability of each class under its name.

    videos: (V,) rows of the data set; probabilities: (V, C).
    """
    found = pd.DataFrame(probabilities, columns=list(classes))
    return pd.concat([names_of(dataset, videos), found], axis=1)


def fused_predictions(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    """The mean of the softmaxes of two runs, videos matched by name (ViCC, section 4.3).

    Both as `predictions` gives them. `ValueError` where they are not of the same videos and
    classes.
    """
    keys = ["recording", "camera"]
    classes = [c for c in first.columns if c not in keys]
    if set(classes) != set(second.columns) - set(keys):
        raise ValueError(
            f"the runs tell apart different classes: {', '.join(classes)}; and "
            f"{', '.join(c for c in second.columns if c not in keys)}. Train both on one data set."
        )
    other = first[keys].merge(second, on=keys, how="left", validate="one_to_one")
    if len(first) != len(second) or other[classes].isna().any(axis=None):
        raise ValueError(
            f"the runs judged different videos: {len(first)} and {len(second)} of them. Judge the "
            "same split of one data set with both."
        )
    mean = (first[classes].to_numpy() + other[classes].to_numpy()) / 2
    return pd.concat([first[keys], pd.DataFrame(mean, columns=classes)], axis=1)


def judged(
    dataset: DataSet,
    videos: list[int],
    found: dict[str, pd.DataFrame],
    notes: tuple[str, ...] = (),
) -> Outcome:
    """Top-1 and more of what was said of videos.

    found: what -> `predictions` of these videos in this order; the first is what is judged, each
    further one gets a column of its own beside it. Videos of no class, or of one that is not among
    those told apart, are not judged. Chance is always naming the commonest class, in the mean of
    classes one of them, in the top 5 any five.
    """
    keys = ["recording", "camera"]
    first = next(iter(found.values()))
    classes = tuple(c for c in first.columns if c not in keys)
    labels = labels_of(dataset, videos)
    truth = pd.Index(classes).get_indexer(pd.Index(labels, dtype=object))
    known = truth >= 0
    if not known.any():
        shown = sorted({str(label) for label in labels if label is not None})
        raise ValueError(
            f"the videos show {', '.join(shown)} and the run tells apart {', '.join(classes)}: "
            "none of them can be judged."
        )
    if n := int((~known).sum()):
        notes = (*notes, f"{n} videos of no class that is told apart are not judged")
    columns = {}
    for what, table in found.items():
        said = table[list(classes)].to_numpy()
        columns[what] = _scores(truth[known], said[known])
    value, *rest = columns.items()
    scores = pd.DataFrame({
        "score": value[1].index, "value": value[1].to_numpy(),
        "chance": _chance(truth[known], len(classes))[value[1].index].to_numpy(),
        **{what: column.to_numpy() for what, column in rest},
    })  # fmt: skip
    said = first[list(classes)].to_numpy()
    counts = confusion(truth[known], said[known].argmax(axis=1), len(classes))
    precision, right = precision_recall(counts)
    tables = {
        "classes": pd.DataFrame({
            "label": classes, "videos": counts.sum(axis=1), "recall": right, "precision": precision,
        }),
        "confusion": pd.DataFrame(counts, columns=list(classes)).assign(truth=classes)
        [["truth", *classes]],
        "predictions": first.assign(
            label=labels, predicted=[classes[k] for k in said.argmax(axis=1)],
        )[[*keys, "label", "predicted", *classes]],
    }  # fmt: skip
    return Outcome(scores, tables, notes)


def _scores(truth: np.ndarray, said: np.ndarray) -> pd.Series:
    classes = said.shape[1]
    counts = confusion(truth, said.argmax(axis=1), classes)
    found = {
        "top-1": accuracy(truth, said.argmax(axis=1)),
        "mean of classes": balanced_accuracy(counts),
    }
    if classes > TOP:
        best = np.argsort(-said, axis=1, kind="stable")[:, :TOP]
        found[f"top-{TOP}"] = float((best == truth[:, None]).any(axis=1).mean())
    return pd.Series(found)


def _chance(truth: np.ndarray, classes: int) -> pd.Series:
    """Of always naming the commonest class; the mean over classes and the top 5 of guessing."""
    return pd.Series({
        "top-1": np.bincount(truth).max() / len(truth),
        "mean of classes": 1 / len(np.unique(truth)),
        f"top-{TOP}": min(1.0, TOP / classes),
    })  # fmt: skip
