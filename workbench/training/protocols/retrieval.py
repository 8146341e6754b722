"""Nearest-neighbour retrieval: R@k of the videos of a split among those of another."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from workbench.analysis.retrieval import KS, Recall, centred, fused, recall
from workbench.data.manifest import DataSet
from workbench.training.protocols.base import (
    AgainstBank,
    Outcome,
    Progress,
    labels_of,
    names_of,
)
from workbench.training.video_features import project, video_windows

if TYPE_CHECKING:
    from workbench.training.run import Run

Features = Literal["backbone", "head"]


class OnFeatures(AgainstBank):
    """A protocol that needs nothing of a video but its features."""

    features: Features = "backbone"
    """The encoder's features (CoCLR, CPR, ViCC, IIC), or what the method's head makes of them
    (SLIC)."""
    unit_windows: bool = True
    """Bring each window to unit length before the mean over a video (CoCLR, CPR, ViCC); IIC and
    SLIC do not."""

    def vectors(
        self, run: Run, dataset: DataSet, split: str, progress: Progress
    ) -> tuple[np.ndarray, list[int]]:
        """(V, D) a vector per video of a split, and the rows of the data set they are of."""
        windows = video_windows(run, dataset, split, self.clips, progress)
        z = project(run, windows.z) if self.features == "head" else windows.z
        return windows.per_video(z, self.unit_windows), windows.videos.tolist()


class Retrieval(OnFeatures):
    """R@k: the share of videos with one of their class among the k nearest of another split."""

    name: ClassVar[str] = "retrieval"
    fuses: ClassVar[bool] = True

    k: tuple[int, ...] = Field(KS, min_length=1)
    """Neighbours that are looked at; those of the default that the bank does not have are left
    out."""
    centred: bool = True
    """Take the mean of each split away from its videos (CoCLR, CPR, ViCC); off: as IIC and SLIC.
    The scores are told both ways, the neighbours and classes this way."""

    def find(self, run: Run, dataset: DataSet, partner: Run | None, progress: Progress) -> Outcome:
        """R@k both ways, per class, and who was found for whom; with a partner also of each run."""
        sides = self.sides(dataset)
        runs = [r for r in (run, partner) if r]
        found = [[self.vectors(r, dataset, side, progress) for side in sides] for r in runs]
        (_, videos), (_, bank) = found[0]
        labels = labels_of(dataset, videos), labels_of(dataset, bank)
        ks = self._ks(len(bank))

        def judge(streams: list, centre: bool) -> Recall:
            prepared = [
                fused(*(centred(z) if centre else z for z, _ in side))
                for side in zip(*streams, strict=True)
            ]
            return recall(prepared[0], labels[0], prepared[1], labels[1], ks)

        both = {way: judge(found, way) for way in (True, False)}
        chosen = both[self.centred]
        scores = pd.DataFrame({
            "score": [f"R@{k}" for k in chosen.ks],
            "value": chosen.value,
            "chance": chosen.chance,
            "centred": both[True].value,
            "not centred": both[False].value,
        })  # fmt: skip
        if partner:
            for r, streams in zip(runs, found, strict=True):
                scores[r.name] = judge([streams], self.centred).value
        notes = [f"{len(videos)} videos of split {sides[0]}, nearest of {len(bank)} of {sides[1]}"]
        if dropped := [k for k in self.k if k not in ks]:
            notes.append(f"the bank is too small for k of {', '.join(map(str, dropped))}")
        tables = {
            "classes": _classes(chosen),
            "neighbours": _neighbours(chosen, dataset, videos, bank),
        }
        return Outcome(scores, tables, tuple(notes))

    def _ks(self, bank: int) -> tuple[int, ...]:
        """What is asked for; of the default what the bank has."""
        if self.k != KS:
            return self.k
        return tuple(k for k in KS if k <= bank) or (1,)


def _classes(found: Recall) -> pd.DataFrame:
    columns = {f"R@{k}": found.per_class[:, i] for i, k in enumerate(found.ks)}
    return pd.DataFrame({"label": found.classes, "videos": found.counts, **columns})


def _neighbours(
    found: Recall, dataset: DataSet, videos: list[int], bank: list[int]
) -> pd.DataFrame:
    """A row per query and rank: who was found, how near, and whether that is right."""
    queries, ranks = found.ids.shape
    asked = names_of(dataset, videos).add_prefix("query_")
    there = names_of(dataset, bank).assign(label=[dataset.videos[i].label for i in bank])
    rows = asked.assign(query_label=[dataset.videos[i].label for i in videos])
    rows = rows.loc[np.repeat(np.arange(queries), ranks)].reset_index(drop=True)
    answers = there.iloc[found.ids.ravel()].reset_index(drop=True)
    return pd.concat(
        [
            rows,
            pd.DataFrame({"rank": np.tile(np.arange(1, ranks + 1), queries)}),
            answers,
            pd.DataFrame({"cosine": found.scores.ravel(), "right": found.right.ravel()}),
        ],
        axis=1,
    )
