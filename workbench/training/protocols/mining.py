"""Who was mined for whom along training, and how often that is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pandas as pd
from pydantic import Field

from workbench.analysis.clusters import cluster_scores
from workbench.analysis.mining import (
    FalseRates,
    MiningRecall,
    class_mining_recall,
    draw_triplets,
    false_rates,
    triplet_false_rates,
)
from workbench.data.manifest import DataSet
from workbench.training.findings import training_labels
from workbench.training.protocols.base import Outcome, Progress, Protocol
from workbench.training.run import RunError

if TYPE_CHECKING:
    from workbench.training.run import Run

TRIPLETS = 20_000
"""Triplets that are drawn from a clustering to judge it."""


class Mining(Protocol):
    """Class mining recall of an epoch's positives, false rates of them and of clusters.

    Of runs that look for positives (coclr, its cascade CPR, iic) or cluster (slic).
    """

    name: ClassVar[str] = "mining"

    epoch: int | None = Field(None, ge=0)
    """Which epoch, from 0, the scores are of; default: the last of which something is known."""

    def split_judged(self, dataset: DataSet) -> None:
        """None: it is about the training videos."""

    def find(self, run: Run, dataset: DataSet, partner: Run | None, progress: Progress) -> Outcome:
        """Scores of one epoch, the table of its classes, and the curves over all epochs."""
        mined, clustered = run.mined_epochs(), run.cluster_epochs()
        if not mined and not clustered:
            raise RunError(
                f"run {run.name!r} ({run.config.method.name}) kept neither mined positives nor "
                "clusters. Train coclr, iic or slic, whose runs do."
            )
        labels, epochs = training_labels(run, dataset), sorted({*mined, *clustered})
        recalls, rates = {}, {}
        for done, epoch in enumerate(epochs, 1):
            if epoch in mined:
                recalls[epoch] = mining_recall(run, epoch, labels)
            if epoch in clustered:
                rates[epoch] = cluster_rates(run, epoch, labels)
            progress(done, len(epochs))
        lines = {e: _mined_scores(found) for e, found in recalls.items()}
        for epoch, found in rates.items():
            lines[epoch] = lines.get(epoch, []) + _cluster_scores(found)
        curves = [
            {"epoch": e, **{line["score"]: line["value"] for line in lines[e]}} for e in epochs
        ]
        tables, rows, notes = {"epochs": pd.DataFrame(curves)}, [], []
        if recalls:
            epoch = self._chosen(mined, run)
            found = recalls[epoch]
            tables["classes"] = found.table
            rows += _mined_scores(found)
            notes.append(f"positives of epoch {epoch}, {len(found.table)} classes")
        if rates:
            epoch = self._chosen(clustered, run)
            rows += _cluster_scores(rates[epoch])
            notes.append(f"clusters that epoch {epoch} began with")
        return Outcome(pd.DataFrame(rows), tables, tuple(notes))

    def _chosen(self, epochs: list[int], run: Run) -> int:
        """The last epoch up to the one asked for."""
        there = [e for e in epochs if self.epoch is None or e <= self.epoch]
        if not there:
            raise ValueError(
                f"run {run.name!r} kept nothing up to epoch {self.epoch}; the first is of epoch "
                f"{epochs[0]}."
            )
        return there[-1]


def mining_recall(run: Run, epoch: int, labels: pd.Series) -> MiningRecall:
    """Class mining recall of an epoch. labels: see `training_labels`."""
    pairs = run.mined(epoch)
    anchor, positive = (_rows(labels, pairs[side], run) for side in ("anchor", "positive"))
    return class_mining_recall(anchor, positive, labels.to_numpy(object))


def cluster_rates(run: Run, epoch: int, labels: pd.Series) -> tuple[FalseRates, FalseRates, float]:
    """False rates of all pairs and of triplets drawn from a clustering, and its NMI."""
    table = run.clusters(epoch)
    classes = labels.to_numpy(object)[_rows(labels, table["recording"], run)]
    clusters = table["cluster"].to_numpy()
    known = ~pd.isna(classes)
    triplets = triplet_false_rates(*draw_triplets(clusters, TRIPLETS), classes)
    nmi = cluster_scores(clusters[known], classes[known]).nmi
    return false_rates(clusters, classes), triplets, nmi


def _rows(labels: pd.Series, names: pd.Series, run: Run) -> np.ndarray:
    """(M,) numbers of recordings; `ValueError` where the run was trained on others."""
    rows = labels.index.get_indexer(names)
    if (rows < 0).any():
        raise ValueError(
            f"recording {names[rows < 0].iloc[0]!r}, which run {run.name!r} mined, is not among "
            f"those it trains on here. It was trained on data set {run.config.data.name!r}: leave "
            "out --data, or index its videos again."
        )
    return rows


def _mined_scores(found: MiningRecall) -> list[dict]:
    wrong = 1 - found.precision
    return [
        {"score": "median class mining recall", "value": found.median,
         "chance": float(found.table["chance"].median())},
        {"score": "classes at 100 %", "value": found.complete, "chance": np.nan},
        {"score": "false positive rate, mined", "value": wrong,
         "chance": 1 - found.precision_chance},
    ]  # fmt: skip


def _cluster_scores(rates: tuple[FalseRates, FalseRates, float]) -> list[dict]:
    pairs, triplets, nmi = rates
    return [
        {"score": f"false {kind} rate, {what}", "value": getattr(found, kind), "chance": chance}
        for what, found in (("clusters", pairs), ("triplets", triplets))
        for kind, chance in (
            ("positive", pairs.positive_chance), ("negative", 1 - pairs.positive_chance)
        )
    ] + [{"score": "NMI, clusters", "value": nmi, "chance": np.nan}]  # fmt: skip
