"""Prototypes and clusters of a run against the classes: ViCC's table 1, SLIC's curves."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from workbench.analysis.clusters import cluster_scores, finch, finch_into, kmeans
from workbench.analysis.mining import false_rates
from workbench.analysis.prototypes import class_table, exemplars, graph, transitions, usage
from workbench.data.manifest import DataSet
from workbench.training.protocols.base import OnVideos, Outcome, Progress, labels_of, names_of
from workbench.training.run import RunError
from workbench.training.video_features import Windows, project, video_windows

if TYPE_CHECKING:
    from workbench.training.run import Run

NEAREST = 5
"""Videos that are named for each prototype."""
SHUFFLES = 5
"""Times that the clusters are dealt out anew for the chance level."""


class Clusters(OnVideos):
    """How well prototypes, or clusters of the features, match the classes, which they never saw."""

    name: ClassVar[str] = "clusters"

    by: Literal["prototypes", "finch", "kmeans"] = "prototypes"
    """What groups videos: the nearest of the run's prototypes (ViCC), FINCH on the vectors that the
    loss sees (SLIC), or k-means on these."""
    k: int | None = Field(None, ge=1)
    """Clusters; default: FINCH's finest partition, of k-means as many as classes."""

    def find(self, run: Run, dataset: DataSet, partner: Run | None, progress: Progress) -> Outcome:
        """Accuracy, NMI, ARI, entropy, purity, false rates; usage, exemplars and order."""
        split = self.split_judged(dataset)
        prototypes = run_prototypes(run) if self.by == "prototypes" else None
        windows = video_windows(run, dataset, split, self.clips, progress)
        videos = windows.videos.tolist()
        labels = np.array(labels_of(dataset, videos), dtype=object)
        z = project(run, windows.z)
        tables, notes = {}, []
        if prototypes is not None:
            scores = z @ prototypes.T
            each = windows.per_video(scores, unit_windows=False)
            assigned = each.argmax(axis=1)
            used = usage(each)
            tables["usage"] = pd.DataFrame({
                "prototype": range(len(prototypes)), "videos": used.counts,
                "windows": usage(scores).counts,
            })  # fmt: skip
            tables["transitions"] = graph(self._moves(windows, scores))
            tables["exemplars"] = self._exemplars(dataset, windows, scores)
            notes.append(
                f"{used.used} of {len(prototypes)} prototypes used, as if {used.effective:.1f} "
                "were used alike"
            )
        else:
            assigned = self._clusters(windows.per_video(z), len(set(labels) - {None}))
            notes.append(f"{len(np.unique(assigned))} clusters of {len(videos)} videos")
        known = ~pd.isna(labels)
        tables["classes"] = class_table(assigned, labels).reset_index(names="cluster")
        tables["videos"] = names_of(dataset, videos).assign(label=labels, cluster=assigned)
        return Outcome(_scored(assigned[known], labels[known]), tables, tuple(notes))

    def _clusters(self, z: np.ndarray, classes: int) -> np.ndarray:
        if self.by == "kmeans":
            return kmeans(z, self.k or classes)
        return finch_into(z, self.k) if self.k else finch(z)[0]

    @staticmethod
    def _exemplars(dataset: DataSet, windows: Windows, scores: np.ndarray) -> pd.DataFrame:
        """The windows nearest to each prototype, one of a video: first frames and cosines."""
        found = exemplars(scores, NEAREST, windows.video)
        prototype, rank = np.nonzero(found >= 0)
        row = found[prototype, rank]
        return names_of(dataset, windows.video[row].tolist()).assign(
            prototype=prototype, rank=rank + 1, start=windows.start[row],
            score=scores[row, prototype],
        )  # fmt: skip

    @staticmethod
    def _moves(windows: Windows, scores: np.ndarray) -> np.ndarray:
        """(P, P) transitions from window to window of each video."""
        assigned = scores.argmax(axis=1)
        rows = [assigned[windows.of == k] for k in range(len(windows.videos))]
        return transitions(rows, scores.shape[1])


def run_prototypes(run: Run) -> np.ndarray:
    """(P, d) unit vectors of a run's method; `RunError` where it has none."""
    found = run.method().prototypes if run.whole else None
    if found is None:
        raise RunError(
            f"run {run.name!r} ({run.config.method.name}) has no prototypes. Judge clusters of its "
            "features with --by finch or --by kmeans, or a run of vicc or swav."
        )
    return found.detach().float().numpy()


def _scored(assigned: np.ndarray, labels: np.ndarray) -> pd.DataFrame:
    """Each score beside the mean of those of the same clusters dealt out at random."""

    def all_scores(clusters: np.ndarray) -> dict[str, float]:
        found = asdict(cluster_scores(clusters, labels))
        rates = false_rates(clusters, labels)
        return {
            **found,
            "false positive rate": rates.positive,
            "false negative rate": rates.negative,
        }

    rng = np.random.default_rng(0)
    value = all_scores(assigned)
    random = pd.DataFrame([all_scores(rng.permutation(assigned)) for _ in range(SHUFFLES)]).mean()
    names = {"nmi": "NMI", "ari": "ARI", "entropy": "entropy, nats", "entropy_bits": "bits"}
    return pd.DataFrame({
        "score": [names.get(name, name) for name in value],
        "value": list(value.values()),
        "chance": [random[name] for name in value],
    })  # fmt: skip
